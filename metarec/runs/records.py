"""Records of finished runs: one JSON line each, per-user metrics beside it in Parquet, both atomic.

A Record is keyed by what was run, never by the table that asked. Files are strict JSON: a number that is not
finite is `null` there and nan in Python.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from metarec.errors import RecordError

# Filled in when records are read for a table, never stored.
_IN_MEMORY = ("label", "varied")
# Where a missing number may stand; elsewhere null means null.
_NUMERIC = ("metrics", "terms", "extra")


@dataclass(frozen=True)
class Record:
    """One finished run, or one measurement of a figure.

    What was run: `paper`, `track`, `dataset`, `protocol` (all of it, as plain values), `method` (its name in
    `metarec.methods`) with all its `options`, `seed`, `versions`. `measure` names the figure's procedure
    where the runner did not train and score; `method` is then what was measured. `config` digests all that
    was asked for but seed and versions. `tag` names the table that trained a duplicate of a configuration.
    `stood` names the cells `[table, label, varied]` that it filled under settings that have changed since:
    there it stands, marked older, until the new ones are run.

    What came out: `metrics` are means over the test tasks, `terms` the loss terms of the last epoch, `epochs`
    the epochs run and `best_epoch` the one kept by `selection`; curves and diagnostics live in `extra`.

    `label` (what a table calls the row) and `varied` (what a figure varies, with its value) are filled in by
    the table that reads the Record; they are not stored.
    """

    paper: str
    track: str
    dataset: str
    method: str
    options: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    config: str = ""
    versions: dict[str, int] = field(default_factory=dict)
    measure: str = ""
    tag: str = ""
    stood: list[list[Any]] = field(default_factory=list)
    protocol: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, float] = field(default_factory=dict)
    split_id: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    selection: str = ""
    epochs: int = 0
    best_epoch: int = 0
    data_sha256: str = ""
    git_commit: str = ""
    device: str = ""
    processor: str = ""
    instruction_set: str = ""
    threads: int = 0
    replicas: int = 1
    wall_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    profile: str = "full"
    finished: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    label: str = ""
    varied: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Digest of what was run, versions and seed included; per-user rows are found by it."""
        made = {name: number for name, number in self.versions.items() if name != "settings"}
        return digest([self.config, self.seed, made, self.tag])

    @property
    def place(self) -> str:
        """The file of its paper that holds it: `dataset/method`, or the measurement's name."""
        return self.measure or f"{self.dataset}/{self.method}"


def digest(value: Any) -> str:
    """Sixteen hex digits of a canonical JSON form."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=plain).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """A value as JSON knows it; `TypeError` for what cannot be stored."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (set, frozenset)):
        return sorted(value)  # a set of words has another order in every process
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a record")


def to_line(record: Record) -> str:
    """The JSON line of a record, strict: nan and infinities become `null`."""
    stored = {name: value for name, value in asdict(record).items() if name not in _IN_MEMORY}
    return json.dumps(_finite(stored), sort_keys=True, default=plain, allow_nan=False)


def parse(line: str, where: str) -> Record:
    """A `Record` from its JSON line; `RecordError` naming file and line if it does not follow the schema."""
    mend = "delete the line and run it again."
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise RecordError(f"{where} is not JSON ({error.msg}); {mend}") from None
    known = {f.name for f in fields(Record)}
    strange = sorted(set(data) - known) if isinstance(data, dict) else ["(not an object)"]
    if strange:
        raise RecordError(f"{where} has the unknown key {strange[0]!r}; {mend}")
    try:
        return Record(**{name: _nan(v) if name in _NUMERIC else v for name, v in data.items()})
    except TypeError as error:
        raise RecordError(f"{where} lacks a key ({error}); {mend}") from None


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics rounded to 10 digits, so that files do not carry noise; an undefined one stays nan."""
    return {
        name: float(f"{value:.10g}") if math.isfinite(value) else float("nan")
        for name, value in metrics.items()
    }


def _finite(value: Any) -> Any:
    """The same with `None` for every number that is not finite."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value


def _nan(value: Any) -> Any:
    """The same with nan for every `None`."""
    if isinstance(value, dict):
        return {k: _nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_nan(v) for v in value]
    return float("nan") if value is None else value
