"""The one look of every figure in the book.

Figures are opaque white cards with dark ink. A transparent figure would need an ink that reads on white and
on the dark theme's #121212 at once, and the best such grey reaches only about 4.3 : 1; on its own card the
ink keeps 17 : 1 in both themes, in JupyterLab, in print and in a code host's dark preview. Colours differ
in lightness as well as in hue: every one has at least 3 : 1 against the card, and any two stay apart for
the three common colour-vision deficiencies (tests/test_style.py computes both).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CARD = "#ffffff"
INK = "#1b1b1b"
MUTED = "#5f6368"  # secondary text, reference lines; 6 : 1 on the card
GRID = "#dcdfe3"

# Blue, orange, teal, brick, indigo, ink: take them in this order.
PALETTE: tuple[str, ...] = ("#2370a6", "#e06500", "#1ea29c", "#961f00", "#4a1a9c", INK)
# Colour never stands alone: the n-th series also has the n-th marker and the n-th dash pattern.
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (3, 1)),
    (0, (8, 2)),
)

# What has the same meaning has the same colour on every page.
ROLES: Mapping[str, str] = MappingProxyType(
    {"ours": PALETTE[0], "paper": PALETTE[1], "floor": MUTED, "ceiling": MUTED, "exact": INK}
)

# The papers' methods and the one they all compare with keep one colour through the whole book; variants of a
# method differ in marker and dash. All other methods are grey, told apart by marker and a label of their own.
FAMILIES: Mapping[str, str] = MappingProxyType(
    {"TaNP": PALETTE[0], "PNMTA": PALETTE[2], "CMML": PALETTE[4], "MeLU": PALETTE[3]}
)
FLOORS = ("Random ranker", "Global mean", "Item mean", "Popularity", "Damped user + item bias", "Oracle")
OTHER = "#7d8287"  # 3.9 : 1 on the card
# Which marker and dash a variant has, by the end of its label; the method itself has the first.
_VARIANTS = ("(FiLM)", "(w/o PT)", "(w/o tm)", "(Full-PT)", "no pool", "as printed", "no user identity")
_OTHERS = ("MAML-PT", "PAML", "MetaCS", "MetaEmb", "MetaHIN", "MAMO")

SEQUENTIAL = "cividis"  # heat maps of a magnitude
DIVERGING = "PuOr"  # heat maps of a difference; centre it at 0

WIDTHS: Mapping[str, float] = MappingProxyType({"full": 6.8, "half": 4.4})  # inches
HEIGHT = 3.5  # inches, one row of panels
DPI = 144  # a full-width figure is 979 pixels: sharp on a dense screen, small as a file


def use_style() -> None:
    """Set the book's figure style; call it once, at the top of a notebook.

    DejaVu Sans is named because it ships with matplotlib: a figure looks the same on every machine.
    """
    sns.set_theme(context="notebook", style="whitegrid", palette=list(PALETTE), font="DejaVu Sans")
    mpl.rcParams.update(
        {
            "figure.figsize": (WIDTHS["full"], HEIGHT),
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
            "figure.facecolor": CARD,
            "savefig.facecolor": CARD,
            "axes.facecolor": CARD,
            "figure.constrained_layout.use": True,
            "figure.constrained_layout.w_pad": 0.08,
            "font.size": 10.5,
            "axes.labelsize": 10.5,
            "axes.titlesize": 11,
            "axes.titleweight": "normal",
            "axes.titlelocation": "left",
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.title_fontsize": 10,
            "legend.frameon": True,
            "legend.framealpha": 0.9,
            "legend.edgecolor": GRID,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": MUTED,
            "axes.linewidth": 0.9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "axes.axisbelow": True,
            "lines.linewidth": 1.9,
            "lines.markersize": 5.5,
            "errorbar.capsize": 3,
            "image.cmap": SEQUENTIAL,
            "svg.hashsalt": "metarec",
        }
    )


def panels(
    rows: int = 1,
    columns: int = 1,
    *,
    width: Literal["full", "half"] = "full",
    height: float = HEIGHT,
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure of the book's width and its axes, always as an array `[rows, columns]`.

    `height` is that of one row, in inches; `options` (`sharex`, …) go to `matplotlib.pyplot.subplots`.
    """
    return plt.subplots(rows, columns, figsize=(WIDTHS[width], height * rows), squeeze=False, **options)


def handles(fig: Figure) -> dict[str, Artist]:
    """Label to artist over all panels of a figure, each label once: for one legend for all of them."""
    found: dict[str, Artist] = {}
    for ax in fig.axes:
        found |= {label: h for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    return found


def legend_below(fig: Figure, columns: int = 2) -> Figure:
    """The figure with one legend for all panels below them, closed."""
    found = handles(fig)
    fig.legend(list(found.values()), list(found), loc="outside lower center", ncols=columns)
    return done(fig)


def done(fig: Figure) -> Figure:
    """The figure, closed: a notebook then shows it once, as the value of its cell."""
    plt.close(fig)
    return fig


def label_axes(
    ax: Axes,
    *,
    x: str,
    y: str,
    x_unit: str | None = None,
    y_unit: str | None = None,
    title: str | None = None,
) -> Axes:
    """Name both axes, each with its unit in parentheses, and the panel.

    A unit is `"nats"`, `"%"`, `"s"`, …; leave it out for a pure number, never for a quantity that has one.
    """
    ax.set_xlabel(f"{x} ({x_unit})" if x_unit else x)
    ax.set_ylabel(f"{y} ({y_unit})" if y_unit else y)
    if title is not None:
        ax.set_title(title)
    return ax


def series(n: int) -> dict[str, Any]:
    """Colour, dashes and marker of the `n`-th series, for `ax.plot(..., **series(n))`.

    After six the colours come round again with the next dash pattern and marker, so 36 series stay distinct.
    """
    k = len(PALETTE)
    shift = n // k
    return {
        "color": PALETTE[n % k],
        "linestyle": DASHES[(n + shift) % k],
        "marker": MARKERS[(n + shift) % k],
    }


def look(label: str) -> dict[str, Any]:
    """Colour, dashes and marker of a method wherever it is drawn, for `ax.plot(..., **look(label))`."""
    if label in FLOORS:
        n = FLOORS.index(label)
        return {"color": MUTED, "linestyle": DASHES[1 + n % 5], "marker": MARKERS[n % 6]}
    family = next((name for name in FAMILIES if label.startswith(name)), None)
    if family is None:
        n = next((k for k, name in enumerate(_OTHERS) if label.startswith(name)), len(_OTHERS))
        return {"color": OTHER, "linestyle": DASHES[n % 6], "marker": MARKERS[(n + 1) % 6]}
    n = next((k + 1 for k, end in enumerate(_VARIANTS) if label.endswith(end)), 0)
    return {"color": FAMILIES[family], "linestyle": DASHES[n % 6], "marker": MARKERS[n % 6]}
