"""MeLU against the loop over users, and against what the released second-order program computes."""

from __future__ import annotations

from typing import Any

import parity_maml as parity
import pytest
import torch
from loops import dense_pair, inner_loop, mlp, real_entries
from tiny import build, gradients, tiny
from torch import Tensor

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.mlp import mlp_params
from metarec.methods import make
from metarec.methods.base import initialised
from metarec.methods.melu import MeLU
from metarec.tasks.batch import Support, TaskBatch
from metarec.training.stack import Stack

SMALL: dict[str, Any] = {"d": 3, "hidden": (6, 5), "steps": 3, "inner_lr": 0.05}


def melu(schema: Schema, seed: int = 0, **options: Any) -> MeLU:
    method = build(MeLU, schema, seed, **{**SMALL, **options})
    assert isinstance(method, MeLU)
    return method


def task_loss(kind: str, scores: Tensor, labels: Tensor) -> Tensor:
    if kind == "implicit":
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
    return (scores - labels).square().mean()


def by_loop(method: MeLU, schema: Schema, batch: TaskBatch) -> Tensor:
    """Mean query loss, user by user, every interaction a multi-hot product."""
    o, tables, losses = method.options, method.encoder.tables(), []
    for support, query in real_entries(batch):
        sides = []
        for rows in (support, query):
            x = torch.stack([dense_pair(tables, schema, user, item) for user, item, _ in rows])
            sides.append((x, torch.tensor([label for _, _, label in rows], dtype=torch.float64)))
        (x, y), (x_query, y_query) = sides
        head = mlp_params(method.head)
        head = inner_loop(
            lambda w, x=x, y=y: task_loss(schema.kind, mlp(w, x), y),
            head,
            list(head),
            o.steps,
            o.inner_lr,
            o.order,
            o.inner_max_step,
        )
        losses.append(task_loss(schema.kind, mlp(head, x_query), y_query))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("kind", ["explicit", "implicit"])
@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("bound", [None, 0.02])
def test_batch_equals_loop_over_users(kind: str, order: str, bound: float | None) -> None:
    schema, batch = tiny(kind)
    method = melu(schema, order=order, inner_max_step=bound)
    (loss,) = method.terms(batch, {}).values()
    expected = by_loop(method, schema, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    wanted = gradients(method, expected)
    for name, slope in gradients(method, loss).items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-9, atol=1e-12)
        assert slope.any(), name


@pytest.fixture(scope="module")
def released() -> tuple[dict[str, Tensor], MeLU, TaskBatch]:
    f = parity.fixture("maml_second_order_melu")
    method = melu(
        parity.schema_of(f), d=4, hidden=(7, 5), steps=int(f["inner_steps"]), inner_lr=float(f["inner_lr"])
    )
    method.load_state_dict(parity.group(f, "weights"), strict=False)
    assert set(parity.group(f, "weights")) == {name for name, _ in method.named_parameters()}
    return f, method, parity.batch_of(f)


def test_released_adapted_weights_after_each_step(
    released: tuple[dict[str, Tensor], MeLU, TaskBatch],
) -> None:
    f, method, batch = released
    path = method.path(batch.support, batch.query)
    for name, adapted in parity.group(f, "adapted").items():
        for step in range(int(f["inner_steps"])):
            parity.close(path[step + 1][name.removeprefix("head.layers.")], adapted[:, step])


def test_released_query_predictions_and_losses(released: tuple[dict[str, Tensor], MeLU, TaskBatch]) -> None:
    f, method, batch = released
    expected, mask = parity.padded(f, "query_pred")
    scores = method.predict(batch.support, batch.query)
    parity.close(scores[mask], expected[mask])
    (loss,) = method.terms(batch, {}).values()
    parity.close(loss, f["query_loss"].mean())


@pytest.mark.parametrize("order", ["second", "first"])
def test_released_meta_gradients(released: tuple[dict[str, Tensor], MeLU, TaskBatch], order: str) -> None:
    f, method, batch = released
    other = melu(parity.schema_of(f), d=4, hidden=(7, 5), steps=5, inner_lr=0.01, order=order)
    other.load_state_dict(method.state_dict())
    slopes = gradients(other, other.terms(batch, {})["query"])
    name_of = {"second": "grad_mean", "first": "grad_first_order_mean"}
    for name, expected in parity.group(f, name_of[order]).items():
        parity.close(slopes[name], expected)


def test_released_step_of_adam(released: tuple[dict[str, Tensor], MeLU, TaskBatch]) -> None:
    """The released program clamps the mean gradient to [-10, 10], idle here, and applies Adam."""
    f, method, batch = released
    start = {name: p.detach().clone() for name, p in method.state_dict().items()}
    optimiser = torch.optim.Adam(method.parameters(), lr=3e-4)
    method.terms(batch, {})["query"].backward()
    optimiser.step()
    after = {name: p.detach().clone() for name, p in method.named_parameters()}
    method.load_state_dict(start)
    method.zero_grad(set_to_none=True)
    for name, expected in parity.group(f, "after_adam").items():
        parity.close(after[name], expected, 1e-8)


