"""Douban Book, from the split files MetaHIN distributes: their union is the whole rating table."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from metarec.data import catalog
from metarec.data.frames import make_field
from metarec.data.ratings import Field, Ratings
from metarec.data.reading import Column, Table, read_json
from metarec.errors import DataError

PARTS = ("meta_training", "warm_up", "user_cold_testing", "item_cold_testing", "user_and_item_cold_testing")


def read_douban(home: Path) -> Ratings:
    """Ratings 1..5, split file after split file; item author, publisher, year; user location. No times exist.

    Field values are MetaHIN's own numbers, kept as text, or "unknown" where a book or user is not listed.
    """
    place = catalog.folder("douban-book", home)
    parts = [_part(place, part) for part in PARTS]
    frame = pd.DataFrame({c: np.concatenate([p[c] for p in parts]) for c in ("user", "item", "label")})
    twice = frame.duplicated(["user", "item"]).to_numpy()
    if twice.any():
        user, item = frame.loc[int(twice.argmax()), ["user", "item"]]
        raise DataError(
            f"{place}: user {user} rates book {item} twice in the split files; "
            f"{catalog.afresh(place, 'them')}."
        )
    user, users = pd.factorize(frame["user"], sort=True)
    item, items = pd.factorize(frame["item"], sort=True)
    return Ratings(
        name="douban-book",
        kind="explicit",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        label=frame["label"].to_numpy(np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        user_fields=(_field(place, "user_location", "location", users),),
        item_fields=tuple(_field(place, f"book_{n}", n, items) for n in ("author", "publisher", "year")),
        notes=("The union of MetaHIN's five split files; its own cold-start states are not used.",),
    )


def _part(place: Path, part: str) -> dict[str, np.ndarray]:
    """Rows of one split: `part.json` holds user -> books, `part_y.json` user -> ratings, aligned."""
    path = place / f"{part}_y.json"
    books, ratings = read_json(place / f"{part}.json"), read_json(path)
    try:
        counts = {u: len(b) for u, b in books.items()}
        if counts != {u: len(r) for u, r in ratings.items()}:
            odd = next(u for u in [*books, *ratings] if counts.get(u) != len(ratings.get(u, ())))
            raise DataError(
                f"{path}: user {odd} has {len(ratings.get(odd, ()))} ratings for {counts.get(odd, 0)} books; "
                f"{catalog.afresh(path, 'both files')}."
            )
        user = np.repeat(np.array([int(u) for u in books], np.int64), list(counts.values()))
        item = np.fromiter(chain.from_iterable(books.values()), np.int64, len(user))
        label = np.fromiter(chain.from_iterable(ratings[u] for u in books), np.float32, len(user))
    except (AttributeError, TypeError, KeyError) as error:
        raise DataError(f"{path}: not lists of numbers by user ({error}); {catalog.afresh(path)}.") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not lists of numbers by user ({error}); {catalog.afresh(path)}.") from error
    bad = ~((label >= 1) & (label <= 5))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{path}: user {user[row]} has a rating {label[row]:g} outside 1..5; {catalog.afresh(path)}."
        )
    return {"user": user, "item": item, "label": label}


def _field(place: Path, file: str, name: str, ids: pd.Index) -> Field:
    table = Table(place / "original" / f"{file}.dat", (Column("id", "int"), Column(name, "int")), sep="\t")
    frame = table.read()
    table.unique(frame, ("id",))
    listed = pd.Series(frame[name].to_numpy().astype(str), index=frame["id"])
    return make_field(name, listed.reindex(ids).fillna("unknown").tolist())
