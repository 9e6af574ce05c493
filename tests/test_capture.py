"""A step that is captured once and replayed trains as steps taken one by one do, rehearsed without a GPU.

A CUDA graph repeats the kernels of one step at the addresses of that step. What a step takes from anywhere
else, a count kept by the host or a tensor that a later step makes anew, would stay as it was when captured.
The stand-in below does the same with the calls that torch dispatches.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import QUICK, tiny_ratings, tiny_splits
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metarec.data import Schema
from metarec.methods import METHODS, Method, initialised, make
from metarec.methods.base import Terms
from metarec.training.feed import Feed
from metarec.training.stack import Stack
from metarec.training.step import Stepper

CPU = torch.device("cpu")
RATINGS = tiny_ratings()
SPLITS = tiny_splits(RATINGS)


class Graph(TorchDispatchMode):
    """Stands in for `torch.cuda.CUDAGraph`: keeps each call of a captured step, and makes them again.

    As on a GPU, capturing leaves no trace: what the calls wrote to tensors from before is put back, and what
    they made holds nothing of use until `replay`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.replays = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = tensors((args, kwargs))
        if func._schema.is_mutable:
            for t in given:
                if address(t) not in self.made:
                    self.before.setdefault(address(t), (t, t.clone()))
        out = func(*args, **(kwargs or {}))
        fresh = [t for t in tensors(out) if address(t) not in map(address, given)]
        self.made |= {address(t) for t in fresh}
        self.calls.append((func, args, kwargs or {}, fresh))
        return out

    @torch.no_grad()
    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        for t, value in self.before.values():
            t.copy_(value)
        for *_, fresh in self.calls:
            for t in fresh:
                t.fill_(float("nan") if t.is_floating_point() else 0)

    @torch.no_grad()
    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, fresh in self.calls:
            again = tensors(func(*args, **kwargs))
            for old, new in zip(fresh, again, strict=bool(fresh)):
                old.copy_(new)


def tensors(tree: Any) -> list[Tensor]:
    return [t for t in tree_leaves(tree) if isinstance(t, Tensor)]


def address(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()


def fresh(name: str, seed: int = 0) -> Method:
    with initialised(seed):
        method = make(name, Schema.of(RATINGS), **QUICK.get(name, {})).double()
    method.fit(SPLITS.train)
    return method


CASES = [
    (name, replicas)
    for name in METHODS
    for replicas in (1, 2)
    if fresh(name).stages() and (replicas == 1 or fresh(name).replicable)
]


def trained(name: str, replicas: int, capture: bool) -> tuple[Stack, list[Terms], int]:
    """Some epochs of every stage: the stack, the terms of each step, and how many steps were replays."""
    stack = Stack([fresh(name, seed) for seed in range(replicas)])
    generators = [Generator().manual_seed(seed) for seed in range(replicas)]
    history, replays = [], 0
    for index, full in enumerate(stack.skeleton.stages()):
        stage = replace(full, batch=16 if full.unit == "tasks" else 128)
        feed = Feed([SPLITS], stack, generators, CPU, torch.float64, full=stage.rows == "full", round_to=64)
        stepper = Stepper(stack, feed, stage, CPU)
        if capture:
            stepper.stream = SimpleNamespace(device=CPU, wait_stream=lambda other: None)  # type: ignore[assignment]
        steps = [step for number in range(2) for step in feed.epoch(stage, index, number)]
        history += [stepper(*step) for step in steps]
        replays += sum(captured.graph.replays for captured in stepper.graphs.values())
    return stack, history, replays


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _: nullcontext())
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: graph)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(("name", "replicas"), CASES)
def test_replayed_steps_train_as_ordinary_ones(name: str, replicas: int) -> None:
    plain, terms, _ = trained(name, replicas, capture=False)
    replayed, again, replays = trained(name, replicas, capture=True)
    assert replays > 0
    for ours, theirs in zip(again, terms, strict=True):
        assert all(torch.equal(ours[term], value) for term, value in theirs.items())
    for parameter, value in plain.params.items():
        assert torch.equal(replayed.params[parameter], value), parameter
