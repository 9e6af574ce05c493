"""A metric along a setting, in numbers: means by method and value, and who gains on whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pandas as pd

from metarec.claims.courses import Setting
from metarec.errors import RecordError
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.show.cells import our_number
from metarec.stats import tests
from metarec.stats.intervals import interval
from metarec.stats.runs import emptied, select
from metarec.stats.samples import meet, samples


@dataclass(frozen=True)
class Sweep:
    """One setting varied, for some methods.

    `held` fixes other fields of the Records, by method, and `tuned` holds the value at which the paper's
    number of a method was printed, where it is not the default. `pairs` are compared at every value.
    `printed` are the paper's numbers, by data set and method.
    """

    setting: Setting
    methods: tuple[str, ...]
    metric: str
    pairs: tuple[tuple[str, str], ...] = ()
    held: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tuned: Mapping[str, float] = field(default_factory=dict)
    printed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    printed_as: str = "printed in the paper"


def means(
    records: Sequence[Record], sweep: Sweep, spec: TableSpec, *, track: str, prefix: str = ""
) -> pd.DataFrame:
    """Row by run: `dataset, method, value, seed, score, compares`; `RecordError` if there is none.

    A run that diverged has no score.
    """
    own = [r for r in emptied(records) if r.track == track]
    rows = [
        {
            "dataset": block.dataset,
            "method": method,
            "value": value,
            "seed": r.seed,
            "score": r.metrics[prefix + sweep.metric],
            "compares": block.compares(r),
        }
        for block in spec.blocks
        for value in sweep.setting.values
        for method in sweep.methods
        for r in select(own, {**sweep.held.get(method, {}), sweep.setting.path: value, "label": method})
        if block.holds(r)
    ]
    if not rows:
        raise RecordError(f"no {track} record of {spec.name} varies {sweep.setting.label}; run it first.")
    return pd.DataFrame(rows)


def gains(
    records: Sequence[Record], store: Store, sweep: Sweep, spec: TableSpec, *, track: str
) -> pd.DataFrame:
    """`tests.compare` of each pair at each value of each data set, Holm over all rows."""
    own, found = [r for r in emptied(records) if r.track == track], []
    for block in spec.blocks:
        for value in sweep.setting.values:
            here = [r for r in select(own, {sweep.setting.path: value}) if block.holds(r)]
            there = samples(here, store, [sweep.metric]) if here else {}
            for a, b in sweep.pairs:
                if a in there and b in there and meet(there[a], there[b]):
                    row = tests.compare(there[a], there[b])
                    found.append(row.assign(dataset=block.dataset, value=value))
    if not found:
        raise RecordError(f"no pair of methods was run on the same {track} setting.")
    return tests.holm(pd.concat(found, ignore_index=True))


def table(records: Sequence[Record], store: Store, sweep: Sweep, spec: TableSpec, *, track: str) -> html.Html:
    """The numbers of `figure`: means with half of their intervals, gains with theirs and Holm's p."""
    frame = means(records, sweep, spec, track=track)
    paired = gains(records, store, sweep, spec, track=track)
    sets = list(dict.fromkeys(frame["dataset"]))
    values, sections = sweep.setting.values, {}
    for name in sets:
        sections[f"{name}: {sweep.metric}"] = [
            (m, [_mean(frame, m, value, name) for value in values]) for m in sweep.methods
        ]
        sections[f"{name}: paired gain"] = [
            (f"{a} − {b}", [_gain(paired, name, value, a, b) for value in values]) for a, b in sweep.pairs
        ]
    notes = [
        "Mean over seeds ± half of its 95 % interval (Student's t). Gains: positive, the first is better; "
        f"interval for other seeds and other users; p of the same model, Holm's adjustment over the "
        f"{len(paired)} gains."
    ]
    lost = frame[frame["score"].isna()]
    notes += [
        f"{escape(str(method))}: {len(rows)} run{'s' * (len(rows) > 1)} diverged, left out."
        for method, rows in lost.groupby("method", sort=False)
    ]
    caption = f"{sweep.metric} by {sweep.setting.label}, {track} track"
    rendered = html.table(
        [f"{value:g}" for value in values],
        sections,
        caption=caption,
        corner="Method",
        notes=notes,
        kind="results",
    )
    return html.Html(rendered, caption, paired)


def grid_table(
    records: Sequence[Record], sweeps: Sequence[Sweep], spec: TableSpec, *, track: str, name: str
) -> html.Html:
    """The numbers of one row of `grid`, in per cent; `name` is the metric in words."""
    cells: dict[str, list[str]] = {method: [] for method in sweeps[0].methods}
    for sweep in sweeps:
        frame = means(records, sweep, spec, track=track, prefix=spec.prefix.get(track, ""))
        frame = frame.assign(score=100 * frame["score"])
        for method in sweep.methods:
            cells[method] += [_mean(frame, method, v, decimals=2) for v in sweep.setting.values]
    caption = f"{name[0].upper()}{name[1:]} (%), {track} track"
    rendered = html.table(
        [f"{value:g}" for sweep in sweeps for value in sweep.setting.values],
        {"": list(cells.items())},
        caption=caption,
        corner="Method",
        groups=[(sweep.setting.label, len(sweep.setting.values)) for sweep in sweeps],
        kind="results",
    )
    return html.Html(rendered, caption)


def _mean(frame: pd.DataFrame, method: str, value: float, dataset: str = "", decimals: int = 4) -> str:
    own = frame[(frame["value"] == value) & (frame["method"] == method)]
    own = own[own["dataset"] == dataset] if dataset else own
    scores = own["score"].dropna()
    if own.empty:
        return html.badge("not run")
    if scores.empty:
        return "n/a"
    found = interval(scores)
    return our_number(found.mean, found.high, decimals)


def _gain(paired: pd.DataFrame, dataset: str, value: float, a: str, b: str) -> str:
    own = paired[(paired["dataset"] == dataset) & (paired["value"] == value)]
    own = own[(own["a"] == a) & (own["b"] == b)]
    if own.empty:
        return html.badge("not run")
    row = own.iloc[0]
    low, high = html.signed(row["low"], 4), html.signed(row["high"], 4)
    return (
        f'<span class="ours">{html.signed(row["gain"], 4)}</span><br>'
        f'<span class="paper">{html.ends(low, high)}<br>p&nbsp;{html.probability(row["holm"])}</span>'
    )
