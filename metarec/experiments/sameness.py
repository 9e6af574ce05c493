"""Changes of the code that change no number: which older code a record may come from and still be fresh."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

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


def kept(record: Record, module: str, *, redo: bool) -> bool:
    """Whether a record stands for work asked for again; with `redo`, only one that the present code made."""
    return not redo or fresh(module, record.code_hash)


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
    """Note more of them; a pair of digests is kept once, with the comparison of most runs."""
    found = sorted([*read(path), *links], key=lambda link: link.runs)
    kept = {(link.module, link.before, link.after): link for link in found}
    rows = [json.dumps(kept[key]._asdict()) for key in sorted(kept)]
    path.write_text("[\n" + ",\n".join(f"  {row}" for row in rows) + "\n]\n", encoding="utf-8")


def compare(
    old: Mapping[str, Record], new: Mapping[str, Record], modules: Mapping[str, str]
) -> tuple[list[Link], list[str]]:
    """Records of the same runs by key, made by two versions of the code: equal modules, and what differs.

    `modules` names the module behind each key. A module is linked if its code changed, every one of its runs
    was made by both versions, and all that was found agrees.
    """
    runs: dict[str, list[str]] = defaultdict(list)
    for key in new:
        runs[modules[key]].append(key)
    links, differing = [], []
    for module, keys in sorted(runs.items()):
        apart = [k for k in keys if k not in old or _numbers(old[k]) != _numbers(new[k])]
        if apart:
            differing.append(f"{module}: {len(apart)} of {len(keys)} runs, {new[apart[0]].method} first")
            continue
        pairs = {(old[k].code_hash, new[k].code_hash) for k in keys}
        links += [Link(module, *pair, len(keys)) for pair in sorted(pairs) if pair[0] != pair[1]]
    return links, differing


def records(root: Path, names: Iterable[str]) -> dict[str, Record]:
    """The records of experiments, given as `paper.name`, under a folder, by key."""
    return {r.key: r for name in names for r in Store(root).read(*name.split(".", 1))}


def _numbers(r: Record) -> str:
    """All that a run found, undefined values included, as text."""
    found = [r.metrics, r.terms, r.extra, r.counts, r.epochs, r.best_epoch, r.split_id, r.data_sha256]
    return json.dumps(found, sort_keys=True)
