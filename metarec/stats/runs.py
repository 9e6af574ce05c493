"""How a Record is read: its label, its setting, its per-user rows, and whether the run blew up.

Every other module of `stats`, `claims` and `papers` asks these functions, so that a change of the store
touches this file only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from metarec.runs.measured import Request
from metarec.runs.plan import Spec
from metarec.runs.records import Record
from metarec.runs.store import Store

TIMES = 10.0
CONSTANT = "Global mean"
ERRORS = ("MAE", "RMSE", "MSE")
# The terms of a training loss that measure predictions.
LOSSES = ("support", "query", "reconstruction")
Limits = Mapping[tuple[str, str], float]


def label(record: Record) -> str:
    """The row of a table that a run belongs to."""
    return record.label


def setting(record: Record) -> str:
    """A digest of everything that was asked for, the seed apart."""
    return record.config


def per_user(store: Store, records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Per-user metrics of records, by the key of the record."""
    return {str(key): rows for key, rows in store.per_user(records).groupby("key", sort=False)}


def read(store: Store, spec: Spec, seeds: int = 5) -> list[Record]:
    """The full records of a table or figure, with runs that diverged emptied; see `emptied`."""
    return emptied(spec.records(Request("full", spec.tracks, seeds, store)))


def select(records: Iterable[Record], where: Mapping[str, Any]) -> list[Record]:
    """Records whose fields have the given values.

    A tuple lists several values. `"options.d"` reaches into a field, `"protocol.rule_options.n_support"`
    further.
    """

    def value(record: Record, name: str) -> Any:
        head, *keys = name.split(".")
        found = getattr(record, head)
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    return [
        r
        for r in records
        if all(value(r, k) in (v if isinstance(v, tuple) else (v,)) for k, v in where.items())
    ]


def error(metric: str, value: float) -> float:
    """A metric's value in the unit of the ratings: the root of a squared error, else the value itself."""
    return float(np.sqrt(value)) if metric == "MSE" else value


def limits(records: Iterable[Record]) -> Limits:
    r"""The error from which a run counts as diverged, by data set and track.

    It is ten times the root mean squared error of the constant predictor (the mean of all training ratings)
    on the same users. Where that row was not run, the median run stands in for it. In the unit of the
    ratings.
    """
    found: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for r in records:
        value = error("MSE", r.metrics.get("MSE", np.nan))
        value = r.metrics.get("MAE", np.nan) if np.isnan(value) else value
        if np.isfinite(value):
            found.setdefault((r.dataset, r.track), []).append((label(r) == CONSTANT, value))
    at = {}
    for where, runs in found.items():
        constant = [value for is_constant, value in runs if is_constant]
        usual = float(np.median(constant or [value for _, value in runs]))
        if usual > 0:  # else nothing but runs without an error are there
            at[where] = TIMES * usual
    return at


def emptied(records: Sequence[Record]) -> list[Record]:
    """The records; one of a run that diverged keeps no number: each of its metrics is nan.

    A run has diverged if one of its errors is not finite or lies beyond `limits`. On the sound track a run
    that was `unstable` counts as one that diverged, whatever its kept epoch scores: that epoch was luck.
    Every mean leaves it out and every note counts it as lost.
    """
    at = limits(records)
    blown = {r.key for r in unstable(records)}
    kept = []
    for r in records:
        bound = at.get((r.dataset, r.track), np.inf)
        wild = [m for m in ERRORS if m in r.metrics and error(m, r.metrics[m]) > bound]
        if wild or (r.track == "sound" and r.key in blown):
            r = replace(r, metrics=dict.fromkeys(r.metrics, float("nan")))
        kept.append(r)
    return kept


def unstable(records: Sequence[Record]) -> list[Record]:
    """The runs whose training blew up: at some epoch after the first the loss was not finite, or more than
    ten times that of the best constant prediction.

    Records count such epochs (`blown`). Older ones do not: there the loss of their curve is held against the
    mean squared error of the constant predictor on the same users.
    """
    at = {where: bound**2 / TIMES for where, bound in limits(records).items()}
    return [r for r in records if _blown(r, at.get((r.dataset, r.track), np.inf))]


def _blown(record: Record, limit: float) -> int:
    if "blown" in record.extra:
        return int(record.extra["blown"])
    curve = record.extra.get("curve", {})
    losses = [curve[name][1:] for name in LOSSES if name in curve]
    total = np.sum(np.asarray(losses, float), 0) if losses else np.zeros(0)
    return int((~(total <= limit)).sum())


def tame(metric: str, values: np.ndarray, bound: float) -> np.ndarray:
    """A curve of errors with nan where it lies beyond `bound` (one of `limits`)."""
    values = np.asarray(values, float)
    size = np.sqrt(values) if metric == "MSE" else values
    return np.where(size > bound, np.nan, values)
