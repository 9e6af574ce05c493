"""TaNP's Figure 5: P@10 along lambda and along the number of clusters k."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from metarec.papers.tanp.claims_figures import HELD
from metarec.papers.tanp.places import BEST_K, BEST_LAMBDA, LASTFM, POOL, WEIGHT
from metarec.papers.tanp.tables import FIG5, POPULARITY, RANDOM, TABLE4
from metarec.show import html, sweep_figure
from metarec.show.page import Page
from metarec.show.sweep import Sweep, grid_table, means
from metarec.show.table import paper_values
from metarec.stats.runs import read

# The paper's metric on the published track, the standard one on the sound track.
NAMES = {"published": "P@10 as released", "sound": "standard P@10"}


METHODS = tuple(BEST_K)


def _sweeps() -> tuple[Sweep, ...]:
    """Lambda with k at its best, and k with lambda 0.1, each with the paper's number at the tuned point."""
    paper = paper_values(TABLE4.reference)
    at10 = paper[paper["metric"] == "P@10"].set_index("method")["value"]
    printed = {LASTFM.name: {label: float(at10[label]) for label in BEST_K}}
    tuned: dict[str, dict[str, float]] = {
        WEIGHT.path: dict.fromkeys(BEST_K, BEST_LAMBDA),
        POOL.path: dict(BEST_K),
    }
    return tuple(
        Sweep(
            setting,
            tuple(BEST_K),
            "P@10",
            held=HELD[setting.path],
            tuned=tuned[setting.path],
            printed=printed,
            printed_as="printed in Table 4, at the tuned value",
        )
        for setting in (WEIGHT, POOL)
    )


def figure(page: Page) -> Figure:
    """Both tracks, both settings, with the random ranker and popularity on the same users."""
    floors = [r for r in read(page.store, TABLE4) if r.label in (RANDOM, POPULARITY)]
    return sweep_figure.grid(page.records, _sweeps(), FIG5, names=NAMES, floors=floors)


def table(page: Page, track: str) -> Any:
    """The numbers of one row of the figure."""
    if why := page.lacks(track):
        return why
    return grid_table(page.records, _sweeps(), FIG5, track=track, name=NAMES[track])


def spans(page: Page, track: str) -> str:
    """A sentence: how far apart the means along each setting are, and where popularity is."""
    if page.lacks(track):
        return f"The {track} track is not shown."
    prefix, told = FIG5.prefix[track], []
    for one in _sweeps():
        frame = means(page.records, one, FIG5, track=track, prefix=prefix)
        at = 100 * frame.groupby(["method", "value"])["score"].mean()
        told.append(
            f"along {one.setting.label} between {html.number(at.min())} and {html.number(at.max())} %"
        )
    floor = [
        r.metrics[prefix + "P@10"]
        for r in read(page.store, TABLE4)
        if r.label == POPULARITY and r.track == track
    ]
    level = f"; popularity has {html.number(100 * floor[0])} %" if floor else ""
    return f"{NAMES[track]} ({track} track): the means lie {', '.join(told)}{level}."
