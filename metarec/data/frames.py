"""Data frames to `Ratings`, cells to a `Field`: for the readers, and for data of your own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from metarec.data.ratings import Field, Kind, Ratings
from metarec.data.schema import refuse_names
from metarec.errors import DataError


def from_frame(
    frame: pd.DataFrame,
    *,
    name: str = "custom",
    kind: Kind = "explicit",
    user: str = "user",
    item: str = "item",
    label: str = "label",
    time: str | None = None,
    scenario: str | None = None,
    user_fields: pd.DataFrame | None = None,
    item_fields: pd.DataFrame | None = None,
    where: str = "the data frame",
) -> Ratings:
    """Bring your own data: one row a rating.

    `user_fields` and `item_fields` are frames indexed by raw id, one column a field; a cell holding a list or
    tuple makes the field multi-valued. Raises `DataError`, naming `where`, the row and the mend, for missing
    columns, labels that are not finite numbers, missing ids or times, repeated (user, item[, scenario])
    pairs, users or items without a row or a value in a given field table, and field names of no use (see
    `refuse_names`). `time` may hold integers or timestamps.
    """
    needed = [c for c in (user, item, label, time, scenario) if c is not None]
    missing = [c for c in needed if c not in frame.columns]
    twice = [c for c in needed if isinstance(frame.get(c), pd.DataFrame)]
    if twice:
        raise DataError(f"{where} has two columns called {twice[0]!r}; rename or drop one.")
    if missing:
        raise DataError(
            f"{where} has no column {missing[0]!r} (it has {', '.join(map(str, frame.columns))}): "
            "rename the column or name it in the call."
        )
    labels = _labels(frame, label, where)
    keys = [user, item] + ([scenario] if scenario else [])
    _refuse_keys(frame, keys, where)
    user_code, users = pd.factorize(frame[user], sort=True)
    item_code, items = pd.factorize(frame[item], sort=True)
    scenario_code, scenarios = pd.factorize(frame[scenario], sort=True) if scenario else (None, None)
    return Ratings(
        name=name,
        kind=kind,
        user=user_code.astype(np.int64),
        item=item_code.astype(np.int64),
        label=labels,
        users=np.asarray(users),
        items=np.asarray(items),
        time=None if time is None else _times(frame, time, keys, where),
        user_fields=_fields(user_fields, users, "user", where),
        item_fields=_fields(item_fields, items, "item", where),
        scenario=None if scenario_code is None else scenario_code.astype(np.int64),
        scenarios=None if scenarios is None else np.asarray(scenarios),
    )


def _labels(frame: pd.DataFrame, label: str, where: str) -> np.ndarray:
    labels = pd.to_numeric(frame[label], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise DataError(
            f"{where}, row {row + 1}: label {_shown(frame[label].iloc[row])} is not a finite number; "
            "mend or drop the row."
        )
    return labels.astype(np.float32)


def _refuse_keys(frame: pd.DataFrame, keys: Sequence[str], where: str) -> None:
    """Each rating needs its ids, and no two ratings share them all."""
    for column in keys:
        if frame[column].isna().any():
            row = int(np.flatnonzero(frame[column].isna())[0])
            raise DataError(f"{where}, row {row + 1}: {column!r} is empty; mend or drop the row.")
    twice = frame.duplicated(keys).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        pair = ", ".join(f"{c} {_shown(frame[c].iloc[row])}" for c in keys)
        raise DataError(f"{where}, row {row + 1}: {pair} stands there twice; keep one row of each pair.")


def _shown(cell: Any) -> str:
    """A cell as its reader wrote it: text in quotes, numbers without numpy's wrapping."""
    return repr(cell.item() if isinstance(cell, np.generic) else cell)


def _times(frame: pd.DataFrame, time: str, keys: Sequence[str], where: str) -> np.ndarray:
    column = frame[time]
    if pd.api.types.infer_dtype(column) in ("datetime", "date"):  # stamps in a column of objects
        column = pd.to_datetime(column)
    stamps = pd.api.types.is_datetime64_any_dtype(column)
    if stamps:
        whole = column.notna().to_numpy()
    else:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        whole = (np.abs(numbers) < 2.0**63) & (numbers == np.floor(numbers))
    if not whole.all():
        row = int(np.argmin(whole))
        owner = ", ".join(f"{c} {_shown(frame[c].iloc[row])}" for c in keys)
        raise DataError(
            f"{where}, row {row + 1} ({owner}): time {_shown(column.iloc[row])} is neither an integer of 64 "
            "bits nor a timestamp; mend or drop the row."
        )
    return column.astype("int64").to_numpy() if stamps else pd.to_numeric(column).to_numpy(np.int64)


def make_field(
    name: str, cells: Sequence[Any], ids: Sequence[Any] | pd.Index | np.ndarray | None = None
) -> Field:
    """A `Field` from one cell per user or item: scalars give `[n]`; lists, tuples, sets or arrays `[n, k]`.

    A scalar among lists is a list of one value. Raises `DataError` for a missing value, naming its entry by
    the raw id in `ids` where they are given.
    """
    lists = (list, tuple, set, frozenset, np.ndarray)  # what Parquet gives back for a list is an array
    counts = None
    if any(isinstance(c, lists) for c in cells):
        rows = [tuple(dict.fromkeys(_ordered(c) if isinstance(c, lists) else (c,))) for c in cells]
        counts = np.fromiter(map(len, rows), np.int64, len(rows))
        cells = list(chain.from_iterable(rows))
    codes, vocabulary = pd.factorize(pd.Series(list(cells)), sort=True)
    if (codes < 0).any():
        value = int(np.argmax(codes < 0))
        row = value if counts is None else int(np.searchsorted(np.cumsum(counts), value, side="right"))
        entry = f"entry {row + 1}" if ids is None else f"the entry of {_shown(ids[row])}"
        raise DataError(f"field {name!r}, {entry} is empty; give unknown values a name of their own.")
    if counts is not None:
        return pack_field(name, codes, counts, np.asarray(vocabulary))
    return Field(name, codes.astype(np.int64), np.asarray(vocabulary))


def _ordered(values: Any) -> Any:
    """A set has no order of its own; lists and tuples keep theirs."""
    return sorted(values) if isinstance(values, (set, frozenset)) else values


def pack_field(name: str, codes: np.ndarray, counts: np.ndarray, vocabulary: np.ndarray) -> Field:
    """A multi-valued `Field` from `[sum(counts)]` codes, entry after entry; padded to `[n, max(counts)]`."""
    values = np.full((len(counts), max(int(counts.max(initial=0)), 1)), -1, np.int64)
    values[np.arange(values.shape[1]) < counts[:, None]] = codes
    return Field(name, values, vocabulary, np.asarray(counts, np.int64))


def _fields(
    table: pd.DataFrame | None, ids: pd.Index | np.ndarray, side: str, where: str
) -> tuple[Field, ...]:
    if table is None:
        return ()
    refuse_names(where, side, [str(c) for c in table.columns])
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise DataError(f"{where}: {side} {_shown(twice)} has two rows among the {side} fields; keep one.")
    place = table.index.get_indexer(pd.Index(ids))
    if (place < 0).any():
        first = ids[int(np.argmax(place < 0))]
        raise DataError(
            f"{where}: {side} {_shown(first)} has ratings but no row among the {side} fields "
            f"({int((place < 0).sum())} such {side}s); add the row or drop its ratings."
        )
    rows = table.iloc[place]
    return tuple(make_field(str(c), rows[c].tolist(), ids) for c in table.columns)
