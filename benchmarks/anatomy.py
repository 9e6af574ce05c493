"""Where a step's time goes, by kind of call, and whether compiling it helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._functorch import config
from torch.profiler import ProfilerActivity, profile

from benchmarks.cases import Row, Size, cases
from benchmarks.machine import alternate, seconds
from benchmarks.stacks import PRODUCTS, Training
from metarec.training.feed import Inputs, Key

STEPS = 5
# Kinds of library calls by name. Those that only rename or allocate are no work; all others are elementwise.
KINDS = {
    "matrix products": " ".join(PRODUCTS),
    "look-ups and their gradients": "embedding index index_select index_add index_add_ gather scatter_add_ "
    "embedding_dense_backward _index_put_impl_",
    "draw of context and target": "sort rand randn uniform_ normal_",
    "copies and zeros": "copy_ cat stack clone fill_ zero_ zeros_like slice_backward",
    "Adam": "_fused_adam_ _foreach_add_",
}
ELEMENTWISE = "elementwise work and sums"
CALLS = "calls: Python, dispatch, autograd"
VIEWS = (
    "as_strided view expand transpose t unsqueeze squeeze slice select narrow reshape _unsafe_view permute "
    "split split_with_sizes chunk empty empty_like empty_strided zeros linear matmul to _to_copy detach "
    "alias argsort resolve_conj resolve_neg unbind flatten lift_fresh item _local_scalar_dense movedim"
)


def anatomy(device: torch.device, size: Size) -> Iterator[Row]:
    """Seconds a step of each kind of call, on one thread, as the profiler sees them (medians over steps).

    Only on a CPU: there a call's time is its work, while on a GPU calls return before the work is done.
    """
    if device.type == "cuda":
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for case in cases():
        for replicas in size.seeds[:2]:
            training = Training(
                case.model, *case.data(size.shrink), device, replicas=replicas, **case.options
            )
            key, inputs = training.first()
            for _ in range(3):
                training.step(key, inputs)
            found = [_profiled(training, key, inputs) for _ in range(STEPS)]
            names = [*KINDS, ELEMENTWISE, CALLS]
            yield {
                "what": "anatomy",
                "case": case.name,
                "replicas": replicas,
                "calls": found[0][1],
                "kinds": {name: float(np.median([spent[name] for spent, _ in found])) for name in names},
            }
    torch.set_num_threads(threads)


def _profiled(training: Training, key: Key, inputs: Inputs) -> tuple[Counter[str], int]:
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as seen:
        training.step(key, inputs)
    return kinds(seen.key_averages())


def kinds(events: Any) -> tuple[Counter[str], int]:
    """Seconds of each kind and the number of library calls that do work, from a profile's averages."""
    where = {name: kind for kind, names in KINDS.items() for name in names.split()}
    where |= dict.fromkeys(VIEWS.split(), CALLS)
    spent: Counter[str] = Counter()
    calls = 0
    for event in events:
        library, _, name = event.key.partition("::")
        kind = where.get(name, ELEMENTWISE) if library == "aten" else CALLS
        spent[kind] += event.self_cpu_time_total / 1e6
        calls += event.count * (kind != CALLS)
    return spent, calls


def compiled(device: torch.device, size: Size) -> Iterator[Row]:
    """A step of TaNP through `torch.compile`, against the same step as it is (on a GPU: replayed)."""
    case = cases()[0]
    for replicas in (size.seeds[0], size.seeds[-1]):
        training = Training(case.model, *case.data(size.shrink), device, replicas=replicas, **case.options)
        key, inputs = training.first()
        for _ in range(4):
            training.step(key, inputs)
        step = _compiled_step(training, key, inputs)
        first = seconds(step, device)
        runs: dict[str, Callable[[], object]] = {
            "plain": partial(training.step, key, inputs),
            "compiled": step,
        }
        taken = alternate(runs, device, 3 * size.rounds, most=4.0)
        yield {
            "what": "compiled",
            "case": case.name,
            "replicas": replicas,
            "compile_seconds": first,
            **{f"{name}_seconds": turns.seconds for name, turns in taken.items()},
        }


def _compiled_step(training: Training, key: Key, inputs: Inputs) -> Callable[[], None]:
    """The trainer's step with its losses, and so their gradients, compiled for this one shape."""
    losses: Callable[..., dict[str, Tensor]] = torch.compile(
        lambda *given: training.stack.call(training.stage.terms, *given), dynamic=False
    )

    def step() -> None:
        arguments = training.feed.arguments(training.stage, key, inputs)
        # Left alone, the compiler keeps a mask beside every ReLU's output, and storing masks takes longer
        # than all the rest; told that a view of the output is as good as the output, it does without.
        with config.patch(recompute_views=True):
            terms = losses(*arguments)
        training.step.optimiser.zero_grad()
        reduce(torch.add, terms.values()).sum().backward()
        training.step.optimiser.step()

    return step
