"""PNMTA's tables and claims, declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from metarec.claims.courses import Setting
from metarec.papers.pnmta.tables import SEARCHED
from metarec.report.courses import Course
from metarec.report.layout import Block, Layout, score, select
from metarec.report.pnmta_names import (
    ALL24,
    EIGHT,
    FLOORS,
    FULL,
    MAML_PT,
    ML,
    NO_PT,
    PAPER_SETS,
    PNMTA,
    PRINTED,
    SHARE,
    SIZE,
    STEP,
    SUPPORT,
    WHOLE,
    names_of,
    on_set,
)
from metarec.report.tables import paper_values
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import dots as figures
from metarec.show import header as provenance
from metarec.show import html
from metarec.show import pairs as differences
from metarec.stats.intervals import interval
from metarec.stats.runs import emptied, read

__all__ = [
    "FIG4",
    "FIG5",
    "FIG6",
    "FIG7",
    "FOUR",
    "LINES",
    "READINGS",
    "TABLE2",
    "TABLE3",
    "conditions",
    "floors",
    "on_set",
    "order_table",
    "tests",
]

FOUR = ("MAE", "RMSE", "NDCG@3", "NDCG@5")
OTHER_READINGS: Mapping[str, str] = {"pooled:RMSE": "RMSE", "NDCG-exp@3": "NDCG@3", "NDCG-exp@5": "NDCG@5"}

# Beside the usual ones: what two numbers, the user's and the item's bias, reach.
LINES = {**figures.LINES, "Damped user + item bias": ("user + item bias", (0, (6, 1.5, 1.5, 1.5)))}

# Which deviations part the two tracks of this paper, see the deviations page.
DEVIATIONS = ("D22",)

PAIRS = (
    (PNMTA, MAML_PT),
    (PNMTA, NO_PT),
    (FULL, PNMTA),
    (PNMTA, "MeLU"),
    (PNMTA, "PAML"),
    (PNMTA, "TaNP"),
    (PNMTA, "Damped user + item bias"),
    (PNMTA, "Item mean"),
    ("MeLU", "Damped user + item bias"),
)


def _block(dataset: str, metrics: tuple[str, ...]) -> Block:
    where = {"dataset": names_of(dataset)}
    spelt = dataset.replace("Book-C", "Bookc")
    return Block(dataset, None, PAPER_SETS[dataset], metrics, where, WHOLE[dataset], spelt)


def table2(dataset: str, metrics: tuple[str, ...] = FOUR) -> Layout:
    """Table 2 on one data set; with `OTHER_READINGS`, the lost formulas read in the other way."""
    other = ", other readings of RMSE and NDCG" if metrics != FOUR else ""
    return Layout(
        title=f"Table 2 of PNMTA, {dataset}{other}",
        reference="pnmta_table2",
        blocks=(_block(dataset, metrics),),
        sections={
            "Floors": FLOORS,
            "Baselines of the paper": EIGHT,
            "PNMTA and its ablations": (MAML_PT, NO_PT, PNMTA, FULL),
            "Ceiling": ("Oracle",),
        },
        reads=OTHER_READINGS,
        percent=False,
        decimals=4,
    )


TABLE2: Mapping[str, Layout] = {name: table2(name) for name in PAPER_SETS}
READINGS: Mapping[str, Layout] = {name: table2(name, tuple(OTHER_READINGS)) for name in PAPER_SETS}

TABLE3 = Layout(
    title="Table 3 of PNMTA, MAE",
    reference="pnmta_table3",
    blocks=tuple(_block(name, ("MAE",)) for name in PAPER_SETS),
    sections={"Modulators": ALL24},
    printed=PRINTED,
    percent=False,
    decimals=4,
)


def _printed(dataset: str) -> dict[str, float]:
    """MAE of Table 2, by the paper's names of the methods."""
    paper = paper_values("pnmta_table2")
    rows = paper[(paper["dataset"] == _block(dataset, ()).spelt) & (paper["metric"] == "MAE")]
    return {str(method): float(v) for method, v in zip(rows["method"], rows["value"], strict=True)}


_AT_DEFAULT = {name: _printed(name) for name in PAPER_SETS}


def _course(setting: Setting, methods: tuple[str, ...], *pairs: tuple[str, str]) -> Course:
    sets = {name: _block(name, ("MAE",)) for name in PAPER_SETS}
    return Course(setting, methods, pairs, sets, _AT_DEFAULT)


