r"""The inner loop: each task has its own copy of some named parameters, and gradient steps move that copy.

A parameter that adapts is held as a stack `[tasks, ...]`. Tasks do not share stacked numbers, so one gradient
of the sum of all support losses is every task's own gradient, and a step for all tasks costs a few batched
products.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from functools import partial, reduce
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad

from metarec.errors import ProtocolError
from metarec.layers.embedding import Blocks
from metarec.layers.mlp import task_linear
from metarec.layers.modulators import Modulate
from metarec.layers.pooling import masked_average

Order = Literal["second", "first"]
Params = dict[str, Tensor]
StepSize = float | Tensor | Mapping[str, Tensor]
# (parameter, its gradient) -> the parameter after the step.
Update = Callable[[Tensor, Tensor], Tensor]
# The gradient of a parameter -> its squared norm in each task.
Square = Callable[[Tensor], Tensor]


def per_task(params: Mapping[str, Tensor], tasks: int) -> Params:
    """Each shared tensor `[...]` as a stack `[tasks, ...]` of equal copies, without copying."""
    return {name: p.expand(tasks, *p.shape) for name, p in params.items()}


def adapt(
    loss: Callable[..., Tensor],
    params: Mapping[str, Tensor],
    *,
    steps: int,
    lr: StepSize,
    order: Order = "second",
    moved: Collection[str] | None = None,
    masks: Tensor | None = None,
    update: Mapping[str, Update] | None = None,
    max_step: float | None = None,
    square: Mapping[str, Square] | None = None,
    axes: int = 1,
) -> Params:
    r"""Each task's parameters after `steps` steps of gradient descent on its own support loss.

    $\theta'_t \leftarrow \theta'_t - \alpha\nabla_{\theta'_t} L_t(\theta')$. Implements eq-pnmta-11.

    `loss(params)` gives the support loss of each task, `[tasks]`; `params` are stacks `[tasks, ...]` (see
    `per_task`), of which those named by `moved` (default: all) take the steps and the others come back as
    they are. With `masks` `[steps, tasks, n_support]`, step `k` calls `loss(params, masks[k])`: mini-batches
    of the support.

    `lr` is one number, one a task `[tasks]`, or a mapping from names to tensors that broadcast against the
    stacks (a learned step size for each parameter); it may require gradients. `order="second"` differentiates
    an outer loss through the inner gradients, `"first"` holds them constant, the step size still in the
    graph. `update[name](p, gradient)` steps in place of $p - \alpha\,$gradient: see `adapt_mlp`.

    `max_step` bounds the length of each step of each task: see `bounded`, which takes `square` and `axes`.

    Pure; runs under `torch.func.vmap`, `torch.no_grad` and autograd. Raises `ProtocolError` for an unknown
    order or name.
    """
    bound = None if max_step is None else partial(bounded, lr=lr, max_step=max_step, square=square, axes=axes)
    states = _steps(loss, params, steps, lr, order, moved, masks, update or {}, bound)
    return reduce(lambda _, after: after, states, dict(params))


def adapt_path(
    loss: Callable[..., Tensor],
    params: Mapping[str, Tensor],
    *,
    steps: int,
    lr: StepSize,
    order: Order = "second",
    max_step: float | None = None,
) -> list[Params]:
    """The parameters before the first step and after each: `steps + 1` of them. Arguments as in `adapt`."""
    bound = None if max_step is None else partial(bounded, lr=lr, max_step=max_step)
    return [dict(params), *_steps(loss, params, steps, lr, order, None, None, {}, bound)]


def bounded(
    gradient: Params,
    lr: StepSize,
    max_step: float,
    square: Mapping[str, Square] | None = None,
    axes: int = 1,
) -> Params:
    r"""The gradient of each task, such that its step is no longer than `max_step` $\delta$.

    $g_t \leftarrow g_t\,\min(1, \delta / \lVert \alpha g_t\rVert)$, the norm over all that adapts in a task:
    the step keeps its direction. Without a bound a step diverges where $\alpha$ exceeds $2 / \lambda_{max}$
    of the task's curvature; the loss of a deep net grows faster than a square, so a few such steps overflow,
    and one such user spoils the batch. The outer loop differentiates through the bound.

    Stacks are `[tasks, ...]`; with `axes=2` `[tasks, paths, ...]`, each path a task of its own.
    `square[name](g)`, `[tasks]`, is the squared norm for an entry whose gradient stands for that of other
    parameters. The papers bound nothing here; CMML's released program clamps the outer gradient.
    """
    of = square or {}
    squares = []
    for name, g in gradient.items():
        step = lr[name] * g if isinstance(lr, Mapping) else g
        squares.append(of[name](g) if name in of else step.square().reshape(*g.shape[:axes], -1).sum(-1))
    length = torch.stack(squares).sum(0) / max_step**2
    if not isinstance(lr, Mapping):
        length = length * lr**2
    # Divided by one, not multiplied by a ratio of one: a bound that does not act changes no digit.
    over = length.clamp(min=1.0).sqrt()
    return {name: g / over.reshape(*over.shape, *[1] * (g.ndim - axes)) for name, g in gradient.items()}


def _steps(
    loss: Callable[..., Tensor],
    params: Mapping[str, Tensor],
    steps: int,
    lr: StepSize,
    order: Order,
    moved: Collection[str] | None,
    masks: Tensor | None,
    update: Mapping[str, Update],
    bound: Callable[[Params], Params] | None,
) -> Iterator[Params]:
    if order not in ("second", "first"):
        raise ProtocolError(f"order {order!r} of the inner loop is unknown; use 'second' or 'first'.")
    names = list(params) if moved is None else list(moved)
    for name in (*names, *update):
        if name not in params:
            raise ProtocolError(f"the inner loop has no parameter {name!r}; it has {', '.join(params)}.")
    state = dict(params)
    for k in range(steps):
        mask = () if masks is None else (masks[k],)
        gradient = task_gradient(loss, state, names, mask, order)
        if bound is not None:
            gradient = bound(gradient)
        for name, g in gradient.items():
            if name in update:
                state[name] = update[name](state[name], g)
            else:
                size = lr[name] if isinstance(lr, Mapping) else task_size(lr, g.ndim)
                state[name] = state[name] - size * g
        yield dict(state)


def task_gradient(
    loss: Callable[..., Tensor],
    state: Params,
    names: Collection[str],
    mask: tuple[Tensor, ...] = (),
    order: Order = "first",
) -> Params:
    """Every task's own gradient of its own loss, stacked like the parameters."""

    def total(moving: Params) -> Tensor:
        return loss({**state, **moving}, *mask).sum()

    # Outside the transform, no_grad leaves the inner gradient as it is but keeps it out of the outer graph.
    with torch.no_grad() if order == "first" else nullcontext():
        found: Params = grad(total)({name: state[name] for name in names})
    return found


