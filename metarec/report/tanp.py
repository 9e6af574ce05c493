"""TaNP's tables and claims, declared; and what its latent variable carries."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure

from metarec.report.claims import Ledger
from metarec.report.epochs import curves, history
from metarec.report.evidence import BestOf, Method, OnValidation, Place
from metarec.report.layout import Block, Layout
from metarec.report.methodrules import Above, LargestGain, Steadier, WorstSetting
from metarec.report.rules import AllCells, Comparable, Magnitude, Majority, Rule
from metarec.report.tables import Table
from metarec.report.tanp_grid import GRID, GRID_RULES
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.dots import LINES, Lines

CUTOFFS = (5, 7, 10)
NINE = tuple(f"{stem}@{n}" for n in CUTOFFS for stem in ("P", "NDCG", "MAP"))
THREE = ("P@5", "NDCG@5", "MAP@5")

FLOORS = ("Random ranker", "Item mean", "Popularity", "Damped user + item bias")
META = ("MetaLWA", "MetaNLBA", "MeLU", "MetaCS", "MAMO")
BASELINES = ("PPR", "NeuMF", "DropoutNet", *META)
PLAIN, FILM, GATING = "TaNP (w/o tm)", "TaNP (FiLM)", "TaNP (Gating-FiLM)"
FILM_PRINTED, GATING_PRINTED = f"{FILM}, as printed", f"{GATING}, as printed"
NO_POOL, NO_IDENTITY = f"{GATING}, no pool", f"{GATING}, no user identity"
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

MOVIELENS = Place("MovieLens-1M", "tanp.table3", "tanp/table3-movielens", "ml-1m")
LASTFM = Place("Last.FM", "tanp.table4", "tanp/table4-lastfm", "lastfm-tanp")
GOWALLA = Place("Gowalla", "tanp.table5", "tanp/table5-gowalla", "gowalla")
SETS = (MOVIELENS.name, LASTFM.name, GOWALLA.name)

CHOSEN = OnValidation((FILM, GATING))
# Methods that the paper leaves out on a set.
ABSENT = {
    MOVIELENS.name: ("MetaLWA", "MetaNLBA"),
    LASTFM.name: ("MetaHIN",),
    GOWALLA.name: ("MetaHIN",),
}
BEST = BestOf((*BASELINES, "MetaHIN"), "the best baseline", ABSENT)
BEST_META = BestOf((*META, "MetaHIN"), "the best meta-learning baseline", ABSENT)
BEST_MAML = BestOf(("MeLU", "MetaCS", "MetaHIN", "MAMO"), "the best MAML-based baseline", ABSENT)

RULES: dict[str, Rule] = {
    "T01": AllCells(a=CHOSEN, b=BEST, metrics=NINE, places=SETS),
    "T02": Magnitude(a=CHOSEN, b=BEST_META, metrics=("P@5",), places=(MOVIELENS.name,), stated=0.042),
    "T03": Magnitude(a=CHOSEN, b=BEST_META, metrics=("P@5",), places=(LASTFM.name,), stated=0.036),
    "T04": Magnitude(a=CHOSEN, b=BEST_META, metrics=("MAP@5",), places=(GOWALLA.name,), stated=0.054),
    "T05": LargestGain(
        a=CHOSEN,
        b=BEST_META,
        metrics=NINE,
        places=SETS,
        named={MOVIELENS.name: "P@5", LASTFM.name: "P@5", GOWALLA.name: "MAP@5"},
    ),
    "T06": Comparable(a=Method(PLAIN), b=BEST_MAML, metrics=NINE, places=SETS, tolerance=0.02, failing=3),
    "T07": AllCells(a=Method(FILM), b=Method(PLAIN), metrics=NINE, places=SETS),
    "T08": AllCells(a=Method(GATING), b=Method(PLAIN), metrics=NINE, places=SETS),
    "T09": Majority(a=Method(GATING), b=Method(FILM), metrics=NINE, places=SETS, mean_excludes_zero=True),
    "T10": AllCells(a=Method(GATING), b=Method(NO_POOL), metrics=THREE, places=SETS),
    "T11": Above(a=CHOSEN, floors=("Random ranker", "Popularity"), metrics=THREE, places=SETS),
    "T27": WorstSetting(
        labels=(FILM, GATING),
        b=BEST,
        grid="tanp.fig5",
        points=9,
        metrics=("P@10",),
        places=(LASTFM.name,),
    ),
    "T33": Steadier(a=Method(GATING), opponents=("MeLU", "MetaCS", "MAMO"), metrics=NINE, places=SETS),
}

LEDGER = Ledger(
    paper="tanp",
    places=(MOVIELENS, LASTFM, GOWALLA, GRID),
    rules={**RULES, **GRID_RULES},
    prefixes={"published": "", "sound": "std:"},
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
    shown = [m for m in methods if any(r.method == m and r.track == track for r in records)]
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
    own = [r for r in records if r.method == method and r.track == track]
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
