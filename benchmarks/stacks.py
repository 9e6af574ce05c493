"""Our side of the comparison: the trainer's own steps on one device, and the bare products inside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from metarec.data import Ratings, Schema
from metarec.methods import Method, initialised, make
from metarec.tasks import Splits
from metarec.training.feed import Feed, Inputs, Key
from metarec.training.stack import Stack
from metarec.training.step import Stepper

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm")
# Shape and strides of an operand; a product of two.
Layout = tuple[tuple[int, ...], tuple[int, ...]]
Product = tuple[str, Layout, Layout]


class Training:
    """Some replicas of a method in their last stage, fed and stepped exactly as `train` does it.

    `window` overrides how many batches are sorted by length together.
    """

    def __init__(
        self,
        model: str,
        ratings: Ratings,
        splits: Splits,
        device: torch.device,
        *,
        replicas: int = 1,
        window: int | None = None,
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ):
        methods = [build(model, ratings, seed, dtype, **options) for seed in range(replicas)]
        stage = methods[0].stages()[-1]
        self.stage = stage if window is None else replace(stage, window=window)
        self.index = len(methods[0].stages()) - 1
        self.replicas, self.number = replicas, 0
        self.stack = Stack(methods, device)
        generators = [Generator().manual_seed(seed) for seed in range(replicas)]
        round_to = 16 if device.type == "cuda" else 1  # as the trainer does
        self.feed = Feed([splits], self.stack, generators, device, dtype, full=False, round_to=round_to)
        self.step = Stepper(self.stack, self.feed, self.stage, device)
        self.steps = len(splits.train) // min(self.stage.batch, len(splits.train))

    def epoch(self, most: int | None = None) -> None:
        """One pass over the training tasks, or its first `most` steps."""
        self.number += 1
        for done, (key, inputs) in enumerate(self.feed.epoch(self.stage, self.index, self.number)):
            if most is not None and done == most:
                break
            self.step(key, inputs)

    def first(self) -> tuple[Key, Inputs]:
        """The first step of an epoch, to be done again and again."""
        return next(iter(self.feed.epoch(self.stage, self.index, 1)))

    def padding(self) -> float:
        """Share of the entries of this epoch's batches that are padding."""
        filled = padded = 0
        for key, inputs in self.feed.epoch(self.stage, self.index, 1):
            index = inputs["index"].cpu().numpy()
            filled += int((self.feed.tasks.host_support + self.feed.tasks.host_query)[index].sum())
            padded += sum(key) * index.size
        return 1 - filled / padded


def build(model: str, ratings: Ratings, seed: int, dtype: torch.dtype, **options: Any) -> Method:
    with initialised(seed):
        return make(model, Schema.of(ratings), **options).to(dtype)


class Products(TorchDispatchMode):
    """Counts the matrix products that run under it, by operation, shapes and strides of the operands."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Product] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in PRODUCTS:
            left, right = args[-2:]
            kind = "bmm" if left.ndim == 3 else "mm"
            self.seen[kind, _layout(left), _layout(right)] += 1
        return func(*args, **(kwargs or {}))


def products(training: Training, key: Key, inputs: Inputs) -> Counter[Product]:
    """The products of one training step (forward, backward; Adam has none)."""
    with Products() as mode:
        terms = training.stack.call(
            training.stage.terms, *training.feed.arguments(training.stage, key, inputs)
        )
        torch.stack(list(terms.values())).sum().backward()
    training.step.optimiser.zero_grad()
    return mode.seen


def flops(seen: Counter[Product]) -> float:
    """Multiplications and additions of counted products."""
    return sum(2.0 * n * math.prod(left[0]) * right[0][-1] for (_, left, right), n in seen.items())


def bare(seen: Counter[Product], device: torch.device, dtype: torch.dtype) -> Callable[[], None]:
    """Those products and nothing else: operands of the same shapes and strides, outputs allocated before."""
    calls = []
    for (name, left, right), n in seen.items():
        a, b = (_operand(layout, device, dtype) for layout in (left, right))
        product = torch.bmm if name == "bmm" else torch.mm
        calls.append((product, a, b, product(a, b), n))

    def run() -> None:
        for product, a, b, out, n in calls:
            for _ in range(n):
                product(a, b, out=out)

    return run


def _layout(t: Tensor) -> Layout:
    return tuple(t.shape), t.stride()


def _operand(layout: Layout, device: torch.device, dtype: torch.dtype) -> Tensor:
    shape, stride = layout
    size = 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    return torch.randn(size, device=device, dtype=dtype).as_strided(shape, stride)
