"""PNMTA's Figures 4 to 7: an error along the support size, the training users, the embedding, the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from metarec.papers.pnmta.places import SHARE, SIZE, STEP, SUPPORT
from metarec.papers.pnmta.tables import BIAS, BLOCKS, FULL, ITEM_MEAN, MAML_PT, NO_PT, PNMTA, TABLE2
from metarec.runs.plan import Block, TableSpec
from metarec.runs.store import Store
from metarec.show import html, sweep, sweep_figure
from metarec.show.page import Page
from metarec.show.sweep import Sweep
from metarec.show.table import paper_values
from metarec.stats.runs import read, select


def printed(block: Block) -> dict[str, float]:
    """MAE of Table 2 on one data set, by the paper's names of the methods."""
    paper = paper_values(TABLE2.reference)
    rows = paper[(paper["dataset"] == (block.spelt or block.dataset)) & (paper["metric"] == "MAE")]
    return {str(method): float(v) for method, v in zip(rows["method"], rows["value"], strict=True)}


# By the name of the figure's spec: what it varies, for whom, and who is compared with whom.
_VARIED = {
    "pnmta.fig4": (SUPPORT, ("MeLU", MAML_PT, NO_PT, PNMTA, BIAS), ("MeLU", MAML_PT, NO_PT, BIAS)),
    "pnmta.fig5": (SHARE, ("MeLU", PNMTA, FULL, BIAS), ()),
    "pnmta.fig6": (SIZE, (MAML_PT, NO_PT, PNMTA), (MAML_PT, NO_PT)),
    "pnmta.fig7": (STEP, (MAML_PT, NO_PT, PNMTA), (MAML_PT, NO_PT)),
}
_PAIRS_OF_FIG5 = ((PNMTA, "MeLU"), (FULL, "MeLU"), (FULL, PNMTA), (PNMTA, BIAS))


def sweep_of(page: Page) -> tuple[Sweep, TableSpec]:
    """What the page's figure varies, and its spec."""
    assert isinstance(page.spec, TableSpec)
    setting, methods, others = _VARIED[page.spec.name]
    pairs = tuple((PNMTA, other) for other in others) or _PAIRS_OF_FIG5
    numbers = {block.dataset: printed(block) for block in BLOCKS}
    found = Sweep(
        setting, methods, "MAE", pairs, printed=numbers, printed_as="printed in Table 2, at the default"
    )
    return found, page.spec


def figure(page: Page, track: str = "sound", *, levels: Sequence[str] = ()) -> Figure | html.Html:
    """The error of each method and paired gains; `levels` are floors of Table 2, drawn as lines."""
    found, spec = sweep_of(page)
    if why := page.lacks(track):
        return why
    lines = floors(page.store, levels, track=track)
    return sweep_figure.figure(page.records, page.store, found, spec, track=track, levels=lines)


def table(page: Page, track: str = "sound") -> html.Html:
    """The numbers of the figure."""
    found, spec = sweep_of(page)
    if why := page.lacks(track):
        return why
    return sweep.table(page.records, page.store, found, spec, track=track)


def mean(page: Page, label: str, value: float, dataset: str, track: str = "sound") -> str:
    """The mean error of a method at one value of the figure's setting, as text; a dash if there is none."""
    found, spec = sweep_of(page)
    if page.lacks(track, dataset):
        return "–"
    frame = sweep.means(page.records, found, spec, track=track)
    own = frame[(frame["method"] == label) & (frame["value"] == value) & (frame["dataset"] == dataset)]
    scores = own["score"].dropna()
    return "–" if scores.empty else html.number(float(scores.mean()), 4)


def floors(
    store: Store, labels: Sequence[str] = (ITEM_MEAN, BIAS), *, track: str
) -> Mapping[str, Mapping[str, float]]:
    """MAE of floors on the test users of Table 2, by data set and label: mean over seeds."""
    there = select(read(store, TABLE2), {"track": track, "label": tuple(labels)})
    found: dict[str, dict[str, float]] = {}
    for block in BLOCKS:
        for label in labels:
            scores = [r.metrics["MAE"] for r in there if block.holds(r) and r.label == label]
            if scores:
                found.setdefault(block.dataset, {})[label] = float(np.mean(scores))
    return found
