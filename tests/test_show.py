"""Tables, intervals and tests built from Records whose right answers are known."""

from __future__ import annotations

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
from metarec.papers import open_page
from metarec.papers.tanp import tables as tanp
from metarec.papers.tanp.users import cutoff_gaps
from metarec.runs.plan import Row, TableSpec
from metarec.runs.records import Record
from metarec.runs.search import Search
from metarec.runs.store import Store
from metarec.show import curves, dots, header, html, pairs, style
from metarec.show.page import PLANTED, Page
from metarec.show.table import build, collapsed, paper_values
from metarec.show.words import ABOVE, BELOW, NEAR, NOT_COMPARABLE, NOT_RUN, UNCERTAIN
from metarec.stats.intervals import Interval
from metarec.stats.runs import select
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


SPEC = TableSpec(
    name="tanp.made",
    title="Made table",
    reference="tanp_table4_lastfm",
    blocks=(replace(tanp.LASTFM, metrics=("P@5", "NDCG@5")),),
    rows=(
        Row("Item mean", "item-mean", section="Floors"),
        Row("Twin", "item-mean", section="Floors"),
        *(Row(label, section="Paper") for label in (*tanp.BASELINES, tanp.PLAIN, tanp.FILM, tanp.GATING)),
    ),
    prefix=tanp.PREFIX,
    shown=("P@5",),
    deviations=("D1",),
)
BOTH = {"P@5": 0.0, "NDCG@5": 0.0, "std:P@5": -0.1, "std:NDCG@5": 0.0}


def made(store: Store, **given: Any) -> list[Record]:
    records = add_seeds(store, tanp.FILM, BOTH, base=0.7606, wobble=0.01, **given)
    records += add_seeds(store, "MeLU", BOTH, base=0.5, wobble=0.001, **given)
    return [*records, *add_seeds(store, "Item mean", BOTH, seeds=1, base=0.7, **given)]


def test_table_puts_the_paper_beside_ours(store: Store) -> None:
    frame = build(SPEC, made(store), store, track="published").frame.set_index(["method", "metric"])
    film = frame.loc[(tanp.FILM, "P@5")]
    assert film["paper"] == 76.06  # as transcribed
    assert film["ours"] == pytest.approx(76.06, abs=2)
    assert film["delta"] == pytest.approx(film["ours"] - 76.06)
    assert film["predicted_low"] < film["low"] < film["high"] < film["predicted_high"]
    assert (film["seeds"], film["verdict"]) == (5, NEAR)
    assert frame.loc[("MeLU", "P@5"), "verdict"] == BELOW
    assert frame.loc[("PPR", "P@5"), "verdict"] == NOT_RUN
    assert frame.loc[("Item mean", "P@5"), "verdict"] == ""
    assert len(frame) == 2 * len(SPEC.rows)


def test_table_shows_one_form_of_the_metrics_at_a_time(store: Store) -> None:
    table = build(SPEC, made(store, track="sound"), store, track="sound")
    assert table.column("P@5", "paper") == {}
    assert table.column("P@5")["Item mean"] == pytest.approx(60, abs=0.5)
    assert table.wide().loc["MeLU", ("Last.FM", "P@5")] == pytest.approx(40, abs=0.5)


def test_a_table_of_our_own_has_no_number_of_a_paper(store: Store) -> None:
    frame = build(replace(SPEC, reference=""), made(store), store, track="published").frame
    assert frame["paper"].isna().all() and frame["ours"].notna().any()
    assert not {NEAR, BELOW, ABOVE, UNCERTAIN, NOT_COMPARABLE} & set(frame["verdict"])


def test_planted_data_is_not_compared(store: Store) -> None:
    table = build(SPEC, made(store, dataset="synthetic-implicit"), store, track="published")
    assert set(table.frame["verdict"]) == {"", "not comparable", "not run"}
    assert tanp.FILM not in table.column("P@5", "paper")


def test_an_extract_that_stands_in_is_not_compared(store: Store) -> None:
    blocks = (replace(SPEC.blocks[0], stand_in="an extract of our own"),)
    table = build(replace(SPEC, blocks=blocks), made(store), store, track="published")
    assert set(table.frame["verdict"]) == {"", "not comparable", "not run"}
    assert any("or an extract of our own)" in note for note in table.notes)


