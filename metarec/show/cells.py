"""What many tables share: our number, the paper's, a cell with half of an interval, and a table of counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metarec.show import html
from metarec.stats.intervals import Interval


def our_number(mean: float, high: float, decimals: int) -> str:
    """A mean and half of its interval, on one line where there is room; `high` is nan where there is none."""
    half = f" <small>±&nbsp;{html.number(high - mean, decimals)}</small>"
    return f'<span class="ours">{html.number(mean, decimals)}{"" if np.isnan(high) else half}</span>'


def papers_number(value: float, decimals: int, delta: str = "") -> str:
    """The paper's number, and ours less it, ready for a cell."""
    more = f"<br>Δ&nbsp;{delta}" if delta else ""
    return f'<span class="paper">paper&nbsp;{html.number(value, decimals)}{more}</span>'


def with_half(found: Interval, decimals: int = 2, *, signed: bool = False) -> str:
    """A mean, and half the width of its interval below it, ready for a cell."""
    half = (found.high - found.low) / 2
    more = "" if np.isnan(half) else f"<br><small>±\N{NO-BREAK SPACE}{html.number(half, decimals)}</small>"
    return (html.signed if signed else html.number)(found.mean, decimals) + more


def counted(
    caption: str,
    corner: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[str]]],
    notes: Sequence[str] = (),
    groups: Sequence[tuple[str, int]] = (),
) -> html.Html:
    """A table of what was counted, or a line that says that it takes the real files.

    `rows` are names with ready cells; `frame` holds the same.
    """
    if not rows:
        return html.Html("<p>Counted in the full profile only: it takes the real files.</p>", "not counted")
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner=corner, notes=notes, groups=groups, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame([[n, *c] for n, c in rows], columns=[corner, *columns]))
