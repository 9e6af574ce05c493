"""PNMTA's Fig 3 drawn by code: its three steps, the boxes coloured by what each step was seen to move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from metarec.show import style

# Place of each box (centre, in a frame of 10 by 4) and the two lines in it.
BOXES: Mapping[str, tuple[float, float, str, str]] = {
    "encoder": (3.4, 2.0, "encoder E", "θₑ"),
    "encoder modulator": (3.4, 3.45, "modulator Mₑ", "φₑ"),
    "generators": (5.6, 0.6, "generators Mₚ", "φₚ"),
    "predictor": (7.4, 2.0, "predictor P", "θₚ"),
}
LOOKS: Mapping[str, dict[str, Any]] = {
    "moves": {"facecolor": "#fdf1e3", "edgecolor": "#c9731a", "linewidth": 2.2},
    "held": {"facecolor": "#e6f1f6", "edgecolor": "#2b6f8c", "linewidth": 1.4},
    "no part": {"facecolor": "#ffffff", "edgecolor": "#9aa0a6", "linewidth": 1.0, "linestyle": (0, (4, 3))},
}
DATA = {
    "pretraining": ("interactions", "shuffled"),
    "meta-adaptation": ("one task", "support, query"),
    "meta-update": ("32 tasks", "support, query"),
}
LOSSES = {
    "pretraining": ("loss on all", "interactions"),
    "meta-adaptation": ("loss on the", "support"),
    "meta-update": ("loss on the", "query"),
}
TITLES = {
    "pretraining": "1  Pretraining",
    "meta-adaptation": "2  Meta-adaptation, five times",
    "meta-update": "3  Meta-update, through step 2",
}
ARROWS = {
    "encoder": (((1.75, 2.0), (2.45, 2.0)), ((4.35, 2.0), (6.45, 2.0))),
    "encoder modulator": (((3.4, 2.95), (3.4, 2.5)),),
    "generators": (((4.6, 2.0), (5.3, 1.1)), ((5.9, 1.1), (6.75, 1.5))),
    "predictor": (((8.35, 2.0), (8.75, 2.0)),),
}


def framework(roles: pd.DataFrame) -> Figure:
    """One panel a step of `roles` (`derivations.stages.roles`): `moves`, `held` or `no part` for each box.

    In pretraining the predictor is one of its own (`first predictor`), put aside afterwards.
    """
    fig, axes = style.panels(3, 1, height=2.3)
    for ax, step in zip(axes[:, 0], roles.columns, strict=True):
        role = dict(roles[step])
        first = role.get("first predictor") == "moves"
        role["predictor"] = role["first predictor"] if first else role["predictor"]
        _panel(ax, step, role, first=first)
    _legend(axes[-1, 0])
    return style.done(fig)


def _panel(ax: Axes, step: str, role: Mapping[str, str], *, first: bool) -> None:
    ax.set(xlim=(0, 10.2), ylim=(0, 4.1), xticks=[], yticks=[])
    ax.axis("off")
    ax.set_title(TITLES[step])
    _text(ax, 0.95, 2.0, *DATA[step])
    _text(ax, 9.4, 2.0, *LOSSES[step])
    for name, (x, y, title, symbol) in BOXES.items():
        symbol = "then put aside" if first and name == "predictor" else symbol
        small = 8.5 if len(symbol) > 4 else 10
        box = FancyBboxPatch(
            (x - 0.95, y - 0.5), 1.9, 1.0, boxstyle="round,pad=0,rounding_size=0.12", **LOOKS[role[name]]
        )
        ax.add_patch(box)
        colour = style.MUTED if role[name] == "no part" else style.INK
        ax.text(x, y + 0.18, title, ha="center", va="center", color=colour, fontsize=9.5)
        ax.text(x, y - 0.22, symbol, ha="center", va="center", color=colour, fontsize=small, style="italic")
        for start, end in ARROWS[name]:
            if role[name] != "no part":
                ax.add_patch(
                    FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=style.INK)
                )
    if role["generators"] != "no part":
        ax.text(4.75, 1.32, "vᵤ", ha="right", va="center", fontsize=10, style="italic")
        ax.text(6.62, 1.02, "ω", ha="left", va="center", fontsize=10, style="italic")
    ax.text(5.4, 2.13, "vₓ", ha="center", va="bottom", fontsize=10, style="italic")


def _text(ax: Axes, x: float, y: float, *lines: str) -> None:
    ax.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=9.5, linespacing=1.35)


def _legend(ax: Axes) -> None:
    words = {"moves": "moves in this step", "held": "used, held fixed", "no part": "takes no part"}
    keys = [FancyBboxPatch((0, 0), 1, 1, label=words[role], **look) for role, look in LOOKS.items()]
    ax.figure.legend(handles=keys, loc="outside lower center", ncols=3)
