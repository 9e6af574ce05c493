"""The inner loop against a loop over tasks, against finite differences, and against itself in other forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from loops import inner_loop, mlp
from torch import Tensor

from metarec.errors import ProtocolError
from metarec.layers.adaptation import adapt, adapt_mlp, adapt_path, per_task, pointwise_loss, step_masks
from metarec.layers.embedding import joined
from metarec.layers.mlp import task_mlp

TASKS, N, M, D = 3, 6, 4, 5
LENGTHS = (6, 2, 4)


def problem(seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return {
        "x": normal(TASKS, N, D),
        "q": normal(TASKS, M, D),
        "y": normal(TASKS, N),
        "t": normal(TASKS, M),
        "mask": torch.arange(N) < torch.tensor(LENGTHS)[:, None],
    }


def weights(seed: int = 1) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shapes = {
        "0.weight": (7, D),
        "0.bias": (7,),
        "1.weight": (3, 7),
        "1.bias": (3,),
        "2.weight": (1, 3),
        "2.bias": (1,),
    }
    return {
        name: (0.6 * torch.randn(*shape, generator=g, dtype=torch.float64)).requires_grad_()
        for name, shape in shapes.items()
    }


def support_loss(p: dict[str, Tensor]) -> Callable[..., Tensor]:
    return lambda scores, mask=None: pointwise_loss(
        "explicit", scores, p["y"], p["mask"] if mask is None else mask
    )


def query_loss(p: dict[str, Tensor], scores: Tensor) -> Tensor:
    return (scores - p["t"]).square().mean(-1)


def by_loop(
    p: dict[str, Tensor], w: dict[str, Tensor], lr: Tensor, moved: list[str], order: str
) -> list[Tensor]:
    """The query loss of each task, one task at a time, without padding."""
    losses = []
    for t, n in enumerate(LENGTHS):
        x, y = p["x"][t, :n], p["y"][t, :n]
        now = inner_loop(lambda v, x=x, y=y: (mlp(v, x) - y).square().mean(), w, moved, 3, lr[t], order)
        losses.append((mlp(now, p["q"][t]) - p["t"][t]).square().mean())
    return losses


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("moved", [["1.weight"], ["0.bias", "2.weight", "1.bias"], list(weights())])
def test_any_named_subset_equals_the_loop_over_tasks(order: str, moved: list[str]) -> None:
    p, w = problem(), weights()
    lr = torch.tensor([0.05, 0.2, 0.1], dtype=torch.float64, requires_grad=True)
    adapted = adapt(
        lambda v: support_loss(p)(task_mlp(v, p["x"]).squeeze(-1)),
        per_task(w, TASKS),
        steps=3,
        lr=lr,
        order=order,  # type: ignore[arg-type]
        moved=moved,
    )
    got = query_loss(p, task_mlp(adapted, p["q"]).squeeze(-1))
    expected = torch.stack(by_loop(p, w, lr, moved, order))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=0)
    leaves = [*w.values(), lr]
    for one, other in zip(
        torch.autograd.grad(got.sum(), leaves), torch.autograd.grad(expected.sum(), leaves), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("span", [True, False])
@pytest.mark.parametrize("order", ["second", "first"])
def test_an_adapted_mlp_equals_the_loop_whether_its_first_layer_is_copied_or_kept_in_the_span(
    span: bool, order: str
) -> None:
    p, w = problem(), weights()
    p["x"].requires_grad_(), p["q"].requires_grad_()
    lr = torch.tensor([0.05, 0.2, 0.1], dtype=torch.float64, requires_grad=True)
    scores = adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=lr, order=order, span=span)  # type: ignore[arg-type]
    expected = torch.stack(by_loop(p, w, lr, list(w), order))
    torch.testing.assert_close(query_loss(p, scores), expected, rtol=1e-9, atol=0)
    leaves = [*w.values(), lr, p["x"], p["q"]]
    found, wanted = (
        torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        for total in (query_loss(p, scores).sum(), expected.sum())
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_one_step_on_a_quadratic_is_its_closed_form() -> None:
    """L = a/2 (w - c)^2: after k steps w = c + (1 - lr a)^k (w0 - c), and dw/dw0 = (1 - lr a)^k."""
    a = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    c = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    w0 = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    path = adapt_path(lambda p: a / 2 * (p["w"] - c).square(), per_task({"w": w0}, 3), steps=4, lr=0.1)
    for k, state in enumerate(path):
        torch.testing.assert_close(state["w"], c + (1 - 0.1 * a) ** k * (w0 - c))
    (slope,) = torch.autograd.grad(path[-1]["w"].sum(), w0)
    torch.testing.assert_close(slope, ((1 - 0.1 * a) ** 4).sum())


def test_columns_shared_by_a_task_may_come_as_one_row() -> None:
    p, w = problem(), weights()
    shared = p["x"][:, :1, 2:].clone().requires_grad_()
    x = (p["x"][..., :2], shared)
    q = (p["q"][..., :2], shared)
    for span in (True, False):
        got = adapt_mlp(w, x, q, support_loss(p), steps=3, lr=0.1, span=span)
        whole = adapt_mlp(w, [joined(x)], [joined(q)], support_loss(p), steps=3, lr=0.1, span=span)
        torch.testing.assert_close(got, whole, rtol=1e-9, atol=1e-12)
        leaves = [*w.values(), shared]
        for one, other in zip(
            *(torch.autograd.grad(query_loss(p, s).sum(), leaves) for s in (got, whole)), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_meta_gradient_agrees_with_finite_differences() -> None:
    p, w = problem(), weights()
    names = list(w)

    def outer(lr: Tensor, x: Tensor, *values: Tensor) -> Tensor:
        return query_loss(
            p,
            adapt_mlp(dict(zip(names, values, strict=True)), [x], [p["q"]], support_loss(p), steps=2, lr=lr),
        ).sum()

    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    inputs = (lr, p["x"].requires_grad_(), *w.values())
    assert torch.autograd.gradcheck(outer, inputs)


def test_first_order_keeps_the_gradient_of_the_step_size_and_drops_the_curvature() -> None:
    w0 = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    state = adapt(lambda p: p["w"].square(), per_task({"w": w0}, 1), steps=1, lr=lr, order="first")
    slope_w, slope_lr = torch.autograd.grad(state["w"].sum(), (w0, lr))
    assert slope_w == 1.0 and slope_lr == -4.0


def test_a_learned_step_size_for_each_parameter_moves_each_by_its_own() -> None:
    w = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    size = torch.tensor([0.1, 0.4], dtype=torch.float64, requires_grad=True)
    state = adapt(lambda p: p["w"].square().sum(-1) / 2, per_task({"w": w}, 3), steps=1, lr={"w": size})
    torch.testing.assert_close(state["w"], ((1 - size) * w).expand(3, 2))
    (slope,) = torch.autograd.grad(state["w"].sum(), size)
    torch.testing.assert_close(slope, -3 * w)


def test_padding_never_moves_a_number() -> None:
    p, w = problem(), weights()
    plain = adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=0.1)
    other = dict(p, x=torch.where(p["mask"][..., None], p["x"], 1e3), y=torch.where(p["mask"], p["y"], -7.0))
    torch.testing.assert_close(
        adapt_mlp(w, [other["x"]], [p["q"]], support_loss(other), steps=3, lr=0.1),
        plain,
        rtol=1e-12,
        atol=1e-12,
    )


def test_full_mini_batches_are_the_whole_support_and_small_ones_have_their_size() -> None:
    p, w = problem(), weights()
    uniform = torch.rand(TASKS, 3, N, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    masks = step_masks(uniform, p["mask"], 3)
    assert masks.shape == (3, TASKS, N) and not (masks & ~p["mask"]).any()
    assert masks.sum(-1).tolist() == [[3, 2, 3]] * 3
    for span in (True, False):
        whole = adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=0.1, span=span)
        everything = adapt_mlp(
            w,
            [p["x"]],
            [p["q"]],
            support_loss(p),
            steps=3,
            lr=0.1,
            masks=step_masks(uniform, p["mask"], N),
            span=span,
        )
        torch.testing.assert_close(everything, whole)
    drawn = [
        adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=0.1, masks=masks, span=span)
        for span in (True, False)
    ]
    torch.testing.assert_close(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], whole)


def test_replicas_under_vmap_equal_replicas_alone() -> None:
    p, ws = problem(), [weights(s) for s in (1, 2, 3)]
    stacked = {name: torch.stack([w[name].detach() for w in ws]).requires_grad_() for name in ws[0]}
    lr = torch.tensor([0.02, 0.1, 0.2], dtype=torch.float64)

    def one(w: dict[str, Tensor], size: Tensor) -> Tensor:
        return query_loss(p, adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=size)).mean()

    together = torch.func.vmap(one)(stacked, lr)
    slopes = torch.autograd.grad(together.sum(), list(stacked.values()))
    for k, w in enumerate(ws):
        alone = one(w, lr[k])
        torch.testing.assert_close(together[k], alone, rtol=1e-9, atol=0)
        for slope, own in zip(slopes, torch.autograd.grad(alone, list(w.values())), strict=True):
            torch.testing.assert_close(slope[k], own, rtol=1e-9, atol=1e-12)


def test_prediction_needs_no_outer_graph() -> None:
    p, w = problem(), weights()
    with torch.no_grad():
        quiet = adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=0.1)
    assert not quiet.requires_grad
    torch.testing.assert_close(quiet, adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=3, lr=0.1))


def test_binary_cross_entropy_is_that_of_the_library() -> None:
    p = problem()
    labels = (p["y"] > 0).double()
    got = pointwise_loss("implicit", p["x"][..., 0], labels, p["mask"])
    for t, n in enumerate(LENGTHS):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(p["x"][t, :n, 0], labels[t, :n])
        torch.testing.assert_close(got[t], expected)


def test_unknown_names_and_orders_are_refused() -> None:
    state = per_task({"w": torch.ones(1)}, 2)
    with pytest.raises(ProtocolError, match="no parameter 'v'"):
        adapt(lambda p: p["w"].sum(-1), state, steps=1, lr=0.1, moved=["v"])
    with pytest.raises(ProtocolError, match="'third'"):
        adapt(lambda p: p["w"].sum(-1), state, steps=1, lr=0.1, order="third")  # type: ignore[arg-type]