def test_no_row_is_lost_and_no_track_invented(store: Store) -> None:
    records = made(store)
    with pytest.raises(RecordError, match="no row for MAMO"):
        build(replace(SPEC, rows=SPEC.rows[:-4]), records, store, track="published")
    with pytest.raises(RecordError, match="no record of the sound track"):
        build(SPEC, records, store, track="sound")
    page = Page("tanp/made", (SPEC,), {SPEC.name: records}, store)
    for shown in (page.table("sound"), page.conditions("sound"), page.pairs("sound"), page.dots("sound")):
        assert "No sound track here" in shown.html


def test_what_was_not_run_and_the_other_columns_stand_behind_a_switch(store: Store) -> None:
    shown = build(SPEC, made(store), store, track="published")
    outline = Outline(shown.html)
    (box,) = [a for tag, a in outline.tags if tag == "input"]
    (label,) = [a for tag, a in outline.tags if tag == "label"]
    assert box["type"] == "checkbox" and label["for"] == box["id"]
    hidden = [a for tag, a in outline.tags if tag in ("th", "td", "tr", "tbody") and a.get("class") == "more"]
    run = {r.label for r in made(store)}
    absent = [row.label for row in SPEC.rows if row.label not in run]
    assert len(hidden) == 1 + len(SPEC.rows) + len(absent), "a heading, a cell a row, and the rows not run"
    assert any(note == f"Not run yet, behind the switch: {', '.join(absent)}." for note in shown.notes)


def test_collapsed_predictors_stop_the_build(store: Store) -> None:
    records = made(store)
    mean = store.per_user([records[-1]])
    twin = add(store, "Twin", {m: mean[m] for m in BOTH}, seed=0)
    with pytest.raises(RecordError, match="'Item mean' and 'Twin' have identical metrics"):
        build(SPEC, [*records, twin], store, track="published")
    allowed = replace(SPEC, same={("Twin", "Item mean"): "one is the other."})
    notes = build(allowed, [*records, twin], store, track="published").notes
    assert any("one is the other" in note for note in notes)


def test_a_network_that_became_a_floor_is_found_at_any_seed(store: Store) -> None:
    floor = {m: np.linspace(0, 1, USERS) for m in BOTH}
    records = [add(store, "Item mean", floor), *add_seeds(store, "MeLU", BOTH, seeds=2)]
    records.append(add(store, "MeLU", floor, seed=2))
    assert collapsed(samples(records, store, list(BOTH))) == [("Item mean", "MeLU")]


def test_missing_metrics_and_diverged_seeds_are_said(store: Store) -> None:
    spec = replace(SPEC, blocks=(replace(SPEC.blocks[0], metrics=("P@5", "MAE")),))
    records = add_seeds(store, "MeLU", TWO, seeds=2)
    records.append(add(store, "MeLU", {m: np.nan for m in TWO}, seed=2))
    records.append(add(store, "Item mean", {"P@5": 0.3}))
    table = build(spec, records, store, track="published")
    frame = table.frame.set_index(["method", "metric"])
    assert frame.loc[("MeLU", "P@5"), "seeds"] == 2
    assert frame.loc[("Item mean", "MAE"), "verdict"] == ""
    assert any("MeLU: 1 seed diverged" in n for n in table.notes)
    assert any(n.startswith("n/a") for n in table.notes)


@pytest.mark.parametrize("spec", [tanp.TABLE3, tanp.TABLE4, tanp.TABLE5], ids=lambda spec: spec.name)
def test_every_printed_row_of_tanps_tables_has_a_place(spec: TableSpec) -> None:
    paper = paper_values(spec.reference)
    (block,) = spec.blocks
    assert set(paper["method"]) <= set(spec.printed.values())
    assert set(paper["metric"]) == set(tanp.NINE) >= set(spec.shown)
    assert set(paper["decimals"]) == {2}
    assert set(zip(paper["dataset"], paper["setting"], strict=True)) == {(block.dataset, block.setting)}


def test_the_cut_off_tells_short_queries_from_long_ones() -> None:
    """MAP grows with the cut-off in each printed row, and does so for users of 30 ratings, not of 40."""
    page = open_page("tanp/table3-movielens", "tanp.table3", "tanp.table3-users", profile="recorded")
    shown = cutoff_gaps(page, "published")
    gaps = shown.frame.set_index(["shortest", "method"])["MAP@5 to MAP@10"]
    printed = shown.frame[shown.frame["shortest"].isna()]
    assert len(printed) == 10 and (printed["MAP@5 to MAP@10"] > 0).all()
    for floor in ("Popularity", "Item mean"):
        assert gaps[30, floor] > 0 > gaps[40, floor]


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
        if tag not in ("br", "input"):
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
    box = next(a for tag, a in outline.tags if a.get("role") == "region")
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "region", "C < D")


