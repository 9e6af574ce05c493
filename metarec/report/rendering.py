"""The cells of a table as HTML, and the notes under it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from metarec.report.layout import Layout
from metarec.show import html
from metarec.show.words import ABOVE, BELOW, NEAR, NOT_COMPARABLE, NOT_RUN, PAGE, UNCERTAIN


def explained(frame: pd.DataFrame, layout: Layout, prefix: str) -> list[str]:
    """What a reader of the cells must know: the interval, the words, and what has diverged."""
    unit = "All values are per cent. " if layout.percent else ""
    alone = "; a row without ± has nothing random in it" if (frame["seeds"] == 1).any() else ""
    notes = [f"{unit}Ours: mean over seeds ± half of its 95 % interval (Student's t){alone}."]
    if prefix:
        notes.append("The paper prints no metric of this form, so there is nothing to compare with.")
    words = set(frame["verdict"])
    if words & {ABOVE, BELOW, NEAR, UNCERTAIN}:
        notes.append(
            "The word under a number compares it with the paper's, by the interval in which one more run of "
            f'ours would lie, with another seed and other users: see <a href="{PAGE}#numbers">how to read a '
            "table</a>."
        )
    if NOT_COMPARABLE in words:
        part = ", or only a part of them" if any(b.whole for b in layout.blocks) else ""
        part += "".join(f", or {b.stand_in}" for b in layout.blocks if b.stand_in)
        notes.append(f"Not comparable: not the paper's data (planted ratings{part}).")
    if NOT_RUN in words:
        notes.append("Not run: a method of the paper that has no record here yet.")
    notes += _lost(frame, layout)
    if ((frame["failed"] > 0) & (frame["seeds"] == 0)).any():
        notes.append("n/a: the method does not define the metric, or all of its seeds diverged.")
    return notes


def _lost(frame: pd.DataFrame, layout: Layout) -> list[str]:
    """The seeds of each method, on each data set if there are several, that its mean goes without."""
    several = frame["dataset"].nunique() > 1
    notes = []
    for (dataset, method), rows in frame[frame["failed"] > 0].groupby(["dataset", "method"], sort=False):
        where = f" on {dataset}" if several else ""
        name, n = escape(layout.printed.get(str(method), str(method)) + where), rows["failed"].max()
        metrics = (frame["dataset"] == dataset) & (frame["method"] == method)
        if len(rows) == metrics.sum() and not rows["seeds"].any():  # a ranker defines at least some metric
            notes.append(f"{name}: every seed diverged, {n} of {n}.")
        elif rows["seeds"].any():
            notes.append(f"{name}: {n} seed{'s' * int(n > 1)} diverged, left out of the mean.")
    return notes


def rendered(frame: pd.DataFrame, layout: Layout, caption: str, notes: list[str]) -> str:
    """The cells as an HTML table, one section of rows after another."""
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    for (section, method), cells in frame.groupby(["section", "method"], sort=False):
        line = [_cell(cell, layout.decimals) for cell in cells.to_dict("records")]
        sections.setdefault(str(section), []).append((str(method), line))
    groups = [(b.heading, len(b.metrics)) for b in layout.blocks]
    return html.table(
        [m.replace("pooled:", "pooled ") for b in layout.blocks for m in b.metrics],
        sections,
        caption=caption,
        corner="Method",
        groups=groups if len(groups) > 1 else (),
        notes=notes,
        kind="results",
    )


def _cell(cell: Mapping[Any, Any], decimals: int) -> str:
    lines = []
    if cell["seeds"]:
        spread = ""
        if not np.isnan(cell["high"]):
            spread = f" <small>± {html.number(cell['high'] - cell['ours'], decimals)}</small>"
        lines.append(f'<span class="ours">{html.number(cell["ours"], decimals)}{spread}</span>')
    elif cell["failed"]:
        lines.append('<span class="ours">n/a</span>')
    if not np.isnan(cell["paper"]):
        printed = f"paper {html.number(cell['paper'], int(cell['decimals']))}"
        if cell["seeds"]:
            printed += f"<br>Δ {html.signed(cell['delta'], decimals)}"
        lines.append(f'<span class="paper">{printed}</span>')
    if cell["verdict"]:
        lines.append(html.badge(cell["verdict"]))
    return "<br>".join(lines)
