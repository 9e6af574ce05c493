"""Tiny made-up files in the exact layout of each source. No value is taken from a real data set."""

from __future__ import annotations

import json
from pathlib import Path

MELU_LISTS = {
    "rate": "PG\nR",
    "genre": "Drama\nnan\nComedy",
    "director": "Ana Ave\nnan\nBo Bel",
    "actor": "Cy Coe\nDi Dee\nnan",
    "gender": "M\nF",
    "age": "1\n18\n56",
    "occupation": "0\n7",
    "zipcode": "12345\n99999",
}


def write(path: Path, content: str, encoding: str = "utf-8") -> None:
    """One file, its folder made first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))


def ml1m(home: Path) -> None:
    """Three users, four films; film 860 has no row of MeLU's and shares that of 811."""
    folder = home / "ml-1m"
    write(
        folder / "ratings.dat",
        "1::811::5::978300760\n1::860::3::978300761\n2::811::4::978300700\n3::2::1::978300800\n3::3::2::978300700\n",
    )
    write(folder / "users.dat", "1::F::1::7::12345\n2::M::56::0::99999-1234\n3::M::18::7::12345\n")
    films = ["2::Jig (1991)::Comedy|Drama", "3::Café (1985)::Drama"]
    films += ["811::Reel (1994)::Comedy", "860::Rolle (1994)::Comedy"]
    write(folder / "movies.dat", "\n".join(films) + "\n", "latin-1")
    rows = [
        (2, "Jig", 1991, "PG", "Comedy, Drama", "Ana Ave, Bo Bel(co-director)", "Cy Coe, Di Dee"),
        (3, "Café", 1985, "R", "N/A", "N/A", "Di Dee, Di Dee"),
        (811, "Reel", 1994, "R", "Comedy", "Bo Bel", "N/A"),
    ]
    lines = [f"{i}::{t}::{y}::{r}::1 Jan {y}::{g}::{d}::W::{a}::Plot.::p.jpg" for i, t, y, r, g, d, a in rows]
    write(folder / "movies_extrainfos.dat", "\n".join(lines) + "\n")
    for name, values in MELU_LISTS.items():
        write(folder / f"m_{name}.txt", values.replace("\n", "\r\n"))


def ml100k(home: Path) -> None:
    """Two users, three films, one of them without a date."""
    folder = home / "ml-100k"
    write(folder / "u.data", "1\t2\t4\t881250949\n1\t3\t5\t881250950\n2\t1\t1\t881250900\n")
    write(folder / "u.user", "1|17|M|poet|12345\n2|60|F|smith|T8H1N\n")
    write(folder / "u.genre", "unknown|0\nDrama|1\nComedy|2\n\n")
    rows = [
        "1|Jig (1991)|01-Jan-1991||http://x|0|1|1",
        "2|Café (1985)|02-Feb-1985||http://y|0|1|0",
        "3|unknown||||1|0|0",
    ]
    write(folder / "u.item", "\n".join(rows) + "\n", "latin-1")


def hetrec(home: Path) -> None:
    """Three users, three artists."""
    rows = ["userID\tartistID\tweight", "2\t51\t13883", "2\t52\t11", "4\t51\t7", "9\t70\t1"]
    write(home / "hetrec2011-lastfm-2k" / "user_artists.dat", "\r\n".join(rows) + "\r\n")


def mkr(home: Path) -> None:
    """Artist 99 is not in the knowledge graph; user 9 comes before user 4."""
    folder = home / "lastfm-mkr"
    rows = ["userID\tartistID\tweight", "9\t70\t5", "9\t51\t5", "4\t99\t1", "4\t52\t3", "9\t52\t1"]
    write(folder / "user_artists.dat", "\n".join(rows) + "\n")
    write(folder / "item_index2entity_id.txt", "52\t0\n51\t1\n70\t2\n71\t3\n72\t4\n73\t5\n")


