"""PNMTA's claims, tables and figures on records made to order."""

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
from made_records import keep, made
from made_splits import curve, falling, level, runs

from metarec.claims.ledger import decided
from metarec.errors import RecordError
from metarec.papers.pnmta import courses, fig9, table2, table3
from metarec.papers.pnmta.claims import PAPER
from metarec.papers.pnmta.tables import (
    BOOKS,
    ENCODERS,
    FIG4,
    FIG6,
    FIG7,
    FOUR,
    ORDER,
    OTHER_READINGS,
    PREDICTORS,
    TABLE2,
    TABLE3,
)
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import style
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


def page(spec: TableSpec, records: list[Record], store: Store, **others: list[Record]) -> Page:
    """A page whose main spec has these records; `order` are those of another."""
    given = {spec.name: records, **{f"pnmta.{name}": rows for name, rows in others.items()}}
    return Page("pnmta/made", (spec,), given, store)


# --- the claims


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
    for method, value in product(("PNMTA", "MeLU", "MAML-PT", "PNMTA (w/o PT)"), (3, 90)):
        at = {"track": "sound", "dataset": "synthetic", "options": {"max_support": value}}
        own = runs(store, method, 0.1, seeds=2, **at)
        records += [replace(r, varied={"max_support": value}) for r in own]
    shown = claims_table("pnmta/fig4-support-size", {FIG4.name: records}, store)
    words = shown.frame.set_index(["claim", "place"])["here"]
    assert words["P30", "MovieLens-1M, Fig 4"] == UNTESTABLE
    assert words["P30", "Book-Crossing, Fig 4"] == PENDING


# --- tables and figures


def printed(store: Store, method: str, error: float, **given: Any) -> list[Record]:
    """Runs of a row of Table 2 on MovieLens-1M, with every metric the table shows."""
    found = []
    for seed in range(3):
        errors = level(seed) + error
        users = {"MAE": errors, "RMSE": 1.2 * errors, "MSE": 1.6 * errors**2}
        users |= {f"{stem}@{n}": 1 - 0.1 * errors for stem in ("NDCG", "NDCG-exp") for n in (3, 5)}
        found.append(made(method, users, seed=seed, split=f"split {seed}", dataset="ml-1m", **given))
    return keep(store, found)


def test_pooled_rmse_is_compared_with_the_papers_rmse(store: Store) -> None:
    records = printed(store, "PNMTA", 0.1) + printed(store, "MeLU", 0.2)
    read_otherwise = tuple({v: k for k, v in OTHER_READINGS.items()}.get(m, m) for m in FOUR)
    table = page(TABLE2, records, store).table("published", "MovieLens-1M", metrics=read_otherwise)
    cell = table.frame.set_index(["method", "metric"]).loc[("PNMTA", "pooled:RMSE")]
    assert cell["ours"] == pytest.approx(np.mean([np.sqrt(r.metrics["MSE"]) for r in records[:3]]))
    assert cell["paper"] == 0.8797
    assert "pooled RMSE" in table.html and "pooled:RMSE" not in table.html


def test_nothing_on_a_part_of_a_data_set_compares(store: Store) -> None:
    records = [replace(r, dataset="book-crossing") for r in printed(store, "PNMTA", 0.1)]
    for record, part in product(records, (False, True)):
        counts = {**record.counts, "ratings": 7 if part else 433_671}
        assert BOOKS.compares(replace(record, counts=counts)) is not part


def modulated(store: Store) -> list[Record]:
    """All of Table 3, each column a little worse than the one before."""
    found = []
    for k, (encoder, predictor) in enumerate(product(ENCODERS, PREDICTORS)):
        for seed in range(3):
            users = {"MAE": level(seed) + 0.01 * k + 0.001 * seed}
            about = {"seed": seed, "split": f"split {seed}", "dataset": "ml-1m"}
            found.append(made(f"PNMTA {encoder} {predictor}", users, **about))
    return keep(store, found)


def test_the_grid_of_modulators_ranks_its_cells(store: Store, styled: None) -> None:
    own = page(TABLE3, modulated(store), store)
    shown = table3.grid(own, "published")
    assert "rank&nbsp;1<br>" in shown.html and "rank&nbsp;24<br>" in shown.html
    paper = shown.frame.set_index(["dataset", "method"])["paper"]
    assert paper["MovieLens-1M", "PNMTA C film"] == 0.6921
    assert paper["Book-Crossing", "PNMTA none none"] == 1.6460
    assert "rank 8 of 24" in table3.spans(own, "published")
    heat = table3.heatmaps(own, "published")
    assert [ax.get_title(loc="left") for ax in heat.axes[:3]] == [
        "MovieLens-1M, paper",
        "MovieLens-1M, ours",
        "Book-Crossing, paper",
    ]
    forest = table3.forest(own, "published")
    labels = [tick.get_text() for tick in forest.axes[0].get_yticklabels()]
    assert labels[::-1] == [word for name, word in TABLE3.printed.items() if name != table3.DEFAULT]
    for nothing in (table3.grid, table3.heatmaps, table3.forest):
        assert "No sound track here" in nothing(own, "sound").html


