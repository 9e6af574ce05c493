"""Tables and blocks as plain, accessible HTML. How they look is said in book/_static/custom.css alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from metarec.runs.records import Record
from metarec.show.words import badge

__all__ = ["Html", "badge", "number", "on", "pairs", "probability", "remarks", "signed", "table"]

# A number of this size has left every scale: its order is all that it says.
LARGE = 1e5
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Html:
    """What a notebook cell shows: HTML for the page, one line of text for where there is none.

    `frame` holds the same numbers for programs, where there are any.
    """

    def __init__(self, html: str, text: str, frame: pd.DataFrame | None = None):
        self.html, self.text = html, text
        self.frame = pd.DataFrame() if frame is None else frame

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def table(
    columns: Sequence[str],
    sections: Mapping[str, Sequence[tuple[str, Sequence[str]]]],
    *,
    caption: str,
    corner: str,
    groups: Sequence[tuple[str, int]] = (),
    notes: Iterable[str] = (),
    kind: str = "plain",
) -> str:
    """A table with a caption, scoped headers and a scroll box that the keyboard can reach.

    `sections` maps the heading of a group of rows (empty for none) to its rows: a name and one cell of
    ready HTML a column. `groups` heads runs of columns; `kind` ends the class `metarec-…` the style sheet
    knows.
    """
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    above = ""
    if groups:
        wide = "".join(f'<th scope="colgroup" colspan="{n}">{escape(name)}</th>' for name, n in groups)
        above = f"<tr><td></td>{wide}</tr>"
    bodies = []
    for heading, rows in sections.items():
        span = len(columns) + 1
        lines = [f'<tr><th scope="rowgroup" colspan="{span}"><span>{escape(heading)}</span></th></tr>']
        lines = lines if heading else []
        for name, cells in rows:
            inside = "".join(f"<td>{cell}</td>" for cell in cells)
            lines.append(f'<tr><th scope="row">{escape(name)}</th>{inside}</tr>')
        bodies.append("<tbody>" + "\n".join(lines) + "</tbody>")
    body = "\n".join(bodies)
    return (
        f'<div class="metarec-scroll" role="region" tabindex="0" aria-label="{escape(caption)}">\n'
        f'<table class="metarec-table metarec-{kind}"><caption>{escape(caption)}</caption>\n'
        f'<thead>{above}<tr><th scope="col">{escape(corner)}</th>{head}</tr></thead>\n'
        f"{body}</table></div>{remarks(notes)}"
    )


def remarks(notes: Iterable[str]) -> str:
    """Notes under a table, ready HTML each."""
    lines = "".join(f"<li>{note}</li>" for note in notes)
    return f'\n<ul class="metarec-notes">{lines}</ul>' if lines else ""


def pairs(entries: Mapping[str, str], *, title: str) -> str:
    """Names and values as a definition list that assistive software calls `title`; values are ready HTML."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in entries.items())
    return f'<section class="metarec-facts" aria-label="{escape(title)}"><dl>{lines}</dl></section>'


def on(track: str, make: Callable[..., Any], records: Sequence[Record], *rest: Any, **options: Any) -> Any:
    """`make(records, *rest, track=track, **options)`, or a line that says why there is nothing."""
    if any(r.track == track for r in records):
        return make(records, *rest, track=track, **options)
    text = f"No {track} track here: it has not been run, or the parameter track leaves it out."
    if not records:
        text = "Nothing was run on this data set: the quick profile plants one only."
    return Html(f"<p>{escape(text)}</p>", text)


def signed(value: float, decimals: int = 2) -> str:
    """A number with its sign, a true minus, and no negative zero."""
    return _written(value, "+", decimals)


def number(value: float, decimals: int = 2) -> str:
    """A number with a true minus; a huge one as a power of ten."""
    return _written(value, "-", decimals)


def _written(value: float, sign: str, decimals: int) -> str:
    text = f"{value:{sign}.{decimals}f}"
    if LARGE <= abs(value) < float("inf"):
        digits, _, power = f"{value:{sign}.1e}".partition("e")
        text = f"{digits}·10{str(int(power)).translate(RAISED)}"
    elif float(text) == 0:
        text = f"{0:.{decimals}f}"
    return text.replace("-", "−")


def probability(p: float) -> str:
    """A p value to three places, ready for a cell."""
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"
