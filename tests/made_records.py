"""Records and per-user metrics made up to order, for the tests of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metarec.runs.records import Record, Store, digest

USERS = 60


def add(
    store: Store,
    method: str,
    scores: Mapping[str, Any],
    *,
    seed: int = 0,
    experiment: str = "made",
    track: str = "published",
    dataset: str = "lastfm-tanp",
    split: str = "split",
    options: Mapping[str, Any] | None = None,
    **given: Any,
) -> Record:
    """Store one run whose per-user metrics are `scores`, `{metric: [users] or one value}`; its record."""
    users = {name: np.array(np.broadcast_to(v, USERS), float) for name, v in scores.items()}
    chosen = {"model": "item-mean", **(options or {})}
    record = Record(
        paper="tanp",
        experiment=experiment,
        track=track,
        dataset=dataset,
        method=method,
        options=chosen,
        seed=seed,
        metrics={name: float(np.mean(v)) for name, v in users.items()},
        protocol={"rule": "tanp", "rule_options": {"n_support": 20}, "sample": True, "deviations": ["D1"]},
        split_id=split,
        counts=dict.fromkeys(
            (
                "users",
                "items",
                "ratings",
                "train tasks",
                "valid tasks",
                "test tasks",
                "test query ratings",
            ),
            7,
        ),
        selection="last",
        epochs=3,
        config_hash=digest([method, chosen, track, dataset]),
        data_sha256="ab" * 32,
        device="CPU",
        finished="2026-01-02T03:04:05+00:00",
        versions={"torch": "2"},
        **given,
    )
    store.add(record, users)
    return record


def add_seeds(
    store: Store,
    method: str,
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
    own = np.random.default_rng([int(digest(method)[:6], 16)])
    personal = {m: own.normal(0, noise, USERS) for m in gains}
    personal = {m: v - v.mean() for m, v in personal.items()}
    return [
        add(
            store,
            method,
            {m: base + level + g + personal[m] + wobble * own.normal() for m, g in gains.items()},
            seed=seed,
            **given,
        )
        for seed in range(seeds)
    ]
