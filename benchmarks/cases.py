"""Three methods on data of the papers' sizes: against the loop over tasks, stacked, against bare products."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from benchmarks import planted
from benchmarks.loop_maml import MeLULoop, PNMTALoop, Side
from benchmarks.loop_tanp import Draw, Rows, TaNPLoop
from benchmarks.machine import Turns, alternate, peak
from benchmarks.stacks import Training, bare, build, flops, products
from metarec.data import Ratings, Schema
from metarec.errors import MetarecError
from metarec.papers.pnmta import protocol as cold_start
from metarec.papers.tanp import tables as tanp
from metarec.tasks import EpisodeTensors, Splits, TaskBatch

SEEDS = (1, 5, 20)
BATCH = 32
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is done: rounds of turns, seeds stacked, and the ends of the growth curves."""

    rounds: int = 5
    shrink: int = 1
    seeds: tuple[int, ...] = SEEDS
    interactions: tuple[int, ...] = (10**4, 10**5, 10**6, 10**7)
    supports: tuple[int, ...] = (10, 20, 40, 80, 160)
    steps: int = 10


TINY = Size(rounds=1, shrink=40, seeds=(1, 2), interactions=(1_000, 2_000), supports=(5, 10), steps=2)


@dataclass(frozen=True)
class Case:
    """A method on data of a paper's sizes, the loops it is compared with, and by how much it must win."""

    name: str
    model: str
    options: dict[str, Any]
    data: Callable[[int], tuple[Ratings, Splits]]
    loops: dict[str, Callable[[Schema, Any], Any]]
    window: int  # batches that its experiments sort by length together


