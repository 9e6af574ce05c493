"""MovieLens: 1M with the movie fields MeLU added, and 100K with its own demographics and genres."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from metarec.data import catalog
from metarec.data.frames import make_field, pack_field
from metarec.data.ratings import Field, Ratings
from metarec.data.reading import Column, Table, read_text
from metarec.errors import DataError

ML1M_RATINGS = (
    Column("user", "int", low=1),
    Column("movie", "int", low=1),
    Column("rating", "int", low=1, high=5),
    Column("time", "int", low=0),
)
ML1M_USERS = (Column("user", "int", low=1), *(Column(c) for c in ("gender", "age", "occupation", "zip")))
ML1M_MOVIES = (Column("movie", "int", low=1), Column("title"), Column("genres"))
MELU_MOVIES = (
    Column("movie", "int", low=1),
    *(Column(c) for c in "title year rate released genre director writer actor plot poster".split()),
)
# MeLU lists these films once, under the second number; users rated them under both, so the fields are shared
# and the movies are kept apart: 3,706 rated movies, as published.
MELU_TWINS = {860: 811, 1795: 1741}
AGE_BINS = (1, 18, 25, 35, 45, 50, 56)


def read_ml1m(
    home: Path, *, fields: Literal["melu", "official", "none"] = "melu", year: bool = False
) -> Ratings:
    """MovieLens-1M in file order; `time` is the fourth column, seconds in the official file.

    `fields="melu"`: item rate, genre, director, actor; user gender, age, occupation, zip, with MeLU's
    vocabularies in MeLU's order, so that indices equal those of its released code (whose actor matrix has
    8,030 columns, of which its own list fills 7,978). `"official"`: item genre from `movies.dat` and the same
    user fields. `year=True` adds the year in the title as a last item field (in TaNP's text, not in its
    code).
    """
    if fields not in ("melu", "official", "none"):
        raise DataError(f"ml-1m: fields={fields!r} is unknown; use 'melu', 'official' or 'none'.")
    folder = catalog.folder("ml-1m", home, extra=fields == "melu")
    table = Table(folder / "ratings.dat", ML1M_RATINGS, sep="::")
    frame = table.read()
    table.unique(frame, ("user", "movie"))
    people = _keyed(Table(folder / "users.dat", ML1M_USERS, sep="::"), "user")
    movies = _keyed(
        Table(folder / "movies.dat", ML1M_MOVIES, sep="::", encodings=("utf-8", "latin-1")), "movie"
    )
    table.known(frame, "user", people.index, "users.dat")
    table.known(frame, "movie", movies.index, "movies.dat")
    user, users = pd.factorize(frame["user"], sort=True)
    movie, items = pd.factorize(frame["movie"], sort=True)
    people, movies = people.loc[users], movies.loc[items]
    notes = []
    if frame["time"].max() <= len(frame):
        notes.append(
            "The fourth column of ratings.dat is each rating's place in its user's order, not seconds."
        )
    user_fields: tuple[Field, ...] = ()
    item_fields: tuple[Field, ...] = ()
    if fields == "official":
        user_fields, item_fields = _ml1m_official(people, movies)
    if fields == "melu":
        user_fields, item_fields = _ml1m_melu(folder, people, items)
        notes.append("Movies 860 and 1795 share the fields of 811 and 1741, the same films in MeLU's table.")
    if year:
        found = movies["title"].str.extract(r"\((\d{4})\)\s*$")[0].fillna("unknown")
        item_fields += (make_field("year", found.tolist()),)
    return Ratings(
        name="ml-1m",
        kind="explicit",
        user=user.astype(np.int64),
        item=movie.astype(np.int64),
        label=frame["rating"].to_numpy(np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        time=frame["time"].to_numpy(np.int64),
        user_fields=user_fields,
        item_fields=item_fields,
        notes=tuple(notes),
    )


def read_ml100k(home: Path) -> Ratings:
    """MovieLens 100K in file order: item genre, year; user gender, age (the bins of 1M), occupation, zip."""
    folder = catalog.folder("ml-100k", home)
    bounds = (("user", 1, np.inf), ("movie", 1, np.inf), ("rating", 1, 5), ("time", 0, np.inf))
    table = Table(folder / "u.data", tuple(Column(n, "int", low, high) for n, low, high in bounds), sep="\t")
    frame = table.read()
    table.unique(frame, ("user", "movie"))
    people = _keyed(
        Table(
            folder / "u.user",
            (
                Column("user", "int", low=1),
                Column("age", "int", 0, 120),
                *map(Column, ("gender", "job", "zip")),
            ),
            sep="|",
        ),
        "user",
    )
    genres = [
        row[0] for _, row in Table(folder / "u.genre", (Column("genre"), Column("n", "int")), "|").rows()
    ]
    flags = tuple(Column(g, "int", 0, 1) for g in genres)
    texts = ("title", "date", "video", "url")
    every = (Column("movie", "int", low=1), Column("title"), *(Column(t, "any") for t in texts[1:]), *flags)
    movies = _keyed(Table(folder / "u.item", every, sep="|", encodings=("utf-8", "latin-1")), "movie")
    table.known(frame, "user", people.index, "u.user")
    table.known(frame, "movie", movies.index, "u.item")
    user, users = pd.factorize(frame["user"], sort=True)
    movie, items = pd.factorize(frame["movie"], sort=True)
    people, movies = people.loc[users], movies.loc[items]
    marked = movies[genres].to_numpy() == "1"
    age = np.asarray(AGE_BINS)[
        np.searchsorted(AGE_BINS, people["age"].astype(int).clip(lower=1), "right") - 1
    ]
    return Ratings(
        name="ml-100k",
        kind="explicit",
        user=user.astype(np.int64),
        item=movie.astype(np.int64),
        label=frame["rating"].to_numpy(np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        time=frame["time"].to_numpy(np.int64),
        user_fields=(
            make_field("gender", people["gender"].tolist()),
            make_field("age", age.tolist()),
            make_field("occupation", people["job"].tolist()),
            make_field("zip", people["zip"].str[:5].tolist()),
        ),
        item_fields=(
            pack_field("genre", np.nonzero(marked)[1], marked.sum(1), np.asarray(genres)),
            make_field("year", movies["date"].str[-4:].replace("", "unknown").tolist()),
        ),
    )


def _keyed(table: Table, key: str) -> pd.DataFrame:
    """The checked rows of a small table as text, indexed by its integer key."""
    names = [c.name for c in table.columns]
    lines, rows = zip(*table.rows(), strict=True)
    frame = pd.DataFrame(list(rows), columns=names, index=pd.Index([int(r[0]) for r in rows], name=key))
    twice = frame.index.duplicated()
    if twice.any():
        row = int(twice.argmax())
        raise DataError(
            f"{table.path}, line {lines[row]}: {key} {rows[row][0]} is listed twice; keep one line."
        )
    return frame


def _ml1m_official(people: pd.DataFrame, movies: pd.DataFrame) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    users = [make_field(c, people[c].tolist()) for c in ("gender", "age", "occupation")]
    users.append(make_field("zip", people["zip"].str[:5].tolist()))
    return tuple(users), (make_field("genre", movies["genres"].str.split("|").tolist()),)


def _ml1m_melu(
    folder: Path, people: pd.DataFrame, items: Sequence[int] | pd.Index
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    table = Table(folder / "movies_extrainfos.dat", MELU_MOVIES, sep="::")
    extra = _keyed(table, "movie")
    source = [i if i in extra.index else MELU_TWINS.get(i, i) for i in items]
    lost = sorted(set(source) - set(extra.index))
    if lost:
        raise DataError(
            f"{table.path}: no row for movie {lost[0]} ({len(lost)} such movies); "
            f"{catalog.afresh(table.path)}."
        )
    extra = extra.loc[source]

    def by_list(field: str, column: pd.Series, split: Callable[[str], list[str]], file: str = "") -> Field:
        where = folder / f"m_{file or field}.txt"
        origin = "users.dat" if column.name in people.columns else "movies_extrainfos.dat"
        return _listed(field, [split(cell) for cell in column], where, split is _whole, origin)

    user_fields = (
        by_list("gender", people["gender"], _whole),
        by_list("age", people["age"], _whole),
        by_list("occupation", people["occupation"], _whole),
        by_list("zip", people["zip"].str[:5], _whole, "zipcode"),
    )
    item_fields = (
        by_list("rate", extra["rate"], _whole),
        by_list("genre", extra["genre"], _names),
        by_list(
            "director", extra["director"], lambda cell: [re.sub(r"\([^()]*\)", "", n) for n in _names(cell)]
        ),
        by_list("actor", extra["actor"], _names),
    )
    return user_fields, item_fields


def _whole(cell: str) -> list[str]:
    return [cell]


def _names(cell: str) -> list[str]:
    """Comma-separated names; MeLU reads 'N/A' through pandas, which turns it into 'nan'."""
    return ["nan"] if cell == "N/A" else cell.split(", ")


def _listed(name: str, cells: list[list[str]], path: Path, single: bool, origin: str) -> Field:
    """A field whose vocabulary is a file, one value a line, in that order."""
    vocabulary = [line.strip() for line in read_text(path).split("\n")]
    cells = [list(dict.fromkeys(c)) for c in cells]
    flat = list(chain.from_iterable(cells))
    codes = pd.Index(vocabulary).get_indexer(pd.Index(flat)).astype(np.int64)
    if (codes < 0).any():
        value = flat[int(np.argmax(codes < 0))]
        raise DataError(
            f"{path}: {value!r}, which {origin} holds, is not in this list; mend one or "
            f"{catalog.afresh(path, 'both')}."
        )
    if single:
        return Field(name, codes, np.asarray(vocabulary))
    return pack_field(name, codes, np.array([len(c) for c in cells], np.int64), np.asarray(vocabulary))
