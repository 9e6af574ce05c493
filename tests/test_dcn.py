"""DCN and DCN-F: the cross layers by hand, training on pairs and on ratings, the steps on a support."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny import build, each_alone, scenarios, tiny
from torch import Tensor
from torch.utils._pytree import tree_map

from metarec.layers.embedding import joined
from metarec.methods.dcn import DCN, RELEASED, cross
from metarec.methods.dcn_f import DCNF
from metarec.tasks import RowBatch, Support, TaskBatch
from metarec.training.stack import Stack

SMALL = {"width": 5, "deep": (4, 4), "d": 2}


def dcn(kind: str, cls: type[DCN] = DCN, seed: int = 0, **options: object) -> tuple[DCN, TaskBatch]:
    schema, batch = scenarios() if kind == "implicit" else tiny(tasks=3)
    method = build(cls, schema, seed, **{**SMALL, **options})
    assert isinstance(method, DCN)
    return method, batch


each_setting = pytest.mark.parametrize("kind", ["implicit", "explicit"])


def test_cross_layer_by_hand_and_as_an_outer_product() -> None:
    # x0 = (1, 2), w = (3, -1), b = (0.5, 0): x1 = x0 (x0 . w) + b + x0 = (1, 2) + (0.5, 0) + (1, 2)
    x0, w, b = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0, -1.0]]), torch.tensor([[0.5, 0.0]])
    assert cross(x0, w, b).tolist() == [[[2.5, 4.0]]]
    x0, w, b = torch.randn(2, 3, 4), torch.randn(3, 4), torch.randn(3, 4)
    x = x0
    for layer in range(3):  # the released form, n x n
        x = torch.einsum("tni,tnj->tnij", x0, x) @ w[layer] + b[layer] + x
    torch.testing.assert_close(cross(x0, w, b), x, rtol=1e-4, atol=1e-5)


def test_released_start_is_normal_and_ours_has_no_bias() -> None:
    ours, theirs = dcn("implicit", width=400)[0], dcn("implicit", width=400, **RELEASED)[0]
    assert not ours.cross_bias.any() and ours.cross_weight.shape == (3, 400)
    assert abs(theirs.cross_weight.std().item() - 1) < 0.1 and theirs.cross_weight.shape == (4, 400)


@each_setting
def test_dcn_knows_nothing_of_the_support(kind: str) -> None:
    method, batch = dcn(kind)
    s = batch.support
    other = Support(s.user, s.item.flip(1), s.mask, 1 - s.labels)
    assert torch.equal(method.predict(s, batch.query), method.predict(other, batch.query))


def test_rows_of_ratings_cost_their_mean_squared_error() -> None:
    method, _ = dcn("explicit")
    rows = RowBatch(torch.tensor([0, 3, 1]), torch.tensor([2, 2, 5]), torch.tensor([1.0, 4.0, 5.0]).double())
    scores = torch.stack(
        [method.network(method.weights(), joined(method.vectors(u, i)))[0, 0] for u, i in pairs(rows)]
    )
    torch.testing.assert_close(method.row_terms(rows)["loss"], (scores - rows.labels).square().mean())


def pairs(rows: RowBatch) -> list[tuple[Tensor, Tensor]]:
    return [(u.reshape(1, 1), i.reshape(1, 1)) for u, i in zip(rows.user, rows.item, strict=True)]


@each_setting
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_dcn_f_is_torchs_optimiser_on_a_copy_for_each_task(kind: str, optimiser: str) -> None:
    options = {"tune_steps": 4, "tune_lr": 0.01, "optimiser": optimiser, "tune_pairs": 7}
    method, batch = dcn(kind, DCNF, **options)
    scores = method.predict(batch.support, batch.query)
    for t, one in enumerate(each_alone(batch)):
        own = copy.deepcopy(method)
        assert isinstance(own, DCNF)
        moving = list(own.weights().values())
        kind_of = torch.optim.Adam if optimiser == "adam" else torch.optim.SGD
        step = kind_of(moving, lr=0.01)  # type: ignore[operator]
        for _ in range(4):
            step.zero_grad()
            own.support_loss(one.support)(own.weights()).sum().backward()
            step.step()
        expected = DCN.predict(own, one.support, one.query)[0]
        torch.testing.assert_close(scores[t][batch.query.mask[t]], expected, rtol=1e-6, atol=1e-8)


@each_setting
def test_dcn_f_without_steps_is_dcn_and_its_order_of_the_support_does_not_matter(kind: str) -> None:
    plain, batch = dcn(kind)
    none, _ = dcn(kind, DCNF, tune_steps=0)
    ours, theirs = (m.predict(batch.support, batch.query) for m in (none, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    if kind == "explicit":  # in a scenario the order decides which pairs are taken
        tuned, _ = dcn(kind, DCNF)
        flipped = Support(batch.support.user, *(t.flip(1) for t in batch.support[1:]))
        torch.testing.assert_close(
            tuned.predict(flipped, batch.query), tuned.predict(batch.support, batch.query)
        )


@each_setting
def test_stacked_replicas_equal_each_alone(kind: str) -> None:
    methods, batch = [dcn(kind, DCNF, seed)[0] for seed in (0, 1)], dcn(kind)[1]
    alone = torch.stack([m.predict(batch.support, batch.query) for m in methods])
    both = [tree_map(lambda t: torch.stack([t, t]), part) for part in (batch.support, batch.query)]
    with torch.no_grad():
        torch.testing.assert_close(Stack(methods).call("predict", *both, {}), alone, rtol=1e-8, atol=1e-10)
