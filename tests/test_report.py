"""Tables, intervals and tests built from Records whose right answers are known."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from made_records import USERS, add, add_seeds

from metarec.claims.beside import word
from metarec.errors import RecordError
from metarec.experiments import obtain
from metarec.report import tables, tanp
from metarec.report.layout import Block, Layout, select
from metarec.report.tables import build
from metarec.report.tanp_users import cutoff_gaps
from metarec.runs import origin
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import curves as epochs
from metarec.show import dots as figures
from metarec.show import header as provenance
from metarec.show import html, style
from metarec.show import pairs as differences
from metarec.show.words import ABOVE, BELOW, NEAR, NOT_COMPARABLE, NOT_RUN, UNCERTAIN
from metarec.stats.intervals import Interval
from metarec.stats.samples import samples

mpl.use("agg")
TWO = {"P@5": 0.0, "MAE": 0.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


# --- the table


def test_the_word_beside_the_papers_number_takes_no_side() -> None:
    wide, column = Interval(70.0, 68.0, 72.0), 10.0
    assert word(71.9, 2, wide, column) == NEAR
    assert word(71.9, 2, wide, 3.9) == UNCERTAIN  # the interval is wider than the paper's column
    assert word(72.1, 1, wide, column) == BELOW  # ours is the smaller number, of an error or a share alike
    assert word(67.9, 2, wide, column) == ABOVE
    assert word(72.04, 1, wide, column) == NEAR  # it may round from 72.0
    alone = Interval(70.0, float("nan"), float("nan"))
    assert word(70.0, 1, alone, column) == UNCERTAIN
    assert word(71.0, 1, wide, column, comparable=False) == NOT_COMPARABLE
    assert word(71.0, 1, None, column) == NOT_RUN
    assert word(float("nan"), 0, wide, column) == ""


LAYOUT = Layout(
    title="Made table",
    reference="tanp_table4_lastfm",
    blocks=(Block("Last.FM", "N_S=20", "lastfm-tanp", ("P@5", "NDCG@5")),),
    sections={
        "Floors": ("Item mean", "Twin"),
        "Paper": (*tanp.BASELINES, tanp.PLAIN, tanp.FILM, tanp.GATING),
    },
)
BOTH = {"P@5": 0.0, "NDCG@5": 0.0, "std:P@5": -0.1, "std:NDCG@5": 0.0}


def made(store: Store, **given: Any) -> list[Record]:
    records = add_seeds(store, tanp.FILM, BOTH, base=0.7606, wobble=0.01, **given)
    records += add_seeds(store, "MeLU", BOTH, base=0.5, wobble=0.001, **given)
    return [*records, *add_seeds(store, "Item mean", BOTH, seeds=1, base=0.7, **given)]


def test_table_puts_the_paper_beside_ours(store: Store) -> None:
    frame = build(made(store), store, LAYOUT, track="published").frame.set_index(["method", "metric"])
    film = frame.loc[(tanp.FILM, "P@5")]
    assert film["paper"] == 76.06  # as transcribed
    assert film["ours"] == pytest.approx(76.06, abs=2)
    assert film["delta"] == pytest.approx(film["ours"] - 76.06)
    assert film["predicted_low"] < film["low"] < film["high"] < film["predicted_high"]
    assert (film["seeds"], film["verdict"]) == (5, NEAR)
    assert frame.loc[("MeLU", "P@5"), "verdict"] == BELOW
    assert frame.loc[("PPR", "P@5"), "verdict"] == NOT_RUN
    assert frame.loc[("Item mean", "P@5"), "verdict"] == ""
    assert len(frame) == 2 * len(LAYOUT.rows)


def test_table_shows_one_form_of_the_metrics_at_a_time(store: Store) -> None:
    table = build(made(store), store, LAYOUT, track="published", prefix="std:")
    assert table.column("P@5", "paper") == {}
    assert table.column("P@5")["Item mean"] == pytest.approx(60, abs=0.5)
    assert table.wide().loc["MeLU", ("Last.FM", "P@5")] == pytest.approx(40, abs=0.5)


def test_planted_data_is_not_compared(store: Store) -> None:
    table = build(made(store, dataset="synthetic"), store, LAYOUT, track="published")
    assert set(table.frame["verdict"]) == {"", "not comparable", "not run"}
    assert tanp.FILM not in table.column("P@5", "paper")


def test_an_extract_that_stands_in_is_not_compared(store: Store) -> None:
    blocks = (replace(LAYOUT.blocks[0], stand_in="an extract of our own"),)
    table = build(made(store), store, replace(LAYOUT, blocks=blocks), track="published")
    assert set(table.frame["verdict"]) == {"", "not comparable", "not run"}
    assert any("or an extract of our own)" in note for note in table.notes)


def test_no_row_is_lost_and_no_track_invented(store: Store) -> None:
    records = made(store)
    with pytest.raises(RecordError, match="no row for Mystery"):
        build([*records, add(store, "Mystery", BOTH)], store, LAYOUT, track="published")
    with pytest.raises(RecordError, match="no record of the sound track"):
        build(records, store, LAYOUT, track="sound")
    shown = html.on("sound", build, records, store, LAYOUT)
    assert "No sound track here" in shown.html


def test_collapsed_predictors_stop_the_build(store: Store) -> None:
    records = made(store)
    mean = store.per_user("tanp", "made", [records[-1].key])
    twin = add(store, "Twin", {m: mean[m] for m in BOTH}, seed=0)
    with pytest.raises(RecordError, match="'Item mean' and 'Twin' have identical metrics"):
        build([*records, twin], store, LAYOUT, track="published")
    allowed = replace(LAYOUT, same={("Twin", "Item mean"): "one is the other."})
    notes = build([*records, twin], store, allowed, track="published").notes
    assert any("one is the other" in note for note in notes)


def test_a_network_that_became_a_floor_is_found_at_any_seed(store: Store) -> None:
    floor = {m: np.linspace(0, 1, USERS) for m in BOTH}
    records = [add(store, "Item mean", floor), *add_seeds(store, "MeLU", BOTH, seeds=2)]
    records.append(add(store, "MeLU", floor, seed=2))
    assert tables.collapsed(samples(records, store, list(BOTH))) == [("Item mean", "MeLU")]


def test_missing_metrics_and_diverged_seeds_are_said(store: Store) -> None:
    layout = replace(LAYOUT, blocks=(replace(LAYOUT.blocks[0], metrics=("P@5", "MAE")),))
    records = add_seeds(store, "MeLU", TWO, seeds=2)
    records.append(add(store, "MeLU", {m: np.nan for m in TWO}, seed=2))
    records.append(add(store, "Item mean", {"P@5": 0.3}))
    table = build(records, store, layout, track="published")
    frame = table.frame.set_index(["method", "metric"])
    assert frame.loc[("MeLU", "P@5"), "seeds"] == 2
    assert frame.loc[("Item mean", "MAE"), "verdict"] == ""
    assert any("MeLU: 1 seed diverged" in n for n in table.notes)
    assert any(n.startswith("n/a") for n in table.notes)


@pytest.mark.parametrize("layout", [tanp.TABLE3, tanp.TABLE4, tanp.TABLE5], ids=lambda layout: layout.title)
def test_every_printed_row_of_tanps_tables_has_a_place(layout: Layout) -> None:
    paper = tables.paper_values(layout.reference)
    (block,) = layout.blocks
    assert set(paper["method"]) <= set(layout.rows)
    assert set(paper["metric"]) == set(tanp.NINE)
    assert set(paper["decimals"]) == {2}
    assert set(zip(paper["dataset"], paper["setting"], strict=True)) == {(block.dataset, block.setting)}


def test_the_cut_off_tells_short_queries_from_long_ones() -> None:
    """MAP grows with the cut-off in each printed row, and does so for users of 30 ratings, not of 40."""
    records, store = obtain("tanp.table3-users")
    floors = [r for r in store.read("tanp", "table3") if not r.epochs]
    shown = cutoff_gaps([*records, *floors], tanp.TABLE3, track="published")
    gaps = shown.frame.set_index(["shortest", "method"])["MAP@5 to MAP@10"]
    printed = shown.frame[shown.frame["shortest"].isna()]
    assert len(printed) == 10 and (printed["MAP@5 to MAP@10"] > 0).all()
    for floor in ("Popularity", "Item mean"):
        assert gaps[30, floor] > 0 > gaps[40, floor]
    with pytest.raises(RecordError, match="no floor has a record on the sound track"):
        cutoff_gaps(records, tanp.TABLE3, track="sound")


def test_records_are_selected_by_field_option_and_choice(store: Store) -> None:
    one = add(store, "a", TWO, options={"d": 8})
    two = add(store, "a", TWO, options={"d": 16}, dataset="other")
    assert select([one, two], {"options.d": (8, 32)}) == [one]
    assert select([one, two], {"dataset": "other"}) == [two]


class Outline(HTMLParser):
    """Tags and their attributes, with the depth each closes at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_rendered_table_is_accessible_and_escaped() -> None:
    text = html.table(
        ["P@5"], {"A & B": [("<x>", ["1"])]}, caption="C < D", corner="Method", groups=[("Last.FM", 1)]
    )
    outline = Outline(text)
    assert outline.open == []
    assert "<x>" not in text and "A &amp; B" in text
    scopes = [a.get("scope") for tag, a in outline.tags if tag == "th"]
    assert scopes == ["colgroup", "col", "col", "rowgroup", "row"]
    names = [tag for tag, _ in outline.tags]
    assert "caption" in names
    box = outline.tags[0][1]
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "region", "C < D")