@pytest.mark.parametrize("name", ["melu", "metacs", "maml-pt", "paml", "pnmta"])
def test_query_labels_enter_through_the_loss_alone(name: str) -> None:
    schema, batch = tiny()
    with initialised(0):
        method = make(name, schema, **SMALL).double()
    scores = method.predict(batch.support, batch.query)
    for labels in (batch.query_labels, batch.query_labels.flip(-1), torch.zeros_like(batch.query_labels)):
        expected = torch.where(batch.query.mask, scores - labels, 0.0).square().sum(
            -1
        ) / batch.query.mask.sum(-1)
        loss = method.terms(batch._replace(query_labels=labels), {})["query"]
        torch.testing.assert_close(loss, expected.mean())


def test_predictions_follow_the_support_and_not_its_order() -> None:
    schema, batch = tiny()
    method, s = melu(schema), batch.support
    scores = method.predict(s, batch.query)
    turned = Support(s.user, s.item.flip(1), s.mask.flip(1), s.labels.flip(1))
    torch.testing.assert_close(method.predict(turned, batch.query), scores)
    higher = method.predict(s._replace(labels=s.labels + 1), batch.query)
    assert (higher > scores).all()


def test_wider_padding_changes_nothing() -> None:
    schema, batch = tiny()
    method, s = melu(schema), batch.support

    def wider(t: Tensor, fill: float) -> Tensor:
        return torch.cat([t, torch.full_like(t[:, :3], fill)], 1)

    padded = Support(s.user, wider(s.item, 1), wider(s.mask, False), wider(s.labels, 0))
    torch.testing.assert_close(method.predict(padded, batch.query), method.predict(s, batch.query))


def test_implicit_predictions_are_probabilities() -> None:
    schema, batch = tiny("implicit")
    scores = melu(schema).predict(batch.support, batch.query)
    assert ((scores > 0) & (scores < 1)).all()


def test_stacked_replicas_equal_replicas_alone_with_a_step_size_each() -> None:
    schema, batch = tiny()
    alone = [melu(schema, seed, inner_lr=lr) for seed, lr in ((1, 0.01), (2, 0.05), (3, 0.1))]
    copies = [melu(schema, seed, inner_lr=lr) for seed, lr in ((1, 0.01), (2, 0.05), (3, 0.1))]
    stack = Stack(copies)
    many = torch.utils._pytree.tree_map(lambda t: torch.stack([t] * 3), batch)
    together_ = stack.call("terms", many, {})["query"]
    slopes = dict(
        zip(stack.params, torch.autograd.grad(together_.sum(), list(stack.params.values())), strict=True)
    )
    for k, method in enumerate(alone):
        loss = method.terms(batch, {})["query"]
        torch.testing.assert_close(together_[k], loss, rtol=1e-9, atol=0)
        for name, own in gradients(method, loss).items():
            torch.testing.assert_close(slopes[name][k], own, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["melu", "metacs"])
def test_mini_batches_come_from_noise_and_a_large_one_is_the_support(name: str) -> None:
    schema, batch = tiny()
    n = batch.support.item.shape[1]
    cls = type(make(name, schema))
    whole, some, every = (build(cls, schema, **SMALL, inner_batch=size) for size in (None, 2, n))
    generator = torch.Generator().manual_seed(0)
    noise = {k: v.double() for k, v in some.draw(batch, generator).items()}
    assert noise["inner"].shape == (4, 3, n)
    full = whole.terms(batch, {})["query"]
    torch.testing.assert_close(every.terms(batch, noise)["query"], full)
    assert not torch.allclose(some.terms(batch, noise)["query"], full)
    torch.testing.assert_close(
        some.predict(batch.support, batch.query), whole.predict(batch.support, batch.query)
    )
    cut = some.resize(noise, n - 2, 4, n)
    assert cut["inner"].shape == (4, 3, n - 2)


def test_training_lowers_the_loss_on_planted_data() -> None:
    schema, batch = tiny(tasks=12)
    method = melu(schema, d=8, hidden=(16, 16), inner_lr=0.02)
    optimiser = torch.optim.Adam(method.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = method.terms(batch, {})["query"]
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_tasks_that_mix_users_give_the_same_numbers_as_users_that_broadcast() -> None:
    schema, batch = tiny()
    method, s, q = melu(schema), batch.support, batch.query
    wide = method.predict(
        s._replace(user=s.user.expand_as(s.item)), q._replace(user=q.user.expand_as(q.item))
    )
    torch.testing.assert_close(wide, method.predict(s, q))
    others = method.predict(s, q._replace(user=q.user.flip(0)))
    assert not torch.allclose(others, wide)


def test_unknown_options_are_refused() -> None:
    schema, _ = tiny()
    with initialised(0), pytest.raises(ProtocolError, match="MeLU has no option 'inner_rate'"):
        MeLU(schema, inner_rate=0.1)
