"""The table of A against A: a method's seeds against others of its own, where nothing is to be found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd

from metarec.errors import RecordError
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.stats.intervals import LEVEL
from metarec.stats.null import against_itself, simulated
from metarec.stats.runs import emptied
from metarec.stats.samples import samples

LEAST = 4  # seeds, two for each side


def table(spec: TableSpec, records: Sequence[Record], store: Store, *, track: str) -> html.Html:
    """How often the test calls a method clearly better or worse than itself at 5 %, a row a method.

    `frame` has a row a method: `method, tests, clear, share, simulated`. `RecordError` where each seed has a
    split of its own.
    """
    own = [r for r in emptied(records) if r.track == track]
    prefix, metrics = spec.prefix.get(track, ""), spec.blocks[0].metrics
    found = samples(own, store, [prefix + m for m in metrics]) if own else {}
    values = []
    for name, sample in found.items():
        if len(sample.seeds) < LEAST:
            continue
        p = against_itself(sample)["p"]
        share = simulated(sample, sample.metrics[0])
        clear = int((p < 1 - LEVEL).sum())
        about = {"method": name, "tests": len(p), "clear": clear, "share": clear / len(p)}
        values.append({**about, "simulated": share})
    if not values:
        raise RecordError(f"no method of {spec.name} has {LEAST} seeds on the {track} track.")
    frame = pd.DataFrame(values)
    rows = [
        (
            escape(row["method"]),
            [f"{row['clear']} of {row['tests']}", *(f"{100 * row[k]:.1f}" for k in ("share", "simulated"))],
        )
        for row in frame.to_dict("records")
    ]
    caption = f"A against A, {track} track"
    notes = [
        "A method against itself: every two of its seeds against two others, in each metric, on the same "
        "users. Each difference is noise, so that no more than 5 % may be clear before Holm's correction.",
        f"Simulated: five seeds against five of made-up runs with the seeds' and users' scatter of these, in "
        f"{metrics[0]}.",
    ]
    columns = ["Clear", "Share (%)", "Simulated (%)"]
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Method", notes=notes, kind="results")
    return html.Html(rendered, caption, frame)