def test_huge_numbers_are_powers_of_ten() -> None:
    assert html.number(115_081_541.3, 4) == "1.2·10⁸" and html.signed(-2e12, 4) == "−2.0·10¹²"
    assert html.number(99_999.0, 1) == "99999.0" and html.signed(float("inf")) == "+inf"


def test_numbers_have_no_negative_zero() -> None:
    assert html.signed(-0.001) == "0.00" and html.signed(-1.5, 1) == "−1.5" and html.signed(2) == "+2.00"
    assert html.number(-0.0001, 2) == "0.00"


# --- differences, epochs, figures, provenance


def test_differences_hold_each_pair_and_name_the_missing(store: Store) -> None:
    records = add_seeds(store, "a", {"P@5": 0.2}) + add_seeds(store, "b", {"P@5": 0.0})
    shown = differences.table(records, store, [("a", "b"), ("a", "c")], ["P@5"], track="published")
    assert shown.frame["gain"].iloc[0] == pytest.approx(0.2, abs=0.005)
    assert "▲ better" in shown.html and "a against c" in shown.html
    with pytest.raises(RecordError, match="none of the pairs"):
        differences.table(records, store, [("x", "y")], ["P@5"], track="published")


def with_curve(store: Store, seeds: int = 3) -> list[Record]:
    records = []
    for seed in range(seeds):
        test = {"P@5": [0.5, 0.7 + 0.01 * seed, 0.6]}
        extra = {"curve": {"epoch": [5, 10, 15], "kl": [1e-7, 0.0, -1e-9], "test": test}}
        records.append(add(store, tanp.FILM, {m: 0.6 for m in BOTH}, seed=seed, extra=extra))
    return records


