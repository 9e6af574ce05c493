"""The store of Records: `<root>/<paper>/<place>.jsonl` with per-user metrics beside it in `.parquet`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from metarec.errors import RecordError
from metarec.runs import versions
from metarec.runs.protocol import Run
from metarec.runs.records import Record, digest, parse, to_line

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?$")


class Store:
    """Records under one folder.

    Per-user rows are written before the line that names them, so a run is in the store entirely or not at
    all; a lock file keeps several processes apart. A record replaces an older one of the same configuration,
    seed and tag.
    """

    def __init__(self, root: Path):
        self.root = Path(root)
        self._seen: dict[Path, tuple[tuple[int, int], list[Record]]] = {}
        self._indexed: dict[Path, tuple[Any, Mapping[Any, list[Record]]]] = {}

    def path(self, paper: str, place: str) -> Path:
        """The file of a place; `RecordError` for names unfit for a file."""
        for name in (paper, place):
            if not _NAME.match(name):
                raise RecordError(
                    f"{name!r} cannot name a results file; use lower-case letters, digits, . _ -"
                )
        return self.root / paper / f"{place}.jsonl"

    def read(self, paper: str, place: str) -> list[Record]:
        """The records of a place, in file order; an absent file is an empty list."""
        path = self.path(paper, place)
        if not path.exists():
            return []
        state = path.stat().st_mtime_ns, path.stat().st_size
        if self._seen.get(path, (None,))[0] != state:
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            found = [parse(line, f"{path}, line {n}") for n, line in lines if line.strip()]
            self._seen[path] = state, found
        return list(self._seen[path][1])

    def index(self, paper: str, place: str) -> Mapping[Any, list[Record]]:
        """The records of a place by (configuration, seed), and by the cells that they filled before."""
        records, path = self.read(paper, place), self.path(paper, place)
        known = self._seen.get(path, (None,))[0]
        if known is None or self._indexed.get(path, (None,))[0] != known:
            self._indexed[path] = known, _index(records)
        return self._indexed[path][1]

    def add(self, record: Record, per_user: Mapping[str, np.ndarray] | None = None) -> None:
        """Add one record and, if given, its per-task metrics `{name: [tasks]}`."""
        self.add_all([record], [per_user])

    def add_all(
        self, records: Iterable[Record], per_user: Iterable[Mapping[str, np.ndarray] | None] | None = None
    ) -> None:
        """Add records, each with its per-task metrics or None."""
        new = list(records)
        users: list[Mapping[str, np.ndarray] | None]
        users = list(per_user) if per_user is not None else [None] * len(new)
        pairs = sorted(zip(new, users, strict=True), key=lambda pair: (pair[0].paper, pair[0].place))
        for (paper, place), group in groupby(pairs, key=lambda pair: (pair[0].paper, pair[0].place)):
            self._add(self.path(paper, place), *map(list, zip(*group, strict=True)))

    def drop(self, records: Iterable[Record]) -> None:
        """Take records out, with what belongs to them; those that are not there do not matter."""
        by_place = _by_place(list(records))
        for (paper, place), own in by_place.items():
            path, gone = self.path(paper, place), {r.key for r in own}
            if not path.exists():
                continue
            with self._lock(path):
                _replace(path, _lines(r for r in self.read(paper, place) if r.key not in gone))
                users = path.with_suffix(".parquet")
                if users.exists():  # second: rows that no line names are never read
                    rows = pd.read_parquet(users)
                    _write_rows(users, rows[~rows["key"].isin(gone)])

    def per_user(self, records: Sequence[Record]) -> pd.DataFrame:
        """Per-task metrics of the records, long: `key`, `task` (position in the test split), one a metric."""
        frames = []
        for (paper, place), own in _by_place(records).items():
            path = self.path(paper, place).with_suffix(".parquet")
            if not path.exists():
                raise RecordError(f"{path} is missing: run what {place} holds again.")
            frames.append(pd.read_parquet(path, filters=[("key", "in", [r.key for r in own])]))
        return pd.concat([f.astype({"key": str}) for f in frames], ignore_index=True)

    def _add(self, path: Path, records: list[Record], users: list[Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = {(r.config, r.seed, r.tag): r for r in records}
        with self._lock(path):
            there = self.read(records[0].paper, records[0].place)
            replaced = [r for r in there if (r.config, r.seed, r.tag) in new]
            self._write_users(path.with_suffix(".parquet"), records, users, replaced)
            kept = {(r.config, r.seed, r.tag): r for r in there} | new
            _replace(path, _lines(kept.values()))

    def _write_users(
        self, path: Path, records: list[Record], users: list[Any], replaced: list[Record]
    ) -> None:
        frames = []
        for record, metrics in zip(records, users, strict=True):
            if metrics:
                columns = {name: np.asarray(values, np.float32) for name, values in metrics.items()}
                size = len(next(iter(columns.values())))
                head = {"key": [record.key] * size, "task": np.arange(size, dtype=np.int32)}
                frames.append(pd.DataFrame({**head, **columns}))
        if path.exists():  # what a record had before goes with it, whether the new one has any or not
            old, gone = pd.read_parquet(path), {r.key for r in (*records, *replaced)}
            frames.insert(0, old[~old["key"].isin(gone)])
        if frames:
            _write_rows(path, pd.concat(frames, ignore_index=True))

    def _lock(self, path: Path) -> Any:
        return FileLock(str(path.parent / f".{path.name}.lock"))


def _by_place(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = {}
    for r in records:
        found.setdefault((r.paper, r.place), []).append(r)
    return found


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(to_line(r) + "\n" for r in records).encode()


def _write_rows(path: Path, rows: pd.DataFrame) -> None:
    with _replacing(path) as temporary:
        rows.astype({"key": "category"}).to_parquet(temporary, index=False, compression="zstd")


def _replace(path: Path, content: bytes) -> None:
    with _replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place in one step, or goes if anything fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def find(runs: Sequence[Run] | Iterator[Run], store: Store, *, before: bool = False) -> list[Record | None]:
    """The Record of each run, with the run's label, or None.

    With `before`, the Record of the settings before (`Record.stood`), of an older version therefore; or the
    run's own if its settings have not changed. Where a configuration was trained more than once, that of the
    table which asks comes first, then the shared one.
    """
    found: list[Record | None] = []
    for run in runs:
        index = store.index(run.paper, f"{run.protocol.dataset}/{run.model}")
        own = index.get((run.config, run.seed), []) if run.settled else []
        if before:
            cell = (run.protocol.track, digest([run.table, run.label, dict(run.varied)]), run.seed)
            earlier = [r for r in index.get(cell, []) if r not in own]
            own = [replace(r, versions={**r.versions, versions.SETTINGS: 0}) for r in earlier] or own
        own = sorted(own, key=lambda r: (r.tag != run.table, r.tag))
        found.append(replace(own[0], label=run.label, varied=dict(run.varied)) if own else None)
    return found


def _index(records: Sequence[Record]) -> dict[Any, list[Record]]:
    """Records by what was run, and by the cells that they filled under settings before."""
    index: dict[Any, list[Record]] = {}
    for r in records:
        index.setdefault((r.config, r.seed), []).append(r)
        for cell in r.stood:
            index.setdefault((r.track, digest(cell), r.seed), []).append(r)
    return index
