"""Ratings: the one form every source is read into. Validated here, at the door, and never again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from metarec.errors import DataError

Kind = Literal["explicit", "implicit"]


@dataclass(frozen=True, eq=False)
class Field:
    """One categorical field of the users or of the items.

    `values` is `[n]` for a single-valued field or `[n, k]` for a multi-valued one, where row `i` holds
    `counts[i]` valid entries followed by padding with -1. `vocabulary[v]` is the raw value of index `v`.
    `unknown` is the index that stands for every value that training has not seen, where there is one.
    """

    name: str
    values: np.ndarray
    vocabulary: np.ndarray
    counts: np.ndarray | None = None
    unknown: int | None = None

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
