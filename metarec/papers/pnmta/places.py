"""Where PNMTA's claims are decided: both data sets, as each page sees them."""

from __future__ import annotations

from metarec.claims.courses import Setting
from metarec.claims.ground import BOTH, Place
from metarec.papers.pnmta import tables
from metarec.papers.pnmta.clusters import SPEC as CLUSTERS_SPEC
from metarec.papers.pnmta.fig8 import SPEC as FIG8_SPEC
from metarec.papers.pnmta.table45 import SPEC as TABLE45_SPEC
from metarec.runs.plan import Spec

MAE, FOUR = ("MAE",), tables.FOUR
PUBLISHED, SOUND = BOTH[:1], BOTH[1:]


def _places(spec: Spec, notebook: str, figure: str = "", tracks: tuple[str, ...] = BOTH) -> tuple[Place, ...]:
    """Both data sets as a page sees them; `figure` ends the names, to tell the pages apart."""
    return tuple(
        Place(f"{b.dataset}{figure}", spec, notebook, b.source, {"dataset": (b.source, b.planted)}, tracks)
        for b in tables.BLOCKS
    )


TABLE2 = _places(tables.TABLE2, "pnmta/table2-comparison")
TABLE3 = _places(tables.TABLE3, "pnmta/table3-modulators", ", Table 3")
TABLE45 = _places(TABLE45_SPEC, "pnmta/table45-modulator-costs", ", Tables 4 and 5", PUBLISHED)
STREAM_PLACES = _places(tables.STREAMS, "pnmta/fig1-data-stream", ", two streams", PUBLISHED)
FIG4 = _places(tables.FIG4, "pnmta/fig4-support-size", ", Fig 4", SOUND)
FIG5 = _places(tables.FIG5, "pnmta/fig5-cold-users", ", Fig 5", SOUND)
FIG6 = _places(tables.FIG6, "pnmta/fig6-embedding-size", ", Fig 6", SOUND)
FIG7 = _places(tables.FIG7, "pnmta/fig7-adaptation-steps", ", Fig 7", SOUND)
FIG8 = _places(FIG8_SPEC, "pnmta/fig8-user-tsne", ", Fig 8", PUBLISHED)[:1]
CLUSTERS = _places(CLUSTERS_SPEC, "pnmta/fig8-user-tsne", ", groups", PUBLISHED)[:1]
FIG9 = _places(tables.TABLE2, "pnmta/fig9-training-curves", ", Fig 9")

# What Figures 4 to 7 vary.
SUPPORT = Setting(
    "varied.max_support",
    tables.SUPPORTS,
    90,
    "largest support size",
    "N_S ≤",
    unit="ratings",
    log=True,
)
SHARE = Setting("varied.train_share", tables.SHARES, 1.0, "share of the training users", "share")
SIZE = Setting("varied.d", tables.SIZES, 32, "embedding size of a field", "d =", log=True)
STEP = Setting("varied.steps", tables.STEPS, 5, "adaptation steps", "steps =")
