"""What is asked of a run, checked before anything is trained: the workers, the data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from metarec.data import PLANTED, catalog, data_home
from metarec.errors import DataError, MetarecError, ProtocolError
from metarec.runs import versions
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import Record, digest
from metarec.runs.store import Store, find

PROBE = 2**20  # bytes, more than the record of a run takes
# The package behind each way to spread jobs.
BACKENDS = {"loky": "joblib", "dask": "distributed", "ray": "ray"}


def check_workers(
    jobs: int = 1, max_replicas: int = 8, backend: str = "loky", scheduler: str | None = None
) -> None:
    """`ProtocolError` unless there is something to work with."""
    for name, number in (("jobs", jobs), ("replicas", max_replicas)):
        if number < 1:
            raise ProtocolError(f"{name} is {number}; ask for at least one.")
    if backend not in BACKENDS:
        raise ProtocolError(f"backend {backend!r} is unknown; choose from {', '.join(BACKENDS)}.")
    if scheduler and backend != "dask":
        raise ProtocolError(f"--scheduler is for --backend dask, not {backend}; name that backend too.")
    if find_spec(BACKENDS[backend]) is None:
        raise ProtocolError(
            f"backend {backend!r} needs the package {BACKENDS[backend]!r}, which is not installed here; "
            "install it or use loky."
        )


def check_results(root: Path) -> None:
    """`MetarecError` unless records can be written under `root`: a folder, writable, with room for a run."""
    probe = root / f".probe-{os.getpid()}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with open(probe, "wb") as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise MetarecError(
            f"records cannot be written under {root} ({error.strerror}); free it, or name another "
            "folder with --results or METAREC_RESULTS."
        ) from None
    finally:
        with suppress(OSError):
            probe.unlink()


def check_data(runs: Sequence[Run], store: Store, *, redo: bool) -> None:
    """`DataError` unless the files are there of every data set that a run yet to be done reads.

    Without this check every group of runs would start and then fail for the same reason. It also refuses
    files whose ratings differ from those behind the records that are already there.
    """
    to_read: dict[str, Protocol] = {}
    for run, record in zip(runs, find(runs, store), strict=True):
        place = run.protocol
        done = record is not None and not (redo and versions.older(record.versions))
        if not done and place.dataset not in PLANTED:
            # Only MovieLens-1M has files beside its own, and it alone has this option.
            melu = place.data_options.get("fields", "melu") == "melu"
            catalog.folder(place.dataset, data_home(), extra=melu)
            to_read[digest([place.dataset, dict(place.data_options)])] = place
    beside = {(run.paper, f"{run.protocol.dataset}/{run.model}") for run in runs}
    there = [r for where in sorted(beside) for r in store.read(*where)]
    for place in to_read.values():
        _refuse_other_data(place, there, store)


def _refuse_other_data(place: Protocol, records: Iterable[Record], store: Store) -> None:
    """Records of one data set under one name must not mix two: a mean over seeds would be of neither."""
    options = dict(place.data_options)
    made = {
        r.data_sha256
        for r in records
        if r.dataset == place.dataset and r.protocol.get("data_options") == options
    }
    if not made:
        return
    here = place.ratings().sha256
    if made != {here}:
        others = ", ".join(sorted(m[:12] for m in made))
        raise DataError(
            f"{place.dataset}: the ratings here (sha256 {here[:12]}) are not those behind the records in "
            f"{store.root} ({others}); record these in a folder of their own (--results)."
        )
