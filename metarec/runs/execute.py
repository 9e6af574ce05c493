"""Do what a table still lacks (`execute`), or hand a notebook its Records (`obtain`)."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarec.errors import MetarecError, ProtocolError, RecordError
from metarec.runs import versions
from metarec.runs.measured import Request
from metarec.runs.plan import Measured, Spec, TableSpec
from metarec.runs.protocol import PROFILES, TRACKS, Run
from metarec.runs.records import Record
from metarec.runs.store import Store


@dataclass(frozen=True)
class Only:
    """Which runs of a table are wanted: of a data set, of a method (label or model), of one cell.

    A cell is a row's label, or what the paper prints for it, followed by a figure's value, as in
    `PNMTA d=16`. Empty: all.
    """

    dataset: str = ""
    method: str = ""
    cell: str = ""

    def keep(self, runs: Sequence[Run], spec: TableSpec) -> list[Run]:
        """The runs wanted; `ProtocolError` with what there is if nothing is left."""
        names = {b.source: {b.source, b.dataset} for b in spec.blocks}
        kept = list(runs)
        for what, wanted, of in (
            ("data set", self.dataset, lambda r: names.get(r.protocol.dataset, {r.protocol.dataset})),
            ("method", self.method, lambda r: {r.label, r.model}),
            ("cell", self.cell, lambda r: _cells(r, spec)),
        ):
            if wanted:
                there = kept
                kept = [r for r in there if wanted in of(r)]
                if not kept:
                    known = sorted({min(of(r), key=len) for r in there})
                    raise ProtocolError(
                        f"{spec.name} has no {what} {wanted!r} here; choose from {', '.join(known)}."
                    )
        return kept


def _cells(run: Run, spec: TableSpec) -> set[str]:
    at = "".join(f" {name}={value}" for name, value in run.varied.items())
    return {f"{run.label}{at}", f"{spec.printed[run.label]}{at}"}


@dataclass(frozen=True)
class Done:
    """What `execute` did: the Records asked for, how many were made now, how many stood there already.

    `older` of these carry an older version; `verb` says how Records are made, `trained` or `measured`.
    """

    records: list[Record]
    made: int
    there: int
    older: int = 0
    verb: str = "trained"


def results_root() -> Path:
    """The folder of Records: `METAREC_RESULTS`, or `results/` of a checkout, or a folder of the user's."""
    named = os.environ.get("METAREC_RESULTS")
    if named:
        return Path(named).expanduser().absolute()
    checkout = Path(__file__).parents[2]
    if (checkout / "_toc.yml").exists():
        return checkout / "results"
    import pooch

    return Path(pooch.os_cache("metarec")) / "results"


def tracks_of(spec: Spec, track: str, seeds: int = 1) -> tuple[str, ...]:
    """The tracks asked of a table; `ProtocolError` for a track it has not, and for no seeds."""
    if track not in (*TRACKS, "both"):
        raise ProtocolError(f"track {track!r} is unknown; use published, sound or both.")
    if seeds < 1:
        raise ProtocolError(f"seeds is {seeds}; ask for at least one.")
    tracks = tuple(t for t in TRACKS if t in spec.tracks and track in ("both", t))
    if not tracks:
        raise ProtocolError(f"{spec.name} has no {track} track; it has {', '.join(spec.tracks)}.")
    return tracks


