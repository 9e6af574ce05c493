"""PNMTA's ledger, and its tables and figures along a setting, on records made to order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_splits import curve, falling, level, runs

from metarec.claims.ledger import decided
from metarec.errors import RecordError
from metarec.papers.pnmta import courses, table2, table3
from metarec.papers.pnmta.claims import PAPER
from metarec.papers.pnmta.tables import (
    BOOKS,
    ENCODERS,
    FIG4,
    FIG6,
    FIG7,
    MOVIELENS,
    ORDER,
    OTHER_READINGS,
    PREDICTORS,
    TABLE2,
    TABLE3,
    cell,
)
from metarec.runs.plan import Spec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import curves, style
from metarec.show.claims import claims_of, claims_table
from metarec.show.page import Page
from metarec.show.table import build
from metarec.show.words import PENDING, UNTESTABLE


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


def page(store: Store, *given: tuple[Spec, list[Record]]) -> Page:
    """A page of these specs with these Records."""
    specs = tuple(spec for spec, _ in given)
    return Page("pnmta/made", specs, {spec.name: records for spec, records in given}, store)


# --- the ledger


@pytest.mark.parametrize(
    "page", ["table2-comparison", "table3-modulators", "fig4-support-size", "fig9-training-curves"]
)
def test_every_claim_of_a_page_can_be_decided(page: str) -> None:
    named = claims_of(f"pnmta/{page}", PAPER.claims)
    assert named and all(c.cells and c.decide and c.places for c in named)


def test_a_claim_is_not_awaited_on_a_track_that_its_runs_do_not_have(store: Store) -> None:
    chosen = [c for c in PAPER.claims if c.id in ("P01", "P11")]
    on = {t: set(decided(PAPER, chosen, store, track=t)) for t in ("published", "sound")}
    assert on == {"published": {"P01", "P11"}, "sound": {"P01"}}


def test_planted_ratings_answer_for_the_first_set_and_decide_nothing(store: Store) -> None:
    records = []
    for method in ("PNMTA", "MeLU", "MAML-PT", "PNMTA (w/o PT)"):
        for value in (3, 90):
            for record in runs(store, method, 0.1, seeds=2, dataset="synthetic", track="sound"):
                config = f"{method}{value}"
                made = replace(record, paper="pnmta", config=config, varied={"max_support": value})
                store.add(made, {"MAE": level(record.seed)})
                records.append(made)
    shown = claims_table("pnmta/fig4-support-size", {FIG4.name: records}, store)
    words = shown.frame.set_index(["claim", "place"])["here"]
    assert words["P30", "MovieLens-1M, Fig 4"] == UNTESTABLE
    assert words["P30", "Book-Crossing, Fig 4"] == PENDING


# --- tables and figures


def printed(store: Store, method: str, error: float, **given: Any) -> list[Record]:
    """Runs of a row of Table 2 on MovieLens-1M, with every metric the table shows."""
    made = []
    for record in runs(store, method, error, seeds=3, dataset="ml-1m", **given):
        errors = level(record.seed) + error
        users = {"MAE": errors, "RMSE": 1.2 * errors, "MSE": 1.6 * errors**2}
        users |= {f"{stem}@{n}": 1 - 0.1 * errors for stem in ("NDCG", "NDCG-exp") for n in (3, 5)}
        means = {name: float(values.mean()) for name, values in users.items()}
        made.append(replace(record, paper="pnmta", metrics=means))
        store.add(made[-1], users)
    return made


def test_pooled_rmse_is_compared_with_the_papers_rmse(store: Store) -> None:
    records = printed(store, "PNMTA", 0.1) + printed(store, "MeLU", 0.2)
    given = page(store, (TABLE2, records))
    table = given.table("published", MOVIELENS.dataset, metrics=tuple(OTHER_READINGS), title=table2.READINGS)
    cell = table.frame.set_index(["method", "metric"]).loc[("PNMTA", "pooled:RMSE")]
    assert cell["ours"] == pytest.approx(np.mean([np.sqrt(r.metrics["MSE"]) for r in records[:3]]))
    assert cell["paper"] == 0.8797
    assert "pooled RMSE" in table.html and "pooled:RMSE" not in table.html


def test_nothing_on_a_part_of_a_data_set_compares(store: Store) -> None:
    for record, part in product(printed(store, "PNMTA", 0.1), (False, True)):
        counts = {**record.counts, "ratings": 7 if part else 433_671}
        assert BOOKS.compares(replace(record, dataset=BOOKS.source, counts=counts)) is not part


def modulated(store: Store, **given: Any) -> list[Record]:
    """All of Table 3, each column a little worse than the one before."""
    made = []
    for k, (encoder, predictor) in enumerate(product(ENCODERS, PREDICTORS)):
        label = cell(encoder, predictor)
        for r in runs(store, label, 0.01 * k, seeds=3, dataset="ml-1m", **given):
            made.append(replace(r, paper="pnmta"))
            store.add(made[-1], {"MAE": level(r.seed) + 0.01 * k + 0.001 * r.seed})
    return made


def test_the_grid_of_modulators_ranks_its_cells(store: Store, styled: None) -> None:
    records = modulated(store)
    given = page(store, (TABLE3, records))
    shown = table3.grid(given, "published")
    assert "rank&nbsp;1<br>" in shown.html and "rank&nbsp;24<br>" in shown.html
    paper = shown.frame.set_index(["dataset", "method"])["paper"]
    assert paper["MovieLens-1M", cell("C", "film")] == 0.6921
    assert paper["Book-Crossing", cell("none", "none")] == 1.6460
    heat = table3.heatmaps(given, "published")
    assert [ax.get_title(loc="left") for ax in heat.axes[:3]] == [
        "MovieLens-1M, paper",
        "MovieLens-1M, ours",
        "Book-Crossing, paper",
    ]
    forest = table3.forest(given, "published")
    labels = [tick.get_text() for tick in forest.axes[0].get_yticklabels()]
    assert labels[::-1] == [word for name, word in TABLE3.printed.items() if name != table3.DEFAULT]
    assert "rank 8 of 24" in table3.spans(given, "published"), "channel-wise is third, FiLM its second"
    for made in (table3.grid, table3.heatmaps, table3.forest):
        assert "No sound track here" in made(given, "sound").html


def test_a_note_says_on_which_data_set_a_seed_is_lost(store: Store) -> None:
    records = []
    gone = {("ml-1m", "Cb"): [1], ("book-crossing", "Cb"): [0, 2], ("ml-1m", "C"): [0, 1, 2, 3]}
    for (dataset, encoder), lost in gone.items():
        label = cell(encoder, "film")
        for r in runs(store, label, 0.1, seeds=4, dataset=dataset):
            scores = level(r.seed) * (float("nan") if r.seed in lost else 1)
            records.append(replace(r, paper="pnmta", metrics={"MAE": float(scores.mean())}))
            store.add(records[-1], {"MAE": scores})
    table = build(TABLE3, records, store, track="published")
    assert [note for note in table.notes if "diverged" in note and "n/a" not in note] == [
        "PNMTA-C-FiLM on MovieLens-1M: every seed diverged, 4 of 4.",
        "PNMTA-Cb-FiLM on MovieLens-1M: 1 seed diverged, left out of the mean.",
        "PNMTA-Cb-FiLM on Book-Crossing: 2 seeds diverged, left out of the mean.",
    ]


def test_a_figure_along_a_setting_shows_each_data_set_that_ran(store: Store, styled: None) -> None:
    made = []
    for method, value in product(("MAML-PT", "PNMTA", "PNMTA (w/o PT)"), (8, 16, 32, 64)):
        error = 0.1 if method == "PNMTA" else 0.2
        rows = runs(store, method, error, seeds=3, options={"d": value}, track="sound", dataset="ml-1m")
        made += [replace(r, varied={"d": value}) for r in rows]
    fig6 = page(store, (FIG6, made))
    fig = courses.figure(fig6)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["MovieLens-1M", ""]
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert "printed in Table 2, at the default" in words
    table = courses.table(fig6)
    assert (table.frame["gain"] > 0.05).all() and len(table.frame) == 8
    with pytest.raises(RecordError, match="no sound record"):
        courses.table(page(store, (FIG7, made)))
    assert "No published track here" in courses.table(fig6, "published").html


def test_gaps_are_drawn_between_curves_of_the_same_seeds(store: Store, styled: None) -> None:
    records = curve(store, "PNMTA", falling(0.8)) + curve(store, "MeLU", falling(1.0))
    fig = curves.gaps(records, "PNMTA", ("MeLU",), "MAE", track="published", epochs=4)
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words == ["PNMTA", "MeLU", "PNMTA ahead of MeLU"]
    with pytest.raises(RecordError, match="unlike numbers of seeds"):
        curves.gaps(records[1:], "PNMTA", ("MeLU",), "MAE", track="published", epochs=4)


def test_the_order_of_histories_is_set_side_by_side(store: Store) -> None:
    timed, shuffled = printed(store, "PNMTA", 0.2), printed(store, "PNMTA", 0.1)
    shown = table2.order_table(page(store, (TABLE2, timed), (ORDER, shuffled)))
    row = shown.frame.iloc[0]
    assert row["shuffled"] - row["timed"] == pytest.approx(-0.1, abs=1e-6)
    assert "0.6921" in shown.html
