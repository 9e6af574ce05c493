"""Soft cluster assignments under different clustering targets: heat maps, and how far from uniform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import interval

# Words for a clustering target and weight as recorded. Without a target the weight means nothing.
TARGETS: Mapping[str, Mapping[str, Any]] = {
    "no clustering loss": {"cluster_target": "none"},
    "intended, λ = 0.1": {"cluster_target": "intended", "cluster_weight": 0.1},
    "intended, λ = 1": {"cluster_target": "intended", "cluster_weight": 1.0},
    "released, λ = 0.1": {"cluster_target": "released", "cluster_weight": 0.1},
    "released, λ = 1": {"cluster_target": "released", "cluster_weight": 1.0},
}


def chosen(records: Sequence[Record], method: str, target: str) -> list[Record]:
    """Records of a method under one of `TARGETS`, by seed; `RecordError` if there is none."""
    wanted = TARGETS[target].items()
    found = [r for r in records if r.label == method and wanted <= r.options.items()]
    if not found:
        raise RecordError(f"{method!r} was not run with {target}; run the experiment first.")
    return sorted(found, key=lambda r: r.seed)


def matrix(record: Record) -> np.ndarray:
    """Assignments times their number, `[tasks, k]`: 1 is uniform, k is all in one cluster."""
    c = np.asarray(record.extra["assignments"], float)
    return c * c.shape[1]


def apart(record: Record) -> float:
    """How much tasks differ: standard deviation over tasks of the entries of `matrix`, mean over clusters."""
    return float(matrix(record).std(0).mean())


def heatmaps(
    records: Sequence[Record], methods: Sequence[str], targets: Sequence[str], seed: int = 0
) -> Figure:
    """Ten test tasks by clusters, coloured by assignment times k; rows are methods, columns targets."""
    fig, axes = style.panels(len(methods), len(targets), height=2.6)
    for row, method in zip(axes, methods, strict=True):
        for ax, target in zip(row, targets, strict=True):
            own = next(r for r in chosen(records, method, target) if r.seed == seed)
            values = matrix(own)
            image = ax.imshow(values, cmap=style.DIVERGING, vmin=0.7, vmax=1.3, aspect="auto")
            ticks = np.arange(0, values.shape[1], 3 if values.shape[1] <= 10 else 6)
            ax.set_xticks(ticks, [str(t + 1) for t in ticks])
            ax.set_yticks([0, 4, 9], ["1", "5", "10"])
            ax.grid(visible=False)
            title = target if method == methods[0] else None
            style.label_axes(ax, x="cluster", y="", title=title)
        style.label_axes(row[0], x="cluster", y=f"test task\n{method.removeprefix('TaNP ')}")
    bar = fig.colorbar(image, ax=axes, shrink=0.7, pad=0.02, extend="both")
    bar.set_label("assignment × k (1: uniform)")
    bar.outline.set_visible(False)
    return style.done(fig)


def spread(records: Sequence[Record], methods: Sequence[str], metric: str = "P@10") -> Figure:
    """Three panels by target: distance from uniform, difference between tasks (log axes), and the score."""
    panels: Mapping[str, tuple[str, Callable[[Record], float]]] = {
        "from uniform": ("1 − entropy", lambda r: 1 - r.extra["diagnostics"]["assignment_entropy"]),
        "between tasks": ("sd over tasks of c × k", apart),
        "score": (f"{metric} (%)", lambda r: 100 * r.metrics[metric]),
    }
    fig, axes = style.panels(1, 3, height=3.7, sharey=True)
    names = list(TARGETS)[::-1]
    for ax, (title, (label, value)) in zip(axes[0], panels.items(), strict=True):
        for n, method in enumerate(methods):
            for y, target in enumerate(names):
                values = np.array([value(r) for r in chosen(records, method, target)])
                _line(ax, values, y + 0.2 * ((len(methods) - 1) / 2 - n), method)
        if title != "score":
            ax.set_xscale("log")
            ax.set_xlim(1e-7, 3)
            ax.set_xticks([1e-6, 1e-4, 1e-2, 1])
            ax.minorticks_off()
        style.label_axes(ax, x=label, y="", title=title)
    bound = style.DASHES[1]
    axes[0, 0].axvline(0.05, color=style.MUTED, linewidth=1.2, linestyle=bound, label="bound of claim T19")
    axes[0, 0].set_yticks(range(len(names)), names)
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
    return style.done(fig)


def _line(ax: Axes, values: np.ndarray, at: float, method: str) -> None:
    """Seeds as small dots and their mean; its interval too, unless the axis is one of orders of magnitude."""
    look = style.look(method)
    mean, low, high = interval(values)
    bars = [[mean - low], [high - mean]] if values.min() > 1 else None
    ax.plot(values, [at - 0.1] * len(values), ".", color=look["color"], alpha=0.45, ms=3.5)
    ax.errorbar(mean, at, xerr=bars, fmt=look["marker"], color=look["color"], label=method)


_TOLD = ("assignment_entropy", "assignment_max")


def summary(records: Sequence[Record], methods: Sequence[str]) -> html.Html:
    """Mean normalised entropy, largest assignment times k, difference between tasks, and the loss left."""
    sections = {}
    for method in methods:
        rows = []
        for target in TARGETS:
            own = chosen(records, method, target)
            told = {n: np.mean([r.extra["diagnostics"][n] for r in own]) for n in _TOLD}
            lost = [r.terms["cluster"] / r.options["cluster_weight"] for r in own if "cluster" in r.terms]
            cells = [
                told["assignment_entropy"],
                told["assignment_max"] * own[0].options["clusters"],
                np.mean([apart(r) for r in own]),
            ]
            shown = [html.number(float(cell), 4) for cell in cells]
            rows.append((target, [*shown, f"{abs(np.mean(lost)):.2g}" if lost else "–"]))
        sections[f"{method}, k = {own[0].options['clusters']}"] = rows
    columns = ["Normalised entropy", "Largest c × k", "Between tasks", "Loss at the end"]
    caption = "Assignments of the test tasks, means over tasks and seeds"
    notes = [
        "Entropy 1 and largest c × k = 1: uniform. Between tasks: standard deviation over ten test tasks of "
        "c × k, mean over clusters; 0: all tasks alike. Loss: that of the clustering, without its weight."
    ]
    rendered = html.table(columns, sections, caption=caption, corner="Clustering loss", notes=notes)
    return html.Html(rendered, caption)
