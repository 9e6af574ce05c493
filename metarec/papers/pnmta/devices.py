"""PNMTA's runs on two devices: do they agree within the scatter of their seeds? And how long tables took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.papers.pnmta.tables import FIG4, SUPPORTS, TABLE2, TABLE3, spelt
from metarec.runs.execute import results_root
from metarec.runs.measured import Request
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.stats.intervals import interval
from metarec.stats.runs import read

# Figure 4 at its largest support is Table 2: the same users, settings and seeds, trained on its own.
TWICE = {"max_support": max(SUPPORTS)}


def trained_twice(store: Store | None = None) -> tuple[list[Record], list[Record]]:
    """Sound Records of methods that train: those of Table 2, and those of Figure 4 that repeat it."""
    store = store or Store(results_root())
    first = [r for r in read(store, TABLE2) if r.track == "sound"]
    second = [r for r in read(store, FIG4) if r.varied == TWICE]
    return [r for r in first if r.epochs], [r for r in second if r.epochs]


def agreement(one: Sequence[Record], other: Sequence[Record], metric: str = "MAE") -> html.Html:
    """Means on either device, their difference by seed, and what seeds differ by.

    `frame` has a row for each data set and method: `dataset, method, difference, low, high, largest, seeds`.
    There `seeds` is the standard deviation over seeds on the first device. A run that diverged is left out.
    Raises `RecordError` if nothing was trained on both.
    """
    first, second = ({(r.dataset, r.label, r.seed): r for r in side} for side in (one, other))
    shared = [
        key
        for key in second
        if key in first
        and first[key].device != second[key].device
        and not np.isnan([first[key].metrics[metric], second[key].metrics[metric]]).any()
    ]
    if not shared:
        raise RecordError("no run was made on two devices; train one experiment again on another.")
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    for dataset, method in dict.fromkeys(key[:2] for key in shared):
        keys = sorted(key for key in shared if key[:2] == (dataset, method))
        a, b = (np.array([side[key].metrics[metric] for key in keys]) for side in (first, second))
        found, spread = interval(b - a), float(a.std(ddof=1)) if len(a) > 1 else float("nan")
        largest = float(np.abs(b - a).max())
        cells = [html.number(float(a.mean()), 4), html.number(float(b.mean()), 4)]
        cells += [html.signed(found.mean, 5), html.number(largest, 5), html.number(spread, 4)]
        sections.setdefault(spelt(dataset), []).append((method, cells))
        about = {"dataset": dataset, "method": method, "difference": found.mean}
        values.append({**about, "low": found.low, "high": found.high, "largest": largest, "seeds": spread})
    names = [_device(side[shared[0]]) for side in (first, second)]
    caption = f"{metric} of the same runs on two devices"
    counts = sorted(Counter(key[:2] for key in shared).values())
    span = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    notes = [
        f"{span} seeds a method. Differences are by seed, second less first: their mean and the largest. The "
        "last column is the standard deviation over the same seeds on the first device."
    ]
    columns = [*names, "Difference", "Largest", "Seeds scatter by"]
    rendered = html.table(columns, sections, caption=caption, corner="Method", kind="results", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))


def tables(store: Store) -> dict[str, list[Record]]:
    """Records of PNMTA's tables and of the search behind them."""
    search = TABLE2.search_records(Request("full", TABLE2.tracks, 5, store))
    return {
        "The search of step sizes": search,
        "PNMTA, Table 2": read(store, TABLE2),
        "PNMTA, Table 3": read(store, TABLE3),
    }


def elapsed(experiments: Mapping[str, Sequence[Record]] | None = None) -> html.Html:
    """What experiments took on a GPU: from the first start to the last record, and all programs added up.

    `frame` has a row for each experiment: `experiment, device, runs, seeds, minutes, busy`. Where several
    programs shared the GPU, `busy` is larger than `minutes`. Raises `RecordError` if nothing was trained on
    one.
    """
    values, rows = [], []
    for name, records in (experiments or tables(Store(results_root()))).items():
        own = [r for r in records if r.epochs and not r.device.startswith("CPU")]
        if not own:
            continue
        ends = [datetime.fromisoformat(r.finished).timestamp() for r in own]
        # A record's seconds are its share of the program that trained it with others.
        start = min(end - r.wall_seconds * r.replicas for end, r in zip(ends, own, strict=True))
        minutes, busy = (max(ends) - start) / 60, sum(r.wall_seconds for r in own) / 60
        device, seeds = ", ".join(sorted({_device(r) for r in own})), len({r.seed for r in own})
        about = {"experiment": name, "device": device, "runs": len(own), "seeds": seeds}
        values.append({**about, "minutes": minutes, "busy": busy})
        cells = [device, str(len(own)), str(seeds), html.number(minutes, 1), html.number(busy, 1)]
        rows.append((name, cells))
    if not values:
        raise RecordError("no run was trained on a GPU.")
    columns = ["GPU", "Runs", "Seeds", "Minutes", "Minutes, programs added up"]
    caption = "What training took on a GPU"
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Experiment", kind="results")
    return html.Html(rendered, caption, pd.DataFrame(values))


def _device(record: Record) -> str:
    name = record.device
    return "CPU" if name.startswith("CPU") else name.removeprefix("NVIDIA ").partition(" ")[0]