_TABLE2_ROWS = next(iter(TABLE2.values())).rows
BIAS = "Damped user + item bias"
FIG4 = _course(
    SUPPORT,
    ("MeLU", MAML_PT, NO_PT, PNMTA, BIAS),
    (PNMTA, "MeLU"),
    (PNMTA, MAML_PT),
    (PNMTA, NO_PT),
    (PNMTA, BIAS),
)
FIG5 = _course(
    SHARE, ("MeLU", PNMTA, FULL, BIAS), (PNMTA, "MeLU"), (FULL, "MeLU"), (FULL, PNMTA), (PNMTA, BIAS)
)
FIG6 = _course(SIZE, (MAML_PT, NO_PT, PNMTA), (PNMTA, MAML_PT), (PNMTA, NO_PT))
FIG7 = _course(STEP, (MAML_PT, NO_PT, PNMTA), (PNMTA, MAML_PT), (PNMTA, NO_PT))


def floors(
    store: Store, *, track: str, labels: Sequence[str] = ("Item mean", BIAS)
) -> dict[str, dict[str, float]]:
    """MAE of floors on the test users of Table 2, by data set: mean over seeds, for horizontal lines."""
    found: dict[str, dict[str, float]] = {}
    for name in PAPER_SETS:
        there = select(
            read(store, "pnmta.table2"),
            {"dataset": names_of(name), "track": track, "label": tuple(labels)},
        )
        for label in labels:
            scores = [r.metrics["MAE"] for r in there if r.label == label]
            if scores:
                found.setdefault(name, {})[label.lower()] = float(np.mean(scores))
    return found


def conditions(records: Sequence[Record], store: Store, *, track: str) -> html.Html:
    """The header of a track, one for each data set: with the search behind its settings.

    The settings of PNMTA's family are the paper's on `published`; on `sound` the cells of a row of Table 3
    share those searched for one of them.
    """
    own = [replace(r, method=_searched(r.label)) for r in records if r.track == track]
    family = {MAML_PT, NO_PT, PNMTA, FULL, *SEARCHED.values()}
    methods = {r.label for r in own} - (family if track == "published" else set())
    searches = (store.read("pnmta", name) for name in ("table2-tuning", "table3-tuning"))
    search = [r for records in searches for r in records if r.label in methods]
    own, search = ([replace(r, method=PRINTED.get(r.label, r.label)) for r in side] for side in (own, search))
    parts = []
    for name in dict.fromkeys(r.dataset for r in own):
        here, tried = (select(side, {"dataset": name}) for side in (own, search))
        parts.append(provenance.header(here, track=track, search=tried, deviations=DEVIATIONS))
    return html.Html("".join(part.html for part in parts), f"{track} track")


def _searched(label: str) -> str:
    """Whose search gives a row of Table 2, or a cell of Table 3, its settings."""
    return label if label in _TABLE2_ROWS else SEARCHED[label.split()[-1]]


def tests(records: Sequence[Record], store: Store, *, track: str) -> html.Html:
    """Paired tests of `PAIRS` on one data set."""
    title = ", ".join(dict.fromkeys(r.dataset for r in records))
    return differences.table(records, store, PAIRS, FOUR, track=track, percent=False, title=title)


def order_table(timed: Sequence[Record], shuffled: Sequence[Record], *, track: str) -> html.Html:
    """MAE on MovieLens-1M by the order of histories: by time, as in Table 2, and shuffled; the same seeds."""
    seeds = {(r.label, r.seed) for r in shuffled}
    timed, shuffled = emptied(timed), emptied(shuffled)
    timed = [r for r in on_set(timed, ML) if (r.label, r.seed) in seeds]
    sides = [[r for r in side if r.track == track] for side in (timed, shuffled)]
    methods = list(dict.fromkeys(r.label for r in sides[1]))
    rows, values = [], []
    lost = []
    for method in methods:
        scores = [[score(r, "MAE") for r in side if r.label == method] for side in sides]
        found = [interval(s for s in own if not np.isnan(s)) for own in scores]
        if n := int(np.isnan(np.concatenate(scores)).sum()):
            lost.append(f"{method}: {n} seed{'s' * (n > 1)} diverged, left out of the mean.")
        printed = _AT_DEFAULT[ML].get(method)
        cells = ["–" if printed is None else html.number(printed, 4)]
        for mean, _, high in found:
            half = "" if np.isnan(high) else f" <small>± {html.number(high - mean, 4)}</small>"
            cells.append(f'<span class="ours">{html.number(mean, 4)}{half}</span>')
        difference = found[1].mean - found[0].mean
        rows.append((method, [*cells, html.signed(difference, 4)]))
        values.append({"method": method, "timed": found[0].mean, "shuffled": found[1].mean})
    counts = {sum(r.label == m for r in shuffled) for m in methods}
    span = " to ".join(str(n) for n in sorted({min(counts), max(counts)}))
    notes = [f"Means over seeds, {span} a method; users are drawn anew for each order.", *lost]
    caption = f"MAE on MovieLens-1M by the order of histories, {track} track"
    columns = ["Paper", "By time", "Shuffled", "Difference"]
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Method", kind="results", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))
