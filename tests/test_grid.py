"""A grid of settings: what the claims of TaNP's Figure 5 say of it, and how the figure shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import labelled
from made_records import USERS, add_seeds, keep, made, spec
from made_splits import BOOK, HOME, claim, ground, judged, word

from metarec.claims.cells import Finder, pairs, spread
from metarec.claims.courses import Setting, point
from metarec.claims.ledger import decide
from metarec.claims.roles import Mean
from metarec.claims.rules import every, inside
from metarec.errors import RecordError
from metarec.papers.tanp.tables import FIG5
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import style, sweep_figure
from metarec.show.sweep import Sweep, grid_table, means
from metarec.show.words import FAILS, HOLDS, NOISE, PENDING

K = Setting("options.k", (1.0, 2.0, 3.0), 1.0, "k", "k =")
HELD = {"a": {"options.w": 0.5}, "b": {"options.w": 0.5}}
TUNED = {"a": 1.0, "b": 2.0}
P10 = ("P@10",)
NAMES = {"published": "P@10", "sound": "standard P@10"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


def grid(
    store: Store, levels: Mapping[str, tuple[float, float, float]], scatter: float = 0.02
) -> list[Record]:
    """Five seeds of each method's P@10 at k = 1, 2, 3: 0.6, a gain, and noise of user, setting and seed."""
    rng = np.random.default_rng(0)
    runs = [
        made(
            method,
            {"P@10": 0.6 + gain + scatter * rng.normal(size=USERS)},
            seed=seed,
            options={"k": k, "w": 0.5},
        )
        for method, gains in levels.items()
        for k, gain in zip((1.0, 2.0, 3.0), gains, strict=True)
        for seed in range(5)
    ]
    return keep(store, runs)


def best_point(*methods: str) -> Finder:
    """The tuned value of each method against its other values."""
    at = {m: {v: point(m, K, v, HELD[m]) for v in K.values} for m in methods}
    return pairs(
        *((own[TUNED[m]], own[v]) for m, own in at.items() for v in K.values if v != TUNED[m]), metrics=P10
    )


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ({"a": (0.2, 0.1, 0.1), "b": (0.1, 0.2, 0.1)}, HOLDS),
        ({"a": (0.2, 0.1, 0.2), "b": (0.1, 0.2, 0.1)}, NOISE),  # a tie at the top
        ({"a": (0.2, 0.1, 0.1), "b": (0.3, 0.2, 0.1)}, FAILS),  # b does better elsewhere
    ],
)
def test_best_point(levels: dict[str, Any], verdict: str, store: Store) -> None:
    assert word(best_point("a", "b"), every, grid(store, levels), store) == verdict


def test_best_point_of_one_method_leaves_the_other_alone(store: Store) -> None:
    records = grid(store, {"a": (0.2, 0.1, 0.1), "b": (0.3, 0.2, 0.1)})
    assert word(best_point("a"), every, records, store) == HOLDS


def test_a_hole_in_the_grid_is_missing(store: Store) -> None:
    records = grid(store, {"a": (0.2, 0.1, 0.1), "b": (0.1, 0.2, 0.1)})
    holed = [r for r in records if not (r.label == "b" and r.options["k"] == 3.0)]
    finding = judged(best_point("a", "b"), every, holed, store)
    assert finding.verdict == PENDING and any("b" in m and "k = 3" in m for m in finding.missing)


def test_the_best_of_a_model_level_with_popularity_proves_nothing(store: Store) -> None:
    records = grid(store, {"a": (0.2, 0.1, 0.1)})
    add_seeds(store, "Popularity", {"P@10": 0.2}, measure="floors", seeds=1)
    for place, verdict in ((HOME, HOLDS), (replace(HOME, floors=spec("floors")), NOISE)):
        here = {"Home": ground(records, store, place, floors=("Popularity",))}
        assert decide(claim(best_point("a"), every, place), here, BOOK)["Home"].verdict == verdict


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ({"a": (0.2, 0.1, 0.0), "b": (0.2, 0.1, 0.0)}, HOLDS),
        ({"a": (0.2, 0.1, 0.0), "b": (0.0, 0.1, 0.2)}, NOISE),
        ({"a": (0.0, 0.1, 0.2), "b": (0.0, 0.1, 0.2)}, FAILS),
    ],
)
def test_smaller_is_better(levels: dict[str, Any], verdict: str, store: Store) -> None:
    small, large = (
        Mean(tuple(point(m, K, value, HELD[m]) for m in HELD), f"k = {value:g}") for value in (1.0, 3.0)
    )
    assert word(pairs((small, large), metrics=P10), every, grid(store, levels), store) == verdict


