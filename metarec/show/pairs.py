"""The table of paired differences: pairs of methods, tested over users, Holm over the whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from metarec.claims.evidence import Unit
from metarec.errors import ProtocolError, RecordError
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html
from metarec.stats import tests
from metarec.stats.runs import emptied
from metarec.stats.samples import meet, samples


def table(
    spec: TableSpec, records: Sequence[Record], store: Store, *, track: str, title: str = ""
) -> html.Html:
    """Gain of the first of each pair of the spec over the second, folded behind a sentence that counts.

    `frame` is that of `tests.pairwise`. Pairs without records of both methods are named in a note. `title`
    ends the caption in place of the form of the metrics.
    """
    if not spec.pairs:
        raise ProtocolError(f"{spec.name} names no pairs to test; give it `pairs`.")
    own = [r for r in emptied(records) if r.track == track]
    if not own:
        raise RecordError(f"no record of the {track} track of {spec.name}; run it first.")
    prefix, metrics = spec.prefix.get(track, ""), spec.blocks[0].metrics
    found = samples(own, store, [prefix + m for m in metrics])
    frame = tests.pairwise(found, spec.pairs)
    frame["metric"] = frame["metric"].str.removeprefix(prefix)
    absent = [
        f"{a} against {b}"
        for a, b in spec.pairs
        if a not in found or b not in found or not meet(found[a], found[b])
    ]
    unit = Unit(spec.percent)
    rows = []
    for (a, b), cells in frame.groupby(["a", "b"], sort=False):
        rows.append((f"{a} − {b}", [_cell(cell, unit) for cell in cells.to_dict("records")]))
    form = title or ("standard metrics" if prefix else "released metrics")
    caption = f"Paired differences, {track} track, {form}"
    notes = _notes(frame, unit, absent)
    hidden = [m not in (spec.shown or metrics) for m in metrics]
    rendered = html.table(
        metrics, {"": rows}, caption=caption, corner="Pair", notes=notes, kind="results", hidden=hidden
    )
    return html.Html(html.fold(counted(frame), rendered), caption, frame)


def counted(frame: pd.DataFrame) -> str:
    """How many differences of a table are clear, and for whom, in a sentence."""
    clear = frame[frame["clear"] != "0"]
    text = f"{len(clear)} of {len(frame)} differences are clear"
    for sign, word in (("+", "better"), ("-", "worse")):
        pairs = [f"{a} than {b}" for a, b in dict.fromkeys(_names(clear[clear["clear"] == sign]))]
        if pairs:
            text += f"; {word} in some metric: {', '.join(pairs)}"
    return f"{escape(text)}."


def _names(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame["a"], frame["b"], strict=True))


def _cell(cell: Mapping[Any, Any], unit: Unit) -> str:
    word = {"+": "better", "-": "worse", "0": "undecided"}[cell["clear"]]
    ends = html.ends(unit(cell["low"]), unit(cell["high"]))
    return (
        f'<span class="ours">{unit(cell["gain"])}</span><br>'
        f'<span class="paper">{ends}<br>'
        f"p&nbsp;{html.probability(cell['holm'])}, d&nbsp;{html.signed(cell['effect'])}</span><br>"
        f"{html.badge(word)}"
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
        f"better. {who}; intervals for other seeds and other users.",
        f"p: the test of the same model, two-sided, Holm's adjustment over the {len(frame)} cells of this "
        "table. d: mean over standard deviation of the users' differences. Better or worse: p below 5 %.",
    ]
    if small.notna().any():
        notes.append(
            f"Smallest difference that could have been seen (5 %, power 0.8): {unit.plain(small.min())} to "
            f"{unit.plain(small.max())}."
        )
    return notes + ([f"Not run: {'; '.join(absent)}."] if absent else [])
