"""One optimisation step of a stack of replicas; on a GPU captured once a shape, then replayed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from metarec.methods.base import Stage, Terms
from metarec.training.feed import Feed, Inputs, Key
from metarec.training.stack import Stack

WARM_UP = 3


@dataclass
class _Graph:
    """A captured step: it reads `inputs` and leaves its terms in `outputs`, at fixed addresses."""

    graph: torch.cuda.CUDAGraph
    inputs: Inputs
    outputs: Terms


class Stepper:
    """Gather, losses, gradient, its bounds, Adam, and what the method writes by itself, for one stage.

    A step launches some hundreds of small kernels, which on a GPU costs far more than running them. After
    `WARM_UP` ordinary steps of a shape, the whole step is captured and from then on replayed: the same
    kernels on the same numbers, launched as one.
    """

    def __init__(self, stack: Stack, feed: Feed, stage: Stage, device: torch.device):
        self.stack, self.feed, self.stage = stack, feed, stage
        self.moving = _moving(stack, stage)
        self.optimiser = _adam(_groups(self.moving, stage), stage, device)
        self.schedule = _schedule(self.optimiser, stage)
        self.graphs: dict[Key, _Graph] = {}
        self.seen: dict[Key, int] = {}
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self, key: Key, inputs: Inputs) -> Terms:
        """Do one step; returns each term before it, `[K]`, detached."""
        if self.stream is None:
            return self._step(key, inputs)
        with torch.cuda.device(self.stream.device):  # streams and graphs are those of the current device
            return self._captured(key, inputs)

    def _captured(self, key: Key, inputs: Inputs) -> Terms:
        assert self.stream is not None
        if key in self.graphs:
            return self._replay(self.graphs[key], inputs)
        # The first shapes warm the libraries up; a later shape needs one ordinary step before its capture.
        self.seen[key] = self.seen.get(key, 0) + 1
        if self.seen[key] > (1 if self.graphs else WARM_UP):
            self.graphs[key] = self._capture(key, inputs)
            return self._replay(self.graphs[key], inputs)
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            terms = self._step(key, inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return terms

    def _step(self, key: Key, inputs: Inputs) -> Terms:
        arguments = self.feed.arguments(self.stage, key, inputs)
        terms: Terms = self.stack.call(self.stage.terms, *arguments)
        self.optimiser.zero_grad()
        reduce(torch.add, terms.values()).sum().backward()
        written = self._writes(arguments)
        bound_gradient(self.moving, self.stage, self.stack.size)
        self.optimiser.step()
        with torch.no_grad():
            for name, value in written.items():
                self.stack.params[name].copy_(value)
        return {name: value.detach() for name, value in terms.items()}

    def validated(self, score: float) -> None:
        """Tell the schedule, if there is one, a validation score (higher is better)."""
        if self.schedule is not None:
            self.schedule.step(score)
            self.graphs.clear()  # a captured step holds the step size it was captured with

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of the optimiser: the moments and the count of each tensor, by name."""
        kept = self.optimiser.state
        moments = {
            f"{what}/{name}": value
            for name, p in self.moving.items()
            for what, value in kept.get(p, {}).items()
            if isinstance(value, Tensor)
        }
        sizes = torch.tensor([group["lr"] for group in self.optimiser.param_groups], dtype=torch.float64)
        return {"lr": sizes.squeeze(), **moments}

    def schedule_state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the schedule: best score and patience spent."""
        kept = self.schedule.state_dict() if self.schedule is not None else {}
        return {name: kept[name] for name in ("best", "num_bad_epochs", "cooldown_counter") if name in kept}

    def load(self, state: dict[str, Tensor], schedule: dict[str, Any]) -> None:
        """Go on from a `state` and a `schedule_state`."""
        if self.schedule is not None:
            self.schedule.load_state_dict({**self.schedule.state_dict(), **schedule})
        for group, size in zip(self.optimiser.param_groups, state["lr"].reshape(-1).tolist(), strict=True):
            group["lr"] = size
        for name, p in self.moving.items():
            own = {
                key.partition("/")[0]: value for key, value in state.items() if key.partition("/")[2] == name
            }
            if own:
                self.optimiser.state[p] = {what: value.to(p.device) for what, value in own.items()}

    def _writes(self, arguments: tuple[object, ...]) -> dict[str, Tensor]:
        """What the method writes after this batch, `[K, ...]`, from the parameters before the step."""
        if self.stage.unit != "tasks" or not self.stack.skeleton.written:
            return {}
        with torch.no_grad():
            written: dict[str, Tensor] = self.stack.call("writes", *arguments)
        return written

    def _capture(self, key: Key, inputs: Inputs) -> _Graph:
        static = {name: value.clone() for name, value in inputs.items()}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._step(key, static)
        return _Graph(graph, static, outputs)

    def _replay(self, captured: _Graph, inputs: Inputs) -> Terms:
        for name, value in inputs.items():
            captured.inputs[name].copy_(value)
        captured.graph.replay()
        return {name: value.clone() for name, value in captured.outputs.items()}


def bound_gradient(leaves: dict[str, nn.Parameter], stage: Stage, replicas: int) -> None:
    r"""Bound the gradient of each replica on its own, so that one cannot slow the others down.

    `max_value` $v$: $g \leftarrow \min(\max(g, -v), v)$, entry by entry. `max_norm` $m$:
    $g_k \leftarrow g_k \min(1, m / \lVert g_k \rVert)$ over all parameters of replica $k$.
    """
    grads = [p.grad for p in leaves.values() if p.grad is not None]
    if stage.max_value is not None:
        for g in grads:
            g.clamp_(-stage.max_value, stage.max_value)
    if stage.max_norm is not None:
        squares = [g.square().reshape(replicas, -1).sum(1) for g in grads]
        norm = torch.stack(squares).sum(0).sqrt()
        scale = (stage.max_norm / norm.clamp(min=1e-12)).clamp(max=1.0)
        for g in grads:
            g.mul_(scale.reshape(-1, *[1] * (g.ndim - 1)) if replicas > 1 else scale[0])


def _moving(stack: Stack, stage: Stage) -> dict[str, nn.Parameter]:
    """The leaves that the stage moves; the others are held."""
    for name, p in stack.leaves.items():
        moves = not stage.trained or name.startswith(stage.trained)
        p.requires_grad_(moves and not name.startswith(stack.skeleton.written))
        p.grad = None
    return {name: p for name, p in stack.leaves.items() if p.requires_grad}


def _groups(moving: dict[str, nn.Parameter], stage: Stage) -> list[dict[str, Any]]:
    """The leaves by step size: those of the stage's own first, then those of each of its `rates`."""
    sizes = [stage.lr, *(stage.lr * factor for _, factor in stage.rates)]
    groups: list[dict[str, Any]] = [{"params": [], "lr": size} for size in sizes]
    for name, p in moving.items():
        of = (index for index, (prefix, _) in enumerate(stage.rates, 1) if name.startswith(prefix))
        groups[next(of, 0)]["params"].append(p)
    return groups


def _adam(leaves: list[dict[str, Any]], stage: Stage, device: torch.device) -> torch.optim.Adam:
    """Adam as one fused kernel; on a GPU its counts stay there, so that a step can be captured."""
    on_gpu = device.type == "cuda"
    return torch.optim.Adam(
        leaves, lr=stage.lr, weight_decay=stage.weight_decay, fused=True, capturable=on_gpu
    )


def _schedule(optimiser: torch.optim.Adam, stage: Stage) -> ReduceLROnPlateau | None:
    if stage.plateau is None:
        return None
    p = stage.plateau
    # Any gain is one. A relative threshold would take an equal score below zero for a better one.
    return ReduceLROnPlateau(
        optimiser, "max", factor=p.factor, patience=p.patience, threshold=0.0, min_lr=p.least
    )
