"""Tables with scenarios: stand-ins made of sets that are at hand, and the official sets that CMML names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from metarec.data import catalog
from metarec.data.frames import pack_field
from metarec.data.movielens import read_ml1m
from metarec.data.ratings import Field, Ratings
from metarec.data.reading import Column, Table, read_json, read_text
from metarec.errors import DataError

ML10M_TAGS = (
    Column("user", "int", low=1),
    Column("movieId", "int", low=1),
    Column("tag", "any"),
    Column("time", "int", low=0),
)
ML20M_RATINGS = (
    Column("userId", "int", low=1),
    Column("movieId", "int", low=1),
    Column("rating", "number", low=0.5, high=5),
)
ML20M_TAGS = (Column("movieId", "int", low=1), Column("tag", "any"))
THEME_CLICKS = (Column("user_id", "int"), Column("item_id", "int"), Column("theme_id", "int"))
SHOPS = ("Sports_and_Outdoors", "Beauty", "Toys_and_Games")


def read_films(home: Path, *, fewest: int = 25, most: int = 1000) -> Ratings:
    """The stand-in for MovieLens-20M: MovieLens-1M, its scenarios tags of MovieLens-10M and genres.

    Every rated film is a positive. A scenario is a tag (in lower case, by whatever user), a genre or a pair
    of genres on `fewest..most` rated films. The two sets share their film numbers. CMML speaks of 306
    "genres" of more than 100 and fewer than 1000 films, and means tags; with so few films 84 are that large.
    """
    ratings = read_ml1m(home, fields="official")
    (genre,) = ratings.item_fields
    names = [genre.vocabulary[v[v >= 0]].tolist() for v in genre.values]
    kinds = [(i, f"genre {name}") for i, own in enumerate(names) for name in own]
    kinds += [
        (i, f"genres {a} and {b}") for i, own in enumerate(names) for a, b in combinations(sorted(own), 2)
    ]
    tags = _tags("films", home)
    where = pd.Index(ratings.items).get_indexer(pd.Index(tags["movieId"]))
    kinds += _tagged(where, tags["tag"])
    return _of_items("films", ratings.user, ratings.item, ratings.users, ratings.items, kinds, fewest, most)


def read_ml20m(home: Path, *, fewest: int = 101, most: int = 999) -> Ratings:
    """MovieLens-20M, every rated film a positive; a tag in lower case on `fewest..most` films is a scenario.

    The text says "306 different genres"; the set has 19, so tags are meant. Which, no file says.
    """
    folder = catalog.folder("ml-20m", home)
    frame = Table(folder / "ratings.csv", ML20M_RATINGS, sep=",", header=True).read()
    tags = _tags("ml-20m", home)
    user, users = pd.factorize(frame["userId"], sort=True)
    item, items = pd.factorize(frame["movieId"], sort=True)
    kinds = _tagged(pd.Index(items).get_indexer(pd.Index(tags["movieId"])), tags["tag"])
    return _of_items("ml-20m", user, item, np.asarray(users), np.asarray(items), kinds, fewest, most)


def read_shopping(home: Path, *, fewest: int = 101, most: int = 999) -> Ratings:
    """The stand-in for Taobao: three 5-core sets of Amazon (sports, beauty, toys), by their attributes.

    A scenario is a category or a brand on `fewest..most` items of one set, the bounds of CMML's text. The
    sets have ids of their own, so they share neither users nor items.
    """
    folder = catalog.folder("shopping", home)
    users: list[str] = []
    items: dict[str, int] = {}
    rows: list[tuple[int, int]] = []
    kinds: list[tuple[int, str]] = []
    for shop in SHOPS:
        path = folder / f"{shop}.txt"
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            cells = line.split()
            if len(cells) < 2 or not all(c.isdecimal() for c in cells):
                raise DataError(
                    f"{path}, line {number}: not a user and items, all numbers; {catalog.afresh(path)}."
                )
            own = [items.setdefault(f"{shop} {c}", len(items)) for c in dict.fromkeys(cells[1:])]
            rows += [(len(users), i) for i in own]
            users.append(f"{shop} {cells[0]}")
        listed = folder / f"{shop}_item2attributes.json"
        kinds += [
            (items[f"{shop} {i}"], f"{shop} attribute {v}")
            for i, values in read_json(listed).items()
            if f"{shop} {i}" in items
            for v in values
        ]
    user, item = np.array(rows, np.int64).T
    return _of_items("shopping", user, item, np.array(users), np.array(list(items)), kinds, fewest, most)


def read_hybrid(home: Path) -> Ratings:
    """The stand-in for the hybrid set: `films` and `shopping` side by side, with a field `domain`."""
    catalog.folder("hybrid", home)
    return joined("hybrid", read_films(home), read_shopping(home))


def read_themes(home: Path, *, fewest: int = 101, most: int = 999) -> Ratings:
    """Taobao's cloud themes: a click on an item in a theme is a positive of that scenario, counted once.

    A scenario is a theme with `fewest..most` clicked items. A click elsewhere belongs to no scenario.
    """
    table = Table(
        catalog.folder("taobao-themes", home) / "theme_click_log.csv", THEME_CLICKS, ",", header=True
    )
    frame = table.read().drop_duplicates(ignore_index=True)
    user, users = pd.factorize(frame["user_id"], sort=True)
    item, items = pd.factorize(frame["item_id"], sort=True)
    theme, names = pd.factorize(frame["theme_id"], sort=True)
    size = frame.groupby(theme)["item_id"].nunique().reindex(range(len(names))).to_numpy()
    kept = (size >= fewest) & (size <= most)
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    return Ratings(
        name="taobao-themes",
        kind="implicit",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        label=np.ones(len(frame), np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        scenario=number[theme].astype(np.int64),
        scenarios=np.asarray(names)[kept],
        notes=("Positives only; negatives are drawn when tasks are made.",),
    )


def joined(name: str, *parts: Ratings) -> Ratings:
    """Tables of item scenarios side by side, ids one after another, and a field `domain` on either side."""
    users, items = ([p.n_users for p in parts], [p.n_items for p in parts])
    first_user, first_item = (np.concatenate([[0], np.cumsum(n)[:-1]]) for n in (users, items))
    names = np.array([p.name for p in parts])
    scenarios = _beside("scenario", [p.item_fields for p in parts], items, None)
    sources = _beside("source", [p.user_fields for p in parts], users, first_item)
    return Ratings(
        name=name,
        kind="implicit",
        user=np.concatenate([p.user + n for p, n in zip(parts, first_user, strict=True)]),
        item=np.concatenate([p.item + n for p, n in zip(parts, first_item, strict=True)]),
        label=np.concatenate([p.label for p in parts]),
        users=np.concatenate([[f"{p.name} {u}" for u in p.users] for p in parts]),
        items=np.concatenate([[f"{p.name} {i}" for i in p.items] for p in parts]),
        user_fields=(Field("domain", np.repeat(np.arange(len(parts)), users), names), *sources),
        item_fields=(*scenarios, Field("domain", np.repeat(np.arange(len(parts)), items), names)),
        notes=tuple(note for p in parts for note in p.notes),
    )


def _beside(
    name: str, fields: Sequence[tuple[Field, ...]], sizes: Sequence[int], first: np.ndarray | None
) -> tuple[Field, ...]:
    """One multi-valued field for all parts, none where none has it; `first` is added to ids it holds."""
    found = [next((f for f in own if f.name == name), None) for own in fields]
    codes, counts, words, known = [], [], [], 0
    for n, (field, size) in enumerate(zip(found, sizes, strict=True)):
        if field is None or field.counts is None:
            counts.append(np.zeros(size, np.int64))
            continue
        codes.append(field.values[field.values >= 0] + known)
        counts.append(field.counts)
        words.append(field.vocabulary.astype(str) if first is None else field.vocabulary + first[n])
        known += field.size
    if not codes:
        return ()
    return (pack_field(name, np.concatenate(codes), np.concatenate(counts), np.concatenate(words)),)


def tag_rows(name: str, home: Path) -> int:
    """Lines of the file of tags behind a table."""
    return len(_tags(name, home))


def _tags(name: str, home: Path) -> pd.DataFrame:
    folder = catalog.folder(name, home)
    if name == "ml-20m":
        return Table(folder / "tags.csv", ML20M_TAGS, sep=",", header=True, quoted=True).read()
    return Table(folder / "tags.dat", ML10M_TAGS, sep="::").read()


def _tagged(where: np.ndarray, tags: pd.Series) -> list[tuple[int, str]]:
    """Items with their tags, in lower case; a tag of blanks and a film that nobody rated are left out."""
    words = tags.str.strip().str.lower()
    return [(int(i), f"tag {t}") for i, t in zip(where, words, strict=True) if i >= 0 and t]


def _of_items(
    name: str,
    user: Sequence[int] | np.ndarray,
    item: Sequence[int] | np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    kinds: Iterable[tuple[int, str]],
    fewest: int,
    most: int,
) -> Ratings:
    """Positives alone, the item field `scenario` holding the kinds on `fewest..most` items.

    The user field `source` holds the items of a user that lie in no scenario: CoNet's source domain.
    """
    user, item = np.asarray(user, np.int64), np.asarray(item, np.int64)
    frame = pd.DataFrame(list(kinds), columns=["item", "kind"]).drop_duplicates()
    size = frame["kind"].map(frame["kind"].value_counts())
    frame = frame[(size >= fewest) & (size <= most)].sort_values(["item", "kind"])
    if frame.empty:
        raise DataError(f"{name}: no scenario has {fewest}..{most} items; lower fewest or raise most.")
    codes, vocabulary = pd.factorize(frame["kind"], sort=True)
    counts = np.bincount(frame["item"], minlength=len(items))
    return Ratings(
        name=name,
        kind="implicit",
        user=user,
        item=item,
        label=np.ones(len(user), np.float32),
        users=users,
        items=items,
        user_fields=_source(user, item, counts, len(users)),
        item_fields=(pack_field("scenario", codes.astype(np.int64), counts, np.asarray(vocabulary)),),
        notes=("Positives only; negatives are drawn when tasks are made.",),
    )


def _source(user: np.ndarray, item: np.ndarray, scenarios: np.ndarray, n_users: int) -> tuple[Field, ...]:
    """Each user's items of no scenario, the vocabulary holding item ids; no field where there are none."""
    rows = np.flatnonzero(scenarios[item] == 0)
    if not len(rows):
        return ()
    rows = rows[np.lexsort((item[rows], user[rows]))]
    codes, vocabulary = pd.factorize(item[rows], sort=True)
    counts = np.bincount(user[rows], minlength=n_users)
    return (pack_field("source", codes.astype(np.int64), counts, np.asarray(vocabulary)),)
