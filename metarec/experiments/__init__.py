"""Experiments by name: `obtain` hands a notebook its records, `execute` does the work of `metarec run`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from metarec.errors import ProtocolError, RecordError
from metarec.experiments.protocol import PROFILES, TRACKS, Protocol, Run
from metarec.experiments.request import Experiment, Request
from metarec.records import Record, Store

__all__ = [
    "Experiment",
    "Protocol",
    "Request",
    "Run",
    "execute",
    "experiment",
    "names",
    "obtain",
    "results_root",
]

_MODULES = ("tanp", "datasets", "pnmta", "vectors", "clusters", "groups", "stream", "modulators")


def results_root() -> Path:
    """The folder of committed records: `METAREC_RESULTS`, or `results/` beside the package."""
    named = os.environ.get("METAREC_RESULTS")
    return Path(named).expanduser().absolute() if named else Path(__file__).parents[2] / "results"


def scratch_root(results: Path | None = None) -> Path:
    """Where checkpoints of unfinished runs wait: `.cache/checkpoints` beside the results."""
    return (results or results_root()).parent / ".cache" / "checkpoints"


def names() -> dict[str, Experiment]:
    """Every experiment by its full name, `paper.name`."""
    found = {}
    for module in _MODULES:
        for e in import_module(f"metarec.experiments.{module}").EXPERIMENTS:
            found[f"{e.paper}.{e.name}"] = e
    return found


def experiment(name: str) -> Experiment:
    """The experiment of that name; `ProtocolError` listing the names otherwise."""
    known = names()
    if name not in known:
        raise ProtocolError(f"experiment {name!r} is unknown; choose from {', '.join(known)}.")
    return known[name]


def plan(name: str, profile: str, track: str, seeds: int, store: Store) -> list[Run]:
    """The runs of an experiment for `track` (`published`, `sound` or `both`)."""
    tracks = tracks_of(name, track, seeds)
    return experiment(name).runs(Request(profile, tracks, seeds, store))


def tracks_of(name: str, track: str, seeds: int = 1) -> tuple[str, ...]:
    """The tracks asked of an experiment; `ProtocolError` for a track it has not, and for no seeds."""
    if track not in (*TRACKS, "both"):
        raise ProtocolError(f"track {track!r} is unknown; use published, sound or both.")
    if seeds < 1:
        raise ProtocolError(f"seeds is {seeds}; ask for at least one.")
    has = experiment(name).tracks
    tracks = tuple(t for t in TRACKS if t in has and track in ("both", t))
    if not tracks:
        raise ProtocolError(f"{name} has no {track} track; it has {', '.join(has)}.")
    return tracks


def needs_of(name: str, tracks: tuple[str, ...], seeds: int) -> tuple[str, ...]:
    """The experiments to do first: none if the runs of these tracks can be planned without any record."""
    chosen = experiment(name)
    with tempfile.TemporaryDirectory() as empty:
        try:
            chosen.runs(Request("full", tracks, seeds, Store(Path(empty))))
        except RecordError:
            return chosen.needs
    return ()


def execute(
    name: str,
    *,
    profile: str = "full",
    track: str = "both",
    seeds: int = 5,
    store: Store,
    device: str = "auto",
    redo: bool = False,
    **how: Any,
) -> list[Record]:
    """Do what is missing of an experiment (and first of what its tracks need) and return its records.

    `how` are the other arguments of `runner.run_all`; what is measured and not trained has no use for them.
    """
    from metarec.device import pick_device
    from metarec.experiments.checks import check_data, check_workers
    from metarec.experiments.runner import run_all

    if profile not in ("quick", "full"):
        raise ProtocolError(f"profile {profile!r} cannot be run; use quick or full.")
    chosen, tracks = experiment(name), tracks_of(name, track, seeds)
    found = pick_device(device)
    check_workers(**{key: how[key] for key in ("jobs", "max_replicas", "backend", "scheduler") if key in how})
    how |= {"device": device, "redo": redo}
    if profile == "full":
        for needed in needs_of(name, tracks, seeds):
            execute(needed, profile=profile, track="both", seeds=seeds, store=store, **how)
    if chosen.measure is not None:
        request = Request(profile, tracks, seeds, store, found, redo)
        return list(_kept(chosen.measure(request), store))
    runs = plan(name, profile, track, seeds, store)
    check_data(runs, store, redo=redo)
    records = run_all(runs, store, **how)
    if redo:
        _drop_others(records, store, profile, tracks, seeds)
    return records


def _drop_others(
    records: Sequence[Record], store: Store, profile: str, tracks: Sequence[str], seeds: int
) -> None:
    """Drop, of what was asked for, what the present plan no longer holds.

    A search that is done again may choose other settings; with the old ones beside them a row would mix both.
    """
    keys, place = {r.key for r in records}, (records[0].paper, records[0].experiment)
    asked = [r for r in store.read(*place) if r.profile == profile and r.track in tracks and r.seed < seeds]
    store.drop(*place, [r.key for r in asked if r.key not in keys])


def _kept(records: Iterator[Record], store: Store) -> Iterator[Record]:
    """The records, each added to the store before the next is made: an interruption costs only that one.

    One that stands there already, with all that belongs to it, is left alone.
    """
    for record in records:
        if record not in store.read(record.paper, record.experiment):
            store.add(record)
        yield record


def obtain(
    name: str, *, profile: str = "recorded", track: str = "both", seeds: int = 5, device: str = "auto"
) -> tuple[list[Record], Store]:
    """Records for a notebook, and the store they sit in.

    `recorded` reads the committed results; `quick` trains on planted data in seconds, into a temporary store;
    `full` trains on the real data what is not yet recorded, and records it.
    """
    if profile not in PROFILES:
        raise ProtocolError(f"profile {profile!r} is unknown; use {', '.join(PROFILES)}.")
    chosen = experiment(name)
    if profile == "recorded":
        store = Store(results_root())
        tracks = tracks_of(name, track, seeds)
        found = [r for r in store.read(chosen.paper, chosen.name) if r.track in tracks and r.seed < seeds]
        if not found:
            raise RecordError(f"no records of {name} under {store.root}; run `metarec run {name}` first.")
        return found, store
    if profile == "quick":
        store = Store(Path(tempfile.mkdtemp(prefix="metarec-quick-")))
        return execute(
            name, profile="quick", track=track, seeds=min(seeds, 2), store=store, device=device, quiet=True
        ), store
    store = Store(results_root())
    return execute(name, track=track, seeds=seeds, store=store, device=device, scratch=scratch_root()), store
