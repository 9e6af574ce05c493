"""Training curves on test users, seed by seed, and the gap between one method and others by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.records import Record
from metarec.report import style
from metarec.report.epochs import history
from metarec.stats.intervals import interval, nan_mean


def figure(
    records: Sequence[Record],
    lead: str,
    others: Sequence[str],
    metric: str,
    *,
    track: str,
    epochs: int,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Left, an error by epoch: every seed thin, the mean of those that have not diverged thick.

    Right, how far `lead` is ahead of each other method at an epoch, seed by seed: mean, interval over seeds
    (Student's t). What lies far above the errors at the end is cut off, so that the end can be read.
    """
    found = {m: history(records, m, track, f"test:{metric}")[1][:, :epochs] for m in (lead, *others)}
    if len({values.shape[0] for values in found.values()}) != 1:
        raise RecordError("the curves have unlike numbers of seeds; run all methods with the same.")
    fig, axes = style.panels(1, 2, height=3.9)
    left, right = axes[0]
    end = float(np.nanmedian([values[:, -1] for values in found.values()]))
    for n, (method, values) in enumerate(found.items()):
        look = style.series((4, 0, 2, 3)[n])
        epoch = np.arange(1, values.shape[1] + 1)
        left.plot(epoch, values.T, color=look["color"], linewidth=0.8, alpha=0.6)
        left.plot(epoch, nan_mean(values, 0), **look, label=method)
        if method != lead:
            _gap(right, epoch, values - found[lead], look, f"{lead} ahead of {method}", n)
    for n, (word, height) in enumerate((levels or {}).items()):
        left.axhline(height, color=style.MUTED, linestyle=style.DASHES[1 + n], linewidth=1.3, label=word)
    lowest = float(np.nanmin([np.nanmin(values) for values in found.values()]))
    left.set_ylim(0.985 * min([lowest, *(levels or {}).values()]), 1.2 * end)
    right.set_ylim(-0.1 * end, 0.2 * end)
    right.axhline(0, color=style.INK, linewidth=1)
    style.label_axes(left, x="epoch", y=f"{metric} on test users")
    style.label_axes(right, x="epoch", y=f"gap in {metric}")
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return style.done(fig)


def _gap(ax: Axes, epoch: np.ndarray, gap: np.ndarray, look: dict[str, Any], label: str, n: int) -> None:
    there = ~np.isnan(gap).all(0)
    spots = [interval(column[~np.isnan(column)]) for column in gap[:, there].T]
    mean = [s.mean for s in spots]
    half = [s.high - s.mean for s in spots]
    ax.errorbar(epoch[there] + 0.24 * (n - 1.5), mean, yerr=half, **look | {"linestyle": "none"}, label=label)
