"""Tables 4 and 5 of PNMTA: counts against formulas by hand, ratios of time, and the verdicts on both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metarec.claims.ledger import Finding, decided
from metarec.data import synthetic
from metarec.papers.pnmta import step_times, table45
from metarec.papers.pnmta.claims import PAPER
from metarec.papers.pnmta.claims_costs import COSTS
from metarec.papers.pnmta.protocol import protocol
from metarec.runs.measured import Measurement, Request
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show.words import FAILS, HOLDS, NOISE, UNTESTABLE

RATINGS = synthetic(1, n_users=60, n_items=40, ratings_per_user=(14, 24))
PLACE = Measurement("pnmta", "table45", Request("full", ("published",), 1, Store(Path())))


@pytest.fixture(scope="module")
def counted() -> list[Record]:
    return table45.encoder_counts(PLACE, RATINGS) + table45.predictor_counts(PLACE, RATINGS)


def timed(ratio: float, spread: float, rounds: int = 60) -> list[Record]:
    rng = np.random.default_rng(0)
    base = 10 + rng.random(rounds)
    pairs = ratio * np.exp(spread * rng.normal(size=rounds))
    ms = {"MAML-PT": base, "PNMTA": base * pairs}
    return [
        PLACE.record(f"step, {name}", RATINGS, {"rounds": rounds}, {}, extra={"ms": own.tolist()})
        for name, own in ms.items()
    ]


def test_counts_are_those_of_the_fields(counted: list[Record]) -> None:
    fields = (*RATINGS.user_fields, *RATINGS.item_fields)
    categories, d, n = sum(f.size for f in fields), 32, len(fields)
    frame = table45.encoder(counted).frame.set_index(["kind", "bias"])
    own = frame["counted"].to_dict()
    assert own["E", "category"] == 2 * categories * d and own["Eb", "category"] == categories * d
    assert own["C", "category"] == 2 * categories and own["C", "dimension"] == categories + n * d
    assert own["S", "category"] == n * d and own["SS", "category"] == 2 * n * d
    ratio = frame["printed"] / frame["counted"]
    assert ratio["E", "category"] == ratio["Eb", "category"] == n


def found(records: list[Record], claim: str, dataset: str = "ml-1m") -> Finding:
    """The finding on MovieLens-1M, with `dataset` in place of the ratings behind the records."""
    given = [replace(r, dataset=dataset) for r in records]
    (one,) = (c for c in COSTS if c.id == claim)
    there = decided(PAPER, [one], Store(Path()), track="published", given={table45.SPEC.name: given})
    return there[claim]["MovieLens-1M, Tables 4 and 5"]


def test_table_4_fails_and_table_5_holds(counted: list[Record]) -> None:
    encoder, predictor = found(counted, "P23"), found(counted, "P24")
    assert encoder.verdict == FAILS and "E 6, Eb 6, C 1" in encoder.evidence
    assert predictor.verdict == HOLDS and "4 of 4" in predictor.evidence


def test_a_wrong_formula_would_be_seen(counted: list[Record]) -> None:
    def printed(more: int, label: str) -> list[Record]:
        """The counts with a formula that gives as many numbers, and `more` under one label."""
        return [
            replace(r, metrics={**r.metrics, "printed": r.metrics["counted"] + more * (r.label == label)})
            for r in counted
        ]

    assert found(printed(1, "predictor film"), "P24").verdict == FAILS
    assert found(printed(0, ""), "P23").verdict == found(printed(0, ""), "P24").verdict == HOLDS


@pytest.mark.parametrize(
    ("ratio", "spread", "word"), [(1.1, 0.01, HOLDS), (1.5, 0.01, FAILS), (1.25, 0.3, NOISE)]
)
def test_time_is_judged_by_its_interval(ratio: float, spread: float, word: str) -> None:
    assert found(timed(ratio, spread), "P26").verdict == word


def test_ratio_is_taken_within_rounds() -> None:
    slow = np.array([1.0, 10.0, 100.0] * 20)
    found = step_times.ratio(2 * slow, slow)
    assert found == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(("power", "word"), [(3.0, HOLDS), (1.5, FAILS)])
def test_exponent_decides_on_the_cube(power: float, word: str) -> None:
    counts = {f"n = {n}": float(n) ** power for n in (16, 64, 256)}
    record = PLACE.record("multiply-adds, second order", RATINGS, {"widths": [16, 64, 256]}, counts)
    assert found([record], "P25").verdict == word


def test_planted_ratings_give_a_verdict_on_formulas_and_none_on_time(counted: list[Record]) -> None:
    records = [*counted, *timed(1.1, 0.01)]
    assert found(records, "P26", "synthetic").verdict == UNTESTABLE
    assert found(records, "P24", "synthetic").verdict == HOLDS


@pytest.mark.slow
def test_steps_of_all_methods_are_timed_on_the_same_batches() -> None:
    rules = protocol("published", "quick", "ml-1m")
    ratings = rules.ratings()
    splits = rules.splits(ratings, 0)
    found = step_times.timings(PLACE, ratings, splits, quick=True)
    assert [r.method.removeprefix("step, ") for r in found] == list(step_times.TIMED)
    assert all(len(r.extra["ms"]) == r.options["rounds"] and min(r.extra["ms"]) > 0 for r in found)
    steps = step_times._steps("maml-pt", {"d": 4, "window": 8}, ratings, splits, torch.device("cpu"))
    assert next(steps) > 0
