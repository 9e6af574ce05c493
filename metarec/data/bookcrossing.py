"""Book-Crossing, from the official BX-*.csv dump with its known dirt."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from metarec.data import catalog
from metarec.data.frames import make_field
from metarec.data.ratings import Field, Ratings
from metarec.data.reading import Column, Table

ENCODINGS = ("utf-8", "latin-1")  # the dump is latin-1; copies in circulation are often UTF-8
UNKNOWN = "unknown"
AGES = (5, 100)  # outside, the dump holds guesses and jokes (0 to 244)
AGE_BINS = (0, 18, 25, 35, 45, 50, 56)  # those of MovieLens
YEARS = (1800, 2005)  # crawled in 2004


def read_bookcrossing(home: Path, *, zeros: bool = False) -> Ratings:
    """Book-Crossing in file order, explicit ratings 1..10; `zeros=True` keeps the implicit rows as label 0.

    User fields: location (the country, what follows the last comma), age (bins of MovieLens). Item fields:
    author, year, publisher. What is missing or impossible is a value of its own, "unknown": an empty or "n/a"
    country, an age outside 5..100, a year outside 1800..2005, a user or book without a row. No times exist.
    """
    place = catalog.folder("book-crossing", home)
    rated = (Column("User-ID", "int", low=0), Column("ISBN"), Column("Book-Rating", "int", 0, 10))
    table = Table(place / "BX-Book-Ratings.csv", rated, ";", header=True, quoted=True, encodings=ENCODINGS)
    frame = table.read()
    table.unique(frame, ("User-ID", "ISBN"))
    if not zeros:
        frame = frame[frame["Book-Rating"] > 0]
    user, users = pd.factorize(frame["User-ID"], sort=True)
    item, items = pd.factorize(frame["ISBN"], sort=True)
    people, books = read_users(place), read_books(place)
    notes = [
        f"{_without(users, people)} of {len(users)} users and {_without(items, books)} of {len(items)} books "
        "have no row of their own and get the value 'unknown'."
    ]
    if is_partial(place):
        notes.append(catalog.source("book-crossing").partial)
    return Ratings(
        name="book-crossing",
        kind="explicit",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        label=frame["Book-Rating"].to_numpy(np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        user_fields=_fields(people, users),
        item_fields=_fields(books, items),
        notes=tuple(notes),
    )


def read_users(place: Path) -> pd.DataFrame:
    """Every listed user: `location` and `age`, indexed by id."""
    listed = (Column("User-ID", "int", low=0), Column("Location"), Column("Age"))
    table = Table(place / "BX-Users.csv", listed, ";", header=True, quoted=True, encodings=ENCODINGS)
    frame = table.read()
    table.unique(frame, ("User-ID",))
    country = frame["Location"].str.rsplit(",", n=1).str[-1].str.strip(' ".').str.lower()
    years = pd.to_numeric(frame["Age"], errors="coerce").to_numpy(np.float64)
    strange = np.flatnonzero(np.isnan(years) & (frame["Age"] != "NULL").to_numpy())
    if len(strange):
        table.fail(int(strange[0]), f"Age {frame['Age'].iloc[strange[0]]!r} is neither a number nor NULL")
    bins = np.asarray(AGE_BINS).astype(str)[np.searchsorted(AGE_BINS, np.nan_to_num(years), "right") - 1]
    possible = (years >= AGES[0]) & (years <= AGES[1])
    return pd.DataFrame(
        {
            "location": country.mask(country.isin(("", "n/a", "null")), UNKNOWN).to_numpy(),
            "age": np.where(possible, bins, UNKNOWN),
        },
        index=pd.Index(frame["User-ID"]),
    )


def read_books(place: Path) -> pd.DataFrame:
    """Every listed book: `author`, `year` and `publisher`, indexed by ISBN."""
    names = ("Book-Author", "Year-Of-Publication", "Publisher")
    listed = (Column("ISBN"), *(Column(n, "any") for n in names))
    table = Table(
        place / "BX-Books.csv", listed, ";", header=True, quoted=True, encodings=ENCODINGS, mend=_mend_book
    )
    frame = table.read()
    table.unique(frame, ("ISBN",))
    year = pd.to_numeric(frame["Year-Of-Publication"], errors="coerce").to_numpy(np.float64)
    year = np.where((year >= YEARS[0]) & (year <= YEARS[1]), year, 0).astype(int)
    text = {
        c: frame[n].str.strip().replace("", UNKNOWN).to_numpy()
        for c, n in (("author", names[0]), ("publisher", names[2]))
    }
    return pd.DataFrame(
        {
            "author": text["author"],
            "year": np.where(year > 0, year.astype(str), UNKNOWN),
            "publisher": text["publisher"],
        },
        index=pd.Index(frame["ISBN"]),
    )


def is_partial(place: Path) -> bool:
    """Whether these are the ratings of the partial copy that is in circulation."""
    digest, _ = catalog.source("book-crossing").known_files()["BX-Book-Ratings.csv"]
    return hashlib.sha256((place / "BX-Book-Ratings.csv").read_bytes()).hexdigest() == digest


def _mend_book(fields: list[str]) -> list[str] | None:
    r"""Three official rows end a title in `\"`, which swallows the separator behind it: two fields in one."""
    if len(fields) != 7 or '";' not in fields[1]:
        return None
    title, author = fields[1].rsplit('";', 1)
    return [fields[0], title, author, *fields[2:]]


def _without(ids: pd.Index, table: pd.DataFrame) -> int:
    return int((~ids.isin(table.index)).sum())


def _fields(table: pd.DataFrame, ids: pd.Index) -> tuple[Field, ...]:
    rows = table.reindex(ids).fillna(UNKNOWN)
    return tuple(make_field(str(c), rows[c].tolist()) for c in rows.columns)
