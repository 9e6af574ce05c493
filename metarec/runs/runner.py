"""The runner: a grid of runs, packed into replica groups, spread over processes, recorded as they finish."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import joblib
import torch
from tqdm import tqdm

from metarec.errors import MetarecError
from metarec.methods import class_of
from metarec.runs import versions
from metarec.runs.backends import spread
from metarec.runs.group import Tables, alike, run_group
from metarec.runs.protocol import Run
from metarec.runs.records import Record, digest
from metarec.runs.store import Store, find
from metarec.training.device import pick_device
from metarec.training.memory import keep_freed


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
    interrupted one goes on from its checkpoint in `scratch`, if the versions are still the same. With `redo`,
    what an older version has recorded is trained again.
    """
    todo = missing(runs, store, redo=redo)
    kept = len(runs) - len(todo)
    groups = list(pack(todo, max_replicas))
    work = partial(_work, root=store.root, device=pick_device(device), scratch=scratch)
    tables = Tables()
    jobs = min(jobs, len(groups))
    silent = _silent(quiet) or not todo
    bar = tqdm(total=len(todo), desc="runs", unit="run", file=sys.stderr, disable=silent, mininterval=1.0)
    bar.set_postfix_str(f"{kept} already recorded")
    failed: list[str] = []
    with bar:
        if jobs < 2 and backend == "loky":
            for group in groups:
                _announce(bar, group)
                failed += work(group, tables=tables)[1]
                bar.update(len(group))
        elif groups:
            calls = [joblib.delayed(work)(group, threads=_share(jobs)) for group in groups]
            with spread(backend, jobs, scheduler):
                for size, lines in joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(calls):
                    failed += lines
                    bar.update(size)
    if failed:
        raise MetarecError(
            f"{len(failed)} of {len(groups)} groups of runs failed and the others are recorded; first: "
            f"{failed[0]}"
        )
    return [record for record in find(runs, store) if record is not None]


def missing(runs: Sequence[Run], store: Store, *, redo: bool = False) -> list[Run]:
    """The runs that have no record yet, each configuration once.

    With `redo`, also those of an older version.
    """
    pairs = zip(runs, find(runs, store), strict=True)
    todo = [run for run, r in pairs if r is None or (redo and versions.older(r.versions))]
    return list({(run.config, run.seed): run for run in todo}.values())


def pack(runs: Iterable[Run], max_replicas: int) -> Iterator[list[Run]]:
    """Groups that can train as one program: same protocol, method and options, bar those free per replica."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        free = class_of(run.model).per_replica
        fixed = {k: v for k, v in run.options.items() if k not in free}
        shared = digest([run.model, fixed, run.protocol.plain(), run.profile])
        groups.setdefault(shared, []).append(run)
    for group in groups.values():
        size = max_replicas if class_of(group[0].model).replicable else 1
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _checkpoint(runs: Sequence[Run], scratch: Path | None, device: torch.device) -> Path | None:
    """Where a group keeps what it has trained so far.

    The name holds the versions and the kind of device. A group that was begun under others starts anew, so
    that one record is never made by two of them.
    """
    if scratch is None:
        return None
    first = runs[0]
    which = digest([first.versions, device.type, *((run.config, run.seed) for run in runs)])
    return scratch / f"{first.paper}-{first.model}-{which}.safetensors"


def _work(
    group: list[Run],
    root: Path,
    device: torch.device,
    scratch: Path | None,
    tables: Tables | None = None,
    threads: int | None = None,
) -> tuple[int, list[str]]:
    """One group, in this process or a worker: train, score, record. Returns its size and what went wrong.

    An error of one group does not stop the others; if it is none that a user can mend, its traceback goes to
    stderr. A checkpoint goes when the records are written, not before.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    keep_freed()
    tables = tables or Tables()
    try:
        for runs in alike(group, tables):
            checkpoint = _checkpoint(runs, scratch, device)
            finished = run_group(runs, device, tables, checkpoint)
            Store(root).add_all([record for record, _ in finished], [users for _, users in finished])
            if checkpoint is not None:
                checkpoint.unlink(missing_ok=True)
    except Exception as error:
        if not isinstance(error, MetarecError):
            traceback.print_exc()
        return len(group), [f"{group[0].label} ({group[0].protocol.track}): {type(error).__name__}: {error}"]
    return len(group), []


def _share(jobs: int) -> int:
    """Threads of each of so many programs."""
    return max(1, (os.cpu_count() or 1) // jobs)


def _announce(bar: tqdm, group: list[Run]) -> None:
    run = group[0]
    bar.set_postfix_str(f"{run.label}, {run.protocol.track}, seeds {sorted({r.seed for r in group})}")


def _silent(quiet: bool | None) -> bool:
    """Progress shows when asked for, as `metarec run` does, or else on a terminal only: in no notebook."""
    return quiet if quiet is not None else not sys.stderr.isatty()