def test_what_the_log_of_test_scores_would_let_one_pick(store: Store) -> None:
    records = with_curve(store)
    table = build(records, store, LAYOUT, track="published")
    picked = epochs.optimism(records, [tanp.FILM], table, "P@5", track="published").frame.iloc[0]
    assert (picked["last"], picked["best"], picked["own"]) == pytest.approx((60.0, 71.0, 71.0))
    with pytest.raises(RecordError, match="no recorded 'cluster'"):
        epochs.history(records, tanp.FILM, "published", "cluster")


def test_figures_have_axes_a_legend_and_every_row(store: Store) -> None:
    with mpl.rc_context():
        style.use_style()
        records = [*with_curve(store), add(store, "Item mean", {m: 0.5 for m in BOTH})]
        table = build(records, store, LAYOUT, track="published")
        fig = figures.dots(records, table, ("P@5", "NDCG@5"), track="published")
        rows = [t.get_text() for t in fig.axes[0].get_yticklabels()]
        assert rows[::-1] == [r for r in LAYOUT.rows if r != "Twin"]
        assert fig.axes[1].get_xlabel() == "NDCG@5 (%)"
        assert "printed in the paper" in style.handles(fig)
        panels = {"test:P@5": "P@5", "kl": "KL (nats)"}
        drawn = epochs.curves(records, [tanp.FILM], panels, track="published", log=["kl"])
        assert [ax.get_yscale() for ax in drawn.axes] == ["linear", "log"]
        assert min(drawn.axes[1].lines[0].get_ydata()) > 0


def test_a_change_that_changed_no_number_is_told_from_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance.sameness, "fresh", lambda module, digest: True)
    header = provenance.header(made(store), track="published").html
    assert "the code has changed since these runs, and gives the same numbers on planted data" in header


def test_stamp_and_header_say_where_numbers_come_from(store: Store) -> None:
    records = made(store, git_commit="c0ffee", wall_seconds=2.0)
    module = "metarec.methods.floors"
    fresh = [replace(r, code_hash=origin.code_hash(module)) for r in records]
    shown = provenance.stamp(fresh)
    assert "c0ffee" in shown.html and "ab" * 32 in shown.html and "2026-01-02" in shown.html
    assert "✓ fresh" in shown.html and "stale" not in shown.html
    assert provenance.stamp(fresh).html == shown.html
    assert provenance.stale(fresh) == []
    assert "unchanged since these runs" in provenance.header(fresh, track="published").html
    header = provenance.header([records[0], *fresh[1:]], track="published").html
    assert f"stale</a> changed since these runs: {tanp.FILM}" in header
    assert 'href="../../book/deviations.html#d1"' in header


def test_tuning_lists_the_grid_and_what_was_chosen(store: Store) -> None:
    search = [
        add(store, "a", TWO, seed=s, options={"lr": lr, "sizes": [8, 8]}, experiment="made-tuning")
        for lr in (0.1, 0.2)
        for s in (0, 1)
    ]
    used = add(store, "a", TWO, options={"lr": 0.2, "sizes": [8, 8]})
    row = provenance.tuning(search, [used]).iloc[0]
    assert (row["option"], row["grid"], row["seeds"], row["chosen"]) == ("lr", [0.1, 0.2], 2, [0.2])
    assert (
        "2 settings for each of 1 methods, 4 runs"
        in provenance.header([used], track="published", search=search).html
    )


def test_digest_of_code_does_not_depend_on_the_interpreter() -> None:
    path = Path(origin.PACKAGE) / "records.py"
    assert "type_params" not in origin._normalised(path)


def test_reports_load_nothing_that_runs_experiments() -> None:
    code = (
        "import sys, metarec.report.tanp, metarec.report.differences, metarec.report.provenance\n"
        "assert 'metarec.runs.runner' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
