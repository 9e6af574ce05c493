"""What the catalogue says of one data set."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GROUPLENS = (
    "Research use with acknowledgement; no redistribution, no commercial use, no claim of endorsement "
    "(University of Minnesota)."
)


@dataclass(frozen=True)
class Published:
    """A count somebody printed: `what` is a key of `metarec.data.verify.recount`."""

    what: str
    value: int
    where: str


@dataclass(frozen=True)
class Source:
    """One data set: where from, under what terms, what the reader needs and what it must count to.

    `sha256` and `md5` are of the archive at `url`. GroupLens publishes the md5; the sha256 is the one that
    projects which pin the same archive agree on. `None` means that no checksum is known, never that none
    is needed. `extra` files come from `extra_url` and are checked against `known_files`. `needs` names other
    sources whose files the reader joins with these. `examined` is false where no copy of the files was at
    hand, so that nothing is known of their digests.
    """

    name: str
    title: str
    folder: str
    files: tuple[str, ...]
    page: str
    licence: str
    cite: str
    published: tuple[Published, ...]
    url: str | None = None
    inside: str = ""
    sha256: str | None = None
    md5: str | None = None
    by_hand: str = ""
    extra: tuple[str, ...] = ()
    extra_url: str = ""
    partial: str = ""
    needs: tuple[str, ...] = ()
    examined: bool = True

    def known_files(self) -> Mapping[str, tuple[str, str]]:
        """`file -> (sha256, remark)` of copies that were examined; official files unless the remark says."""
        return {k: v for (folder, k), v in _known_files().items() if folder == self.folder}


@cache
def _known_files() -> dict[tuple[str, str], tuple[str, str]]:
    with open(Path(__file__).with_name("known_files.csv"), encoding="utf-8", newline="") as file:
        return {(r["folder"], r["file"]): (r["sha256"], r["remark"]) for r in csv.DictReader(file)}
