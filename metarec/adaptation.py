r"""The inner loop: gradient steps on a copy a task of a named subset of parameters.

A parameter that adapts is held as a stack `[tasks, ...]`. Tasks do not share stacked numbers, so one gradient
of the sum of all support losses is every task's own gradient, and a step for all tasks costs a few batched
products.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from functools import reduce
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad

from metarec.errors import ProtocolError
from metarec.layers.mlp import task_linear
from metarec.layers.pooling import masked_average

Order = Literal["second", "first"]
Params = dict[str, Tensor]
StepSize = float | Tensor | Mapping[str, Tensor]
# (index of a hidden layer, its pre-activations `[tasks, n, d]`) -> the same shape, before the ReLU.
Modulate = Callable[[int, Tensor], Tensor]


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
    precondition: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
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
    graph. `precondition[name]` maps a gradient to the direction of its step: see `adapt_mlp`.

    Pure; runs under `torch.func.vmap`, `torch.no_grad` and autograd. Raises `ProtocolError` for an unknown
    order or name.
    """
    states = _steps(loss, params, steps, lr, order, moved, masks, precondition or {})
    return reduce(lambda _, after: after, states, dict(params))


def adapt_path(
    loss: Callable[..., Tensor],
    params: Mapping[str, Tensor],
    *,
    steps: int,
    lr: StepSize,
    order: Order = "second",
) -> list[Params]:
    """The parameters before the first step and after each: `steps + 1` of them. Arguments as in `adapt`."""
    return [dict(params), *_steps(loss, params, steps, lr, order, None, None, {})]


def _steps(
    loss: Callable[..., Tensor],
    params: Mapping[str, Tensor],
    steps: int,
    lr: StepSize,
    order: Order,
    moved: Collection[str] | None,
    masks: Tensor | None,
    precondition: Mapping[str, Callable[[Tensor], Tensor]],
) -> Iterator[Params]:
    if order not in ("second", "first"):
        raise ProtocolError(f"order {order!r} of the inner loop is unknown; use 'second' or 'first'.")
    names = list(params) if moved is None else list(moved)
    for name in (*names, *precondition):
        if name not in params:
            raise ProtocolError(f"the inner loop has no parameter {name!r}; it has {', '.join(params)}.")
    state = dict(params)
    for k in range(steps):
        mask = () if masks is None else (masks[k],)
        gradient = _gradient(loss, state, names, mask, order)
        for name, g in gradient.items():
            direction = precondition[name](g) if name in precondition else g
            state[name] = state[name] - _size(lr, name, g.ndim) * direction
        yield dict(state)


def _gradient(
    loss: Callable[..., Tensor], state: Params, names: list[str], mask: tuple[Tensor, ...], order: Order
) -> Params:
    """Every task's own gradient of its own loss, stacked like the parameters."""

    def total(moving: Params) -> Tensor:
        return loss({**state, **moving}, *mask).sum()

    # Outside the transform, no_grad leaves the inner gradient as it is but keeps it out of the outer graph.
    with torch.no_grad() if order == "first" else nullcontext():
        found: Params = grad(total)({name: state[name] for name in names})
    return found


def _size(lr: StepSize, name: str, ndim: int) -> float | Tensor:
    if isinstance(lr, Mapping):
        return lr[name]
    if isinstance(lr, Tensor) and lr.ndim == 1:
        return lr.reshape(-1, *[1] * (ndim - 1))
    return lr


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
    x_support: Tensor,
    x_query: Tensor,
    loss: Callable[..., Tensor],
    *,
    steps: int,
    lr: float | Tensor,
    order: Order = "second",
    masks: Tensor | None = None,
    modulate: Modulate | None = None,
    span: bool | None = None,
) -> Tensor:
    r"""Query scores `[tasks, n_query]` of an MLP whose weights all adapt to the support, its inputs fixed.

    `params` are the shared weights (`mlp_params`), `x_support` `[tasks, n_support, d]`, `x_query` `[tasks,
    n_query, d]`; `loss(scores, mask)` is the loss of each task on scores of its support (`mask` None, or that
    of `masks`).

    The gradient of the first layer is a combination of the support rows, $\nabla_W L = \Delta^\top X_s$, so a
    step on $W$ moves its outputs on any rows $X$ by $-\alpha\,(X X_s^\top)\Delta$ (with the bias, $X X_s^\top
    + 1$). We therefore carry the outputs and never the copies of $W$: $\Delta$ is the gradient with respect
    to the outputs and the Gram matrix its preconditioner. The same numbers with fewer products while $n_s +
    n_q \le 2d$; `span` forces one way or the other.
    """
    tasks, n_support, d = x_support.shape
    x = torch.cat([x_support, x_query], -2)
    if span is None:
        span = x.shape[-2] <= 2 * d
    if not span:
        return _adapt_weights(params, x_support, x_query, loss, steps, lr, order, masks, modulate)
    # A first-order step changes the weights by a constant: only the rows they multiply carry gradients.
    base = x_support.detach() if order == "first" else x_support
    gram = x @ base.mT + 1
    rest = {name: p for name, p in params.items() if not name.startswith("0.")}
    state = per_task(rest, tasks) | {"outputs": F.linear(x, params["0.weight"], params["0.bias"])}

    def support_loss(p: Params, mask: Tensor | None = None) -> Tensor:
        return loss(modulated_mlp(p, p["outputs"][..., :n_support, :], modulate), mask)

    adapted = adapt(
        support_loss,
        state,
        steps=steps,
        lr=lr,
        order=order,
        masks=masks,
        precondition={"outputs": lambda g: gram @ g[..., :n_support, :]},
    )
    return modulated_mlp(adapted, adapted["outputs"][..., n_support:, :], modulate)


def _adapt_weights(
    params: Mapping[str, Tensor],
    x_support: Tensor,
    x_query: Tensor,
    loss: Callable[..., Tensor],
    steps: int,
    lr: float | Tensor,
    order: Order,
    masks: Tensor | None,
    modulate: Modulate | None,
) -> Tensor:
    """`adapt_mlp` with a copy of every weight for each task."""

    def scores(p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return modulated_mlp(p, task_linear(x, p["0.weight"], p["0.bias"]), modulate)

    def support_loss(p: Params, mask: Tensor | None = None) -> Tensor:
        return loss(scores(p, x_support), mask)

    state = per_task(params, len(x_support))
    return scores(adapt(support_loss, state, steps=steps, lr=lr, order=order, masks=masks), x_query)