def task_size(lr: float | Tensor, ndim: int) -> float | Tensor:
    """A step size, one number or one a task `[tasks]`, shaped to multiply a stack of `ndim` axes."""
    return lr.reshape(-1, *[1] * (ndim - 1)) if isinstance(lr, Tensor) and lr.ndim == 1 else lr


def pointwise_loss(kind: str, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    r"""Mean loss of each task over `mask`, `[tasks, n] -> [tasks]`. Implements eq-pnmta-10 and eq-pnmta-12.

    $(\hat y - y)^2$ for explicit labels and the binary cross-entropy on logits, $\log(1 + e^{s}) - ys$, for
    implicit ones. The mean runs over the true entries of a task, never over its padding.
    """
    if kind == "implicit":
        return masked_average(F.softplus(scores) - labels * scores, mask)
    return masked_average((scores - labels).square(), mask)


def step_masks(uniform: Tensor, mask: Tensor, size: int) -> Tensor:
    """Mini-batches of the support: `uniform` `[tasks, steps, n]`, `mask` `[tasks, n]` -> `[steps, tasks, n]`.

    Each step takes the `size` valid entries with the smallest draws, without replacement; all, if there are
    fewer.
    """
    key = torch.where(mask.unsqueeze(-2), uniform, 2.0)
    chosen = (key.argsort(-1).argsort(-1) < size) & mask.unsqueeze(-2)
    return chosen.movedim(-2, 0)


def tune(
    loss: Callable[..., Tensor],
    params: Mapping[str, Tensor],
    *,
    steps: int,
    lr: float,
    optimiser: Literal["adam", "sgd"] = "adam",
    max_value: float | None = None,
) -> Params:
    r"""Each task's parameters after `steps` steps of Adam, or of plain descent, on its own loss.

    Arguments as in `adapt`; no outer gradient passes through. Each task has moments of its own, with Adam's
    usual $\beta = (0.9, 0.999)$ and $\epsilon = 10^{-8}$. `max_value` clamps every entry of a gradient.
    """
    state = dict(params)
    first = {name: torch.zeros_like(p) for name, p in state.items()}
    second = dict(first)
    for k in range(1, steps + 1):
        for name, found in task_gradient(loss, state, list(state)).items():
            g = found if max_value is None else found.clamp(-max_value, max_value)
            if optimiser == "adam":
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.999 * second[name] + 0.001 * g.square()
                g = first[name] / (1 - 0.9**k) / ((second[name] / (1 - 0.999**k)).sqrt() + 1e-8)
            state[name] = state[name] - lr * g
    return state


def modulated_mlp(params: Mapping[str, Tensor], first: Tensor, modulate: Modulate | None = None) -> Tensor:
    """Scores `[tasks, n]` of an MLP from the pre-activations `first` `[tasks, n, d]` of its first layer.

    `params` holds `1.weight`, `1.bias`, ...; `modulate` acts on the pre-activations of every hidden layer.
    """
    depth = 1 + sum(1 for name in params if name.endswith(".weight") and name != "0.weight")
    h = first
    for index in range(1, depth):
        h = F.relu(modulate(index - 1, h) if modulate else h)
        h = task_linear(h, params[f"{index}.weight"], params[f"{index}.bias"])
    return h.squeeze(-1)


def adapt_mlp(
    params: Mapping[str, Tensor],
    x_support: Blocks,
    x_query: Blocks,
    loss: Callable[..., Tensor],
    *,
    steps: int,
    lr: float | Tensor,
    order: Order = "second",
    masks: Tensor | None = None,
    modulate: Modulate | None = None,
    span: bool | None = None,
    max_step: float | None = None,
) -> Tensor:
    r"""Query scores `[tasks, n_query]` of an MLP whose weights all adapt to the support, its inputs fixed.

    `params` are the shared weights (`mlp_params`). The inputs come in blocks of columns, `[tasks, n, d]` or
    `[tasks, 1, d]` where all entries of a task share them (its user). `loss(scores, mask)` is the loss of
    each task on scores of its support, over all of it (`mask` None) or over one of `masks`.

    The gradient of the first layer lies in the span of the support, $\nabla_W L = \Delta^\top X_s$, so a step
    on $W$ and its bias moves the layer's outputs on any rows $X$ by $-\alpha\,(X X_s^\top + 1)\Delta$, with
    $\Delta$ the gradient with respect to its outputs on the support. We carry those outputs, and never a copy
    of $W$ a task: the same numbers, from fewer products while $n_s + n_q \le 2d$. `span` forces one way or
    the other. `max_step` bounds each task's step over all weights (`bounded`); the first layer's part of the
    squared norm is $\mathrm{tr}\,\Delta^\top (X_s X_s^\top + 1) \Delta$.
    """
    n_support, n_query = (max(block.shape[-2] for block in x) for x in (x_support, x_query))
    if span is None:
        span = n_support + n_query <= 2 * params["0.weight"].shape[-1]
    if not span:
        return _adapt_weights(params, x_support, x_query, loss, steps, lr, order, masks, modulate, max_step)
    # A first-order step changes the weights by a constant: only the rows they multiply carry gradients.
    base = [block.detach() for block in x_support] if order == "first" else x_support
    size = task_size(lr, 3)
    gram = _gram(x_support, base)
    fixed = gram.detach() if order == "first" else gram
    inside, across = size * gram, size * _gram(x_query, base)
    deltas: list[Tensor] = []

    def step(outputs: Tensor, delta: Tensor) -> Tensor:
        deltas.append(delta)
        return outputs - inside @ delta

    def support_loss(p: Params, mask: Tensor | None = None) -> Tensor:
        return loss(modulated_mlp(p, p["outputs"], modulate), mask)

    rest = {name: p for name, p in params.items() if not name.startswith("0.")}
    outputs = first_layer(params, x_support)
    state = per_task(rest, len(outputs)) | {"outputs": outputs}
    adapted = adapt(
        support_loss,
        state,
        steps=steps,
        lr=lr,
        order=order,
        masks=masks,
        update={"outputs": step},
        max_step=max_step,
        square={"outputs": lambda delta: (delta * (fixed @ delta)).sum((-2, -1))},
    )
    shift = across @ torch.stack(deltas).sum(0) if deltas else 0.0
    return modulated_mlp(adapted, first_layer(params, x_query) - shift, modulate)


def first_layer(params: Mapping[str, Tensor], x: Blocks) -> Tensor:
    """Pre-activations of the first layer, `[tasks, n, d_hidden]`, its weights shared or one copy a task."""
    total, start = params["0.bias"].unsqueeze(-2), 0
    for block in x:
        columns = params["0.weight"][..., start : start + block.shape[-1]]
        total, start = total + task_linear(block, columns, None), start + block.shape[-1]
    return total


def _gram(left: Blocks, right: Blocks) -> Tensor:
    r"""$X X'^\top + 1$, `[tasks, n, n']`: how a step on weights and bias, asked for by one row, moves
    another.
    """
    total = torch.ones((), dtype=left[0].dtype, device=left[0].device)
    for a, b in zip(left, right, strict=True):
        total = total + a @ b.mT
    return total


def _adapt_weights(
    params: Mapping[str, Tensor],
    x_support: Blocks,
    x_query: Blocks,
    loss: Callable[..., Tensor],
    steps: int,
    lr: float | Tensor,
    order: Order,
    masks: Tensor | None,
    modulate: Modulate | None,
    max_step: float | None,
) -> Tensor:
    """`adapt_mlp` with a copy of every weight for each task."""

    def scores(p: Mapping[str, Tensor], x: Blocks) -> Tensor:
        return modulated_mlp(p, first_layer(p, x), modulate)

    def support_loss(p: Params, mask: Tensor | None = None) -> Tensor:
        return loss(scores(p, x_support), mask)

    state = per_task(params, len(x_support[0]))
    adapted = adapt(support_loss, state, steps=steps, lr=lr, order=order, masks=masks, max_step=max_step)
    return scores(adapted, x_query)
