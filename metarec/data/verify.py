"""Counting again: what a source published beside what the files here hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from metarec.data import catalog, load
from metarec.data.bookcrossing import is_partial, read_books, read_users
from metarec.data.gowalla import visits
from metarec.data.lastfm import SPLITS, tanp_tasks
from metarec.data.ratings import Ratings
from metarec.data.scenarios import tag_rows

Verdict = Literal["ok", "differs", "partial", "not here", "another copy"]


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    what: str
    expected: str
    ours: str
    verdict: Verdict
    where: str
    of_file: bool = False


def verify(name: str, home: Path | None = None) -> list[Check]:
    """Every published count and every examined file of the source, beside what stands in its folder.

    A count that falls short in a known partial copy is "partial"; any other difference is "differs". A file
    whose digest is not the examined one is reported, not failed: the counts decide.
    """
    home = catalog.data_home() if home is None else home
    entry, ours = catalog.source(name), recount(name, home)
    partial = bool(entry.partial) and is_partial(home / entry.folder)
    checks = [_compare(p, ours.get(p.what), partial) for p in entry.published]
    for file, (digest, remark) in entry.known_files().items():
        path = home / entry.folder / file
        if path.is_file():
            here = hashlib.sha256(path.read_bytes()).hexdigest()
            verdict: Verdict = "ok" if here == digest else "another copy"
            checks.append(Check(file, digest[:12], here[:12], verdict, remark or "sha256", of_file=True))
    return checks


def failed(checks: list[Check]) -> bool:
    """Whether any published count is contradicted."""
    return any(c.verdict == "differs" for c in checks)


def recount(name: str, home: Path) -> dict[str, int]:
    """The counts of this source by the names its `Published` entries use."""
    ratings = load(name, home=home)
    counts = ratings.counts() | {"positives": int((ratings.label > 0).sum())}
    return counts | MORE.get(name, lambda home, ratings: {})(home, ratings)


def _tanp(home: Path, ratings: Ratings) -> dict[str, int]:
    if not (home / "lastfm-tanp" / "tasks.json").is_file():
        return {}
    tasks = tanp_tasks(home)
    return {f"{split} tasks": len(tasks[split]["user"]) for split in SPLITS}


def _book_crossing(home: Path, ratings: Ratings) -> dict[str, int]:
    place = catalog.folder("book-crossing", home)
    return {
        "ratings with zeros": len(load("book-crossing", home=home, zeros=True)),
        "users listed": len(read_users(place)),
        "books listed": len(read_books(place)),
    }


def _gowalla(home: Path, ratings: Ratings) -> dict[str, int]:
    both = np.concatenate([visits(home, "train"), visits(home, "test")])
    users, places = (len(np.unique(side)) for side in both.T)
    return {
        "users of both files": users,
        "places of both files": places,
        "visits of both files": len(both),
    }


def _tags(home: Path, ratings: Ratings) -> dict[str, int]:
    return {"tag rows": tag_rows(ratings.name, home)}


def _themes(home: Path, ratings: Ratings) -> dict[str, int]:
    whole = load("taobao-themes", home=home, fewest=1, most=len(ratings))
    return {"themes": 0 if whole.scenarios is None else len(whole.scenarios)}


def _scenarios(home: Path, ratings: Ratings) -> dict[str, int]:
    return {"scenarios": 0 if ratings.scenarios is None else len(ratings.scenarios)}


MORE: dict[str, Callable[[Path, Ratings], dict[str, int]]] = {
    "lastfm-tanp": _tanp,
    "book-crossing": _book_crossing,
    "gowalla": _gowalla,
    "films": _tags,
    "hybrid": _tags,
    "ml-20m": _tags,
    "taobao-themes": _themes,
    "s2meta-movielens": _scenarios,
    "s2meta-taobao": _scenarios,
}


def _compare(published: catalog.Published, ours: int | None, partial: bool) -> Check:
    verdict: Verdict = "ok"
    if ours is None:
        verdict = "not here"
    elif ours != published.value:
        verdict = "partial" if partial and ours < published.value else "differs"
    shown = "-" if ours is None else f"{ours:,}"
    return Check(published.what, f"{published.value:,}", shown, verdict, published.where)


def describe(ratings: Ratings) -> list[tuple[str, str]]:
    """Aggregates of a rating table as (what, value) lines: never a row, never an id."""
    length = np.bincount(ratings.user, minlength=ratings.n_users)
    values, counts = np.unique(ratings.label, return_counts=True)
    quantiles = np.quantile(length, [0, 0.25, 0.5, 0.75, 1])
    lines = [
        ("kind", ratings.kind),
        *((k, f"{v:,}") for k, v in ratings.counts().items()),
        ("density", f"{len(ratings) / (ratings.n_users * ratings.n_items):.4%}"),
        ("labels", ", ".join(f"{v:g}: {n:,}" for v, n in zip(values, counts, strict=True))),
        ("history length", "min {:g}, quartiles {:g} / {:g} / {:g}, max {:g}".format(*quantiles)),
        ("time", "not known" if ratings.time is None else "known"),
    ]
    if ratings.scenarios is not None:
        lines.append(("scenarios", f"{len(ratings.scenarios):,}"))
    for side, fields in (("user", ratings.user_fields), ("item", ratings.item_fields)):
        for f in fields:
            many = f"up to {f.values.shape[1]} each" if f.multi else "one each"
            lines.append((f"{side} field {f.name}", f"{f.size:,} values, {many}"))
    lines += [("note", note) for note in ratings.notes]
    return [*lines, ("sha256", ratings.sha256)]
