"""A training step, Adam included, runs wholly on its device: nothing comes from the host or is asked back.

The device here is torch's `meta`, which knows shapes and no numbers. Where a step read a number (`.item()`, a
branch on data, a shape that depends on values) it would fail for want of one; where it met a tensor of the
host, the watch below objects. So this holds for a GPU too, and is tested without one.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import QUICK, tiny_ratings, tiny_splits
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks import cases as benchmark
from benchmarks.cases import TINY, LoopRun, cases
from metarec.data import Schema
from metarec.methods import METHODS, Method, make
from metarec.tasks import EpisodeTensors
from metarec.training import step
from metarec.training.feed import Feed
from metarec.training.predict import predict
from metarec.training.stack import Stack
from metarec.training.step import Stepper

DEVICE = torch.device("meta")
COPIES = {torch.ops.aten._to_copy, torch.ops.aten.copy_}
RATINGS = tiny_ratings()
SPLITS = tiny_splits(RATINGS)


def fresh(name: str) -> Method:
    return make(name, Schema.of(RATINGS), **QUICK.get(name, {}))


TRAINED = [name for name in METHODS if fresh(name).stages()]


class OnDevice(TorchDispatchMode):
    """Refuses every call that reads or makes a tensor elsewhere.

    A scalar of the host may take part in arithmetic, where it travels with the call, but may not be copied
    over: a captured graph could not do that.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor)]
        assert all(t.device == DEVICE for t in tensors if t.ndim), f"{func} meets the host"
        crossing = func.overloadpacket in COPIES and len({t.device for t in tensors}) > 1
        assert not crossing, f"{func} crosses from the host"
        return out


def stack(name: str, replicas: int) -> Stack:
    methods = [fresh(name) for _ in range(replicas)]
    for method in methods:
        method.fit(SPLITS.train)
    return Stack(methods, DEVICE)


@pytest.mark.parametrize(
    ("name", "replicas"), [(n, k) for n in TRAINED for k in (1, 3) if k == 1 or fresh(n).replicable]
)
def test_a_step_of_every_stage_stays_on_its_device(
    name: str, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fused, as on a CPU and on a GPU, Adam does not know `meta`; the kernels one by one do.
    monkeypatch.setattr(step, "_adam", lambda leaves, stage, device: torch.optim.Adam(leaves, lr=stage.lr))
    stacked = stack(name, replicas)
    for index, stage in enumerate(stacked.skeleton.stages()):
        full = stage.unit == "rows" and stage.rows == "full"
        generators = [Generator().manual_seed(k) for k in range(replicas)]
        feed = Feed([SPLITS], stacked, generators, DEVICE, torch.float32, full=full, round_to=16)
        stepper = Stepper(stacked, feed, stage, DEVICE)
        key, inputs = next(feed.epoch(stage, index, 1))
        with OnDevice():
            terms = stepper(key, inputs)
        assert all(value.shape == (replicas,) for value in terms.values())
        assert stepper.moving


@pytest.mark.parametrize("name", TRAINED)
def test_prediction_stays_on_its_device(name: str) -> None:
    stacked, data = stack(name, 1), EpisodeTensors(SPLITS.test, DEVICE)
    batch = data.batch(torch.arange(len(data), device=DEVICE)[None])
    with OnDevice():
        scores = stacked.call("predict", batch.support, batch.query, {})
    assert scores.shape == predict(stacked, data, [0], sample=True).shape == (1, len(data), data.width_query)


def test_the_watch_objects_to_the_host_and_to_reading_a_number() -> None:
    with OnDevice(), pytest.raises(AssertionError, match="meets the host"):
        torch.ones(3, device=DEVICE) + torch.ones(3)
    with OnDevice(), pytest.raises(AssertionError, match="crosses from the host"):
        torch.tensor(1.0).to(DEVICE)
    with pytest.raises(RuntimeError, match="meta"):
        torch.ones((), device=DEVICE).item()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.model)
def test_the_loops_of_the_benchmark_run_on_another_device(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "BATCH", 4)
    ratings, splits = case.data(TINY.shrink)
    for kind in case.loops:
        run = LoopRun(case, kind, ratings, splits, DEVICE)
        with OnDevice():
            run.losses(run.draws).backward()
        assert all(p.grad is not None for p in run.optimiser.param_groups[0]["params"])
