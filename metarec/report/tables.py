"""A table of a paper beside ours: in each cell the printed value, our mean with its interval, a verdict.

    table = build(records, store, TABLE4, track="published")
    table              # in a notebook: the rendered table
    table.frame        # for programs: one row a cell

Our numbers come from Records, the paper's from `reference/paper_tables`; nothing else enters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metarec.claims.beside import predicted, word
from metarec.errors import RecordError
from metarec.report.layout import Block, Layout, score, select
from metarec.report.rendering import explained, rendered
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.stats.intervals import interval
from metarec.stats.runs import emptied
from metarec.stats.samples import Sample, samples

REFERENCE = Path(__file__).parents[2] / "reference"


class Table(html.Html):
    """A built table.

    `frame` has one row a cell (`dataset, setting, metric, section, method, paper, ours, low, high, seeds,
    delta, predicted_low, predicted_high, verdict`), in the unit of the paper; `notes` says what a reader
    must know.
    """

    def __init__(
        self, frame: pd.DataFrame, layout: Layout, track: str, prefix: str, caption: str, notes: list[str]
    ):
        self.layout, self.track, self.prefix, self.notes = layout, track, prefix, notes
        super().__init__(rendered(frame, layout, caption, notes), caption, frame)

    def wide(self, value: str = "ours") -> pd.DataFrame:
        """Methods by (data set, metric), of one column of `frame`."""
        wide = self.frame.pivot(index="method", columns=["dataset", "metric"], values=value)
        columns = [(b.dataset, m) for b in self.layout.blocks for m in b.metrics]
        return wide.reindex(index=list(self.layout.rows), columns=pd.MultiIndex.from_tuples(columns))

    def column(self, metric: str, value: str = "ours", dataset: str | None = None) -> dict[str, float]:
        """One column of the table by method, without its gaps; `value` is `ours` or `paper`.

        The paper's values are left out where ours do not compare with them.
        """
        dataset = dataset or self.layout.blocks[0].dataset
        here = self.frame[(self.frame["metric"] == metric) & (self.frame["dataset"] == dataset)]
        if value == "paper":
            here = here[here["verdict"] != "not comparable"]
        return {str(method): float(v) for method, v in here.set_index("method")[value].dropna().items()}


def paper_values(name: str, root: Path = REFERENCE) -> pd.DataFrame:
    """The paper's numbers of one table and the `decimals` printed; `RecordError` if there is none."""
    path = root / "paper_tables" / f"{name}.csv"
    if not path.exists():
        raise RecordError(f"{path} is missing: there is no transcribed table {name!r}.")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    decimals = frame["value"].str.partition(".")[2].str.len()
    return frame.assign(value=frame["value"].astype(float), decimals=decimals)


def build(
    records: Sequence[Record],
    store: Store,
    layout: Layout,
    *,
    track: str,
    prefix: str = "",
) -> Table:
    """The table of one track, with metrics of one form: `prefix` is that of the metric's name in records.

    Raises `RecordError` when there is no record of the track, when a row would be lost (a method of the
    paper or of the records that the layout does not name) and when two methods have identical per-user
    metrics.
    """
    own = [r for r in emptied(records) if r.track == track]
    if not own:
        raise RecordError(f"no record of the {track} track for {layout.title!r}; run the experiment first.")
    paper = paper_values(layout.reference)
    names = {layout.printed.get(row, row) for row in layout.rows}
    lost = sorted(({r.label for r in own} - set(layout.rows)) | (set(paper["method"]) - names))
    if lost:
        raise RecordError(f"{layout.title!r} has no row for {', '.join(lost)}; add it to the layout.")
    notes: list[str] = []
    cells = []
    for block in layout.blocks:
        here = select(own, block.where)
        metrics = list(dict.fromkeys(name for r in here for name in r.metrics))
        found = samples(here, store, metrics) if here else {}
        notes += _alike(layout, found)
        cells += list(_cells(layout, block, here, found, paper, prefix))
    frame = pd.DataFrame(cells)
    notes = [*explained(frame, layout, prefix), *dict.fromkeys(notes)]
    form = ", standard metrics" if prefix else ""
    caption = f"{layout.title}, {track} track{form}"
    return Table(frame, layout, track, prefix, caption, notes)


def _cells(
    layout: Layout,
    block: Block,
    records: Sequence[Record],
    found: Mapping[str, Sample],
    paper: pd.DataFrame,
    prefix: str,
) -> Iterator[dict[str, Any]]:
    scale = 100.0 if layout.percent else 1.0
    there = paper[
        (paper["dataset"] == (block.spelt or block.dataset))
        & (paper["setting"] == (block.setting or paper["setting"]))
    ]
    keys = zip(there["method"], there["metric"], strict=True)
    printed = dict(zip(keys, zip(there["value"], there["decimals"], strict=True), strict=True))
    columns = there.groupby("metric")["value"]
    wide = (columns.max() - columns.min()).to_dict()
    for section, names in layout.sections.items():
        for method in names:
            own = select(records, {"label": method})
            comparable = all(block.compares(r) for r in own)
            for metric in block.metrics:
                key = (layout.printed.get(method, method), layout.reads.get(metric, metric))
                value, decimals = printed.get(key, (np.nan, 0)) if not prefix else (np.nan, 0)
                scores = np.array([scale * score(r, prefix + metric) for r in own])
                scores = scores[~np.isnan(scores)]
                mean, low, high = interval(scores) if len(scores) else (np.nan, np.nan, np.nan)
                new = predicted(scores, own, found.get(method), prefix + metric, scale)
                column = float(wide.get(key[1], 0.0))
                verdict = word(value, decimals, new, column, comparable=comparable)
                yield {
                    "dataset": block.dataset,
                    "metric": metric,
                    "section": section,
                    "method": method,
                    "paper": value,
                    "decimals": decimals,
                    "ours": mean,
                    "low": low,
                    "high": high,
                    "seeds": len(scores),
                    "failed": len(own) - len(scores),
                    "delta": mean - value,
                    "predicted_low": np.nan if new is None else new.low,
                    "predicted_high": np.nan if new is None else new.high,
                    "verdict": verdict if len(scores) or not own else "",
                }


def _alike(layout: Layout, found: Mapping[str, Sample]) -> list[str]:
    """Notes on declared twins found alike; `RecordError` on any other two that score every user alike."""
    notes = []
    for a, b in collapsed(found):
        reason = layout.same.get((a, b)) or layout.same.get((b, a))
        if reason is None:
            raise RecordError(
                f"{a!r} and {b!r} have identical metrics for every user of {layout.title!r}: at least one "
                "has collapsed; look at its predictions before anything is reported."
            )
        notes.append(
            f"<em>{escape(a)}</em> and <em>{escape(b)}</em> have the same value for every user: {reason}"
        )
    return notes


def collapsed(found: Mapping[str, Sample]) -> list[tuple[str, str]]:
    """Pairs of methods whose per-user metrics are identical to the bit at some seed.

    A method recorded once (a floor) is held against every seed of the other: a network that has become a
    constant scores as the random ranker does.
    """
    digests = {
        label: {seed: s.values[i].tobytes() for i, seed in enumerate(s.seeds)} for label, s in found.items()
    }

    def meet(a: dict[int, bytes], b: dict[int, bytes]) -> bool:
        if len(a) == 1 or len(b) == 1:
            return bool(set(a.values()) & set(b.values()))
        return any(a[seed] == b[seed] for seed in set(a) & set(b))

    return [(a, b) for a, b in combinations(digests, 2) if meet(digests[a], digests[b])]
