"""One group of runs, trained as one program: its data and methods, its training, its records."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarec.data import Ratings, Schema
from metarec.methods import initialised, make, schema_for
from metarec.methods.base import Method
from metarec.methods.floors import Oracle
from metarec.runs import origin
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import Record, digest
from metarec.runs.score import outcomes, score
from metarec.tasks import Splits
from metarec.training.trainer import Trained, scheduled, steps, train

Finished = tuple[Record, dict[str, np.ndarray]]


class Tables:
    """The last rating table asked for and its splits, kept for the next group of runs."""

    def __init__(self) -> None:
        self._name = ""
        self._ratings: Ratings | None = None
        self._splits: dict[tuple[str, int], Splits] = {}

    def ratings(self, protocol: Protocol) -> Ratings:
        """The rating table of a protocol."""
        name = digest([protocol.dataset, dict(protocol.data_options)])
        if self._ratings is None or name != self._name:
            self._splits.clear()
            self._name, self._ratings = name, protocol.ratings()
        return self._ratings

    def splits(self, protocol: Protocol, runs: Sequence[Run]) -> list[Splits]:
        """One split for all replicas, or one each."""
        ratings = self.ratings(protocol)
        seeds = [run.seed for run in runs] if protocol.split_per_seed else [0]
        order = [protocol.user_order, protocol.split_per_seed]
        rule = digest([protocol.rule, dict(protocol.rule_options), *order])
        for seed in seeds:
            if (rule, seed) not in self._splits:
                self._splits[rule, seed] = protocol.splits(ratings, seed)
        return [self._splits[rule, seed] for seed in seeds]


def alike(group: Sequence[Run], tables: Tables) -> list[list[Run]]:
    """A group as groups that can be stacked: splits of their own may differ in users or in steps, and a run
    on a plateau schedule stands alone.
    """
    if len(group) == 1:
        return [list(group)]
    protocol, ratings = group[0].protocol, tables.ratings(group[0].protocol)
    if not protocol.split_per_seed:
        splits = tables.splits(protocol, group)[0]
        schema = schema_for(group[0].model, splits, vectors=protocol.vectors, **group[0].options)
        return [[run] for run in group] if scheduled(_build(group[0], schema, ratings)) else [list(group)]
    if scheduled(_build(group[0], Schema.of(ratings), ratings)):
        return [[run] for run in group]
    if protocol.hide:  # what training knows, and so the tables of fields, are those of a split
        return [[run] for run in group]
    found: dict[Any, list[Run]] = {}
    for run, splits in zip(group, tables.splits(group[0].protocol, group), strict=True):
        method = _build(run, Schema.of(ratings), ratings)
        method.fit(splits.train)
        sizes = tuple(len(part) for part in splits)
        found.setdefault((steps(method, splits), sizes), []).append(run)
    return list(found.values())


def run_group(
    runs: Sequence[Run], device: torch.device, tables: Tables, checkpoint: Path | None = None
) -> list[Finished]:
    """Train and score one group of replicas; nothing is written but the checkpoint."""
    started = time.perf_counter()
    first = runs[0]
    ratings = tables.ratings(first.protocol)
    splits = tables.splits(first.protocol, runs)
    protocol, begun = first.protocol, time.perf_counter()
    schema = schema_for(first.model, splits[0], protocol.hide, protocol.vectors, **first.options)
    methods = [_build(run, schema, ratings) for run in runs]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trained = train(
        methods,
        splits,
        [run.seed for run in runs],
        protocol.selection,
        lambda scores, data: score(protocol, scores, data),
        device=device,
        sample=protocol.sample,
        hide=protocol.hide if methods[0].stages() else 0.0,
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
            **_scenario_counts(own),
        },
        selection=selection.rule if selection.rule == "last" else f"best validation {selection.metric}",
        epochs=len(trained.history[k]),
        best_epoch=trained.best_epoch[k],
        **origin.origin(device, seconds / replicas),
        replicas=replicas,
        extra=extra,
    )


def _scenario_counts(splits: Splits) -> dict[str, int]:
    """Scenarios of each part, where they are not the tasks: a scenario has many draws or many lists."""
    if splits.train.by != "scenario":
        return {}
    return {f"{part} scenarios": len(np.unique(e.task)) for part, e in splits._asdict().items()}


def _build(run: Run, schema: Schema, ratings: Ratings) -> Method:
    with initialised(run.seed):
        method = make(run.model, schema, **run.options)
    if isinstance(method, Oracle):
        method.reveal(ratings)
    return method
