"""One group of runs, trained as one program: its data and methods, its training, its records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarec.data import Ratings, Schema
from metarec.experiments import provenance
from metarec.experiments.protocol import Protocol, Run
from metarec.experiments.scoring import outcomes, score
from metarec.methods import initialised, locate, make
from metarec.methods.base import Method
from metarec.methods.floors import Oracle
from metarec.records import Record, digest
from metarec.tasks import Splits
from metarec.training import Trained, steps, train

Finished = tuple[Record, dict[str, np.ndarray]]


def alike(group: Sequence[Run]) -> list[list[Run]]:
    """A group as groups that can be stacked: splits of their own may differ in users or in steps."""
    if len(group) == 1 or not group[0].protocol.split_per_seed:
        return [list(group)]
    ratings = _ratings(group[0].protocol)
    found: dict[Any, list[Run]] = {}
    for run, splits in zip(group, _splits(group[0].protocol, ratings, group), strict=True):
        method = _build(run, Schema.of(ratings), ratings)
        method.fit(splits.train)
        sizes = tuple(len(part) for part in splits)
        found.setdefault((steps(method, splits), sizes), []).append(run)
    return list(found.values())


def run_group(runs: Sequence[Run], device: torch.device, checkpoint: Path | None = None) -> list[Finished]:
    """Train and score one group of replicas; nothing is written but the checkpoint."""
    started = time.perf_counter()
    first = runs[0]
    ratings = _ratings(first.protocol)
    splits = _splits(first.protocol, ratings, runs)
    methods = [_build(run, Schema.of(ratings), ratings) for run in runs]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    protocol, begun = first.protocol, time.perf_counter()
    trained = train(
        methods,
        splits,
        [run.seed for run in runs],
        protocol.selection,
        lambda scores, data: score(protocol, scores, data),
        device=device,
        sample=protocol.sample,
        checkpoint=checkpoint if methods[0].stages() else None,
    )
    earlier = max(0.0, trained.seconds - (time.perf_counter() - begun))  # before an interruption
    found = outcomes(runs, trained, splits, device)
    seconds = earlier + time.perf_counter() - started
    return [
        (_record(run, k, trained, metrics_, extra, ratings, splits, device, seconds, len(runs)), users)
        for k, (run, (metrics_, users, extra)) in enumerate(zip(runs, found, strict=True))
    ]


def _record(
    run: Run,
    k: int,
    trained: Trained,
    means: dict[str, float],
    extra: dict[str, Any],
    ratings: Ratings,
    splits: list[Splits],
    device: torch.device,
    seconds: float,
    replicas: int,
) -> Record:
    own = splits[k if len(splits) > 1 else 0]
    module, _ = locate(run.model)
    last = trained.history[k][-1] if trained.history[k] else {}
    selection = run.protocol.selection
    return Record(
        **run.identity(ratings),
        metrics=means,
        terms={n: v for n, v in last.items() if isinstance(v, float)},
        split_id=own.split_id,
        counts={
            **ratings.counts(),
            **{f"{part} tasks": len(e) for part, e in own._asdict().items()},
            "test query ratings": int(own.test.n_query.sum()),
        },
        selection=selection.rule if selection.rule == "last" else f"best validation {selection.metric}",
        epochs=len(trained.history[k]),
        best_epoch=trained.best_epoch[k],
        **provenance.origin(module, device, run.profile, seconds / replicas),
        replicas=replicas,
        extra=extra,
    )


_loaded: dict[str, Ratings] = {}
_cut: dict[tuple[str, int], Splits] = {}


def _ratings(protocol: Protocol) -> Ratings:
    """The rating table; it and its splits are kept for the next group of the same process."""
    key = digest([protocol.dataset, dict(protocol.data_options)])
    if key not in _loaded:
        _loaded.clear()
        _cut.clear()
        _loaded[key] = protocol.ratings()
    return _loaded[key]


def _splits(protocol: Protocol, ratings: Ratings, runs: Sequence[Run]) -> list[Splits]:
    """One split for all replicas, or one each."""
    seeds = [run.seed for run in runs] if protocol.split_per_seed else [0]
    rule = digest([protocol.rule, dict(protocol.rule_options), protocol.user_order, protocol.split_per_seed])
    for seed in seeds:
        if (rule, seed) not in _cut:
            _cut[rule, seed] = protocol.splits(ratings, seed)
    return [_cut[rule, seed] for seed in seeds]


def _build(run: Run, schema: Schema, ratings: Ratings) -> Method:
    with initialised(run.seed):
        method = make(run.model, schema, **run.options)
    if isinstance(method, Oracle):
        method.reveal(ratings)
    return method
