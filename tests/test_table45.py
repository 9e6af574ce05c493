"""Tables 4 and 5 of PNMTA: counts against formulas by hand, ratios of time, and the verdicts on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metarec.claims.ledger import Finding, decided, paper
from metarec.data import synthetic
from metarec.papers.pnmta import step_times, table45
from metarec.papers.pnmta.claims_costs import COSTS
from metarec.papers.pnmta.protocol import protocol
from metarec.runs.measured import Measurement, Request
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show.words import FAILS, HOLDS, NOISE, UNTESTABLE

RATINGS = synthetic(1, n_users=60, n_items=40, ratings_per_user=(14, 24))
MADE = Measurement("pnmta", "table45", Request("quick", ("published",), 1, Store(Path())))


@pytest.fixture(scope="module")
def counted() -> list[Record]:
    return table45.encoder_counts(MADE, RATINGS) + table45.predictor_counts(MADE, RATINGS)


def timed(ratio: float, spread: float, rounds: int = 60) -> list[Record]:
    rng = np.random.default_rng(0)
    base = 10 + rng.random(rounds)
    pairs = ratio * np.exp(spread * rng.normal(size=rounds))
    ms = {"MAML-PT": base, "PNMTA": base * pairs}
    return [
        MADE.record(f"step, {name}", RATINGS, {"rounds": rounds}, {}, extra={"ms": own.tolist()})
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


def findings(records: Sequence[Record], dataset: str = "ml-1m") -> dict[str, dict[str, Finding]]:
    """As if counted and timed on the fields of a data set of the paper."""
    given = {table45.SPEC.name: [replace(r, dataset=dataset) for r in records]}
    return decided(paper("pnmta"), COSTS, Store(Path("nowhere")), track="published", given=given)


HERE = "MovieLens-1M, Tables 4 and 5"


def test_table_4_fails_and_table_5_holds(counted: list[Record]) -> None:
    found = findings(counted)
    assert found["P23"][HERE].verdict == FAILS and "E 6, Eb 6, C 1" in found["P23"][HERE].evidence
    assert found["P24"][HERE].verdict == HOLDS and "4 of 4" in found["P24"][HERE].evidence


def test_a_wrong_formula_would_be_seen(counted: list[Record]) -> None:
    wrong = [
        replace(r, metrics={**r.metrics, "printed": r.metrics["counted"] + 1})
        if r.label == "predictor film"
        else r
        for r in counted
    ]
    assert findings(wrong)["P24"][HERE].verdict == FAILS
    right = [replace(r, metrics={**r.metrics, "printed": r.metrics["counted"]}) for r in counted]
    assert findings(right)["P23"][HERE].verdict == HOLDS


@pytest.mark.parametrize(
    ("ratio", "spread", "word"), [(1.1, 0.01, HOLDS), (1.5, 0.01, FAILS), (1.25, 0.3, NOISE)]
)
def test_time_is_judged_by_its_interval(ratio: float, spread: float, word: str) -> None:
    assert findings(timed(ratio, spread))["P26"][HERE].verdict == word


def test_ratio_is_taken_within_rounds() -> None:
    slow = np.array([1.0, 10.0, 100.0] * 20)
    found = step_times.ratio(2 * slow, slow)
    assert found == (2.0, 2.0, 2.0)


def test_exponent_decides_on_the_cube() -> None:
    def record(power: float) -> Record:
        counts = {f"n = {n}": float(n) ** power for n in (16, 64, 256)}
        options = {"widths": [16, 64, 256]}
        return MADE.record("multiply-adds, second order", RATINGS, options, counts)

    assert findings([record(3.0)])["P25"][HERE].verdict == HOLDS
    assert findings([record(1.5)])["P25"][HERE].verdict == FAILS


def test_planted_ratings_give_no_verdict_on_time_but_one_on_counts(counted: list[Record]) -> None:
    found = findings([*counted, *timed(1.1, 0.01)], dataset="synthetic")
    assert found["P26"][HERE].verdict == UNTESTABLE
    assert found["P24"][HERE].verdict == HOLDS


def test_steps_of_all_methods_are_timed_on_the_same_batches() -> None:
    rules = protocol("published", "quick", "ml-1m")
    ratings = rules.ratings()
    splits = rules.splits(ratings, 0)
    found = step_times.timings(MADE, ratings, splits, quick=True)
    assert [r.label.removeprefix("step, ") for r in found] == list(step_times.TIMED)
    assert all(len(r.extra["ms"]) == r.options["rounds"] and min(r.extra["ms"]) > 0 for r in found)
    steps = step_times._steps("maml-pt", {"d": 4, "window": 8}, ratings, splits, torch.device("cpu"))
    assert next(steps) > 0
