"""Where TaNP's claims are decided, and who is compared there."""

from __future__ import annotations

from metarec.claims.cells import best
from metarec.claims.courses import Setting
from metarec.claims.ground import Place
from metarec.claims.roles import OnValidation
from metarec.papers.tanp.tables import (
    BASELINES,
    CLUSTERS,
    FIG5,
    FILM,
    GATING,
    LAMBDAS,
    META,
    NINE,
    NO_POOL,
    PLAIN,
    POPULARITY,
    RANDOM,
    TABLE3,
    TABLE4,
    TABLE5,
    THREE,
)

__all__ = [
    "BEST",
    "BEST_K",
    "BEST_LAMBDA",
    "BEST_MAML",
    "BEST_META",
    "CHOSEN",
    "FILM",
    "GATING",
    "GOWALLA",
    "GRID",
    "LASTFM",
    "MOVIELENS",
    "NINE",
    "NO_POOL",
    "PLAIN",
    "POOL",
    "POPULARITY",
    "RANDOM",
    "TABLES",
    "THREE",
    "WEIGHT",
]

STAND_IN = "another extract of Gowalla than the paper's"

MOVIELENS = Place("MovieLens-1M", TABLE3, "tanp/table3-movielens", "ml-1m")
LASTFM = Place("Last.FM", TABLE4, "tanp/table4-lastfm", "lastfm-tanp")
GOWALLA = Place("Gowalla", TABLE5, "tanp/table5-gowalla", "gowalla", stand_in=STAND_IN)
GRID = Place("Last.FM, grid", FIG5, "tanp/fig5-sensitivity", "lastfm-tanp", floors=TABLE4)
TABLES = (MOVIELENS, LASTFM, GOWALLA)

CHOSEN = OnValidation((FILM, GATING))
# Methods that the paper leaves out on a set.
ABSENT = {
    MOVIELENS.name: ("MetaLWA", "MetaNLBA"),
    LASTFM.name: ("MetaHIN",),
    GOWALLA.name: ("MetaHIN",),
}
BEST = best((*BASELINES, "MetaHIN"), "the best baseline", ABSENT)
BEST_META = best((*META, "MetaHIN"), "the best meta-learning baseline", ABSENT)
BEST_MAML = best(("MeLU", "MetaCS", "MetaHIN", "MAMO"), "the best MAML-based baseline", ABSENT)

# Each variant with the k that the paper found best; lambda = 0.1 was best for both.
BEST_K = {name: float(TABLE4.row(name).options["clusters"]) for name in (FILM, GATING)}
BEST_LAMBDA = 0.1
WEIGHT = Setting("options.cluster_weight", LAMBDAS, BEST_LAMBDA, "λ", "λ =")
POOL = Setting("options.clusters", CLUSTERS, BEST_K[GATING], "k", "k =")
