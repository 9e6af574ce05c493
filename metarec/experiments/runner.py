"""The runner: a grid of runs, packed into replica groups, spread over processes, recorded as they finish."""

from __future__ import annotations

import datetime
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from metarec import metrics
from metarec.data import Ratings, Schema
from metarec.errors import MetarecError
from metarec.experiments import provenance
from metarec.experiments.protocol import Protocol, Run
from metarec.methods import initialised, locate, make
from metarec.methods.base import Method
from metarec.methods.floors import Oracle
from metarec.records import Record, Store, digest, finite
from metarec.tasks import EpisodeTensors, Splits
from metarec.training import Trained, predict, train

Finished = tuple[Record, dict[str, np.ndarray]]


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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
    program of at most `max_replicas`. `jobs` groups at a time, by joblib: `backend` is loky, or dask or ray
    for a cluster. A group is recorded as soon as it is done; an interrupted one goes on from its checkpoint
    in `scratch`. With `redo`, what other code than the present has recorded is trained again.
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
            with _cluster(backend, jobs, scheduler):
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


def run_group(runs: Sequence[Run], device: torch.device, scratch: Path | None = None) -> list[Finished]:
    """Train and score one group of replicas; nothing is written but checkpoints under `scratch`."""
    started = time.perf_counter()
    first = runs[0]
    ratings = _ratings(first.protocol)
    splits = _splits(first.protocol, ratings, runs)
    methods = [_build(run, Schema.of(ratings), ratings) for run in runs]
    path = None
    if scratch is not None and methods[0].stages():
        path = scratch / f"{first.paper}-{first.experiment}-{digest([r.key for r in runs])}.safetensors"
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
        checkpoint=path,
    )
    found = _outcomes(runs, trained, splits, ratings, device)
    seconds = time.perf_counter() - started
    finished = [
        (_record(run, k, trained, metrics_, users, extra, ratings, splits, device, seconds, len(runs)), users)
        for k, (run, (metrics_, users, extra)) in enumerate(zip(runs, found, strict=True))
    ]
    if path is not None:
        path.unlink(missing_ok=True)
    return finished


def score(protocol: Protocol, scores: Tensor, data: EpisodeTensors) -> dict[str, Tensor]:
    """Every metric of the protocol, `{name: [K, tasks]}`; `scores` is `[K, tasks, n_query]`.

    A replica that has diverged (scores that are not finite) gets nan throughout; it never stops the others.
    """
    labels, mask = query_side(data, scores.shape[0])
    sound = (scores.isfinite() | ~mask).all(-1).all(-1)
    scores = torch.where(sound[:, None, None], scores, 0.0)
    found: dict[str, Tensor] = {}
    for prefix, name in protocol.metric_sets.items():
        for metric, values in metrics.evaluate(scores, labels, mask, name).items():
            found[prefix + metric] = torch.where(sound[:, None], values, torch.nan)
    return found


def query_side(data: EpisodeTensors, replicas: int) -> tuple[Tensor, Tensor]:
    """Query labels and mask of every replica's tasks, `[K, tasks, n_query]`, for scoring only."""
    batch = data.all()
    shape = (len(data.parts), -1, batch.query.mask.shape[-1])
    labels, mask = batch.query_labels.reshape(shape), batch.query.mask.reshape(shape)
    return labels.expand(replicas, -1, -1), mask.expand(replicas, -1, -1)


def _outcomes(
    runs: Sequence[Run], trained: Trained, splits: list[Splits], ratings: Ratings, device: torch.device
) -> list[tuple[dict[str, float], dict[str, np.ndarray], dict[str, Any]]]:
    """Test metrics (means), per-user values and extras of each replica."""
    protocol, seeds = runs[0].protocol, [run.seed for run in runs]
    test = EpisodeTensors([s.test for s in splits], device)
    scores = predict(trained.stack, test, seeds, trained.params, sample=protocol.sample)
    values = {name: v.cpu().numpy() for name, v in score(protocol, scores, test).items()}
    other: dict[str, Tensor] = {}
    if protocol.sample and trained.params:
        mean = predict(trained.stack, test, seeds, trained.params, sample=False)
        other = {f"mean-z {name}": v.nanmean(-1) for name, v in score(protocol, mean, test).items()}
    described = _describe(trained, test)
    outcomes = []
    rates = trained.stack.skeleton.rates
    for k, _ in enumerate(runs):
        users = {name: v[k] for name, v in values.items() if rates or not _is_error(name)}
        extra: dict[str, Any] = {
            "diagnostics": {n: round(float(v[k]), 8) for n, v in described["means"].items()}
        }
        if other:
            extra["mean_z"] = finite({name.removeprefix("mean-z "): float(v[k]) for name, v in other.items()})
        if "assignments" in described["rows"]:
            extra["assignments"] = np.round(described["rows"]["assignments"][k].astype(float), 5).tolist()
        if protocol.selection.rule == "valid" and trained.params:
            kept = [h for h in trained.history[k] if "valid" in h and h["epoch"] == trained.best_epoch[k]]
            extra["valid"] = kept[-1]["valid"][protocol.selection.metric] if kept else float("nan")
        curve = [h for h in trained.history[k] if "test" in h or "valid" in h]
        if curve:
            extra["curve"] = _curve(curve, protocol.selection.metric)
        means = {name: float(np.nanmean(v)) for name, v in users.items()}
        outcomes.append((finite(means), users, extra))
    return outcomes


