"""Where each data set comes from, what its licence asks, and what it must count to."""

from __future__ import annotations

import os
from pathlib import Path

from metarec.data.catalog_scenarios import SCENARIO_SOURCES
from metarec.data.source import GROUPLENS, Published, Source
from metarec.errors import DataError, MetarecError

__all__ = ["SOURCES", "Published", "Source", "afresh", "data_home", "folder", "missing", "source"]

MELU_COMMIT = "f70c8ff91471193cd598bc241c6b0f22665f6375"
MELU_FILES = (
    "movies_extrainfos.dat",
    *(f"m_{v}.txt" for v in "rate genre director actor gender age occupation zipcode".split()),
)


_LASTFM = "Non-commercial use only; acknowledge Last.fm, http://www.lastfm.com (HetRec 2011)."
_TABLE2 = "TaNP, Table 2"
_README = "the README of the archive"

SOURCES: dict[str, Source] = {
    s.name: s
    for s in (
        Source(
            name="lastfm-hetrec",
            title="Last.FM (HetRec 2011), plays as published",
            folder="hetrec2011-lastfm-2k",
            files=("user_artists.dat",),
            page="https://grouplens.org/datasets/hetrec-2011/",
            url="https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
            sha256="6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
            licence=_LASTFM,
            cite="cantador2011hetrec",
            published=(
                Published("users", 1892, _README),
                Published("items", 17632, _README),
                Published("ratings", 92834, _README),
            ),
        ),
        Source(
            name="lastfm-mkr",
            title="Last.FM as cut by MKR, with sampled negatives",
            folder="lastfm-mkr",
            files=("user_artists.dat", "item_index2entity_id.txt"),
            page="https://github.com/hwwang55/MKR",
            by_hand="clone https://github.com/hwwang55/MKR and copy the files of data/music",
            licence=_LASTFM,
            cite="wang2019mkr",
            published=(
                Published("users", 1872, _TABLE2),
                Published("items", 3846, _TABLE2),
                Published("ratings", 42346, _TABLE2),
                Published("positives", 21173, "half of TaNP, Table 2: one negative a positive"),
            ),
        ),
        Source(
            name="lastfm-tanp",
            title="Last.FM, the rows TaNP's authors shipped",
            folder="lastfm-tanp",
            files=("ratings_final.txt", "user_list.json"),
            page="https://github.com/IIEdm/TaNP",
            by_hand="clone https://github.com/IIEdm/TaNP and copy what TaNP/data.zip holds in lastfm_20",
            licence=_LASTFM,
            cite="lin2021tanp",
            published=(
                Published("users", 1872, _TABLE2),
                Published("items", 3846, _TABLE2),
                Published("ratings", 42346, _TABLE2),
                Published("training tasks", 248, "the episodes in the authors' archive"),
                Published("validation tasks", 35, "the episodes in the authors' archive"),
                Published("testing tasks", 66, "the episodes in the authors' archive"),
            ),
        ),
        Source(
            name="gowalla",
            title="Gowalla as distributed with NGCF, the extract that stands in for TaNP's",
            folder="gowalla",
            files=("train.txt", "test.txt"),
            page="https://github.com/xiangwang1223/neural_graph_collaborative_filtering",
            by_hand=(
                "clone https://github.com/xiangwang1223/neural_graph_collaborative_filtering and copy the "
                "files of Data/gowalla"
            ),
            licence="No licence of the data is stated; cite Cho et al., KDD 2011, and do not redistribute.",
            cite="cho2011gowalla",
            published=(
                Published("users of both files", 29858, "NGCF, Table 1"),
                Published("places of both files", 40981, "NGCF, Table 1"),
                Published("visits of both files", 1027370, "NGCF, Table 1"),
            ),
        ),
        Source(
            name="ml-1m",
            title="MovieLens-1M, with MeLU's movie fields",
            folder="ml-1m",
            files=("ratings.dat", "users.dat", "movies.dat"),
            page="https://grouplens.org/datasets/movielens/1m/",
            url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            inside="ml-1m",
            sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            md5="c4d9eecfca2ab87c1945afe126590906",
            extra=MELU_FILES,
            extra_url=f"https://raw.githubusercontent.com/hoyeoplee/MeLU/{MELU_COMMIT}/movielens/ml-1m/",
            licence=GROUPLENS,
            cite="harper2015movielens",
            published=(
                Published("users", 6040, _README),
                Published("items", 3706, _TABLE2),
                Published("ratings", 1000209, _README),
            ),
        ),
        Source(
            name="ml-100k",
            title="MovieLens 100K",
            folder="ml-100k",
            files=("u.data", "u.user", "u.item", "u.genre"),
            page="https://grouplens.org/datasets/movielens/100k/",
            url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            inside="ml-100k",
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            md5="0e33842e24a9c977be4e0107933c0723",
            licence=GROUPLENS,
            cite="harper2015movielens",
            published=(
                Published("users", 943, _README),
                Published("items", 1682, _README),
                Published("ratings", 100000, _README),
            ),
        ),
        Source(
            name="book-crossing",
            title="Book-Crossing",
            folder="book-crossing",
            files=("BX-Book-Ratings.csv", "BX-Users.csv", "BX-Books.csv"),
            page="http://www2.informatik.uni-freiburg.de/~cziegler/BX/",
            by_hand=(
                "its official host is offline, so take BX-CSV-Dump.zip from somebody who holds it and unzip "
                "BX-Book-Ratings.csv, BX-Users.csv and BX-Books.csv"
            ),
            licence="Freely available for research use when acknowledged by citing Ziegler et al., WWW 2005.",
            cite="ziegler2005bookcrossing",
            published=(
                Published("ratings with zeros", 1149780, "the official page"),
                Published("users listed", 278858, "the official page"),
                Published("books listed", 271379, "the official page"),
            ),
            partial=(
                "A partial copy: 236,758 explicit ratings, nearly all on books that have three or more, and "
                "no zeros; about 1 % of the ratings on those books are missing too."
            ),
        ),
        Source(
            name="douban-book",
            title="Douban Book as distributed with MetaHIN",
            folder="douban-book",
            files=tuple(
                f"{part}{y}.json"
                for part in (
                    "meta_training",
                    "warm_up",
                    "user_cold_testing",
                    "item_cold_testing",
                    "user_and_item_cold_testing",
                )
                for y in ("", "_y")
            )
            + tuple(
                f"original/{f}.dat" for f in ("book_author", "book_publisher", "book_year", "user_location")
            ),
            page="https://github.com/rootlu/MetaHIN",
            by_hand="clone https://github.com/rootlu/MetaHIN and copy the files of data/dbook",
            licence="No licence is stated; cite Lu et al., KDD 2020, and do not redistribute.",
            cite="lu2020metahin",
            published=(
                Published("users", 10551, "the distributed files (no table is printed)"),
                Published("items", 20934, "the distributed files (no table is printed)"),
                Published("ratings", 649381, "the distributed files (no table is printed)"),
            ),
        ),
        *SCENARIO_SOURCES,
    )
}


