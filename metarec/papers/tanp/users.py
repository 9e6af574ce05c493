"""Which users TaNP's Table 3 may have been measured on, read from how metrics move with the cut-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from metarec.errors import RecordError
from metarec.papers.tanp.tables import ITEM_MEAN, POPULARITY, RANDOM
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.cells import absent
from metarec.show.table import paper_values

GAPS = (("P@5", "P@10"), ("MAP@5", "MAP@10"))
RANKERS = (RANDOM, POPULARITY, ITEM_MEAN)


def cutoff_gaps(records: Sequence[Record], spec: TableSpec, *, track: str) -> html.Html:
    """What precision and MAP gain from cut-off 5 to 10: each row the paper prints, and our floors by users.

    The released precision grows with the cut-off where queries are short, because fewer of the best labels
    are then left out. `records` hold the floors for one or more lengths of the shortest history. `frame` has
    the columns `shortest` (none for the paper's rows), `method` and one for each gap, in points.
    """
    if nothing := absent(records, track):
        return nothing
    wide = paper_values(spec.reference).pivot(index="metric", columns="method", values="value")
    printed = wide.to_dict()
    there = [row for row in spec.rows if spec.printed[row.label] in printed]
    rows = [
        {"shortest": None, "method": row.label, **_gaps(printed[spec.printed[row.label]])} for row in there
    ]
    floors = [r for r in records if r.label in RANKERS and r.track == track]
    if not floors:
        raise RecordError(f"no floor has a record on the {track} track; run the experiment first.")
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
