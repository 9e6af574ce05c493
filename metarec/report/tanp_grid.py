"""TaNP's Figure 5, declared: the two sweeps and the rules that decide its claims."""

from __future__ import annotations

from metarec.papers.tanp.tables import CLUSTERS, LAMBDAS, VARIANTS
from metarec.report.evidence import Place
from metarec.report.gridrules import BestPoint, Flat, SmallerBetter
from metarec.report.rules import Rule
from metarec.report.sensitivity import Sweep

# Each variant with the k that the paper found best; lambda = 0.1 was best for both.
BEST_K = {label: float(given["clusters"]) for label, given in VARIANTS.items() if "clusters" in given}
FILM, GATING = BEST_K
BEST_LAMBDA = 0.1

WEIGHT = Sweep(
    option="cluster_weight",
    values=LAMBDAS,
    label="λ",
    held={label: {"clusters": k} for label, k in BEST_K.items()},
    tuned=dict.fromkeys(BEST_K, BEST_LAMBDA),
)
POOL = Sweep(
    option="clusters",
    values=CLUSTERS,
    label="k",
    held={label: {"cluster_weight": BEST_LAMBDA} for label in BEST_K},
    tuned=BEST_K,
)

GRID = Place("Last.FM, grid", "tanp.fig5", "tanp/fig5-sensitivity", "lastfm-tanp")
# The axes of the figure: the paper's metric on the published track, the standard one on the sound track.
AXES = {"published": ("P@10", "P@10 as released"), "sound": ("std:P@10", "standard P@10")}

_P, _ON, _FLOORS = ("P@10",), (GRID.name,), "tanp.table4"
_SMALL = {WEIGHT.option: (0.1, 0.5), POOL.option: (20.0, 30.0)}

GRID_RULES: dict[str, Rule] = {
    "T21": BestPoint(sweeps=(WEIGHT,), metrics=_P, places=_ON, beside=_FLOORS),
    "T22": BestPoint(sweeps=(POOL.only(FILM),), metrics=_P, places=_ON, beside=_FLOORS),
    "T23": BestPoint(sweeps=(POOL.only(GATING),), metrics=_P, places=_ON, beside=_FLOORS),
    "T24": SmallerBetter(sweeps=(WEIGHT, POOL), split=_SMALL, metrics=_P, places=_ON, beside=_FLOORS),
    "T25": Flat(sweeps=(WEIGHT,), bound=0.01, metrics=_P, places=_ON, beside=_FLOORS),
    "T26": Flat(sweeps=(POOL,), bound=0.01, metrics=_P, places=_ON, beside=_FLOORS),
}
