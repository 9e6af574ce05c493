"""PNMTA's ledger, tables and figures on records made to order."""

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
from metarec.report import courses, modulators, pnmta, tables
from metarec.report.pnmta_names import PRINTED, names_of

from metarec.claims.ledger import decided
from metarec.errors import RecordError
from metarec.papers.pnmta.claims import PAPER
from metarec.papers.pnmta.tables import ENCODERS, PREDICTORS
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import curves as gaps
from metarec.show import style
from metarec.show.claims import claims_of, claims_table
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
    assert names_of("MovieLens-1M") == ("ml-1m", "synthetic")
    records = []
    for method in ("PNMTA", "MeLU", "MAML-PT", "PNMTA (w/o PT)"):
        for value in (3, 90):
            protocol = {"rule_options": {"max_support": value}}
            for record in runs(store, method, 0.1, seeds=2, dataset="synthetic", experiment="fig4"):
                made = replace(
                    record, paper="pnmta", track="sound", protocol=protocol, config_hash=f"{method}{value}"
                )
                store.add(made, {"MAE": level(record.seed)})
                records.append(made)
    shown = claims_table("pnmta/fig4-support-size", records, store)
    words = shown.frame.set_index(["claim", "place"])["here"]
    assert words["P30", "MovieLens-1M, Fig 4"] == UNTESTABLE
    assert words["P30", "Book-Crossing, Fig 4"] == PENDING


# --- tables and figures


def printed(store: Store, method: str, error: float, **given: Any) -> list[Record]:
    """Runs of a row of Table 2 on MovieLens-1M, with every metric the table shows."""
    made = []
    for record in runs(store, method, error, seeds=3, experiment="table2", dataset="ml-1m", **given):
        errors = level(record.seed) + error
        users = {"MAE": errors, "RMSE": 1.2 * errors, "MSE": 1.6 * errors**2}
        users |= {f"{stem}@{n}": 1 - 0.1 * errors for stem in ("NDCG", "NDCG-exp") for n in (3, 5)}
        means = {name: float(values.mean()) for name, values in users.items()}
        made.append(replace(record, paper="pnmta", metrics=means))
        store.add(made[-1], users)
    return made


def test_pooled_rmse_is_compared_with_the_papers_rmse(store: Store) -> None:
    records = printed(store, "PNMTA", 0.1) + printed(store, "MeLU", 0.2)
    table = tables.build(records, store, pnmta.READINGS["MovieLens-1M"], track="published")
    cell = table.frame.set_index(["method", "metric"]).loc[("PNMTA", "pooled:RMSE")]
    assert cell["ours"] == pytest.approx(np.mean([np.sqrt(r.metrics["MSE"]) for r in records[:3]]))
    assert cell["paper"] == 0.8797
    assert "pooled RMSE" in table.html and "pooled:RMSE" not in table.html


def test_nothing_on_a_part_of_a_data_set_compares(store: Store) -> None:
    records = [replace(r, dataset="book-crossing", config_hash="") for r in printed(store, "PNMTA", 0.1)]
    for record, part in product(records, (False, True)):
        counts = {**record.counts, "ratings": 7 if part else 433_671}
        block = pnmta.TABLE2["Book-Crossing"].blocks[0]
        assert block.compares(replace(record, counts=counts)) is not part


def modulated(store: Store, **given: Any) -> list[Record]:
    """All of Table 3, each column a little worse than the one before."""
    made = []
    for k, (encoder, predictor) in enumerate(product(ENCODERS, PREDICTORS)):
        label = f"PNMTA {encoder} {predictor}"
        for r in runs(store, label, 0.01 * k, seeds=3, experiment="table3", dataset="ml-1m", **given):
            made.append(replace(r, paper="pnmta"))
            store.add(made[-1], {"MAE": level(r.seed) + 0.01 * k + 0.001 * r.seed})
    return made