def _lastfm(shrink: int) -> tuple[Ratings, Splits]:
    return planted.lastfm() if shrink == 1 else planted.lastfm(64, 3846 // shrink, 150)


def _ml1m(shrink: int) -> tuple[Ratings, Splits]:
    return planted.ml1m() if shrink == 1 else planted.ml1m(64, 150, shrink=shrink)


def cases() -> tuple[Case, ...]:
    return (
        Case(
            "TaNP, Last.FM sizes",
            "tanp",
            {"clusters": 20},
            _lastfm,
            {"released": TaNPLoop, "lean": partial(TaNPLoop, lean=True)},
            tanp.WINDOW,
        ),
        Case(
            "MeLU, second order, 5 steps, ML-1M sizes",
            "melu",
            {"steps": 5},
            _ml1m,
            {"released": MeLULoop, "lean": partial(MeLULoop, lean=True)},
            cold_start.WINDOW,
        ),
        Case(
            "PNMTA, second order, 5 steps, ML-1M sizes",
            "pnmta",
            {"steps": 5},
            _ml1m,
            {"lean": PNMTALoop},
            cold_start.WINDOW,
        ),
    )


class LoopRun:
    """A loop over tasks with its batch and its optimiser; made only if its loss is ours."""

    def __init__(
        self,
        case: Case,
        kind: str,
        ratings: Ratings,
        splits: Splits,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ):
        self.ours = build(case.model, ratings, 0, dtype, **case.options)
        self.loop = case.loops[kind](Schema.of(ratings), self.ours).to(dtype)
        self.kind, self.rng = kind, np.random.default_rng(0)
        batch = EpisodeTensors(splits.train, dtype=dtype).batch(torch.arange(BATCH))
        noise = self.ours.draw(batch, torch.Generator().manual_seed(0))
        self.batch, self.noise = batch, {name: value.to(dtype) for name, value in noise.items()}
        self.tasks = list(_tasks(self.loop, batch))
        self.draws = _draws(self.ours, batch, self.noise) if isinstance(self.loop, TaNPLoop) else None
        self.loss = float(self.losses(self.draws).detach())
        self.our_loss = float(self.our_losses().detach())
        if not math.isclose(self.loss, self.our_loss, rel_tol=1e-4):
            raise MetarecError(f"{case.name}: the loop's loss is {self.loss} and ours {self.our_loss}.")
        self.loop.to(device)
        self.tasks, self.draws = tree_map(
            lambda t: t.to(device) if isinstance(t, Tensor) else t, (self.tasks, self.draws)
        )
        moving = [p for p in self.loop.parameters() if p.requires_grad]
        # The released programs use Adam as it comes; the lean loops have the fused one that we use.
        self.optimiser = torch.optim.Adam(moving, lr=1e-4, fused=True if kind == "lean" else None)

    def losses(self, draws: list[Draw] | None) -> Tensor:
        """The loss of the batch, its tasks one after another."""
        total: Tensor = self.loop.loss(self.tasks) if draws is None else self.loop.loss(self.tasks, draws)
        return total

    def our_losses(self) -> Tensor:
        """The loss of the batch as our method has it."""
        return torch.stack(list(self.ours.terms(self.batch, self.noise).values())).sum()

    def __call__(self) -> None:
        """One batch: draws, where they belong to the program, losses, one backward pass, one step."""
        self.optimiser.zero_grad()
        drawn = self.draws
        if drawn is not None and self.kind == "released":
            drawn = [self.loop.draw(task, self.rng) for task in self.tasks]
        self.losses(drawn).backward()
        self.optimiser.step()


def speed(case: Case, device: torch.device, size: Size) -> Iterator[Row]:
    """Seconds a step of 32 tasks (of every replica) for each loop and for ours, taking turns."""
    ratings, splits = case.data(size.shrink)
    loops = {kind: LoopRun(case, kind, ratings, splits, device) for kind in case.loops}
    stacks, memory = {}, {}
    for key in product(size.seeds, (1, case.window)):
        with peak(device) as found:
            replicas, window = key
            stacks[key] = Training(
                case.model, ratings, splits, device, replicas=replicas, window=window, **case.options
            )
            stacks[key].epoch()
        memory[key] = found["mib"]
        for _ in range(
            10 if device.type == "cuda" else 0
        ):  # a GPU captures a shape when it has seen it often
            stacks[key].epoch()
    runs: dict[Any, Callable[[], object]] = dict(loops)
    probes = runs | {key: partial(training.epoch, 1) for key, training in stacks.items()}
    runs |= {key: training.epoch for key, training in stacks.items()}
    taken = alternate(runs, device, size.rounds, probes=probes)
    for kind, loop in loops.items():
        yield _speed_row(case, kind, taken[kind], 1, loss=loop.loss)
    ours = next(iter(loops.values())).our_loss
    for key, training in stacks.items():
        row = _speed_row(case, "ours", taken[key], training.steps, loss=ours)
        replicas, window = key
        more = {"replicas": replicas, "window": window, "padding": training.padding()}
        yield {**row, **more, "peak_mib": memory[key]}


def speeds(device: torch.device, size: Size) -> Iterator[Row]:
    """`speed` of every case."""
    for case in cases():
        yield from speed(case, device, size)


def rates(device: torch.device, size: Size) -> Iterator[Row]:
    """`rate` of every case."""
    for case in cases():
        yield from rate(case, device, size)


def rate(case: Case, device: torch.device, size: Size) -> Iterator[Row]:
    """Floating-point rate of a whole step and of its matrix products alone, taking turns."""
    ratings, splits = case.data(size.shrink)
    for n in size.seeds:
        training = Training(case.model, ratings, splits, device, replicas=n, **case.options)
        key, inputs = training.first()
        seen = products(training, key, inputs)
        for _ in range(4):
            training.step(key, inputs)
        runs: dict[str, Callable[[], object]] = {
            "step": partial(training.step, key, inputs),
            "products": bare(seen, device, torch.float32),
        }
        taken = alternate(runs, device, 3 * size.rounds, most=4.0)
        yield {
            "what": "rate",
            "case": case.name,
            "program": "ours",
            "replicas": n,
            "gflop": flops(seen) / 1e9,
            "products": sum(seen.values()),
            **{f"{name}_seconds": turns.seconds for name, turns in taken.items()},
            **{f"{name}_threads": turns.threads for name, turns in taken.items()},
        }


def _speed_row(case: Case, program: str, turns: Turns, steps: int, **more: Any) -> Row:
    about = {"what": "speed", "case": case.name, "program": program, "threads": turns.threads, **more}
    return {**about, "step_seconds": [t / steps for t in turns.seconds]}


def _tasks(loop: TaNPLoop | MeLULoop, batch: TaskBatch) -> Iterator[Rows | tuple[Side, Side]]:
    """The tasks of a batch as the loop stores them, without padding."""
    s, q = batch.support, batch.query
    for t in range(len(s.item)):
        items, items_q = s.item[t, s.mask[t]], q.item[t, q.mask[t]]
        labels, labels_q = s.labels[t, s.mask[t]], batch.query_labels[t, q.mask[t]]
        user = s.user[t]
        if isinstance(loop, TaNPLoop):
            yield loop.rows(int(user), items), labels, loop.rows(int(user), items_q), labels_q
        else:
            yield loop.side(user, items, labels), loop.side(user, items_q, labels_q)


def _draws(ours: Any, batch: TaskBatch, noise: dict[str, Tensor]) -> list[Draw]:
    """The context and target that our model drew, as places in each task."""
    regions = ours.regions(batch, noise)
    real = torch.cat([batch.support.mask, batch.query.mask], -1)
    found = []
    for t in range(len(real)):
        target, context = regions.target[t, real[t]], regions.context[t, real[t]]
        places = torch.cat([torch.nonzero(context)[:, 0], torch.nonzero(target & ~context)[:, 0]])
        found.append(Draw(places, int(context.sum()), noise["eps"][t : t + 1]))
    return found
