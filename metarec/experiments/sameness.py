"""Changes of the code that change no number: which older code a record may come from and still be fresh."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from metarec.experiments.provenance import PACKAGE, code_hash
from metarec.records import Record, Store

LINKS = PACKAGE.parent / "results" / "same-numbers.json"


class Link(NamedTuple):
    """Digests of one module's code before and after a change, and how many runs gave the same numbers."""

    module: str
    before: str
    after: str
    runs: int


def fresh(module: str, digest: str) -> bool:
    """Whether numbers made by code of that digest are those of the present code, as far as is known.

    They are if the code is the present one, or if it was trained side by side with it, or with code that was,
    and no number differed (`tools/same_numbers.py`).
    """
    return digest in _equals(module, code_hash(module), LINKS)


@cache
def _equals(module: str, present: str, path: Path) -> frozenset[str]:
    links = [link for link in read(path) if link.module == module]
    found, grown = {present}, True
    while grown:
        older = {link.before for link in links if link.after in found} - found
        found, grown = found | older, bool(older)
    return frozenset(found)


def read(path: Path = LINKS) -> list[Link]:
    """The changes found so far to change no number."""
    return [Link(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def add(links: Iterable[Link], path: Path = LINKS) -> None:
    """Note more of them; a pair of digests is kept once."""
    kept = {(link.module, link.before, link.after): link for link in [*read(path), *links]}
    rows = [json.dumps(kept[key]._asdict()) for key in sorted(kept)]
    path.write_text("[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]\n", encoding="utf-8")


def compare(
    old: Mapping[str, Record], new: Mapping[str, Record], modules: Mapping[str, str]
) -> tuple[list[Link], list[str]]:
    """Records of the same runs by key, made by two versions of the code: equal modules, and what differs.

    `modules` names the module behind each key. A module is linked if its code changed, every one of its runs
    was made by both versions, and metrics, loss terms and chosen epochs all agree.
    """
    runs: dict[str, list[str]] = defaultdict(list)
    for key in new:
        runs[modules[key]].append(key)
    links, differing = [], []
    for module, keys in sorted(runs.items()):
        apart = [k for k in keys if k not in old or _numbers(old[k]) != _numbers(new[k])]
        pairs = {(old[k].code_hash, new[k].code_hash) for k in keys if k in old}
        if apart:
            differing.append(f"{module}: {len(apart)} of {len(keys)} runs, {new[apart[0]].method} first")
        elif any(before != after for before, after in pairs):
            links += [Link(module, before, after, len(keys)) for before, after in sorted(pairs)]
    return links, differing


def records(root: Path, names: Iterable[str]) -> dict[str, Record]:
    """The records of experiments, given as `paper.name`, under a folder, by key."""
    return {r.key: r for name in names for r in Store(root).read(*name.split(".", 1))}


def _numbers(r: Record) -> dict[str, Any]:
    """All that a run found, with undefined values made comparable."""
    values = {**r.metrics, **{f"term {name}": value for name, value in r.terms.items()}}
    plain: dict[str, Any] = {name: "nan" if math.isnan(value) else value for name, value in values.items()}
    return {**plain, "epochs": r.epochs, "best epoch": r.best_epoch, "split": r.split_id}
