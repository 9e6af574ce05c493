"""The runner: a grid of runs, packed into replica groups, spread over processes, recorded as they finish."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from tqdm import tqdm

from metarec.data import Ratings, Schema
from metarec.device import pick_device
from metarec.errors import MetarecError
from metarec.experiments import provenance, sameness
from metarec.experiments.backends import spread
from metarec.experiments.protocol import Protocol, Run
from metarec.experiments.scoring import outcomes, score
from metarec.memory import keep_freed
from metarec.methods import initialised, locate, make
from metarec.methods.base import Method
from metarec.methods.floors import Oracle
from metarec.records import Record, Store, digest
from metarec.tasks import Splits
from metarec.training import Trained, steps, train

Finished = tuple[Record, dict[str, np.ndarray]]


def run_all(
    runs: Sequence[Run],
    store: Store,
    *,
    device: str = "auto",
    jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    max_replicas: int = 8,
    scratch: Path | None = None,
    quiet: bool | None = None,
    redo: bool = False,
) -> list[Record]:
    """Do every run that has no record yet and return the records of all of them, in the order of `runs`.

    Groups of runs that differ only by seed (or by a setting that may vary between replicas) train as one
    program of at most `max_replicas`, if their splits ask for equally many steps. `jobs` groups at a time, by
    joblib: `backend` is loky, or dask or ray for a cluster. A group is recorded as soon as it is done; an
    interrupted one goes on from its checkpoint in `scratch`, if the code is still the same. With `redo`, what
    other code than the present has recorded is trained again.
    """
    have = {r.key: r for r in _existing(runs, store)}
    if redo:
        have = {key: r for key, r in have.items() if not _stale(r)}
    todo = [run for run in runs if run.key not in have]
    groups = list(pack(todo, max_replicas))
    chosen = pick_device(device)
    jobs = min(jobs, len(groups)) or 1
    bar = tqdm(
        total=len(todo), desc="runs", unit="run", file=sys.stderr, disable=_silent(quiet), mininterval=1.0
    )
    bar.set_postfix_str(f"{len(have)} already recorded")
    failed: list[str] = []
    try:
        if jobs == 1:
            for group in groups:
                _announce(bar, group)
                failed += _work(group, store.root, chosen, scratch, None)[1]
                bar.update(len(group))
        else:
            threads = max(1, (os.cpu_count() or 1) // jobs)
            calls = [joblib.delayed(_work)(group, store.root, chosen, scratch, threads) for group in groups]
            with spread(backend, jobs, scheduler):
                for size, lines in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls):
                    failed += lines
                    bar.update(size)
    finally:
        bar.close()
    if failed:
        raise MetarecError(
            f"{len(failed)} of {len(groups)} groups of runs failed and the others are recorded; first: "
            f"{failed[0]}"
        )
    have = {r.key: r for r in _existing(runs, store)}
    return [have[run.key] for run in runs]


def pack(runs: Iterable[Run], max_replicas: int) -> Iterator[list[Run]]:
    """Groups that can train as one program: same protocol, method and options, bar those free per replica."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        module, cls = locate(run.model)
        free = getattr(__import__(module, fromlist=[cls]), cls).per_replica
        fixed = {k: v for k, v in run.options.items() if k not in free}
        groups.setdefault(
            digest([run.experiment, run.model, fixed, run.protocol.plain(), run.profile]), []
        ).append(run)
    for group in groups.values():
        module, cls = locate(group[0].model)
        size = max_replicas if getattr(__import__(module, fromlist=[cls]), cls).replicable else 1
        for start in range(0, len(group), size):
            yield group[start : start + size]


def alike(group: Sequence[Run]) -> list[list[Run]]:
    """A group as groups of equally many steps: splits of their own may ask for more of one replica."""
    if len(group) == 1 or not group[0].protocol.split_per_seed:
        return [list(group)]
    ratings = _ratings(group[0].protocol)
    found: dict[Any, list[Run]] = {}
    for run, splits in zip(group, _splits(group[0].protocol, ratings, group), strict=True):
        method = _build(run, Schema.of(ratings), ratings)
        method.fit(splits.train)
        found.setdefault(steps(method, splits), []).append(run)
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
    protocol = first.protocol
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
    found = outcomes(runs, trained, splits, device)
    seconds = time.perf_counter() - started
    return [
        (_record(run, k, trained, metrics_, extra, ratings, splits, device, seconds, len(runs)), users)
        for k, (run, (metrics_, users, extra)) in enumerate(zip(runs, found, strict=True))
    ]


def _checkpoint(runs: Sequence[Run], scratch: Path | None) -> Path | None:
    """Where a group keeps what it has trained so far.

    A group that older code began is begun again: no record is made by two versions.
    """
    if scratch is None:
        return None
    first = runs[0]
    which = digest([provenance.code_hash(locate(first.model)[0]), *(run.key for run in runs)])
    return scratch / f"{first.paper}-{first.experiment}-{which}.safetensors"


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
        paper=run.paper,
        experiment=run.experiment,
        track=run.protocol.track,
        dataset=ratings.name,
        method=run.label,
        options={"model": run.model, **run.options},
        seed=run.seed,
        metrics=means,
        terms={n: v for n, v in last.items() if isinstance(v, float)},
        protocol=run.protocol.plain(),
        split_id=own.split_id,
        counts={
            **ratings.counts(),
            **{f"{part} tasks": len(e) for part, e in own._asdict().items()},
            "test query ratings": int(own.test.n_query.sum()),
        },
        selection=selection.rule if selection.rule == "last" else f"best validation {selection.metric}",
        epochs=len(trained.history[k]),
        best_epoch=trained.best_epoch[k],
        config_hash=run.config_hash,
        data_sha256=ratings.sha256,
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
    rule = digest([protocol.rule, dict(protocol.rule_options), protocol.user_order])
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


def _existing(runs: Sequence[Run], store: Store) -> Iterator[Record]:
    for paper, experiment in sorted({(r.paper, r.experiment) for r in runs}):
        yield from store.read(paper, experiment)


def _work(
    group: list[Run], root: Path, device: torch.device, scratch: Path | None, threads: int | None
) -> tuple[int, list[str]]:
    """One group, in this process or a worker: train, score, record. Returns its size and what went wrong.

    An error of one group does not stop the others; if it is none that a user can mend, its traceback goes to
    stderr. A checkpoint goes when the records are written, not before.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed()
    try:
        for runs in alike(group):
            checkpoint = _checkpoint(runs, scratch)
            finished = run_group(runs, device, checkpoint)
            Store(root).add_all([record for record, _ in finished], [users for _, users in finished])
            if checkpoint is not None:
                checkpoint.unlink(missing_ok=True)
    except Exception as error:
        if not isinstance(error, MetarecError):
            traceback.print_exc()
        return len(group), [f"{group[0].label} ({group[0].protocol.track}): {type(error).__name__}: {error}"]
    return len(group), []


def _stale(record: Record) -> bool:
    """Whether the code behind a record has changed since, and its numbers perhaps with it."""
    return not sameness.fresh(locate(record.options["model"])[0], record.code_hash)


def _announce(bar: tqdm, group: list[Run]) -> None:
    run = group[0]
    bar.set_postfix_str(f"{run.label}, {run.protocol.track}, seeds {sorted({r.seed for r in group})}")


def _silent(quiet: bool | None) -> bool:
    """Progress shows on a terminal, or when asked for; never inside a notebook kernel."""
    return quiet if quiet is not None else not sys.stderr.isatty()
