"""TaNP's tables and claims, declared; and what its latent variable carries."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure

from metarec.papers.tanp.names import (
    BASELINES,
    FILM,
    FILM_PRINTED,
    GATING,
    GATING_PRINTED,
    NINE,
    NO_IDENTITY,
    NO_POOL,
    PLAIN,
)
from metarec.report.layout import Block, Layout
from metarec.report.tables import Table
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.curves import curves, history
from metarec.show.dots import LINES, Lines

FLOORS = ("Random ranker", "Item mean", "Popularity", "Damped user + item bias")
BESIDE = (FILM_PRINTED, GATING_PRINTED, NO_POOL, NO_IDENTITY)

SAME_WITHIN_A_USER = {
    ("Item mean", "Damped user + item bias"): (
        "the bias of a user adds one number to all of that user's scores, which changes no order. They "
        "differ where errors of ratings are measured."
    )
}


def _layout(
    number: int, block: Block, reference: str, baselines: tuple[str, ...], beside: tuple[str, ...]
) -> Layout:
    """Table 3, 4 or 5: the same sections, other baselines and other rows of ours beside them."""
    return Layout(
        title=f"Table {number} of TaNP, {block.dataset}",
        reference=reference,
        blocks=(block,),
        sections={
            "Floors": FLOORS,
            "Baselines of the paper": baselines,
            "TaNP": (PLAIN, FILM, GATING),
            "TaNP, beside the paper's rows": beside,
            "Ceiling": ("Oracle",),
        },
        same=SAME_WITHIN_A_USER,
    )


TABLE3 = _layout(
    3,
    Block("MovieLens-1M", "N_S=20", "ml-1m", NINE),
    "tanp_table3_ml1m",
    ("PPR", "NeuMF", "DropoutNet", "MeLU", "MetaCS", "MetaHIN", "MAMO"),
    (NO_POOL,),
)
TABLE4 = _layout(4, Block("Last.FM", "N_S=20", "lastfm-tanp", NINE), "tanp_table4_lastfm", BASELINES, BESIDE)
TABLE5 = _layout(
    5,
    Block("Gowalla", "N_S=20", "gowalla", NINE, stand_in="another extract than the paper's"),
    "tanp_table5_gowalla",
    BASELINES,
    (NO_POOL,),
)

# What the notebooks test: the mechanism, the floors, the pool; on Last.FM also the released model against
# what is printed, and identities.
PAIRS = (
    (FILM, PLAIN),
    (GATING, PLAIN),
    (GATING, FILM),
    (PLAIN, "Popularity"),
    (FILM, "Popularity"),
    (GATING, "Popularity"),
    (GATING, NO_POOL),
)
# Of ratings, unlike of ones and zeros, the mean of an item says more than how many liked it.
TABLE3_PAIRS = tuple((a, "Item mean" if b == "Popularity" else b) for a, b in PAIRS)
TABLE3_LINES: Lines = {**LINES, "Item mean": ("item mean", (0, (1.2, 1.2)))}
TABLE4_PAIRS = (
    *PAIRS[:-1],
    (FILM_PRINTED, FILM),
    (GATING_PRINTED, GATING),
    (GATING, NO_POOL),
    (GATING, NO_IDENTITY),
)


def training_curves(
    records: Sequence[Record],
    methods: Sequence[str],
    table: Table,
    *,
    track: str,
    floor: str = "Popularity",
    zero_one: bool = True,
) -> Figure:
    """Test P@5, error and divergence by epoch, with the line of a floor and, of `zero_one` labels, that of a
    constant.
    """
    lines = {"test:P@5": {floor.lower(): table.column("P@5")[floor]}}
    if zero_one:
        lines["reconstruction"] = {"error of the constant ½": 0.5**2}
    return curves(
        records,
        methods,
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


def latent(records: Sequence[Record], methods: Sequence[str], *, track: str) -> html.Html:
    """What z and the pool carry: KL along training, sd of z, and how far scores move when z is its mean.

    The last column is the largest change of any metric of any seed, in points, when the posterior mean
    takes the place of the draw.
    """
    shown = [m for m in methods if any(r.label == m and r.track == track for r in records)]
    rows = [(method, _carried(records, method, track)) for method in shown]
    epoch, _ = history(records, shown[0], track, "kl")
    columns = ["Squared error", f"KL, epoch {epoch[0]}", "KL, last epoch", *_DIAGNOSTICS.values()]
    caption = f"What the latent variable and the pool carry, {track} track, means over seeds"
    absent = [escape(m) for m in methods if m not in shown]
    notes = [f"Not run: {', '.join(absent)}."] if absent else []
    rendered = html.table(
        [*columns, "Mean z moves"], {"": rows}, caption=caption, corner="Method", notes=notes
    )
    return html.Html(rendered, caption)


_DIAGNOSTICS = {"z_sd": "sd of z", "assignment_entropy": "Entropy of c", "assignment_max": "Largest c"}


def _carried(records: Sequence[Record], method: str, track: str) -> list[str]:
    own = [r for r in records if r.label == method and r.track == track]
    _, kl = history(records, method, track, "kl")
    _, error = history(records, method, track, "reconstruction")
    found = [np.mean([r.extra["diagnostics"].get(name, np.nan) for r in own]) for name in _DIAGNOSTICS]
    moved = max(abs(r.metrics[m] - v) for r in own for m, v in r.extra["mean_z"].items())
    return [
        html.number(float(error[:, -1].mean()), 3),
        f"{np.abs(kl[:, 0]).mean():.0e}",
        f"{np.abs(kl[:, -1]).mean():.0e}",
        *("–" if np.isnan(v) else html.number(float(v), 3) for v in found),
        html.number(100 * moved),
    ]
