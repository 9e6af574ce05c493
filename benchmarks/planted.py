"""Drawn data of the papers' sizes: what is timed depends on shapes, not on tastes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metarec.data.frames import from_frame
from metarec.data.ratings import Field, Kind, Ratings
from metarec.tasks import Episodes, Splits, cold_start_episodes

# Fields of MovieLens-1M: values, and how often an item has 1, 2, ... of them.
ML1M_USER = {"gender": 2, "age": 7, "occupation": 21, "zip": 3402}
ML1M_ITEM: dict[str, tuple[int, tuple[float, ...]]] = {
    "rate": (6, ()),
    "genre": (25, (0.15, 0.31, 0.53, 0.01)),
    "director": (2186, (0.95, 0.04, 0.01)),
    "actor": (8030, (0.01, 0.0, 0.0, 0.99)),
}


def lastfm(n_train: int = 248, n_items: int = 3846, n_users: int = 1872) -> tuple[Ratings, Splits]:
    """Last.FM as TaNP's tables use it: 0/1 labels, half of each; training users have 30 to 56 rows, 34 on
    average, of which 20 are the support.
    """
    rng = np.random.default_rng(0)
    n_held_out = max(n_train // 4, 1)
    length = 30 + 2 * np.minimum(rng.geometric(0.32, n_train + 2 * n_held_out) - 1, 13)
    ratings = _table(rng, "planted Last.FM", "implicit", length, n_users, n_items)
    return ratings, _splits(ratings, length, np.full(len(length), 20), n_train)


def ml1m(
    n_train: int = 256, n_items: int = 3706, fields: dict[str, int] = ML1M_USER, shrink: int = 1
) -> tuple[Ratings, Splits]:
    """MovieLens-1M as MeLU and PNMTA use it: users with 13 to 100 ratings (50 on average), 10 of them the
    query, eight fields. `shrink` divides the vocabularies, for tests.
    """
    rng = np.random.default_rng(0)
    n_held_out = max(n_train // 8, 1)
    n_users = n_train + 2 * n_held_out
    length = 13 + (88 * ((rng.permutation(n_users) + 0.5) / n_users) ** 1.35).astype(np.int64)
    user_fields = [_field(rng, name, max(size // shrink, 2), (), n_users) for name, size in fields.items()]
    item_fields = [
        _field(rng, name, max(size // shrink, 6), shares, n_items)
        for name, (size, shares) in ML1M_ITEM.items()
    ]
    ratings = _table(
        rng, "planted ML-1M", "explicit", length, n_users, n_items, tuple(user_fields), tuple(item_fields)
    )
    return ratings, _splits(ratings, length, length - 10, n_train)


def frame(n_rows: int, n_items: int = 4_000, per_user: int = 50) -> pd.DataFrame:
    """`n_rows` explicit ratings as a user would bring them: columns user, item, label, time, unsorted."""
    rng = np.random.default_rng(0)
    n_users = max(n_rows // per_user, 1)
    user, turn = np.arange(n_rows) % n_users, np.arange(n_rows) // n_users
    # Every user walks through the items at a pace of his own, so no pair stands there twice.
    item = (user * 7919 + turn * (user % 70 + 1)) % n_items
    label = rng.integers(1, 6, n_rows).astype(np.float32)
    return pd.DataFrame({"user": user, "item": item, "label": label, "time": rng.integers(0, 10**9, n_rows)})


def episodes(table: pd.DataFrame) -> tuple[Ratings, Splits]:
    """From a table of rows to frozen episodes: ids made dense, checks at the door, split by users."""
    users, items = np.unique(table["user"]), np.unique(table["item"])
    ratings = from_frame(
        table,
        name="planted rows",
        time="time",
        user_fields=pd.DataFrame({"age": users % 7, "region": users % 97}, index=users),
        item_fields=pd.DataFrame({"year": items % 60, "maker": items % 500}, index=items),
    )
    return ratings, cold_start_episodes(ratings, shortest=13, longest=100, n_query=10)


def equal_tasks(tasks: int, n_support: int, n_query: int, n_items: int = 4_000) -> tuple[Ratings, Splits]:
    """Tasks of one size, on identities and on content."""
    rng = np.random.default_rng(0)
    n_users = tasks + 2
    length = np.full(n_users, n_support + n_query)
    fields = [
        tuple(_field(rng, name, values, (), n) for name, values in sizes.items())
        for sizes, n in (({"age": 7, "region": 97}, n_users), ({"year": 60, "maker": 500}, n_items))
    ]
    ratings = _table(rng, "planted tasks", "explicit", length, n_users, n_items, *fields)
    return ratings, _splits(ratings, length, np.full(n_users, n_support), tasks)


def _table(
    rng: np.random.Generator,
    name: str,
    kind: Kind,
    length: np.ndarray,
    n_users: int,
    n_items: int,
    user_fields: tuple[Field, ...] = (),
    item_fields: tuple[Field, ...] = (),
) -> Ratings:
    item = np.concatenate([rng.choice(n_items, n, replace=False) for n in length])
    position = np.concatenate([rng.permutation(n) for n in length])
    label = position % 2 if kind == "implicit" else rng.integers(1, 6, len(item))
    return Ratings(
        name=name,
        kind=kind,
        user=np.repeat(np.arange(len(length)), length),
        item=item,
        label=label.astype(np.float32),
        users=np.arange(n_users),
        items=np.arange(n_items),
        user_fields=user_fields,
        item_fields=item_fields,
    )


def _splits(ratings: Ratings, length: np.ndarray, n_support: np.ndarray, n_train: int) -> Splits:
    offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    every = Episodes(
        ratings, np.arange(len(length)), np.arange(len(ratings)), offsets, n_support.astype(np.int64)
    )
    train, valid, test = np.split(np.arange(len(length)), [n_train, (n_train + len(length)) // 2])
    return Splits(every.select(train, "train"), every.select(valid, "valid"), every.select(test, "test"))


def _field(rng: np.random.Generator, name: str, size: int, shares: tuple[float, ...], n: int) -> Field:
    if not shares:
        return Field(name, rng.integers(0, size, n), np.arange(size))
    counts = rng.choice(np.arange(1, len(shares) + 1), n, p=np.array(shares) / sum(shares))
    values = np.full((n, len(shares)), -1, np.int64)
    for row, count in enumerate(counts):
        values[row, :count] = rng.choice(size, count, replace=False)
    return Field(name, values, np.arange(size), counts)
