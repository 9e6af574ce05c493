"""PNMTA's Table 2 beside its spec: lines of the dot plot, other readings, the order of histories."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metarec.papers.pnmta.courses import printed
from metarec.papers.pnmta.tables import BASELINES, BIAS, MOVIELENS, ORDER, PNMTA, TABLE2
from metarec.show import dots, html
from metarec.show.cells import our_number
from metarec.show.page import Page
from metarec.show.table import score
from metarec.stats.intervals import interval
from metarec.stats.runs import emptied

READINGS = "Table 2 of PNMTA, the lost formulas read the other way"
# Beside the usual lines: what two numbers, the user's and the item's bias, reach.
LINES: dots.Lines = {**dots.LINES, BIAS: ("user + item bias", (0, (6, 1.5, 1.5, 1.5)))}


def printed_gains() -> str:
    """A sentence: by how much the printed MAE of PNMTA is below the best baseline's on each data set."""
    told = []
    for block in TABLE2.blocks:
        there = printed(block)
        best = min(TABLE2.sections[BASELINES], key=lambda label: there[TABLE2.printed[label]])
        theirs = there[TABLE2.printed[best]]
        gain = 100 * (theirs - there[TABLE2.printed[PNMTA]]) / theirs
        told.append(f"{html.number(gain, 2)} % over {best} on {block.dataset}")
    return f"The printed gain in MAE over the best baseline is {' and '.join(told)}."


def order_table(page: Page) -> html.Html:
    """MAE on MovieLens-1M by the order of histories: by time, as in Table 2, and shuffled; the same seeds."""
    timed, shuffled = emptied(page.records), emptied(page.of(ORDER.name))
    seeds = {(r.label, r.seed) for r in shuffled}
    timed = [r for r in timed if MOVIELENS.holds(r) and (r.label, r.seed) in seeds]
    sides = [[r for r in side if r.track == "published"] for side in (timed, shuffled)]
    if not all(sides):
        return html.nothing("No published track here: the parameter track leaves it out.")
    methods = list(dict.fromkeys(r.label for r in sides[1]))
    in_paper = printed(MOVIELENS)
    rows, values, lost = [], [], []
    for method in methods:
        scores = [[score(r, "MAE") for r in side if r.label == method] for side in sides]
        found = [interval(s for s in own if not np.isnan(s)) for own in scores]
        if n := int(np.isnan(np.concatenate(scores)).sum()):
            lost.append(f"{method}: {n} seed{'s' * (n > 1)} diverged, left out of the mean.")
        value = in_paper.get(method)
        cells = ["–" if value is None else html.number(value, 4)]
        for mean, _, high in found:
            cells.append(our_number(mean, high, 4))
        difference = found[1].mean - found[0].mean
        rows.append((method, [*cells, html.signed(difference, 4)]))
        values.append({"method": method, "timed": found[0].mean, "shuffled": found[1].mean})
    counts = {sum(r.label == m for r in shuffled) for m in methods}
    span = " to ".join(str(n) for n in sorted({min(counts), max(counts)}))
    notes = [f"Means over seeds, {span} a method; users are drawn anew for each order.", *lost]
    caption = "MAE on MovieLens-1M by the order of histories, published track"
    columns = ["Paper", "By time", "Shuffled", "Difference"]
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Method", kind="results", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))
