"""Table 3 of PNMTA: eight encoder settings by three predictor settings, as tables and as heat maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from metarec.papers.pnmta.tables import ENCODER_WORDS, PREDICTOR_WORDS, TABLE3, cell
from metarec.show import html, style
from metarec.show.cells import our_number, papers_number
from metarec.show.page import Page
from metarec.show.table import Table, build, paper_values
from metarec.stats import tests
from metarec.stats.runs import emptied
from metarec.stats.samples import meet, samples

DEFAULT = cell("C", "film")


class Grid(html.Html):
    """Table 3, one table for each data set; `table` is the long form it is laid out from."""

    def __init__(self, table: Table):
        self.table = table
        sets = dict.fromkeys(table.frame["dataset"])
        shown = "".join(_grid(table, name) for name in sets) + html.remarks(table.notes)
        super().__init__(shown, table.text, table.frame)


def grid(page: Page, track: str) -> html.Html:
    """Encoder settings by predictor settings, with ranks among the 24; the paper prints it turned."""
    return page.lacks(track) or Grid(build(TABLE3, page.records, page.store, track=track))


def spans(page: Page, track: str) -> str:
    """A sentence: on each data set, the default's mean error, its rank, and how far apart the cells are."""
    shown = grid(page, track)
    if not isinstance(shown, Grid):
        return f"The {track} track is not shown."
    told = []
    for dataset, own in shown.frame.groupby("dataset", sort=False):
        there = own.dropna(subset=["ours"])
        if there.empty:
            continue
        mine = there[there["method"] == DEFAULT]["ours"]
        rank = int((there["ours"] < mine.iloc[0]).sum()) + 1 if len(mine) else 0
        least, most = html.number(there["ours"].min(), 4), html.number(there["ours"].max(), 4)
        ours = html.number(mine.iloc[0], 4) if rank else "–"
        told.append(f"on {dataset} {ours}, rank {rank} of {len(there)} cells from {least} to {most}")
    return f"MAE of the default on the {track} track: {'; '.join(told)}."


def printed_leads() -> str:
    """A sentence: how far the best cell of the printed table leads the next on each data set."""
    told = []
    paper = paper_values(TABLE3.reference)
    for block in TABLE3.blocks:
        first, second = np.sort(paper[paper["dataset"] == (block.spelt or block.dataset)]["value"])[:2]
        told.append(f"{html.number(second - first, 4)} on {block.dataset}")
    return f"The best printed cell leads the next by {' and '.join(told)}."


def _grid(table: Table, dataset: str) -> str:
    here = table.frame[table.frame["dataset"] == dataset]
    here = here.assign(rank=here["ours"].rank())
    cells = {row["method"]: row for row in here.to_dict("records")}
    rows = [
        (word, [_cell(cells[cell(encoder, predictor)], table.spec.decimals) for predictor in PREDICTOR_WORDS])
        for encoder, word in ENCODER_WORDS.items()
    ]
    caption = f"{table.spec.title}, {dataset}, {table.track} track"
    return html.table(
        list(PREDICTOR_WORDS.values()), {"": rows}, caption=caption, corner="Encoder", kind="results"
    )


def _cell(own: Mapping[Any, Any], decimals: int) -> str:
    lines = []
    if own["seeds"]:
        lines += [our_number(own["ours"], own["high"], decimals), f"rank&nbsp;{own['rank']:.0f}"]
    delta = html.signed(own["delta"], decimals) if own["seeds"] else ""
    word = own["verdict"] or ("diverged" if own["failed"] else "not run")
    lines += [papers_number(own["paper"], int(own["decimals"]), delta), html.badge(word)]
    return "<br>".join(lines)


