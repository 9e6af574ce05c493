"""The notes under a table: what the numbers are, what the words mean, what has diverged or was not run."""

from __future__ import annotations

from html import escape

import pandas as pd

from metarec.runs.plan import TableSpec
from metarec.show.words import ABOVE, BELOW, NEAR, NOT_COMPARABLE, NOT_RUN, PAGE, UNCERTAIN


def explained(frame: pd.DataFrame, spec: TableSpec, track: str) -> list[str]:
    """What a reader of the cells must know: the interval, the words, and what has diverged."""
    unit = "All values are per cent. " if spec.percent else ""
    alone = "; a row without ± has nothing random in it" if (frame["seeds"] == 1).any() else ""
    notes = [f"{unit}Ours: mean over seeds ± half of its 95 % interval (Student's t){alone}."]
    if spec.prefix.get(track):
        notes.append("The paper prints no metric of this form, so there is nothing to compare with.")
    words = set(frame["verdict"])
    if words & {ABOVE, BELOW, NEAR, UNCERTAIN}:
        notes.append(
            "The word under a number compares it with the paper's, by the interval in which one more run of "
            f'ours would lie, with another seed and other users: see <a href="{PAGE}#numbers">how to read a '
            "table</a>."
        )
    if NOT_COMPARABLE in words:
        part = ", or only a part of them" if any(b.whole for b in spec.blocks) else ""
        part += "".join(f", or {b.stand_in}" for b in spec.blocks if b.stand_in)
        notes.append(f"Not comparable: not the paper's data (planted ratings{part}).")
    absent = [m for m, own in frame.groupby("method", sort=False) if (own["verdict"] == NOT_RUN).all()]
    if absent:
        notes.append(f"Not run yet, behind the switch: {escape(', '.join(map(str, absent)))}.")
    notes += _lost(frame, spec)
    if ((frame["failed"] > 0) & (frame["seeds"] == 0)).any():
        notes.append("n/a: the method does not define the metric, or all of its seeds diverged.")
    return notes


def _lost(frame: pd.DataFrame, spec: TableSpec) -> list[str]:
    """The seeds of each method, on each data set if there are several, that its mean goes without."""
    several = frame["dataset"].nunique() > 1
    notes = []
    for (dataset, method), rows in frame[frame["failed"] > 0].groupby(["dataset", "method"], sort=False):
        where = f" on {dataset}" if several else ""
        name, n = escape(spec.printed.get(str(method), str(method)) + where), rows["failed"].max()
        metrics = (frame["dataset"] == dataset) & (frame["method"] == method)
        if len(rows) == metrics.sum() and not rows["seeds"].any():  # a ranker defines at least some metric
            notes.append(f"{name}: every seed diverged, {n} of {n}.")
        elif rows["seeds"].any():
            notes.append(f"{name}: {n} seed{'s' * int(n > 1)} diverged, left out of the mean.")
    return notes