def test_a_note_says_on_which_data_set_a_seed_is_lost(store: Store) -> None:
    found = []
    gone = {("ml-1m", "Cb"): [1], ("book-crossing", "Cb"): [0, 2], ("ml-1m", "C"): [0, 1, 2, 3]}
    for (dataset, encoder), lost in gone.items():
        for seed in range(4):
            users = {"MAE": level(seed) * (float("nan") if seed in lost else 1)}
            about = {"seed": seed, "split": f"split {seed}", "dataset": dataset}
            found.append(made(f"PNMTA {encoder} film", users, **about))
    table = build(TABLE3, keep(store, found), store, track="published")
    assert [note for note in table.notes if "diverged" in note and "n/a" not in note] == [
        "PNMTA-C-FiLM on MovieLens-1M: every seed diverged, 4 of 4.",
        "PNMTA-Cb-FiLM on MovieLens-1M: 1 seed diverged, left out of the mean.",
        "PNMTA-Cb-FiLM on Book-Crossing: 2 seeds diverged, left out of the mean.",
    ]


def test_a_figure_along_a_setting_shows_each_data_set_that_ran(
    store: Store, styled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = []
    for method, value in product(("MAML-PT", "PNMTA", "PNMTA (w/o PT)"), (8, 16, 32, 64)):
        given = {"options": {"d": value}, "track": "sound", "dataset": "ml-1m"}
        own = runs(store, method, 0.1 if method == "PNMTA" else 0.2, seeds=3, **given)
        records += [replace(r, varied={"d": value}) for r in own]
    own = page(FIG6, records, store)
    monkeypatch.setattr(courses, "floors", lambda *_, **__: {"MovieLens-1M": {"a floor": 0.7}})
    fig = courses.figure(own, levels=("a floor",))
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["MovieLens-1M", ""]
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert "a floor" in words and "printed in Table 2, at the default" in words
    table = courses.table(own)
    assert (table.frame["gain"] > 0.05).all() and len(table.frame) == 8
    level_at = np.mean([r.metrics["MAE"] for r in records if (r.label, r.varied["d"]) == ("PNMTA", 16)])
    assert courses.mean(own, "PNMTA", 16, "MovieLens-1M") == f"{level_at:.4f}"
    assert courses.mean(own, "PNMTA", 16, "Book-Crossing") == "–"
    with pytest.raises(RecordError, match=r"no sound record of pnmta\.fig7 varies"):
        courses.table(page(FIG7, records, store))


def test_gaps_are_drawn_between_curves_of_the_same_seeds(store: Store, styled: None) -> None:
    about = {"dataset": "ml-1m"}
    records = curve(store, "PNMTA", falling(0.8, epochs=16), **about)
    records += curve(store, "MeLU", falling(1.0, epochs=16), **about)
    records += curve(store, "MAML-PT", falling(0.9, epochs=16), **about)
    fig = fig9.figure(page(TABLE2, records, store), "MovieLens-1M")
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words[:3] == ["PNMTA", "MeLU", "MAML-PT"]
    assert {"PNMTA ahead of MeLU", "PNMTA ahead of MAML-PT"} < set(words)
    assert "PNMTA 0.6620, MeLU 0.8620" in fig9.at_the_end(page(TABLE2, records, store), "MovieLens-1M")
    with pytest.raises(RecordError, match="unlike numbers of seeds"):
        fig9.figure(page(TABLE2, records[1:], store), "MovieLens-1M")


def test_the_order_of_histories_is_set_side_by_side(store: Store) -> None:
    timed = printed(store, "PNMTA", 0.2)
    shuffled = printed(store, "PNMTA", 0.1, options={"order": "shuffle"})
    shown = table2.order_table(page(TABLE2, timed, store, order=shuffled))
    assert ORDER.name == "pnmta.order"
    row = shown.frame.iloc[0]
    assert row["shuffled"] - row["timed"] == pytest.approx(-0.1, abs=1e-6)
    assert "0.6921" in shown.html
