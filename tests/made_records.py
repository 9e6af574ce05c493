"""Records and per-user metrics made to order, and specs that hold them, for tests of claims and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metarec.runs.measured import Measured
from metarec.runs.records import Record, digest
from metarec.runs.store import Store

USERS = 60
TRACKS = ("published", "sound")
Made = tuple[Record, dict[str, np.ndarray]]
COUNTED = ("users", "items", "ratings", "train tasks", "valid tasks", "test tasks", "test query ratings")


def spec(name: str) -> Measured:
    """A spec whose Records are those added to a store with `measure=name`; nothing measures it."""
    return Measured(f"tanp.{name}", f"Made: {name}", lambda request: iter(()), TRACKS)


def made(
    label: str,
    scores: Mapping[str, Any],
    *,
    seed: int = 0,
    track: str = "published",
    dataset: str = "lastfm-tanp",
    split: str = "split",
    options: Mapping[str, Any] | None = None,
    measure: str = "made",
    **given: Any,
) -> Made:
    """One run, not stored yet, whose per-user metrics are `scores`, `{metric: [users] or one value}`."""
    users = {name: np.array(np.broadcast_to(v, USERS), float) for name, v in scores.items()}
    chosen = dict(options or {})
    about: dict[str, Any] = {
        "paper": "tanp",
        "track": track,
        "dataset": dataset,
        "method": label,
        "measure": measure,
        "options": chosen,
        "seed": seed,
        "metrics": {name: float(np.mean(v)) for name, v in users.items()},
        "protocol": {"rule": "tanp", "rule_options": {"n_support": 20}, "sample": True},
        "split_id": split,
        "counts": dict.fromkeys(COUNTED, 7),
        "selection": "last",
        "epochs": 3,
        "config": digest([measure, label, chosen, track, dataset]),
        "versions": {"method item-mean": 1},
        "data_sha256": "ab" * 32,
        "device": "CPU",
        "finished": "2026-01-02T03:04:05+00:00",
        "libraries": {"torch": "2"},
    }
    return Record(**{**about, **given}, label=label), users


def add(store: Store, label: str, scores: Mapping[str, Any], **given: Any) -> Record:
    """Store one run; its record."""
    (record,) = keep(store, [made(label, scores, **given)])
    return record


def keep(store: Store, runs: Sequence[Made]) -> list[Record]:
    """Store runs in one write; their records."""
    records, users = zip(*runs, strict=True)
    store.add_all(records, users)
    return list(records)


def add_seeds(
    store: Store,
    label: str,
    gains: Mapping[str, float],
    *,
    seeds: int = 5,
    noise: float = 0.02,
    base: float = 0.6,
    wobble: float = 0.001,
    **given: Any,
) -> list[Record]:
    """`seeds` runs: every user's level, the method's gain, noise of a user and method, wobble of a seed."""
    level = np.random.default_rng(1).uniform(-0.2, 0.2, USERS)
    level -= level.mean()
    own = np.random.default_rng([int(digest(label)[:6], 16)])
    personal = {m: own.normal(0, noise, USERS) for m in gains}
    personal = {m: v - v.mean() for m, v in personal.items()}
    runs = [
        made(
            label,
            {m: base + level + g + personal[m] + wobble * own.normal() for m, g in gains.items()},
            seed=seed,
            **given,
        )
        for seed in range(seeds)
    ]
    return keep(store, runs)