def _is_error(name: str) -> bool:
    """Whether a metric measures the distance of a score from a rating."""
    return not metrics.higher_is_better(name.rpartition(":")[2])


def _describe(trained: Trained, test: EpisodeTensors, rows: int = 10) -> dict[str, Any]:
    """The method's diagnostics on the test tasks: means of scalars, the first `rows` rows of matrices."""
    batch = test.batch(torch.arange(len(test), device=test.device).expand(trained.stack.size, -1))
    with torch.no_grad():
        found = trained.stack.call("describe", batch.support, params=trained.params) if trained.params else {}
    return {
        "means": {name: v.mean(-1).cpu().numpy() for name, v in found.items() if v.ndim == 2},
        "rows": {name: v[:, :rows].cpu().numpy() for name, v in found.items() if v.ndim == 3},
    }


def _curve(history: list[dict[str, Any]], chosen_by: str) -> dict[str, Any]:
    """Loss terms and scores by epoch as columns, rounded, for training-curve figures.

    On validation only the metric that chooses is kept; on test those of the first, unprefixed set.
    """
    columns: dict[str, Any] = {"epoch": [h["epoch"] for h in history]}
    for name in history[-1]:
        if name not in ("epoch", "stage", "test", "valid"):
            columns[name] = [float(f"{h[name]:.4g}") for h in history]
    for split in ("valid", "test"):
        if split in history[-1]:
            kept = [m for m in history[-1][split] if (m == chosen_by if split == "valid" else ":" not in m)]
            columns[split] = {m: [round(h[split][m], 5) for h in history] for m in kept}
    return columns


def _record(
    run: Run,
    k: int,
    trained: Trained,
    means: dict[str, float],
    users: dict[str, np.ndarray],
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
        code_hash=provenance.code_hash(module),
        git_commit=provenance.git_commit(),
        device=provenance.device_name(device),
        wall_seconds=round(seconds / replicas, 3),
        replicas=replicas,
        peak_memory_mb=round(provenance.peak_memory_mb(device), 1),
        profile=run.profile,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=provenance.versions(),
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

    An error of one group does not stop the others; its traceback goes to stderr.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        finished = run_group(group, device, scratch)
    except Exception as error:
        traceback.print_exc()
        return len(group), [f"{group[0].label} ({group[0].protocol.track}): {type(error).__name__}: {error}"]
    Store(root).add_all([record for record, _ in finished], [users for _, users in finished])
    return len(group), []


def _stale(record: Record) -> bool:
    """Whether the code behind a record has changed since."""
    return record.code_hash != provenance.code_hash(locate(record.options["model"])[0])


def _announce(bar: tqdm, group: list[Run]) -> None:
    run = group[0]
    bar.set_postfix_str(f"{run.label}, {run.protocol.track}, seeds {sorted({r.seed for r in group})}")


@contextmanager
def _cluster(backend: str, jobs: int, scheduler: str | None) -> Iterator[None]:
    """Route joblib to loky, Dask or Ray. Dask uses `scheduler` (an address) or starts a local cluster."""
    if backend == "dask":
        from dask.distributed import Client, LocalCluster

        if scheduler:
            with Client(scheduler), joblib.parallel_config(backend="dask"):
                yield
        else:
            with (
                LocalCluster(
                    n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None
                ) as local,
                Client(local),
                joblib.parallel_config(backend="dask"),
            ):
                yield
    elif backend == "ray":
        from ray.util.joblib import register_ray

        register_ray()
        with joblib.parallel_config(backend="ray"):
            yield
    else:
        with joblib.parallel_config(backend=backend):
            yield


def _silent(quiet: bool | None) -> bool:
    """Progress shows on a terminal, or when asked for; never inside a notebook kernel."""
    return quiet if quiet is not None else not sys.stderr.isatty()