@pytest.mark.parametrize(
    ("levels", "scatter", "verdict"),
    [
        ({"a": (0.1, 0.1, 0.1), "b": (0.2, 0.2, 0.2)}, 0.005, HOLDS),  # methods may differ, settings not
        ({"a": (0.1, 0.15, 0.1), "b": (0.2, 0.2, 0.2)}, 0.005, FAILS),
        ({"a": (0.1, 0.1, 0.1), "b": (0.2, 0.2, 0.2)}, 0.1, NOISE),  # too much scatter to tell
    ],
)
def test_flat(levels: dict[str, Any], scatter: float, verdict: str, store: Store) -> None:
    found = word(spread(K, HELD, "P@10"), partial(inside, high=0.02), grid(store, levels, scatter), store)
    assert found == verdict


def sweep(**given: Any) -> Sweep:
    return Sweep(K, ("a", "b"), "P@10", held=HELD, tuned=TUNED, **given)


def test_means_take_only_what_lies_on_the_sweep(store: Store) -> None:
    records = grid(store, {"a": (0.0, 0.1, 0.2)})
    records += add_seeds(store, "a", {"P@10": 0.9}, options={"k": 2.0, "w": 9.0})  # another weight
    records += add_seeds(store, "a", {"P@10": 0.9}, options={"k": 7.0, "w": 0.5})  # off the grid
    frame = means(records, sweep(), FIG5, track="published")
    assert frame.groupby("value")["seed"].nunique().tolist() == [5, 5, 5]
    assert frame.groupby("value")["score"].mean().round(2).tolist() == [0.6, 0.7, 0.8]
    with pytest.raises(RecordError, match="varies k; run it first"):
        means(records[15:20], sweep(), FIG5, track="published")


def test_a_run_that_diverged_has_no_score_along_a_sweep(store: Store) -> None:
    runs = [
        made(
            "a", {"MAE": 1e9 if (k, seed) == (2, 1) else 0.7 + k / 10}, seed=seed, options={"k": k, "w": 0.5}
        )
        for k in (1.0, 2.0)
        for seed in range(3)
    ]
    frame = means(keep(store, runs), replace(sweep(), metric="MAE"), FIG5, track="published")
    kept = {value: own.dropna().round(2).tolist() for value, own in frame.groupby("value")["score"]}
    assert len(frame) == 6 and kept == {1.0: [0.8] * 3, 2.0: [0.9] * 2}


def test_the_figure_has_every_seed_and_the_papers_point(store: Store) -> None:
    records = grid(store, {"a": (0.0, 0.1, 0.2), "b": (0.1, 0.1, 0.1)})
    floors = add_seeds(store, "Popularity", {"P@10": 0.05}, seeds=1)
    one = sweep(printed={"Last.FM": {"a": 63.0}})
    fig = sweep_figure.grid(records, [one], FIG5, names=NAMES, floors=floors)
    assert len(fig.axes) == 1, "there is no record of the sound track"
    labelled(fig)
    ax = fig.axes[0]
    dots = [line for line in ax.lines if line.get_marker() == "."]
    assert sum(len(line.get_xdata()) for line in dots) == len(records)
    level = 100 * floors[0].metrics["P@10"]
    assert any(np.allclose(line.get_ydata(), level) for line in ax.lines)
    (ring,) = [line for line in ax.lines if str(line.get_label()).startswith("printed")]
    assert ring.get_ydata()[0] == 63.0 and ring.get_markeredgecolor() == style.ROLES["paper"]
    shown = grid_table(records, [one], FIG5, track="published", name="P@10")
    assert shown.html.count("±") == 6


def test_on_planted_ratings_the_papers_point_is_not_drawn(store: Store) -> None:
    records = [replace(r, dataset="synthetic-implicit") for r in grid(store, {"a": (0.0, 0.1, 0.2)})]
    fig = sweep_figure.grid(records, [sweep(printed={"Last.FM": {"a": 63.0}})], FIG5, names=NAMES)
    assert not [line for line in fig.axes[0].lines if str(line.get_label()).startswith("printed")]
