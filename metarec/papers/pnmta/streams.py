"""One network, two streams (section 1 of PNMTA): errors after training on shuffled rows or user by user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from metarec.papers.pnmta.tables import BLOCKS, STREAMS, spelt
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.cells import with_half
from metarec.stats.intervals import Interval
from metarec.stats.runs import emptied
from metarec.stats.seeds import difference, over_seeds

ERRORS = {"MAE": "Test users", "train MAE": "Training users", "gap": "Gap"}


def trained(records: Sequence[Record]) -> html.Html:
    """The same network after training on either stream: errors on test and training users, and their gap.

    `frame` has a row for each data set, stream and metric: `dataset, stream, metric, mean, low, high`. After
    each pair of streams comes its difference, one user at a time less shuffled, paired by seed.
    """
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    told = [_with_gap(r) for r in emptied(records)]
    run = [row.label for row in STREAMS.rows if any(r.label == row.label for r in told)]
    for dataset in sorted({r.dataset for r in told}, key=lambda d: d != BLOCKS[0].source):
        own = [r for r in told if r.dataset == dataset]
        rows: dict[str, list[Interval]] = {}
        for shuffled, by_user in zip(run[::2], run[1::2], strict=True):
            rows |= {s: [over_seeds(own, s, m) for m in ERRORS] for s in (shuffled, by_user)}
            rows[f"Difference{by_user.removeprefix('One user at a time')}"] = [
                difference(own, by_user, shuffled, m) for m in ERRORS
            ]
        sections[spelt(dataset)] = [
            (name, [with_half(i, 3, signed=name.startswith("Difference")) for i in found])
            for name, found in rows.items()
        ]
        values += [
            {"dataset": dataset, "stream": s, "metric": m, **i._asdict()}
            for s, found in rows.items()
            for m, i in zip(ERRORS, found, strict=True)
        ]
    seeds = len({r.seed for r in records})
    notes = [
        f"MAE of a user’s last ten ratings, in stars; below it, half the width of the 95 % interval over "
        f"{seeds} seeds. Differences: one user at a time less shuffled, paired by seed. Ten epochs where no "
        "other number is named."
    ]
    caption = "One network, two streams"
    rendered = html.table(
        list(ERRORS.values()), sections, caption=caption, corner="Trained on", notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def said(records: Sequence[Record]) -> str:
    """What one user at a time costs on test users, in a sentence."""
    frame = trained(records).frame
    own = frame[(frame["stream"] == "Difference") & (frame["metric"] == "MAE")]
    told = [
        f"{html.signed(row['mean'], 3)} [{html.signed(row['low'], 3)}, {html.signed(row['high'], 3)}] on "
        f"{spelt(row['dataset'])}"
        for row in own.to_dict("records")
    ]
    return (
        "MAE on test users after training one user at a time, minus MAE after training on shuffled "
        f"interactions: {', '.join(told)}."
    )


def _with_gap(record: Record) -> Record:
    """The record with the error on training users, and by how much that on test users is larger."""
    test = record.metrics["MAE"]
    train = np.nan if np.isnan(test) else record.terms["train MAE"]
    return replace(record, metrics={**record.metrics, "train MAE": train, "gap": test - train})