def test_the_grid_of_modulators_ranks_its_cells(store: Store, styled: None) -> None:
    records = modulated(store)
    shown = modulators.grid(records, store, pnmta.TABLE3, track="published")
    assert "rank 1<br>" in shown.html and "rank 24<br>" in shown.html
    paper = shown.frame.set_index(["dataset", "method"])["paper"]
    assert paper["MovieLens-1M", "PNMTA C film"] == 0.6921
    assert paper["Book-Crossing", "PNMTA none none"] == 1.6460
    heat = modulators.heatmaps(records, shown, track="published")
    assert [ax.get_title(loc="left") for ax in heat.axes[:3]] == [
        "MovieLens-1M, paper",
        "MovieLens-1M, ours",
        "Book-Crossing, paper",
    ]
    forest = modulators.forest(records, store, pnmta.TABLE3, track="published")
    labels = [tick.get_text() for tick in forest.axes[0].get_yticklabels()]
    assert labels[::-1] == [word for name, word in PRINTED.items() if name != modulators.DEFAULT]


def test_a_note_says_on_which_data_set_a_seed_is_lost(store: Store) -> None:
    records = []
    gone = {("ml-1m", "Cb"): [1], ("book-crossing", "Cb"): [0, 2], ("ml-1m", "C"): [0, 1, 2, 3]}
    for (dataset, encoder), lost in gone.items():
        label = f"PNMTA {encoder} film"
        for r in runs(store, label, 0.1, seeds=4, experiment="table3", dataset=dataset):
            scores = level(r.seed) * (float("nan") if r.seed in lost else 1)
            records.append(replace(r, paper="pnmta", metrics={"MAE": float(scores.mean())}))
            store.add(records[-1], {"MAE": scores})
    table = tables.build(records, store, pnmta.TABLE3, track="published")
    assert [note for note in table.notes if "diverged" in note and "n/a" not in note] == [
        "PNMTA-C-FiLM on MovieLens-1M: every seed diverged, 4 of 4.",
        "PNMTA-Cb-FiLM on MovieLens-1M: 1 seed diverged, left out of the mean.",
        "PNMTA-Cb-FiLM on Book-Crossing: 2 seeds diverged, left out of the mean.",
    ]


def test_a_figure_along_a_setting_shows_each_data_set_that_ran(store: Store, styled: None) -> None:
    made = []
    for method, value in product(("MAML-PT", "PNMTA", "PNMTA (w/o PT)"), (8, 16, 32, 64)):
        given = {"options": {"d": value}, "track": "sound", "dataset": "ml-1m", "experiment": "fig6"}
        made += runs(store, method, 0.1 if method == "PNMTA" else 0.2, seeds=3, **given)
    lines = {"MovieLens-1M": {"a floor": 0.7}}
    fig = courses.figure(made, store, pnmta.FIG6, track="sound", levels=lines)
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["MovieLens-1M", ""]
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert "a floor" in words and "printed in Table 2, at the default" in words
    table = courses.table(made, store, pnmta.FIG6, track="sound")
    assert (table.frame["gain"] > 0.05).all() and len(table.frame) == 8
    with pytest.raises(RecordError, match="no sound record varies"):
        courses.table(made, store, pnmta.FIG7, track="sound")


def test_gaps_are_drawn_between_curves_of_the_same_seeds(store: Store, styled: None) -> None:
    records = curve(store, "PNMTA", falling(0.8)) + curve(store, "MeLU", falling(1.0))
    fig = gaps.figure(records, "PNMTA", ("MeLU",), "MAE", track="published", epochs=4)
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words == ["PNMTA", "MeLU", "PNMTA ahead of MeLU"]
    with pytest.raises(RecordError, match="unlike numbers of seeds"):
        gaps.figure(records[1:], "PNMTA", ("MeLU",), "MAE", track="published", epochs=4)


def test_the_order_of_histories_is_set_side_by_side(store: Store) -> None:
    timed, shuffled = printed(store, "PNMTA", 0.2), printed(store, "PNMTA", 0.1)
    shown = pnmta.order_table(timed, shuffled, track="published")
    row = shown.frame.iloc[0]
    assert row["shuffled"] - row["timed"] == pytest.approx(-0.1, abs=1e-6)
    assert "0.6921" in shown.html