def data_home() -> Path:
    """The folder that holds the data sets: `METAREC_DATA` if set, else this platform's cache folder."""
    chosen = os.environ.get("METAREC_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import pooch  # here, so that training where METAREC_DATA is set does not need it

    return Path(pooch.os_cache("metarec"))


def source(name: str) -> Source:
    """The catalogue entry; raises `MetarecError` for a name it does not hold."""
    if name not in SOURCES:
        raise MetarecError(f"{name!r} is not in the catalogue: choose from {', '.join(SOURCES)}.")
    return SOURCES[name]


def missing(name: str, home: Path, extra: bool = False) -> list[str]:
    """Files of this source, and of those it is joined with, that are not below `home`; from its folder on."""
    entry = source(name)
    wanted = entry.files + (entry.extra if extra else ())
    absent = [f for f in wanted if not (home / entry.folder / f).is_file()]
    return absent + [f"../{source(n).folder}/{f}" for n in entry.needs for f in missing(n, home)]


def folder(name: str, home: Path, extra: bool = False) -> Path:
    """The folder of this source; raises `DataError`, saying how to get the files, if one is missing."""
    absent = missing(name, home, extra)
    place = home / source(name).folder
    if absent:
        raise DataError(
            f"{name}: {place} has no {absent[0]}{f' nor {len(absent) - 1} other files' * (len(absent) > 1)}: "
            f"run `metarec data fetch {name}`, or set METAREC_DATA to the folder that holds {place.name}/."
        )
    return place


def afresh(path: Path, what: str = "it") -> str:
    """The mend of a damaged file, for the end of a sentence: the command that gets it or says where from."""
    sources = {s.folder: s for s in SOURCES.values()}
    entry = next((sources[part] for part in reversed(path.parts) if part in sources), None)
    if entry is None:
        return f"fetch {what} afresh"
    command = f"`metarec data fetch {entry.name} --again`"
    return f"fetch {what} afresh " + (f"with {command}" if entry.url else f"({command} says how)")