def tanp(home: Path) -> None:
    """Two users with one negative a positive, their list, and one task a split."""
    folder = home / "lastfm-tanp"
    write(folder / "ratings_final.txt", "0\t2\t1\n0\t0\t0\n1\t1\t1\n1\t2\t1\n1\t0\t0\n1\t3\t0\n")
    write(folder / "user_list.json", '["1", "0"]')
    task = {"user": 1, "supp": {"item": [1, 0], "y": [1, 0]}, "query": {"item": [3, 2], "y": [0, 1]}}
    write(
        folder / "tasks.json", json.dumps({split: [task] for split in ("training", "validation", "testing")})
    )


def bookcrossing(home: Path) -> None:
    r"""The dump's dirt: latin-1, `\"`, `;` and a line break inside quotes, odd ages, two fields in one."""
    folder = home / "book-crossing"
    write(
        folder / "BX-Book-Ratings.csv",
        '"User-ID";"ISBN";"Book-Rating"\n"8";"0001";"0"\n"8";"0002";"7"\n"9";"000X";"10"\n"77";"lost";"3"\n"10";"0002";"5"\n',
    )
    users = [
        '"User-ID";"Location";"Age"',
        '"8";"timmins, ontario, Canada";NULL',
        '"9";"köln, \\"n/a\\", germany";"244"',
        '"10";"here;\nthere, ";"34"',
        '"11";"nowhere, n/a";"4"',
    ]
    write(folder / "BX-Users.csv", "\n".join(users) + "\n", "latin-1")
    images = '"http://s";"http://m";"http://l"'
    books = [
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";"Image-URL-M";"Image-URL-L"',
        f'"0001";"A \\"plain\\" tale; retold";"Ann Ox";"1999";"Ash &amp; Co";{images}',
        f'"0002";"DK: How it began (Level 4)\\";Bea Yew";"2000";"DK";{images}',
        f'"000X";"Tome";"";"0";"";{images}',
    ]
    write(folder / "BX-Books.csv", "\r\n".join(books) + "\r\n", "latin-1")


def douban(home: Path) -> None:
    """Each split holds one user's ratings."""
    folder = home / "douban-book"
    parts = {
        "meta_training": ({"1": [10, 12]}, {"1": [5, 3]}),
        "warm_up": ({"1": [11]}, {"1": [4]}),
        "user_cold_testing": ({"3": [10]}, {"3": [1]}),
        "item_cold_testing": ({}, {}),
        "user_and_item_cold_testing": ({"2": [13]}, {"2": [2]}),
    }
    for part, (books, ratings) in parts.items():
        write(folder / f"{part}.json", json.dumps(books))
        write(folder / f"{part}_y.json", json.dumps(ratings))
    write(folder / "original/book_author.dat", "12\t7\n10\t8\n11\t7\n13\t9\n")
    write(folder / "original/book_publisher.dat", "10\t1\n11\t1\n12\t2\n")
    write(folder / "original/book_year.dat", "10\t4\n11\t5\n12\t4\n13\t4\n")
    write(folder / "original/user_location.dat", "1\t33\n2\t40\n3\t33\n4\t2\n")


def gowalla(home: Path) -> None:
    """In `test.txt` two users with fifteen places of their own and one with two; `train.txt` has one more."""
    folder = home / "gowalla"
    first, second = (" ".join(str(place) for place in range(low, low + 15)) for low in (40, 20))
    write(folder / "test.txt", f"7 {first}\n3 {second}\n4 20 40 \n")
    write(folder / "train.txt", "3 41 60\n9 20\n")


BUILD = {
    "lastfm-hetrec": hetrec,
    "lastfm-mkr": mkr,
    "lastfm-tanp": tanp,
    "gowalla": gowalla,
    "ml-1m": ml1m,
    "ml-100k": ml100k,
    "book-crossing": bookcrossing,
    "douban-book": douban,
}
