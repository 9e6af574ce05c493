"""What is asked of a run, checked before anything is trained: the workers, the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

from metarec.data import PLANTED, catalog, data_home
from metarec.errors import DataError, ProtocolError
from metarec.experiments import sameness
from metarec.experiments.protocol import Protocol, Run
from metarec.methods import locate
from metarec.records import Record, Store, digest

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


def check_data(runs: Sequence[Run], store: Store, *, redo: bool) -> None:
    """`DataError` unless the files are there of every data set that a run yet to be done reads.

    One by one the groups of runs would all fail of it, each with a traceback. Nor may the ratings be others
    than those of the records they would stand beside.
    """
    places = {(run.paper, run.experiment) for run in runs}
    have = {r.key: r for place in places for r in store.read(*place)}
    to_read: dict[str, Protocol] = {}
    for run in runs:
        record, place = have.get(run.key), run.protocol
        done = record and sameness.kept(record, locate(run.model)[0], redo=redo)
        if not done and place.dataset not in PLANTED:
            # Only MovieLens-1M has files beside its own, and it alone has this option.
            melu = place.data_options.get("fields", "melu") == "melu"
            catalog.folder(place.dataset, data_home(), extra=melu)
            to_read[digest([place.dataset, dict(place.data_options)])] = place
    for place in to_read.values():
        _refuse_other_data(place, have.values(), store)


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
