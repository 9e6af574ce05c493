"""Which users TaNP's Table 3 may have been measured on, read from how metrics move with the cut-off."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from metarec.papers.tanp.tables import ITEM_MEAN, POPULARITY, RANDOM, TABLE3, TABLE3_USERS
from metarec.runs.records import Record
from metarec.show import dots, html
from metarec.show.page import Page
from metarec.show.table import paper_values

GAPS = (("P@5", "P@10"), ("MAP@5", "MAP@10"))
RANKERS = (RANDOM, POPULARITY, ITEM_MEAN)
# Beside the usual lines of the dot plot: of ratings, the mean of an item says more than popularity.
LINES: dots.Lines = {**dots.LINES, ITEM_MEAN: ("item mean", (0, (1.2, 1.2)))}


def cutoff_gaps(page: Page, track: str) -> html.Html:
    """What precision and MAP gain from cut-off 5 to 10: each row the paper prints, and our floors by users.

    The released precision grows with the cut-off where queries are short, because fewer of the best labels
    are then left out. `frame` has the columns `shortest` (none for the paper's rows), `method` and one for
    each gap, in points.
    """
    if why := page.lacks(track):
        return why
    spec, records = TABLE3, [*page.records, *page.of(TABLE3_USERS.name)]
    wide = paper_values(spec.reference).pivot(index="metric", columns="method", values="value")
    printed = wide.to_dict()
    there = [row for row in spec.rows if spec.printed[row.label] in printed]
    rows = [
        {"shortest": None, "method": row.label, **_gaps(printed[spec.printed[row.label]])} for row in there
    ]
    floors = [r for r in records if r.label in RANKERS and r.track == track]
    for r in sorted(floors, key=lambda r: (_shortest(r), RANKERS.index(r.label))):
        gaps = _gaps({name: 100 * value for name, value in r.metrics.items()})
        rows.append({"shortest": _shortest(r), "method": r.label, **gaps})
    frame = pd.DataFrame(rows)
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    for row in frame.to_dict("records"):
        least = row["shortest"]
        users = "Paper" if pd.isna(least) else f"Ours, users of {least:.0f} ratings or more"
        cells = [html.signed(row[f"{a} to {b}"]) for a, b in GAPS]
        sections.setdefault(users, []).append((str(row["method"]), cells))
    caption = "From cut-off 5 to cut-off 10, in points"
    rendered = html.table([a.partition("@")[0] for a, _ in GAPS], sections, caption=caption, corner="Method")
    return html.Html(rendered, caption, frame)


def _shortest(record: Record) -> int:
    options = record.protocol["rule_options"]
    return int(options["n_support"] + options["min_query"])


def _gaps(metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{a} to {b}": float(metrics[b]) - float(metrics[a]) for a, b in GAPS}
