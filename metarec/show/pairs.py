"""The table of paired differences: pairs of methods, tested over users, Holm over the whole table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from metarec.claims.evidence import Unit
from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.stats import tests
from metarec.stats.runs import emptied
from metarec.stats.samples import samples


def table(
    records: Sequence[Record],
    store: Store,
    pairs: Iterable[tuple[str, str]],
    metrics: Sequence[str],
    *,
    track: str,
    prefix: str = "",
    percent: bool = True,
    title: str = "",
) -> html.Html:
    """Gain of the first of each pair over the second, with its interval, Holm's p and effect size.

    `frame` is that of `tests.pairwise`. Pairs without records of both methods are named in
    a note. `title` ends the caption in place of the form of the metrics.
    """
    own = [r for r in emptied(records) if r.track == track]
    if not own:
        raise RecordError(f"no record of the {track} track; run the experiment first.")
    wanted = list(pairs)
    found = samples(own, store, [prefix + m for m in metrics])
    frame = tests.pairwise(found, wanted)
    frame["metric"] = frame["metric"].str.removeprefix(prefix)
    absent = [f"{a} against {b}" for a, b in wanted if a not in found or b not in found]
    unit = Unit(percent)
    rows = []
    for (a, b), cells in frame.groupby(["a", "b"], sort=False):
        rows.append((f"{a} − {b}", [_cell(cell, unit) for cell in cells.to_dict("records")]))
    form = title or ("standard metrics" if prefix else "released metrics")
    caption = f"Paired differences, {track} track, {form}"
    notes = _notes(frame, unit, absent)
    rendered = html.table(metrics, {"": rows}, caption=caption, corner="Pair", notes=notes, kind="results")
    return html.Html(rendered, caption, frame)


def _cell(cell: Mapping[Any, Any], unit: Unit) -> str:
    word = {"+": "better", "-": "worse", "0": "undecided"}[cell["clear"]]
    return (
        f'<span class="ours">{unit(cell["gain"])}</span><br>'
        f'<span class="paper">[{unit(cell["low"])}, {unit(cell["high"])}]<br>'
        f"p {html.probability(cell['holm'])}, d {html.signed(cell['effect'])}</span><br>{html.badge(word)}"
    )


def _notes(frame: pd.DataFrame, unit: Unit, absent: list[str]) -> list[str]:
    least, most = int(frame["n"].min()), int(frame["n"].max())
    users = str(least) if least == most else f"{least} to {most}"
    small, seeds = frame["detectable"], int(frame["seeds"].max())
    who = f"{users} users, differences averaged over {seeds} seeds"
    if frame["nested"].any():
        who = f"{users} differences, those of the test users of {seeds} splits"
    notes = [
        f"{'Points of per cent' if unit.percent else 'The unit of the metric'}; positive: the first is "
        f"better. {who}; intervals from resampling users, then seeds.",
        f"p: two-sided Wilcoxon signed-rank test, Holm's adjustment over the {len(frame)} cells of this "
        "table. d: mean over standard deviation of the users' differences. Better or worse: p below "
        "5 % and an interval without zero; the test knows these seeds only, the interval reckons with more.",
        f"Smallest difference these users could have shown (5 %, power 0.8): {unit.plain(small.min())} "
        f"to {unit.plain(small.max())}.",
    ]
    return notes + ([f"Not run: {'; '.join(absent)}."] if absent else [])
