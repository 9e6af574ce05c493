"""Where PNMTA's claims are decided: both data sets, as each page sees them."""

from __future__ import annotations

from metarec.claims.ground import BOTH, Place
from metarec.report.pnmta_names import PAPER_SETS, names_of

MAE = ("MAE",)
FOUR = ("MAE", "RMSE", "NDCG@3", "NDCG@5")
PUBLISHED, SOUND = BOTH[:1], BOTH[1:]


def _places(
    experiment: str, notebook: str, figure: str = "", tracks: tuple[str, ...] = BOTH
) -> tuple[Place, ...]:
    """Both data sets as a page sees them; `figure` ends the names, to tell the pages apart."""
    return tuple(
        Place(f"{name}{figure}", experiment, notebook, source, {"dataset": names_of(name)}, tracks)
        for name, source in PAPER_SETS.items()
    )


TABLE2 = _places("pnmta.table2", "pnmta/table2-comparison")
TABLE3 = _places("pnmta.table3", "pnmta/table3-modulators", ", Table 3")
TABLE45 = _places("pnmta.table45", "pnmta/table45-modulator-costs", ", Tables 4 and 5", PUBLISHED)
STREAM_PLACES = _places("pnmta.streams", "pnmta/fig1-data-stream", ", two streams", PUBLISHED)
FIG4 = _places("pnmta.fig4", "pnmta/fig4-support-size", ", Fig 4", SOUND)
FIG5 = _places("pnmta.fig5", "pnmta/fig5-cold-users", ", Fig 5", SOUND)
FIG6 = _places("pnmta.fig6", "pnmta/fig6-embedding-size", ", Fig 6", SOUND)
FIG7 = _places("pnmta.fig7", "pnmta/fig7-adaptation-steps", ", Fig 7", SOUND)
FIG8 = _places("pnmta.fig8", "pnmta/fig8-user-tsne", ", Fig 8", PUBLISHED)[:1]
CLUSTERS = _places("pnmta.clusters", "pnmta/fig8-user-tsne", ", groups", PUBLISHED)[:1]
FIG9 = _places("pnmta.table2", "pnmta/fig9-training-curves", ", Fig 9")
