"""MetaCS-DNN against full tables in a loop over users, and against the released numbers."""

from __future__ import annotations

from typing import Any

import parity_maml as parity
import pytest
import torch
from loops import dense_pair, inner_loop, mlp, real_entries
from tiny import build, gradients, tiny
from torch import Tensor

from metarec.data.schema import Schema
from metarec.layers import embedding
from metarec.layers.mlp import mlp_params
from metarec.methods.melu import MeLU
from metarec.methods.metacs import MetaCS, spread
from metarec.tasks.batch import TaskBatch
from metarec.training.stack import Stack

SMALL: dict[str, Any] = {"d": 3, "hidden": (6, 5), "steps": 3, "inner_lr": 0.05}


def metacs(schema: Schema, seed: int = 0, **options: Any) -> MetaCS:
    method = build(MetaCS, schema, seed, **{**SMALL, **options})
    assert isinstance(method, MetaCS)
    return method


def by_loop(method: MetaCS, schema: Schema, batch: TaskBatch) -> Tensor:
    """Mean query loss; every user adapts a whole copy of every table and of the head."""
    o, losses = method.options, []
    for support, query in real_entries(batch):

        def loss(w: dict[str, Tensor], rows: list[tuple[int, int, float]]) -> Tensor:
            x = torch.stack([dense_pair(w, schema, user, item) for user, item, _ in rows])
            labels = torch.tensor([label for _, _, label in rows], dtype=torch.float64)
            scores = mlp({k: v for k, v in w.items() if k[0].isdigit()}, x)
            if schema.kind == "implicit":
                return torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
            return (scores - labels).square().mean()

        start = method.encoder.tables() | mlp_params(method.head)
        end = inner_loop(
            lambda w, support=support, loss=loss: loss(w, support),  # type: ignore[misc]
            start,
            list(start),
            o.steps,
            o.inner_lr,
            o.order,
            o.inner_max_step,
        )
        losses.append(loss(end, query))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("bound", [None, 0.02])
@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize(
    ("kind", "order"), [("explicit", "second"), ("implicit", "second"), ("explicit", "first")]
)
def test_batch_equals_full_tables_in_a_loop(
    kind: str, order: str, pairs: bool, bound: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pairs:
        monkeypatch.setattr(embedding, "MAX_PAIRS", 0)
    schema, batch = tiny(kind)
    method = metacs(schema, order=order, inner_max_step=bound)
    loss = method.terms(batch, {})["query"]
    expected = by_loop(method, schema, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    wanted = gradients(method, expected)
    for name, slope in gradients(method, loss).items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def released() -> tuple[dict[str, Tensor], TaskBatch]:
    f = parity.fixture("maml_second_order_metacs")
    return f, parity.batch_of(f)


def of(f: dict[str, Tensor], **options: Any) -> MetaCS:
    lr, steps = float(f["inner_lr"]), int(f["inner_steps"])
    method = metacs(parity.schema_of(f), d=4, hidden=(7, 5), steps=steps, inner_lr=lr, **options)
    method.load_state_dict(parity.group(f, "weights"), strict=False)
    return method


def test_released_adapted_weights_after_each_step(released: tuple[dict[str, Tensor], TaskBatch]) -> None:
    f, batch = released
    path = of(f).path(batch.support, batch.query)
    for name, adapted in parity.group(f, "adapted").items():
        short = name.removeprefix("head.layers.").removeprefix("encoder.").replace(".tables", "")
        for step in range(int(f["inner_steps"])):
            parity.close(path[step + 1][short], adapted[:, step])


def test_released_query_predictions_and_losses(released: tuple[dict[str, Tensor], TaskBatch]) -> None:
    f, batch = released
    expected, mask = parity.padded(f, "query_pred")
    parity.close(of(f).predict(batch.support, batch.query)[mask], expected[mask])
    parity.close(of(f).terms(batch, {})["query"], f["query_loss"].mean())


@pytest.mark.parametrize(("order", "name"), [("second", "grad_mean"), ("first", "grad_first_order_mean")])
def test_released_meta_gradients(
    released: tuple[dict[str, Tensor], TaskBatch], order: str, name: str
) -> None:
    f, batch = released
    method = of(f, order=order)
    slopes = gradients(method, method.terms(batch, {})["query"])
    for weight, expected in parity.group(f, name).items():
        parity.close(slopes[weight], expected)


def test_released_step_of_adam(released: tuple[dict[str, Tensor], TaskBatch]) -> None:
    f, batch = released
    method = of(f)
    method.terms(batch, {})["query"].backward()
    torch.optim.Adam(method.parameters(), lr=3e-4).step()
    after = dict(method.named_parameters())
    for name, expected in parity.group(f, "after_adam").items():
        parity.close(after[name].detach(), expected, 1e-8)


def test_with_frozen_tables_it_would_be_melu() -> None:
    """The two differ by the embeddings' own steps alone: without overlap between entries they agree."""
    schema, batch = tiny()
    method = metacs(schema)
    other = build(MeLU, schema, **SMALL)
    other.load_state_dict(method.state_dict())
    assert not torch.allclose(method.predict(*batch[:2]), other.predict(*batch[:2]))
    method.overlaps = lambda left, right: {  # type: ignore[method-assign]
        side: torch.zeros(1, len(getattr(method.encoder, side).fields), 1, 1, dtype=torch.float64).expand(
            len(left.item), -1, getattr(left, side).shape[1], getattr(right, side).shape[1]
        )
        for side in ("item", "user")
    }
    torch.testing.assert_close(method.predict(*batch[:2]), other.predict(*batch[:2]))


def test_spread_is_the_sum_over_entries_weighted_by_overlap() -> None:
    g = torch.Generator().manual_seed(0)
    overlap = torch.rand(2, 3, 4, 5, generator=g, dtype=torch.float64)
    slope = torch.randn(2, 5, 3 * 2, generator=g, dtype=torch.float64)
    expected = torch.einsum("tfab,tbfd->tafd", overlap, slope.view(2, 5, 3, 2)).reshape(2, 4, 6)
    torch.testing.assert_close(spread(overlap, slope), expected)


@pytest.mark.parametrize("fields", [True, False])
def test_stacked_replicas_equal_replicas_alone(fields: bool) -> None:
    schema, batch = tiny(fields=fields)
    seeds = (1, 2)
    stack = Stack([metacs(schema, seed) for seed in seeds])
    many = torch.utils._pytree.tree_map(lambda t: torch.stack([t] * len(seeds)), batch)
    together = stack.call("terms", many, {})["query"]
    slopes = dict(
        zip(stack.params, torch.autograd.grad(together.sum(), list(stack.params.values())), strict=True)
    )
    for k, seed in enumerate(seeds):
        method = metacs(schema, seed)
        loss = method.terms(batch, {})["query"]
        torch.testing.assert_close(together[k], loss, rtol=1e-9, atol=0)
        for name, own in gradients(method, loss).items():
            torch.testing.assert_close(slopes[name][k], own, rtol=1e-9, atol=1e-12)


def test_with_ids_only_a_cold_users_row_adapts_from_its_support() -> None:
    schema, batch = tiny(fields=False)
    method, s = metacs(schema, inner_lr=0.02), batch.support
    path = method.path(s, batch.query)
    moved = (path[-1]["user.id"] - path[0]["user.id"]).abs().sum(-1) > 0
    for task in range(len(s.item)):
        assert moved[task].nonzero().flatten().tolist() == [int(s.user[task, 0])]
    assert torch.isfinite(method.predict(s, batch.query)).all()