def test_huge_numbers_are_powers_of_ten() -> None:
    assert html.number(115_081_541.3, 4) == "1.2·10⁸" and html.signed(-2e12, 4) == "−2.0·10¹²"
    assert html.number(99_999.0, 1) == "99999.0" and html.signed(float("inf")) == "+inf"


def test_numbers_have_no_negative_zero() -> None:
    assert html.signed(-0.001) == "0.00" and html.signed(-1.5, 1) == "−1.5" and html.signed(2) == "+2.00"
    assert html.number(-0.0001, 2) == "0.00"


# --- differences, epochs, figures, provenance


def test_differences_hold_each_pair_and_are_counted_in_a_sentence(store: Store) -> None:
    records = add_seeds(store, "a", BOTH, base=0.8) + add_seeds(store, "b", BOTH)
    spec = replace(SPEC, pairs=(("a", "b"), ("a", "c")))
    shown = pairs.table(spec, records, store, track="published")
    assert shown.frame["gain"].iloc[0] == pytest.approx(0.2, abs=0.005)
    assert "▲ better" in shown.html and "a against c" in shown.html
    assert "<summary>2 of 2 differences are clear; better in some metric: a than b.</summary>" in shown.html
    with pytest.raises(RecordError, match="none of the pairs"):
        pairs.table(replace(SPEC, pairs=(("x", "y"),)), records, store, track="published")


def with_curve(store: Store, seeds: int = 3) -> list[Record]:
    records = []
    for seed in range(seeds):
        test = {"P@5": [0.5, 0.7 + 0.01 * seed, 0.6]}
        extra = {"curve": {"epoch": [5, 10, 15], "kl": [1e-7, 0.0, -1e-9], "test": test}}
        records.append(add(store, tanp.FILM, {m: 0.6 for m in BOTH}, seed=seed, extra=extra))
    return records


def test_what_the_log_of_test_scores_would_let_one_pick(store: Store) -> None:
    records = with_curve(store)
    table = build(SPEC, records, store, track="published")
    picked = curves.optimism(records, [tanp.FILM], table, "P@5", track="published").frame.iloc[0]
    assert (picked["last"], picked["best"], picked["own"]) == pytest.approx((60.0, 71.0, 71.0))
    with pytest.raises(RecordError, match="no recorded 'cluster'"):
        curves.history(records, tanp.FILM, "published", "cluster")


def test_figures_have_axes_a_legend_and_every_row(store: Store) -> None:
    with mpl.rc_context():
        style.use_style()
        records = [*with_curve(store), add(store, "Item mean", {m: 0.5 for m in BOTH})]
        table = build(SPEC, records, store, track="published")
        fig = dots.dots(records, table, metrics=("P@5", "NDCG@5"), track="published")
        rows = [t.get_text() for t in fig.axes[0].get_yticklabels()]
        assert rows[::-1] == [row.label for row in SPEC.rows if row.label != "Twin"]
        assert fig.axes[1].get_xlabel() == "NDCG@5 (%)"
        assert "printed in the paper" in style.handles(fig)
        panels = {"test:P@5": "P@5", "kl": "KL (nats)"}
        drawn = curves.curves(records, [tanp.FILM], panels, track="published", log=["kl"])
        assert [ax.get_yscale() for ax in drawn.axes] == ["linear", "log"]
        assert min(drawn.axes[1].lines[0].get_ydata()) > 0


