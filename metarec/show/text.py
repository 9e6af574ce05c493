"""Records as plain text, for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from metarec.errors import MetarecError
from metarec.runs.records import Record


def means(title: str, records: Sequence[Record], metrics: Sequence[str] | None = None) -> str:
    """Mean and sample standard deviation over seeds of each row, by data set and track.

    `metrics` defaults to the first nine; `MetarecError` for one that is not recorded.
    """
    known = list(dict.fromkeys(m for r in records for m in r.metrics))
    chosen = list(metrics) if metrics else list(records[0].metrics)[:9]
    for metric in chosen:
        if metric not in known:
            raise MetarecError(f"metric {metric!r} is not recorded here; choose from {', '.join(known)}.")
    groups: dict[tuple[str, str], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for r in records:
        at = "".join(f", {name}={value}" for name, value in r.varied.items())
        groups[r.track, r.dataset][r.label + at].append(r)
    lines = []
    for (track, dataset), rows in sorted(groups.items()):
        lines += ["", f"{title}, {dataset}, {track} track"]
        lines.append(f"{'':34} {'seeds':>5} " + " ".join(f"{m:>15}" for m in chosen))
        for label, own in rows.items():
            cells = " ".join(_cell([r.metrics.get(m, float("nan")) for r in own]) for m in chosen)
            lines.append(f"{label:34} {len(own):>5} {cells}")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if np.isnan(values).all():
        return "-".rjust(15)
    mean = np.mean(values)
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{mean:.4f}{spread}".rjust(15)
