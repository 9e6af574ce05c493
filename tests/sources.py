"""Tiny made-up files in the exact layout of each source. No value is taken from a real data set."""

from __future__ import annotations

import json
import pickle
from functools import partial
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


def films(home: Path) -> None:
    """26 films, all dramas, 25 of them comedies, which two users tag; one tags what nobody rated."""
    folder, numbers = home / "ml-1m", range(1, 27)
    write(folder / "ratings.dat", "".join(f"{1 + n % 2}::{n}::{1 + n % 5}::{n}\n" for n in numbers))
    write(folder / "users.dat", "1::F::1::7::12345\n2::M::56::0::99999\n")
    kinds = ["Comedy|Drama"] * 25 + ["Drama"]
    rows = "".join(f"{n}::Film {n} (1990)::{kind}\n" for n, kind in zip(numbers, kinds, strict=True))
    write(folder / "movies.dat", rows, "latin-1")
    tags = [f"15::{n}::{' Noir' if n % 2 else 'NOIR'}::12\n" for n in range(1, 26)]
    write(home / "ml-10m-tags" / "tags.dat", "".join([*tags, "16::2::noir::13\n", "16::99::noir::14\n"]))


def ml20m(home: Path) -> None:
    """102 films; a tag in quotes on 101 of them, in two spellings, and one on a single film."""
    folder, numbers = home / "ml-20m", range(1, 103)
    rows = "".join(f"{1 + n % 3},{n},3.5,{n}\n" for n in numbers)
    write(folder / "ratings.csv", "userId,movieId,rating,timestamp\n" + rows)
    words = ['"dark, ""very"" dark"', '"Dark, ""very"" dark"']
    tags = "".join(f"7,{n},{words[n % 2]},5\n" for n in range(1, 102))
    write(folder / "tags.csv", "userId,movieId,tag,timestamp\n" + tags + "7,102,alone,5\n")


def shopping(home: Path) -> None:
    """Of each set 102 items, 101 of one attribute, bought by two users of three items or more."""
    for shop in ("Sports_and_Outdoors", "Beauty", "Toys_and_Games"):
        low, high = (" ".join(map(str, range(*ends))) for ends in ((1, 60), (59, 103)))
        write(home / "amazon-s3rec" / f"{shop}.txt", f"1 {low}\n2 {high} 60\n")
        kinds = {str(n): [5, 6] if n == 3 else [5] for n in range(1, 102)}
        write(home / "amazon-s3rec" / f"{shop}_item2attributes.json", json.dumps({**kinds, "999": [5]}))


def hybrid(home: Path) -> None:
    """The two stand-ins."""
    films(home)
    shopping(home)


def themes(home: Path) -> None:
    """Theme 4 with 101 clicked items and theme 9 with one; a click that stands there twice."""
    head = "user_id,item_id,leaf_cate_id,cate_level1_id,theme_id,reach_time\n"
    rows = "".join(f"{n % 3},{n},8,2,4,2019-01-01 00:00:{n % 60:02d}\n" for n in range(101))
    again = "0,0,8,2,4,2019-01-02 00:00:00\n1,500,8,2,9,2019-01-02 00:00:00\n"
    write(home / "taobao-cloud-theme" / "theme_click_log.csv", head + rows + again)


def s2meta(home: Path, name: str) -> None:
    """Two training scenarios and a test one, as the authors' lists of tuples."""
    folder = home / name / "train_data"
    folder.mkdir(parents=True, exist_ok=True)
    train = [(11, [(1, 5, 4.0), (2, 5, 3.0)]), (12, [(1, 6, 4.0)])]
    (folder / "train_data").write_bytes(pickle.dumps(train))
    (folder / "test_data").write_bytes(pickle.dumps([(13, [(3, 5, 1.0)], [(2, 7, 1.0), (2, 7, 1.0)])]))


BUILD = {
    "lastfm-hetrec": hetrec,
    "lastfm-mkr": mkr,
    "lastfm-tanp": tanp,
    "gowalla": gowalla,
    "films": films,
    "shopping": shopping,
    "hybrid": hybrid,
    "ml-20m": ml20m,
    "taobao-themes": themes,
    "s2meta-movielens": partial(s2meta, name="s2meta-movielens"),
    "s2meta-taobao": partial(s2meta, name="s2meta-taobao"),
    "ml-1m": ml1m,
    "ml-100k": ml100k,
    "book-crossing": bookcrossing,
    "douban-book": douban,
}
