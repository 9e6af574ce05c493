"""A table of a paper beside ours: in each cell the printed value, our mean with its interval, a word.

    table = build(spec, records, store, track="published")
    table              # in a notebook: the rendered table
    table.frame        # for programs: one row a cell

Our numbers come from Records, the paper's from `reference/paper_tables`; nothing else enters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from metarec.claims.beside import predicted, word
from metarec.errors import RecordError
from metarec.paths import REFERENCE
from metarec.runs.plan import Block, TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.show.cells import our_number, papers_number
from metarec.show.notes import explained
from metarec.stats.intervals import interval
from metarec.stats.runs import emptied, select
from metarec.stats.samples import Sample, samples


class Table(html.Html):
    """A built table.

    `frame` has one row a cell (`dataset, metric, section, method, paper, decimals, ours, low, high, seeds,
    failed, delta, predicted_low, predicted_high, verdict`), in the unit of the paper; `notes` says what a
    reader must know. `title` stands in for that of the spec.
    """

    def __init__(self, frame: pd.DataFrame, spec: TableSpec, track: str, notes: list[str], title: str = ""):
        self.spec, self.track, self.notes = spec, track, notes
        self.prefix = spec.prefix.get(track, "")
        form = ", standard metrics" if self.prefix else ""
        caption = f"{title or spec.title}, {track} track{form}"
        super().__init__(rendered(frame, spec, caption, notes), caption, frame)

    def wide(self, value: str = "ours") -> pd.DataFrame:
        """Methods by (data set, metric), of one column of `frame`."""
        wide = self.frame.pivot(index="method", columns=["dataset", "metric"], values=value)
        columns = [(b.dataset, m) for b in self.spec.blocks for m in b.metrics]
        labels = [row.label for row in self.spec.rows]
        return wide.reindex(index=labels, columns=pd.MultiIndex.from_tuples(columns))

    def column(self, metric: str, value: str = "ours", dataset: str | None = None) -> dict[str, float]:
        """One column of the table by method, without its gaps; `value` is `ours` or `paper`.

        The paper's values are left out where ours do not compare with them.
        """
        dataset = dataset or self.spec.blocks[0].dataset
        here = self.frame[(self.frame["metric"] == metric) & (self.frame["dataset"] == dataset)]
        if value == "paper":
            here = here[here["verdict"] != "not comparable"]
        return {str(method): float(v) for method, v in here.set_index("method")[value].dropna().items()}


def paper_values(name: str) -> pd.DataFrame:
    """The paper's numbers of one table and the `decimals` printed; none for a table of our own (`""`).

    Raises `RecordError` if no table of that name was transcribed.
    """
    if not name:
        return pd.DataFrame(columns=["dataset", "setting", "method", "metric", "value", "decimals"])
    path = REFERENCE / "paper_tables" / f"{name}.csv"
    if not path.exists():
        raise RecordError(f"{path} is missing: there is no transcribed table {name!r}.")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    decimals = frame["value"].str.partition(".")[2].str.len()
    return frame.assign(value=frame["value"].astype(float), decimals=decimals)


def build(spec: TableSpec, records: Sequence[Record], store: Store, *, track: str, title: str = "") -> Table:
    """The table of one track, in the track's form of the metrics.

    Raises `RecordError` when there is no record of the track, when a row of the paper would be lost, and when
    two methods have identical per-user metrics that the spec does not declare.
    """
    own = [r for r in emptied(records) if r.track == track]
    if not own:
        raise RecordError(f"no record of the {track} track of {spec.name}; run it first.")
    paper = paper_values(spec.reference)
    lost = sorted(set(paper["method"]) - set(spec.printed.values()))
    if lost:
        raise RecordError(f"{spec.name} has no row for {', '.join(lost)}, which the paper prints; add it.")
    notes: list[str] = []
    cells = []
    for block in spec.blocks:
        here = [r for r in own if block.holds(r)]
        metrics = list(dict.fromkeys(name for r in here for name in r.metrics))
        found = samples(here, store, metrics) if here else {}
        notes += _alike(spec, found)
        cells += list(_cells(spec, block, here, found, paper, spec.prefix.get(track, "")))
    frame = pd.DataFrame(cells)
    return Table(frame, spec, track, [*explained(frame, spec, track), *dict.fromkeys(notes)], title)


def score(record: Record, metric: str) -> float:
    """A mean metric of a record, nan if it has none. `pooled:RMSE` is the root of the mean squared error over
    all query ratings, which all tasks having equally many makes the root of the mean of `MSE`.
    """
    if metric == "pooled:RMSE":
        return float(np.sqrt(record.metrics.get("MSE", np.nan)))
    return record.metrics.get(metric, np.nan)


def _cells(
    spec: TableSpec,
    block: Block,
    records: Sequence[Record],
    found: Mapping[str, Sample],
    paper: pd.DataFrame,
    prefix: str,
) -> Iterator[dict[str, Any]]:
    there = paper[
        (paper["dataset"] == (block.spelt or block.dataset))
        & (paper["setting"] == (block.setting or paper["setting"]))
    ]
    keys = zip(there["method"], there["metric"], strict=True)
    printed = dict(zip(keys, zip(there["value"], there["decimals"], strict=True), strict=True))
    columns = there.groupby("metric")["value"]
    wide = (columns.max() - columns.min()).to_dict()
    for row in spec.rows:
        own = select(records, {"label": row.label})
        for metric in block.metrics:
            key = (row.printed or row.label, spec.reads.get(metric, metric))
            value, decimals = printed.get(key, (np.nan, 0)) if not prefix else (np.nan, 0)
            column = float(wide.get(key[1], 0.0))
            about = {"dataset": block.dataset, "metric": metric, "section": row.section, "method": row.label}
            number = _number(spec, block, own, found.get(row.label), prefix + metric, value, decimals, column)
            yield {**about, "paper": value, "decimals": decimals, **number}


def _number(
    spec: TableSpec,
    block: Block,
    own: Sequence[Record],
    sample: Sample | None,
    metric: str,
    paper: float,
    decimals: int,
    column: float,
) -> dict[str, Any]:
    """Our number of one cell, and the word for how it stands to the paper's."""
    scale = 100.0 if spec.percent else 1.0
    scores = np.array([scale * score(r, metric) for r in own])
    scores = scores[~np.isnan(scores)]
    mean, low, high = interval(scores) if len(scores) else (np.nan, np.nan, np.nan)
    new = predicted(scores, own, sample, metric, scale)
    verdict = word(paper, decimals, new, column, comparable=all(block.compares(r) for r in own))
    return {
        "ours": mean,
        "low": low,
        "high": high,
        "seeds": len(scores),
        "failed": len(own) - len(scores),
        "delta": mean - paper,
        "predicted_low": np.nan if new is None else new.low,
        "predicted_high": np.nan if new is None else new.high,
        "verdict": verdict if len(scores) or not own else "",
    }


