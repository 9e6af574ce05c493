"""Catalogue entries of tables with scenarios: the official sets, none of them at hand, and the stand-ins."""

from __future__ import annotations

from metarec.data.source import GROUPLENS, Published, Source

_README = "the README of the archive"
_TEXT = "CMML, section 4.1.1"
_TAGS = (
    "unzip tags.dat of https://files.grouplens.org/datasets/movielens/ml-10m.zip into ml-10m-tags/ and fetch "
    "ml-1m"
)
_SHOPS = (
    "clone https://github.com/RUCAIBox/CIKM2020-S3Rec and copy Sports_and_Outdoors, Beauty and "
    "Toys_and_Games (.txt and _item2attributes.json) of data/"
)
_S2META = (
    "clone https://github.com/THUDM/ScenarioMeta, run script/download_preprocessed.py and copy the folder of "
    "this set"
)
_UNSTATED = "No licence of the data is stated; cite the paper and do not redistribute."

SCENARIO_SOURCES = (
    Source(
        name="ml-20m",
        title="MovieLens-20M, tags as scenarios",
        folder="ml-20m",
        files=("ratings.csv", "tags.csv"),
        page="https://grouplens.org/datasets/movielens/20m/",
        url="https://files.grouplens.org/datasets/movielens/ml-20m.zip",
        inside="ml-20m",
        sha256="96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
        md5="cd245b17a1ae2cc31bb14903e1204af3",
        licence=GROUPLENS,
        cite="harper2015movielens",
        published=(
            Published("users", 138493, _README),
            Published("ratings", 20000263, _README),
            Published("tag rows", 465564, _README),
        ),
        examined=False,
    ),
    Source(
        name="taobao-themes",
        title="Taobao, cloud theme click log",
        folder="taobao-cloud-theme",
        files=("theme_click_log.csv",),
        page="https://tianchi.aliyun.com/dataset/9716",
        by_hand="log in at https://tianchi.aliyun.com/dataset/9716 and unzip theme_click_log.csv",
        licence="Terms of Tianchi, which asks for a login; for research, not to be redistributed.",
        cite="du2019s2meta",
        published=(Published("themes", 355, _TEXT),),
        examined=False,
    ),
    *(
        Source(
            name=name,
            title=f"{title}, as preprocessed by the authors of s2Meta",
            folder=name,
            files=("train_data/train_data", "train_data/test_data"),
            page="https://github.com/THUDM/ScenarioMeta",
            by_hand=_S2META,
            licence=_UNSTATED,
            cite="du2019s2meta",
            published=(Published("scenarios", scenarios, _TEXT),),
            examined=False,
        )
        for name, title, scenarios in (
            ("s2meta-movielens", "MovieLens-20M", 306),
            ("s2meta-taobao", "Taobao", 355),
        )
    ),
    Source(
        name="hybrid",
        title="Films and shopping side by side, the stand-in for Hybrid MovieLens-Taobao",
        folder="ml-10m-tags",
        files=("tags.dat",),
        page="https://grouplens.org/datasets/movielens/10m/",
        by_hand=f"{_TAGS}, and copy the files of `shopping`",
        licence=f"Those of its parts. {GROUPLENS}",
        cite="feng2021cmml",
        published=(Published("tag rows", 95580, _README),),
        needs=("ml-1m", "shopping"),
    ),
    Source(
        name="films",
        title="MovieLens-1M, MovieLens-10M's tags and genres as scenarios, the stand-in for MovieLens-20M",
        folder="ml-10m-tags",
        files=("tags.dat",),
        page="https://grouplens.org/datasets/movielens/10m/",
        by_hand=_TAGS,
        licence=GROUPLENS,
        cite="harper2015movielens",
        published=(
            Published("users", 6040, "the README of MovieLens-1M"),
            Published("ratings", 1000209, "the README of MovieLens-1M"),
            Published("tag rows", 95580, _README),
        ),
        needs=("ml-1m",),
    ),
    Source(
        name="shopping",
        title="Amazon sports, beauty and toys (5-core) with attributes as scenarios, the stand-in for Taobao",
        folder="amazon-s3rec",
        files=tuple(
            f"{shop}{end}"
            for shop in ("Sports_and_Outdoors", "Beauty", "Toys_and_Games")
            for end in (".txt", "_item2attributes.json")
        ),
        page="https://github.com/RUCAIBox/CIKM2020-S3Rec",
        by_hand=_SHOPS,
        licence=_UNSTATED,
        cite="zhou2020s3rec",
        published=(
            Published(
                "users", 35598 + 22363 + 19412, "the distributed files; ratings: the official 5-core counts"
            ),
            Published(
                "items", 18357 + 12101 + 11924, "the distributed files; ratings: the official 5-core counts"
            ),
            Published(
                "ratings",
                296337 + 198502 + 167597,
                "the distributed files; ratings: the official 5-core counts",
            ),
        ),
    ),
)