def heatmaps(page: Page, track: str, *, limit: float = 4.0) -> Figure | html.Html:
    """The paper's grid and ours, each as per cent above or below its own median, on one scale (± `limit`).

    Every cell holds its number; the best of a grid is framed.
    """
    shown = grid(page, track)
    if not isinstance(shown, Grid):
        return shown
    frame = shown.frame
    panels = [
        (dataset, side)
        for dataset in dict.fromkeys(frame["dataset"])
        for side in ("paper", "ours")
        if frame.loc[frame["dataset"] == dataset, side].notna().any()
    ]
    fig, axes = style.panels(len(panels), 1, height=1.55)
    scale = Normalize(-limit, limit)
    for ax, (dataset, side) in zip(axes[:, 0], panels, strict=True):
        here = frame[frame["dataset"] == dataset].set_index("method")[side]
        values = np.array([[here[cell(e, p)] for e in ENCODER_WORDS] for p in PREDICTOR_WORDS])
        image = _panel(ax, values, scale)
        style.label_axes(ax, x="", y="", title=f"{dataset}, {side if side == 'paper' else 'ours'}")
    axes[-1, 0].set_xlabel("encoder modulator")
    bar = fig.colorbar(image, ax=axes, shrink=0.5, pad=0.02, extend="both")
    bar.set_label("MAE against the grid's median (%)")
    bar.outline.set_visible(False)
    return style.done(fig)


def forest(page: Page, track: str, *, default: str = DEFAULT) -> Figure | html.Html:
    """Gain in MAE of the default over each other cell, paired over users.

    Filled where the difference is clear (`tests.holm`, over the cells of a panel).
    """
    if why := page.lacks(track):
        return why
    spec, store, found, kept = TABLE3, page.store, {}, emptied(page.records)
    for block in spec.blocks:
        own = [r for r in kept if r.track == track and block.holds(r)]
        if own:
            there = samples(own, store, ["MAE"])
            others = [s for name, s in there.items() if name != default and default in there]
            rows = [tests.compare(there[default], other) for other in others if meet(there[default], other)]
            if rows:
                found[block.dataset] = tests.holm(pd.concat(rows, ignore_index=True))
    if not found:
        return html.nothing("Every seed of the default has diverged, so there is nothing to compare.")
    names = [
        name
        for name in spec.printed
        if name != default and any((f["b"] == name).any() for f in found.values())
    ]
    colour = style.look(default)["color"]
    fig, axes = style.panels(1, len(found), height=0.8 + 0.26 * len(names), sharey=True)
    for ax, (dataset, frame) in zip(axes[0], found.items(), strict=True):
        for row in frame.to_dict("records"):
            y = len(names) - 1 - names.index(row["b"])
            bars = [[row["gain"] - row["low"]], [row["high"] - row["gain"]]]
            face = colour if row["clear"] != "0" else style.CARD
            ax.errorbar(row["gain"], y, xerr=bars, fmt="o", color=colour, mfc=face)
        ax.axvline(0, color=style.INK, linewidth=1)
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        style.label_axes(ax, x=f"gain of {spec.printed[default]}", y="", title=dataset)
    axes[0, 0].set_yticks(range(len(names)), [spec.printed[name] for name in names[::-1]])
    axes[0, 0].set_ylim(-0.7, len(names) - 0.3)
    return style.done(fig)


def _panel(ax: Axes, values: np.ndarray, scale: Normalize) -> Any:
    relative = 100 * (values / np.nanmedian(values) - 1)
    image = ax.imshow(relative, cmap=f"{style.DIVERGING}_r", norm=scale, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.4f}"
        red, green, blue, _ = image.cmap(scale(relative[row, column]))
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45
        ax.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else style.INK)
    if not np.isnan(values).all():
        row, column = np.unravel_index(np.nanargmin(values), values.shape)
        for colour, width in ((style.INK, 4.5), (style.CARD, 2.0)):  # to be seen on light and on dark
            frame = Rectangle((column - 0.47, row - 0.44), 0.94, 0.88, fill=False, ec=colour, lw=width)
            frame.set_clip_on(False)  # a cell at the edge is framed on all sides
            ax.add_patch(frame)
    ax.set_xticks(range(values.shape[1]), list(ENCODER_WORDS.values()))
    ax.set_yticks(range(values.shape[0]), list(PREDICTOR_WORDS.values()))
    ax.grid(visible=False)
    return image
