"""Tables and blocks as plain, accessible HTML. How they look is said in book/_static/custom.css alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from zlib import crc32

import pandas as pd

from metarec.show.words import badge

__all__ = [
    "Html",
    "badge",
    "fold",
    "nothing",
    "number",
    "pairs",
    "probability",
    "remarks",
    "short",
    "signed",
    "table",
]

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
    hidden: Sequence[bool] = (),
    folded: Iterable[str] = (),
) -> str:
    """A table with a caption, scoped headers and a scroll box that the keyboard can reach.

    `sections` maps the heading of a group of rows (empty for none) to its rows: a name and one cell of
    ready HTML a column. `groups` heads runs of columns; `kind` ends the class `metarec-…` the style sheet
    knows. `hidden` columns and `folded` rows (by name) stand behind a switch above the table.
    """
    more = [' class="more"' if k < len(hidden) and hidden[k] else "" for k in range(len(columns))]
    away = set(folded)
    head = "".join(f'<th scope="col"{m}>{escape(c)}</th>' for c, m in zip(columns, more, strict=True))
    above = ""
    if groups:
        wide = "".join(f'<th scope="colgroup" colspan="{n}">{escape(name)}</th>' for name, n in groups)
        above = f"<tr><td></td>{wide}</tr>"
    bodies = []
    for heading, rows in sections.items():
        title = (
            f'<tr><th scope="rowgroup" colspan="{len(columns) + 1}"><span>{escape(heading)}</span></th></tr>'
        )
        lines = [title] if heading else []
        for name, cells in rows:
            inside = "".join(f"<td{m}>{cell}</td>" for cell, m in zip(cells, more, strict=True))
            row = ' class="more"' if name in away else ""
            lines.append(f'<tr{row}><th scope="row">{escape(name)}</th>{inside}</tr>')
        gone = ' class="more"' if rows and all(name in away for name, _ in rows) else ""
        bodies.append(f"<tbody{gone}>" + "\n".join(lines) + "</tbody>")
    body = "\n".join(bodies)
    switch = _switch(caption, any(more), bool(away)) if any(more) or away else ""
    return (
        f'<div class="metarec-block">{switch}'
        f'<div class="metarec-scroll" role="region" tabindex="0" aria-label="{escape(caption)}">\n'
        f'<table class="metarec-table metarec-{kind}"><caption>{escape(caption)}</caption>\n'
        f'<thead>{above}<tr><th scope="col">{escape(corner)}</th>{head}</tr></thead>\n'
        f"{body}</table></div>{remarks(notes)}</div>"
    )


def _switch(caption: str, columns: bool, rows: bool) -> str:
    """A box to tick that shows what a table holds back; it needs no script."""
    what = " and ".join(word for word, there in (("columns", columns), ("rows", rows)) if there)
    name = f"all-{crc32(caption.encode()):08x}"
    label = (
        f'<label for="{name}">All {what}<span class="visually-hidden"> of {escape(caption)}</span></label>'
    )
    return f'<input type="checkbox" class="metarec-switch" id="{name}">{label}'


def fold(summary: str, inside: str, *, kind: str = "") -> str:
    """Something that opens when asked for; `summary` and `inside` are ready HTML."""
    return f'<details class="metarec-fold {kind}"><summary>{summary}</summary>{inside}</details>'


def short(sentences: Iterable[str]) -> str:
    """The box at the head of a page: its outcome in two or three sentences, plain text."""
    lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return (
        f'<section class="metarec-short" aria-label="In short"><p class="head">In short</p>{lines}</section>'
    )


def remarks(notes: Iterable[str]) -> str:
    """Notes under a table, ready HTML each."""
    lines = "".join(f"<li>{note}</li>" for note in notes)
    return f'\n<ul class="metarec-notes">{lines}</ul>' if lines else ""


def pairs(entries: Mapping[str, str], *, title: str) -> str:
    """Names and values as a definition list that assistive software calls `title`; values are ready HTML."""
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in entries.items())
    return f'<section class="metarec-facts" aria-label="{escape(title)}"><dl>{lines}</dl></section>'


def nothing(why: str) -> Html:
    """A line where there is nothing to show, with the reason."""
    return Html(f"<p>{escape(why)}</p>", why)


def signed(value: float, decimals: int = 2) -> str:
    """A number with its sign, a true minus, and no negative zero."""
    return _written(value, "+", decimals)


def number(value: float, decimals: int = 2) -> str:
    """A number with a true minus; a huge one as a power of ten."""
    return _written(value, "-", decimals)


def ends(low: str, high: str) -> str:
    """The ends of an interval in brackets; a single seed of what is trained has no interval."""
    return "[one seed]" if "nan" in low else f"[{low}, {high}]"


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
