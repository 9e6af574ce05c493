"""One optimisation step of a stack of replicas; on a GPU captured once a shape, then replayed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from metarec.adam import Adam
from metarec.batching import Feed, Inputs, Key
from metarec.methods.base import Stage, Terms
from metarec.replicas import Stack

WARM_UP = 3


@dataclass
class _Graph:
    """A captured step: it reads `inputs` and leaves its terms in `outputs`, at fixed addresses."""

    graph: torch.cuda.CUDAGraph
    inputs: Inputs
    outputs: Terms


class Stepper:
    """Gather, losses, gradient, Adam, and what the method writes by itself, for one stage.

    A step launches some hundreds of small kernels, which on a GPU costs far more than running them. After
    `WARM_UP` ordinary steps of a shape, the whole step is captured and from then on replayed: the same
    kernels on the same numbers, launched as one.
    """

    def __init__(self, stack: Stack, feed: Feed, stage: Stage, device: torch.device):
        self.stack, self.feed, self.stage = stack, feed, stage
        self.optimiser = _adam(stack, stage, device)
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
        self.optimiser.step()
        with torch.no_grad():
            for name, value in written.items():
                self.stack.params[name].copy_(value)
        return {name: value.detach() for name, value in terms.items()}

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


def _adam(stack: Stack, stage: Stage, device: torch.device) -> Adam:
    """Adam over the leaves that the stage moves; the others are held."""
    for name, p in stack.leaves.items():
        moves = not stage.trained or name.startswith(stage.trained)
        p.requires_grad_(moves and not name.startswith(stack.skeleton.written))
        p.grad = None
    return Adam({name: p for name, p in stack.leaves.items() if p.requires_grad}, stage.lr, device)