def rendered(frame: pd.DataFrame, spec: TableSpec, caption: str, notes: list[str]) -> str:
    """The cells as an HTML table; columns beyond `spec.shown` and methods not run stand behind the switch."""
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    for (section, method), cells in frame.groupby(["section", "method"], sort=False):
        line = [_cell(cell, spec.decimals) for cell in cells.to_dict("records")]
        sections.setdefault(str(section), []).append((str(method), line))
    groups = [(b.heading, len(b.metrics)) for b in spec.blocks]
    metrics = [m for b in spec.blocks for m in b.metrics]
    shown = set(spec.shown) if set(spec.shown) & set(metrics) else set(metrics)
    runs = frame.groupby("method", sort=False)[["seeds", "failed"]].sum().sum(axis=1)
    return html.table(
        [m.replace("pooled:", "pooled ") for m in metrics],
        sections,
        caption=caption,
        corner="Method",
        groups=groups if len(groups) > 1 else (),
        notes=notes,
        kind="results",
        hidden=[m not in shown for m in metrics],
        folded=[str(method) for method, n in runs.items() if not n],
    )


def _cell(cell: Mapping[Any, Any], decimals: int) -> str:
    lines = []
    if cell["seeds"]:
        lines.append(our_number(cell["ours"], cell["high"], decimals))
    elif cell["failed"]:
        lines.append('<span class="ours">n/a</span>')
    if not np.isnan(cell["paper"]):
        delta = html.signed(cell["delta"], decimals) if cell["seeds"] else ""
        lines.append(papers_number(cell["paper"], int(cell["decimals"]), delta))
    if cell["verdict"]:
        lines.append(html.badge(cell["verdict"]))
    return "<br>".join(lines)


def _alike(spec: TableSpec, found: Mapping[str, Sample]) -> list[str]:
    """Notes on declared twins found alike; `RecordError` on any other two that score every user alike."""
    notes = []
    for a, b in collapsed(found):
        reason = spec.same.get((a, b)) or spec.same.get((b, a))
        if reason is None:
            raise RecordError(
                f"{a!r} and {b!r} have identical metrics for every user of {spec.title!r}: at least one "
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
