"""The store of finished runs: a JSON line a run, per-user metrics beside it in Parquet, both atomic."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from metarec.errors import RecordError

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*$")


@dataclass(frozen=True)
class Record:
    """One finished run.

    `metrics` are means over the tasks of the test split; `sampled`, `curve` and the like live in `extra`.
    `terms` are the last epoch's training-loss terms, `epochs` the epochs run and `best_epoch` the one kept
    by `selection`.
    `config_hash` digests everything that was asked for, `code_hash` the source files the method imports.
    """

    paper: str
    experiment: str
    track: str
    dataset: str
    method: str
    options: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    terms: dict[str, float] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    split_id: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    selection: str = ""
    epochs: int = 0
    best_epoch: int = 0
    config_hash: str = ""
    data_sha256: str = ""
    code_hash: str = ""
    git_commit: str = ""
    device: str = ""
    wall_seconds: float = 0.0
    replicas: int = 1
    peak_memory_mb: float = 0.0
    profile: str = "full"
    finished: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of what identifies a run: the same key means the same run, to be resumed or replaced."""
        return run_key(self.paper, self.experiment, self.track, self.config_hash, self.seed)


def run_key(paper: str, experiment: str, track: str, config_hash: str, seed: int) -> str:
    """The key shared by a run and the record it leaves."""
    return digest([paper, experiment, track, config_hash, seed])


def digest(value: Any) -> str:
    """Sixteen hex digits of a canonical JSON form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()[:16]


class Store:
    """`<root>/<paper>/<experiment>.jsonl` and `.parquet`.

    Per-user rows are written before the line that names them, so a run is in the store entirely or not at
    all; a lock file keeps several processes apart. A record with a key already there replaces the older one.
    """

    def __init__(self, root: Path):
        self.root = Path(root)

    def path(self, paper: str, experiment: str) -> Path:
        """The file of an experiment's records; `RecordError` for names unfit for a file."""
        for name in (paper, experiment):
            if not _NAME.match(name):
                raise RecordError(
                    f"{name!r} cannot name a results file; use lower-case letters, digits, . _ -"
                )
        return self.root / paper / f"{experiment}.jsonl"

    def add(self, record: Record, per_user: Mapping[str, np.ndarray] | None = None) -> None:
        """Add one record and, if given, its per-task metrics `{name: [tasks]}`."""
        self.add_all([record], [per_user])

    def add_all(
        self, records: Iterable[Record], per_user: Iterable[Mapping[str, np.ndarray] | None] | None = None
    ) -> None:
        """Add records of one experiment at once."""
        records = list(records)
        users: list[Mapping[str, np.ndarray] | None]
        users = list(per_user) if per_user is not None else [None] * len(records)
        if not records:
            return
        places = {(r.paper, r.experiment) for r in records}
        if len(places) > 1:
            raise RecordError(f"records of {len(places)} experiments were given at once; add those of each.")
        path = self.path(*places.pop())
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(path.parent / f".{path.name}.lock")):
            self._write_users(path.with_suffix(".parquet"), records, users)
            kept = {r.key: r for r in self._read(path)} | {r.key: r for r in records}
            _replace(path, _lines(kept.values()))

    def drop(self, paper: str, experiment: str, keys: Iterable[str]) -> None:
        """Take records out, with what belongs to them; keys that are not there do not matter."""
        path, gone = self.path(paper, experiment), set(keys)
        if not gone or not path.exists():
            return
        with FileLock(str(path.parent / f".{path.name}.lock")):
            kept = [r for r in self._read(path) if r.key not in gone]
            _replace(path, _lines(kept))  # first: rows that no line names are never read
            users = path.with_suffix(".parquet")
            if users.exists():
                rows = pd.read_parquet(users)
                _write_rows(users, rows[~rows["key"].isin(gone)])

    def read(self, paper: str, experiment: str) -> list[Record]:
        """Every record of an experiment, in file order; an absent file is an empty list."""
        return self._read(self.path(paper, experiment))

    def per_user(self, paper: str, experiment: str, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """Per-task metrics, long: columns `key`, `task` (position in the test split) and one a metric."""
        path = self.path(paper, experiment).with_suffix(".parquet")
        if not path.exists():
            raise RecordError(f"{path} is missing: run `metarec run {paper}.{experiment}` first.")
        frame = pd.read_parquet(path)
        return frame if keys is None else frame[frame["key"].isin(list(keys))]

    def _read(self, path: Path) -> list[Record]:
        if not path.exists():
            return []
        return [
            parse(line, f"{path}, line {number}")
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if line.strip()
        ]

    def _write_users(
        self, path: Path, records: list[Record], users: list[Mapping[str, np.ndarray] | None]
    ) -> None:
        frames = []
        for record, metrics in zip(records, users, strict=True):
            if metrics:
                columns = {name: np.asarray(values, np.float32) for name, values in metrics.items()}
                size = len(next(iter(columns.values())))
                head = {"key": [record.key] * size, "task": np.arange(size, dtype=np.int32)}
                frames.append(pd.DataFrame({**head, **columns}))
        if path.exists():  # what a record had before goes with it, whether the new one has any or not
            old = pd.read_parquet(path)
            frames.insert(0, old[~old["key"].isin([r.key for r in records])])
        if not frames:
            return
        _write_rows(path, pd.concat(frames, ignore_index=True))


def parse(line: str, where: str) -> Record:
    """A `Record` from its JSON line; `RecordError` naming file and line if it does not follow the schema."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise RecordError(f"{where} is not JSON ({error.msg}); delete the line and run it again.") from None
    known = {f.name for f in fields(Record)}
    strange = sorted(set(data) - known) if isinstance(data, dict) else ["(not an object)"]
    if strange:
        raise RecordError(f"{where} has the unknown key {strange[0]!r}; delete the line and run it again.")
    try:
        return Record(**data)
    except TypeError as error:
        raise RecordError(f"{where} lacks a key ({error}); delete the line and run it again.") from None


def _lines(records: Iterable[Record]) -> bytes:
    return "".join(json.dumps(asdict(r), sort_keys=True, default=_plain) + "\n" for r in records).encode()


def _write_rows(path: Path, rows: pd.DataFrame) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    rows.astype({"key": "category"}).to_parquet(temporary, index=False, compression="zstd")
    os.replace(temporary, path)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (set, frozenset)):
        return sorted(value)  # a set of words has another order in every process
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a record")


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics rounded to 10 digits, so that files do not carry noise; an undefined one stays nan."""
    return {
        name: float(f"{value:.10g}") if math.isfinite(value) else float("nan")
        for name, value in metrics.items()
    }
