"""Training curves of TaNP, and what its latent variable and its pool carry."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure

from metarec.papers.tanp.tables import FILM, GATING, PLAIN, POPULARITY
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.curves import curves, history
from metarec.show.page import Page

VARIANTS = (PLAIN, FILM, GATING)
# What is recorded of z and of the assignments, and the heading of its column.
DIAGNOSTICS = {"z_sd": "sd of z", "assignment_entropy": "Entropy of c", "assignment_max": "Largest c"}


def training_curves(
    page: Page, track: str, *, floor: str = POPULARITY, zero_one: bool = True
) -> Figure | html.Html:
    """Test P@5, error and divergence by epoch, with the line of a floor and, of `zero_one` labels, that of a
    constant.
    """
    if why := page.lacks(track):
        return why
    lines = {"test:P@5": {floor.lower(): page.table(track).column("P@5")[floor]}}
    if zero_one:
        lines["reconstruction"] = {"error of the constant ½": 0.5**2}
    return curves(
        page.records,
        VARIANTS,
        {
            "test:P@5": "P@5 on test users (%)",
            "reconstruction": "squared error in training",
            "kl": "KL (nats)",
        },
        track=track,
        scales={"test:P@5": 100.0},
        log=["kl"],
        lines=lines,
    )


def carried(page: Page, track: str) -> html.Html:
    """What z and the pool carry: KL along training, sd of z, and how far scores move when z is its mean.

    The last column is the largest change of any metric of any seed, in points, when the posterior mean
    takes the place of the draw.
    """
    if why := page.lacks(track):
        return why
    records = page.records
    assert isinstance(page.spec, TableSpec)
    methods = [row.label for row in page.spec.rows if row.model == "tanp"]
    shown = [m for m in methods if any(r.label == m and r.track == track for r in records)]
    rows = [(method, _carried(records, method, track)) for method in shown]
    epoch, _ = history(records, shown[0], track, "kl")
    columns = ["Squared error", f"KL, epoch {epoch[0]}", "KL, last epoch", *DIAGNOSTICS.values()]
    caption = f"What the latent variable and the pool carry, {track} track, means over seeds"
    others = [escape(m) for m in methods if m not in shown]
    notes = [f"Not run: {', '.join(others)}."] if others else []
    rendered = html.table(
        [*columns, "Mean z moves"], {"": rows}, caption=caption, corner="Method", notes=notes
    )
    return html.Html(rendered, caption)


def _carried(records: Sequence[Record], method: str, track: str) -> list[str]:
    own = [r for r in records if r.label == method and r.track == track]
    _, kl = history(records, method, track, "kl")
    _, error = history(records, method, track, "reconstruction")
    found = [np.mean([r.extra["diagnostics"].get(name, np.nan) for r in own]) for name in DIAGNOSTICS]
    moved = max(abs(r.metrics[m] - v) for r in own for m, v in r.extra["mean_z"].items())
    return [
        html.number(float(error[:, -1].mean()), 3),
        f"{np.abs(kl[:, 0]).mean():.0e}",
        f"{np.abs(kl[:, -1]).mean():.0e}",
        *("–" if np.isnan(v) else html.number(float(v), 3) for v in found),
        html.number(100 * moved),
    ]
