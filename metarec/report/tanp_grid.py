"""TaNP's Figure 5, declared: the two sweeps and the axes."""

from __future__ import annotations

from metarec.papers.tanp.tables import CLUSTERS, LAMBDAS, VARIANTS
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

# The axes of the figure: the paper's metric on the published track, the standard one on the sound track.
AXES = {"published": ("P@10", "P@10 as released"), "sound": ("std:P@10", "standard P@10")}