def test_a_page_quotes_its_numbers_and_knows_what_it_lacks(store: Store) -> None:
    page = Page("tanp/made", (SPEC,), {SPEC.name: made(store)}, store)
    assert page.number(tanp.FILM, "P@5", "published", value="paper") == "76.06"
    ours = page.value(tanp.FILM, "P@5", "published")
    assert page.number(tanp.FILM, "P@5", "published") == html.number(ours, 2)
    assert page.number(tanp.FILM, "P@5", "sound") == "–"
    with pytest.raises(ValueError, match=r"has no column 'P@9'; it has P@5"):
        page.number(tanp.FILM, "P@9", "published")
    with pytest.raises(ValueError, match="has no row 'TaNB'"):
        page.number("TaNB", "P@5", "published")
    assert page.lacks("published") is None and page.lacks("sound") is not None
    with pytest.raises(ValueError, match=r"has no data set 'Lastfm'; it has Last\.FM"):
        page.table("published", "Lastfm")
    with pytest.raises(ValueError, match=r"has no 'tanp\.other'; it has tanp\.made"):
        page.of("tanp.other")


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_the_box_of_a_quick_run_says_that_it_is_one(profile: str, store: Store) -> None:
    records = [replace(r, profile=profile) for r in made(store)]
    page = Page("tanp/made", (SPEC,), {SPEC.name: records}, store)
    assert (PLANTED in str(page.short("TaNP wins."))) == (profile == "quick")


def test_a_records_older_version_is_named_and_a_current_one_is_current(store: Store) -> None:
    records = made(store)
    assert "✓ current" in header.stamp(records).html and "older version" not in header.stamp(records).html
    old = [replace(records[0], versions={"method item-mean": 0}), *records[1:]]
    for shown in (header.stamp(old), header.header(old, track="published", spec=SPEC)):
        assert "older version</a> method item-mean 0, now 1 (1 runs)" in shown.html


def test_stamp_and_header_say_where_numbers_come_from(store: Store) -> None:
    records = made(store, git_commit="c0ffee", wall_seconds=2.0)
    shown = header.stamp(records)
    assert "c0ffee" in shown.html and "ab" * 32 in shown.html and "2026-01-02" in shown.html
    assert header.stamp(records).html == shown.html
    assert 'href="book:deviations#d1"' in header.header(records, track="published", spec=SPEC).html


def test_tuning_tells_what_was_tried_and_marks_a_choice_at_an_end(store: Store) -> None:
    search = Search({"lr": (0.1, 0.4)}, {"lr": 0.2}, (1, 2), n=5, finalists=2)
    spec = replace(SPEC, rows=(Row("a", "melu", search=search, tuned=("published",)),))
    tried = sorted(p["lr"] for p in search.points)
    inner = add(store, "a", TWO, options={"lr": tried[2]})
    row = header.tuning([inner], spec, "published").iloc[0]
    assert (row["option"], row["low"], row["high"], row["chosen"]) == ("lr", tried[0], tried[-1], [tried[2]])
    assert not row["edge"] and header.tuning([inner], spec, "sound").empty
    told = header.header([inner], track="published", spec=spec).html
    assert (
        "5 settings a method for 1 epochs, the best 2 for 2 with 2 seeds" in told and "(an end)" not in told
    )
    end = replace(inner, options={"lr": tried[-1]})
    assert "(an end)" in header.header([end], track="published", spec=spec).html
    before = replace(inner, versions={**inner.versions, "settings": 0})
    assert "settings of an earlier search" in header.header([before], track="published", spec=spec).html


def test_a_page_says_that_its_settings_have_changed_and_how_many_runs_blew_up(store: Store) -> None:
    curve = {"query": [1.0, float("nan")], "epoch": [1, 2]}
    before = [
        replace(
            add(store, "a", TWO, seed=s, track="sound"),
            versions={"settings": 0},
            epochs=2,
            extra={"curve": curve if s else {}},
        )
        for s in (0, 1)
    ]
    page = Page("tanp/trial", (SPEC,), {SPEC.name: before}, store)
    told = page.short("So it is.").text
    assert "settings of the sound track have changed" in told and "1 of 2 blew up" in told
    now = [replace(r, versions={}) for r in before]
    assert "changed" not in Page("tanp/trial", (SPEC,), {SPEC.name: now}, store).short("So it is.").text


def test_a_method_has_one_look_wherever_it_is_drawn() -> None:
    families = {name: style.look(name)["color"] for name in style.FAMILIES}
    assert len(set(families.values())) == len(families) and style.ROLES["paper"] not in families.values()
    for label in (tanp.PLAIN, tanp.FILM, tanp.GATING):
        assert style.look(label)["color"] == families["TaNP"]
    looks = [str(style.look(label)) for label in (tanp.PLAIN, tanp.FILM, tanp.GATING, "MAML-PT", "PAML")]
    assert len(set(looks)) == len(looks)
    assert {style.look(floor)["color"] for floor in style.FLOORS} == {style.MUTED}
