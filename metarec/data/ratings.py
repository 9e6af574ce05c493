"""Ratings: the one form every source is read into. Validated here, at the door, and never again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from metarec.errors import DataError

Kind = Literal["explicit", "implicit"]


@dataclass(frozen=True, eq=False)
class Field:
    """One categorical field of the users or of the items.

    `values` is `[n]` for a single-valued field or `[n, k]` for a multi-valued one, where row `i` holds
    `counts[i]` valid entries followed by padding with -1. `vocabulary[v]` is the raw value of index `v`.
    """

    name: str
    values: np.ndarray
    vocabulary: np.ndarray
    counts: np.ndarray | None = None

    @property
    def multi(self) -> bool:
        """Whether an entry may hold several values."""
        return self.values.ndim == 2

    @property
    def size(self) -> int:
        """Number of distinct values, i.e. rows of an embedding table."""
        return len(self.vocabulary)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a synthetic set knows about itself: `expected[user, item]` is the noise-free label."""

    expected: np.ndarray
    user_group: np.ndarray
    item_factors: np.ndarray


@dataclass(frozen=True, eq=False)
class Ratings:
    """A rating table with dense ids.

    `user`, `item` are int64 `[rows]` in `0..n_users-1` and `0..n_items-1`; `label` is float32 `[rows]`;
    `time`, where known, orders the rows of one user (units differ by source). `users[u]` and `items[i]` map
    dense ids back to raw ones. `scenario`, where known, is int64 `[rows]` into `scenarios`. `weight`, where
    known, is how often the user turned to the item (plays; implicit feedback keeps label 1 beside it).
    """

    name: str
    kind: Kind
    user: np.ndarray
    item: np.ndarray
    label: np.ndarray
    users: np.ndarray
    items: np.ndarray
    time: np.ndarray | None = None
    user_fields: tuple[Field, ...] = ()
    item_fields: tuple[Field, ...] = ()
    scenario: np.ndarray | None = None
    scenarios: np.ndarray | None = None
    truth: Truth | None = None
    notes: tuple[str, ...] = ()
    weight: np.ndarray | None = None
    # Made anew by `dataclasses.replace`, so that a changed table does not keep the digest of the old one.
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_rows(self)
        for side, n, fields in (
            ("user", len(self.users), self.user_fields),
            ("item", len(self.items), self.item_fields),
        ):
            for f in fields:
                _check_field(self.name, side, n, f)

    @property
    def n_users(self) -> int:
        """Users, with or without ratings."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Items, with or without ratings."""
        return len(self.items)

    def __len__(self) -> int:
        return len(self.user)

    @property
    def sha256(self) -> str:
        """Digest of rows, ids, order in time and scenarios: equal digests give equal episodes.

        Time enters as the order it puts a user's rows in (ties by item), so that copies whose clocks differ
        but agree on the order are one data set.
        """
        if "sha256" not in self._cache:
            digest = hashlib.sha256()
            arrays = [self.user, self.item, self.label]
            if self.time is not None:
                arrays.append(np.lexsort((self.item, self.time, self.user)))
            if self.scenario is not None:
                arrays.append(self.scenario)
            for array in arrays:
                digest.update(np.ascontiguousarray(array).tobytes())
            for ids in (self.users, self.items):
                digest.update("\n".join(map(str, ids.tolist())).encode())
            self._cache["sha256"] = digest.hexdigest()
        return self._cache["sha256"]

    def counts(self) -> dict[str, int]:
        """Users, items and rows: the figures a dataset table prints."""
        return {"users": self.n_users, "items": self.n_items, "ratings": len(self)}


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
    if missing:
        raise DataError(
            f"{where} has no column {missing[0]!r} (it has {', '.join(map(str, frame.columns))}): "
            "rename the column or name it in the call."
        )
    labels = pd.to_numeric(frame[label], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise DataError(
            f"{where}, row {row + 1}: label {_shown(frame[label].iloc[row])} is not a finite number; "
            "mend or drop the row."
        )
    keys = [user, item] + ([scenario] if scenario else [])
    for column in keys:
        if frame[column].isna().any():
            row = int(np.flatnonzero(frame[column].isna())[0])
            raise DataError(f"{where}, row {row + 1}: {column!r} is empty; mend or drop the row.")
    twice = frame.duplicated(keys).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        pair = ", ".join(f"{c} {_shown(frame[c].iloc[row])}" for c in keys)
        raise DataError(f"{where}, row {row + 1}: {pair} stands there twice; keep one row of each pair.")
    user_code, users = pd.factorize(frame[user], sort=True)
    item_code, items = pd.factorize(frame[item], sort=True)
    scenario_code, scenarios = pd.factorize(frame[scenario], sort=True) if scenario else (None, None)
    return Ratings(
        name=name,
        kind=kind,
        user=user_code.astype(np.int64),
        item=item_code.astype(np.int64),
        label=labels.astype(np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        time=None if time is None else _times(frame, time, keys, where),
        user_fields=_fields(user_fields, users, "user", where),
        item_fields=_fields(item_fields, items, "item", where),
        scenario=None if scenario_code is None else scenario_code.astype(np.int64),
        scenarios=None if scenarios is None else np.asarray(scenarios),
    )


def _shown(cell: Any) -> str:
    """A cell as its reader wrote it: text in quotes, numbers without numpy's wrapping."""
    return repr(cell.item() if isinstance(cell, np.generic) else cell)


def _times(frame: pd.DataFrame, time: str, keys: Sequence[str], where: str) -> np.ndarray:
    column = frame[time]
    stamps = pd.api.types.is_datetime64_any_dtype(column)
    if stamps:
        whole = column.notna().to_numpy()
    else:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        whole = np.isfinite(numbers) & (numbers == np.floor(numbers))
    if not whole.all():
        row = int(np.argmin(whole))
        owner = ", ".join(f"{c} {_shown(frame[c].iloc[row])}" for c in keys)
        raise DataError(
            f"{where}, row {row + 1} ({owner}): time {_shown(column.iloc[row])} is neither an integer nor a "
            "timestamp; mend or drop the row."
        )
    return column.astype("int64").to_numpy() if stamps else pd.to_numeric(column).to_numpy(np.int64)


def make_field(
    name: str, cells: Sequence[Any], ids: Sequence[Any] | pd.Index | np.ndarray | None = None
) -> Field:
    """A `Field` from one cell per user or item: scalars give `[n]`, lists, tuples or sets give `[n, k]`.

    A scalar among lists is a list of one value. Raises `DataError` for a missing value, naming its entry by
    the raw id in `ids` where they are given.
    """
    lists = (list, tuple, set, frozenset)
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


def refuse_names(where: str, side: str, names: Sequence[str]) -> None:
    """`DataError` for names of fields that no model can give its tables: torch's own, and two alike."""
    from torch import nn  # here, so that reading a data set does not need it

    own, seen = nn.ParameterDict(), dict[str, str]()
    for name in names:
        key = name.replace(".", "_")  # as in `FieldEmbedding`
        if not name or hasattr(own, key):
            raise DataError(f"{where}: no table of a model can be named {name!r}; rename that {side} field.")
        if key in seen:
            raise DataError(
                f"{where}: {side} fields {seen[key]!r} and {name!r} would share a table, for '.' is written "
                "'_' there; rename one of them."
            )
        seen[key] = name


def _check_rows(r: Ratings) -> None:
    names = ("user", "item", "label", "time", "scenario", "weight")
    columns = {name: getattr(r, name) for name in names}
    lengths: Mapping[str, int] = {name: len(c) for name, c in columns.items() if c is not None}
    if len(set(lengths.values())) != 1:
        raise DataError(f"{r.name}: columns differ in length ({lengths}); every rating needs all of them.")
    if len(r.user) == 0:
        raise DataError(f"{r.name}: no ratings at all; check the file or the filter.")
    for side, ids, n in (("user", r.user, len(r.users)), ("item", r.item, len(r.items))):
        if ids.dtype != np.int64:
            raise DataError(f"{r.name}: {side} ids are {ids.dtype}, not int64; convert them first.")
        if ids.min() < 0 or ids.max() >= n:
            raise DataError(f"{r.name}: a {side} id lies outside 0..{n - 1}; rebuild the vocabulary.")
    if r.label.dtype != np.float32 or not np.isfinite(r.label).all():
        raise DataError(f"{r.name}: labels must be finite float32; convert or drop the bad rows.")
    if r.kind not in get_args(Kind):
        raise DataError(f"{r.name}: kind {r.kind!r} is unknown; give 'explicit' or 'implicit'.")
    if r.kind == "implicit" and not np.isin(r.label, (0.0, 1.0)).all():
        raise DataError(f"{r.name}: implicit labels must be 0 or 1; pass kind='explicit' for graded ones.")


def _check_field(name: str, side: str, n: int, f: Field) -> None:
    if f.values.dtype != np.int64:
        raise DataError(f"{name}: {side} field {f.name!r} holds {f.values.dtype}, not int64 indices.")
    if len(f.values) != n:
        raise DataError(f"{name}: {side} field {f.name!r} has {len(f.values)} rows for {n} {side}s.")
    if f.size == 0:
        raise DataError(f"{name}: {side} field {f.name!r} holds no value at all; drop the field.")
    low = -1 if f.multi else 0
    if f.values.size and (f.values.min() < low or f.values.max() >= f.size):
        raise DataError(f"{name}: {side} field {f.name!r} has a value outside its vocabulary.")
    if f.multi and (f.counts is None or not _packed(f.values, f.counts)):
        raise DataError(f"{name}: {side} field {f.name!r} has counts that do not match its values.")


def _packed(values: np.ndarray, counts: np.ndarray) -> bool:
    """Whether each row holds its valid entries first and padding behind."""
    return np.array_equal(values >= 0, np.arange(values.shape[1]) < counts[:, None])
