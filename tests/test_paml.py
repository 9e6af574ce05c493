"""PAML: a step size for each user, and MeLU where all are alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import build, gradients, tiny

from metarec.data.schema import Schema
from metarec.methods.melu import MeLU
from metarec.methods.paml import PAML, disagreement
from metarec.tasks.batch import Support
from metarec.training.stack import Stack

SMALL: dict[str, Any] = {"d": 3, "hidden": (6, 5), "steps": 3, "inner_lr": 0.05}


def paml(schema: Schema, seed: int = 0, *, spread: float = 0.5, **options: Any) -> PAML:
    method = build(PAML, schema, seed, **{**SMALL, "rate_hidden": (4,), **options})
    assert isinstance(method, PAML)
    weight = method.rate.layers[-1].weight
    assert isinstance(weight, torch.Tensor)
    weight.data += spread * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed)).double()
    return method


def test_it_starts_as_melu() -> None:
    schema, batch = tiny()
    method, melu = paml(schema, spread=0.0), build(MeLU, schema, **SMALL)
    melu.load_state_dict({n: t for n, t in method.state_dict().items() if n in melu.state_dict()})
    torch.testing.assert_close(method.describe(batch.support)["step size"], torch.full((4,), 0.05).double())
    terms = method.terms(batch, {})
    torch.testing.assert_close(terms["query"], melu.terms(batch, {})["query"])
    assert terms["similarity"] == 0


@pytest.mark.parametrize("order", ["second", "first"])
def test_a_batch_is_melu_user_by_user_each_with_its_own_step_size(order: str) -> None:
    schema, batch = tiny()
    method = paml(schema, order=order)
    sizes = method.describe(batch.support)["step size"]
    assert (sizes > 0).all() and (sizes < 0.1).all() and sizes.std() > 1e-4
    losses = []
    for t in range(4):
        alone = build(MeLU, schema, **{**SMALL, "order": order})
        alone.load_state_dict({n: v for n, v in method.state_dict().items() if n in alone.state_dict()})
        alone.inner_lr.copy_(sizes[t].detach())  # type: ignore[operator,union-attr]
        one = torch.utils._pytree.tree_map(lambda x, t=t: x[t : t + 1], batch)
        losses.append(alone.terms(one, {})["query"])
    torch.testing.assert_close(
        method.terms(batch, {})["query"], torch.stack(losses).mean(), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("order", ["second", "first"])
def test_the_step_size_learns_through_the_inner_loop(order: str) -> None:
    """Its gradient agrees with a finite difference of the loss (second order: exactly that function)."""
    schema, batch = tiny()
    method = paml(schema, order=order)
    slope = gradients(method, method.terms(batch, {})["query"])["rate.layers.1.bias"]
    if order == "first":
        assert slope.abs() > 1e-6
        return
    bias, step, values = dict(method.named_parameters())["rate.layers.1.bias"], 1e-5, []
    for sign in (1, -1):
        bias.data += sign * step
        values.append(method.terms(batch, {})["query"].detach())
        bias.data -= sign * step
    torch.testing.assert_close(slope, ((values[0] - values[1]) / (2 * step)).reshape(1), rtol=1e-6, atol=1e-9)


def test_disagreement_is_the_mean_over_pairs() -> None:
    g = torch.Generator().manual_seed(0)
    h = torch.randn(5, 3, generator=g, dtype=torch.float64)
    rate = torch.rand(5, generator=g, dtype=torch.float64)
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                kernel = torch.exp(-(h[i] - h[j]).square().sum() / (2 * 0.7**2 * 3))
                total += float(kernel * (rate[i] - rate[j]) ** 2)
    torch.testing.assert_close(disagreement(h, rate, 0.7), torch.tensor(total / 20, dtype=torch.float64))
    assert disagreement(h, torch.ones(5, dtype=torch.float64), 0.7) == 0
    assert disagreement(h[:1], rate[:1], 0.7) == 0


def test_the_penalty_weighs_as_asked_and_pulls_on_step_sizes() -> None:
    schema, batch = tiny()
    one, two = (paml(schema, similarity=s).terms(batch, {})["similarity"] for s in (0.1, 0.2))
    assert one > 0
    torch.testing.assert_close(two, 2 * one)
    method = paml(schema)
    slopes = gradients(method, method.terms(batch, {})["similarity"])
    assert slopes["rate.layers.0.weight"].any() and not slopes["head.layers.0.weight"].any()


def test_with_ids_only_the_items_of_the_support_stand_for_the_user() -> None:
    schema, batch = tiny(fields=False)
    method, s = paml(schema), batch.support
    sizes = method.describe(s)["step size"]
    torch.testing.assert_close(method.describe(s._replace(user=s.user.flip(0)))["step size"], sizes)
    other = s._replace(item=(s.item + 1) % schema.n_items)
    assert not torch.allclose(method.describe(other)["step size"], sizes)


@pytest.mark.parametrize("fields", [True, False])
@pytest.mark.parametrize("known", [0, 1, 3])
def test_padding_changes_no_step_size(fields: bool, known: int) -> None:
    """Whatever the width, down to supports of nothing padded to one entry."""
    schema, batch = tiny(fields=fields)
    method, sizes = paml(schema), []
    for width in (max(known, 1), 4, 6):
        user, item, _, labels = batch.support
        mask = (torch.arange(width) < known).expand(len(item), -1)
        support = Support(user, item[:, :width], mask, torch.where(mask, labels[:, :width], 0.0))
        sizes.append(method.describe(support)["step size"])
    for other in sizes[1:]:
        torch.testing.assert_close(other, sizes[0], rtol=1e-12, atol=0)


def test_stacked_replicas_equal_replicas_alone() -> None:
    schema, batch = tiny()
    settings = ((1, 0.1), (2, 0.4))
    stack = Stack([paml(schema, seed, similarity=w) for seed, w in settings])
    many = torch.utils._pytree.tree_map(lambda t: torch.stack([t] * 2), batch)
    terms = stack.call("terms", many, {})
    slopes = torch.autograd.grad((terms["query"] + terms["similarity"]).sum(), list(stack.params.values()))
    for k, (seed, w) in enumerate(settings):
        method = paml(schema, seed, similarity=w)
        own = method.terms(batch, {})
        torch.testing.assert_close(terms["similarity"][k], own["similarity"])
        alone = gradients(method, own["query"] + own["similarity"])
        for name, slope in zip(stack.params, slopes, strict=True):
            torch.testing.assert_close(slope[k], alone[name], rtol=1e-9, atol=1e-12)