def execute(
    spec: Spec,
    *,
    profile: str = "full",
    track: str = "both",
    seeds: int = 5,
    store: Store,
    device: str = "auto",
    redo: bool = False,
    only: Only = Only(),
    **how: Any,
) -> Done:
    """Do what is missing of a table, its search first, and return its Records.

    `only` keeps some of the runs. `how` are the other arguments of `runner.run_all`; what is measured and not
    trained has no use for them. All that can be wrong with the request is found before anything is trained.
    """
    from metarec.runs.checks import check_results, check_workers
    from metarec.training.device import pick_device

    if profile not in ("quick", "full"):
        raise ProtocolError(f"profile {profile!r} cannot be run; use quick or full.")
    found = pick_device(device)
    check_workers(**{key: how[key] for key in ("jobs", "max_replicas", "backend", "scheduler") if key in how})
    request = Request(profile, tracks_of(spec, track, seeds), seeds, store, found, redo)
    if isinstance(spec, Measured):
        if only not in (None, Only()):
            raise ProtocolError(
                f"{spec.name} is measured as a whole; leave --dataset, --method and --cell out."
            )
        check_results(store.root)
        return _measure(spec, request)
    how |= {"device": device, "redo": redo, "scratch": how.get("scratch") or store.root / ".checkpoints"}
    planned = (only or Only()).keep(
        list(spec.planned(request)), spec
    )  # a wrong name is found before training
    wanted = spec.narrowed({r.label for r in planned}, {r.protocol.dataset for r in planned})
    searched = 0
    for _ in range(2):  # the second round of a search is planned once its first is done, the runs after both
        searched += _train(wanted.search_runs(request), store, how)[1]
    runs = (only or Only()).keep(wanted.runs(request), spec)
    records, made = _train(runs, store, how)
    old = sum(bool(versions.older(r.versions)) for r in records)
    return Done(records, searched + made, len({(r.config, r.seed) for r in runs}) - made, old)


def _train(runs: Sequence[Run], store: Store, how: dict[str, Any]) -> tuple[list[Record], int]:
    """Do what is missing of some runs, and say how much that was."""
    from metarec.runs.checks import check_data, check_results
    from metarec.runs.runner import missing, run_all

    todo = missing(runs, store, redo=how["redo"])
    if todo:
        check_results(store.root)
        check_data(runs, store, redo=how["redo"])
    return run_all(runs, store, **how), len(todo)


def obtain(
    spec: Spec,
    *,
    profile: str = "recorded",
    track: str = "both",
    seeds: int = 5,
    device: str = "auto",
    store: Store | None = None,
) -> tuple[list[Record], Store]:
    """Records for a notebook, and the store they sit in.

    `recorded` reads the committed results; `quick` trains on planted data in seconds, into a folder that goes
    with the store; `full` trains on the real data what is not yet recorded, and records it. `store` is one
    that an earlier call of the same page opened.
    """
    if profile not in PROFILES:
        raise ProtocolError(f"profile {profile!r} is unknown; use {', '.join(PROFILES)}.")
    quick = profile == "quick"
    store = store or (_passing() if quick else Store(results_root()))
    if profile == "recorded":
        found = spec.records(Request("full", tracks_of(spec, track, seeds), seeds, store))
        if not found:
            raise RecordError(
                f"no records of {spec.name} under {store.root}; run `metarec run {spec.name}` first."
            )
        return found, store
    seeds = min(seeds, 2) if quick else seeds
    silent = True if quick else None
    done = execute(spec, profile=profile, track=track, seeds=seeds, store=store, device=device, quiet=silent)
    return done.records, store


def _passing() -> Store:
    """A store in a temporary folder that is removed once nobody holds the store."""
    store = Store(Path(tempfile.mkdtemp(prefix="metarec-quick-")))
    weakref.finalize(store, shutil.rmtree, store.root, ignore_errors=True)
    return store


def _measure(spec: Measured, request: Request) -> Done:
    """Each record is added to the store before the next is made: an interruption costs only that one."""
    records, made = [], 0
    place = spec.name.partition(".")[2]
    try:
        for record in spec.measure(request):
            if record.key not in {r.key for r in request.store.read(spec.paper, place)}:
                request.store.add(record)
                made += 1
            records.append(record)
    except OSError as error:
        raise MetarecError(
            f"{request.store.root} cannot be written ({error.strerror}); free space or use --results."
        ) from error
    old = sum(bool(versions.older(r.versions)) for r in records)
    return Done(spec.records(request), made, len(records) - made, old, "measured")
