"""Runs made to order whose seeds have users of their own, and their curves; rules applied to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from made_records import USERS, keep, made, spec

from metarec.claims.cells import Finder
from metarec.claims.ground import Ground, Place
from metarec.claims.ledger import Claim, Finding, Paper, decide
from metarec.claims.rules import Rule
from metarec.runs.records import Record
from metarec.runs.store import Store

MADE = spec("made")
HOME = Place("Home", MADE, "tanp/made", "lastfm-tanp")
BOOK = Paper("tanp", "Made", ())
MAE = ("MAE",)


def level(seed: int) -> np.ndarray:
    """How hard each user of a seed is: every seed has users of its own."""
    return np.random.default_rng([7, seed]).uniform(0.5, 1.0, USERS)


def runs(
    store: Store,
    method: str,
    error: float,
    *,
    seeds: int = 5,
    noise: float = 0.02,
    wobble: float = 0.0,
    **given: Any,
) -> list[Record]:
    """Runs on a split of their own each, whose MAE is the user's level plus `error` and some noise.

    The noise of users has a mean of zero; `wobble` is that of a seed.
    """
    found = []
    for seed in range(seeds):
        rng = np.random.default_rng([len(method), *method.encode(), seed])
        own = rng.normal(0, noise, USERS)
        values = level(seed) + error + own - own.mean() + wobble * rng.normal()
        found.append(made(method, {"MAE": values}, seed=seed, split=f"split {seed}", **given))
    return keep(store, found)


def ground(records: list[Record], store: Store, place: Place = HOME, **given: Any) -> Ground:
    return Ground(place, "published", "", records, store, **given)


def claim(cells: Finder, rule: Rule, *places: Place, **given: Any) -> Claim:
    """A claim without words, decided at HOME unless places are given."""
    return Claim("X01", "", "", "", ("tanp/made",), "", "", places or (HOME,), cells, rule, **given)


def judged(cells: Finder, rule: Rule, records: list[Record], store: Store, **given: Any) -> Finding:
    """The finding at HOME."""
    return decide(claim(cells, rule), {"Home": ground(records, store, **given)}, BOOK)["Home"]


def word(cells: Finder, rule: Rule, records: list[Record], store: Store) -> str:
    return judged(cells, rule, records, store).verdict


def curve(store: Store, method: str, errors: np.ndarray, split: str = "test", **given: Any) -> list[Record]:
    """One run a row of `errors`, its curve; it keeps the last epoch, with a query loss of a tenth."""
    found = []
    for seed, values in enumerate(errors):
        epochs = list(range(1, len(values) + 1))
        recorded = {"epoch": epochs, split: {"MAE": values.tolist()}, "query": [0.1] * len(epochs)}
        scores = {"MAE": level(seed), "MSE": level(seed) ** 2}
        about = {"extra": {"curve": recorded}, "best_epoch": epochs[-1], **given}
        found.append(made(method, scores, seed=seed, split=f"split {seed}", **about))
    return keep(store, found)


def falling(start: float, seeds: int = 5, epochs: int = 6) -> np.ndarray:
    return start - 0.01 * np.arange(epochs) + 0.001 * np.arange(seeds)[:, None]
