"""One-off: write version 1 and the new keys into every Record, and lay the files out by what was run.

    python tools/rekey_records.py OLD_RESULTS NEW_RESULTS
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from metarec.methods import METHODS
from metarec.runs import versions
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import Record, digest, to_line
from metarec.runs.store import Store

MEASURED = {
    "pnmta.fig1": ("maml-pt",),
    "pnmta.fig2": ("pnmta",),
    "pnmta.fig8": ("melu", "pnmta"),
    "pnmta.clusters": ("pnmta",),
    "pnmta.table45": ("maml-pt", "pnmta"),
    "tanp.table2": (),
}
# Whose number is the shared one where a configuration was trained more than once: searches, tables, figures.
ORDER = ("-tuning", "table", "order", "streams", "clusters", "fig")


def old_key(d: dict[str, Any]) -> str:
    return digest([d["paper"], d["experiment"], d["track"], d["config_hash"], d["seed"]])


def common(d: dict[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(Record)}
    kept = {k: v for k, v in d.items() if k in known and k not in ("versions", "options", "protocol", "method")}
    return kept | {"libraries": d.get("versions", {})}


def measured(d: dict[str, Any], name: str) -> Record:
    options, what = d["options"], name.partition(".")[2]
    config = digest([d["paper"], what, d["track"], d["method"], d["dataset"], options, d["profile"]])
    made = versions.of_measurement(name, MEASURED[name])
    protocol = {k: v for k, v in d["protocol"].items() if k != "deviations"}
    return Record(**common(d), method=d["method"], options=options, protocol=protocol, config=config, versions=made, measure=what)


def trained(d: dict[str, Any]) -> Record:
    protocol = {k: v for k, v in d["protocol"].items() if k != "deviations"}
    rule = dict(protocol["rule_options"])
    if rule.get("max_support") == 90:  # no limit: a history has at most 100 ratings, ten of them the query
        del rule["max_support"]
    place = Protocol.from_dict({**protocol, "rule_options": rule})
    options = dict(d["options"])
    run = Run(d["paper"], options.pop("model"), place, options, d["seed"], d["profile"])
    assert run.model in METHODS and d["dataset"] == place.dataset, d["dataset"]
    from dataclasses import asdict

    from metarec.methods import class_of

    full = {**asdict(class_of(run.model).Options()), **options}
    return Record(**common(d), method=run.model, options=full, protocol=place.plain(), config=run.config, versions=run.versions)


def rank(experiment: str) -> int:
    return next(i for i, word in enumerate(ORDER) if word in experiment)


def same(a: Record, b: Record) -> bool:
    def numbers(r: Record) -> str:
        return to_line(replace(r, **{f.name: f.default for f in fields(Record) if f.name in ()}))

    key = lambda r: json.dumps([r.metrics, r.terms, r.split_id, r.extra.get("valid"), r.extra.get("curve")], sort_keys=True)
    return key(a) == key(b)


def main(old: Path, new: Path) -> None:
    groups: dict[tuple[str, int], list[tuple[str, str, Record]]] = defaultdict(list)
    users: dict[str, pd.DataFrame] = {}
    for path in sorted(old.glob("*/*.jsonl")):
        name = f"{path.parent.name}.{path.stem}"
        rows = path.with_suffix(".parquet")
        if rows.exists():
            frame = pd.read_parquet(rows).astype({"key": str})
            users |= dict(tuple(frame.groupby("key", sort=False)))
        for line in path.read_text().splitlines():
            d = json.loads(line)
            record = measured(d, name) if name in MEASURED else trained(d)
            groups[record.config, record.seed].append((name, old_key(d), record))
    told: Counter[str] = Counter()
    store, batches = Store(new), defaultdict(list)
    for own in groups.values():
        own.sort(key=lambda item: rank(item[0].partition(".")[2]))
        kept: list[tuple[str, Record]] = []
        for name, key, record in own:
            table = name.removesuffix("-tuning") + (" search" if name.endswith("-tuning") else "")
            twin = next((r for _, r in kept if same(r, record)), None)
            if twin is not None and (not twin.tag or twin.tag == table):
                told[f"{name}: the same numbers again, dropped"] += 1
                continue
            tagged = replace(record, tag=table) if kept else record
            told[f"{name}: {'tagged' if kept else 'kept'}"] += 1
            kept.append((key, tagged))
        for key, record in kept:
            rows = users.get(key)
            metrics = None
            if rows is not None:
                rows = rows.sort_values("task")
                metrics = {c: rows[c].to_numpy() for c in rows if c not in ("key", "task") and rows[c].notna().any() or c in record.metrics}
            batches[record.paper, record.place].append((record, metrics))
    for batch in batches.values():
        store.add_all([r for r, _ in batch], [m for _, m in batch])
    for what, n in sorted(told.items()):
        print(f"{n:5} {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
