"""TaNP's Figures 1 and 2 drawn from code: three tastes, and the framework with the shapes of a real pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Generator

from metarec.data import Schema
from metarec.methods import n_parameters
from metarec.methods.tanp import TaNP, pooled
from metarec.papers.tanp.queries import find
from metarec.papers.tanp.table2 import SPEC
from metarec.papers.tanp.tables import LASTFM
from metarec.runs.execute import results_root
from metarec.runs.measured import Request
from metarec.runs.store import Store
from metarec.show import html, style
from metarec.tasks import Episodes, TaskBatch

SHARED, OWN, LOSS = "#dbe8f3", "#fdead7", "#eceef1"  # what all users share, what each has, what is minimised

# Prefixes of the parameters behind each part; the modulation stands inside the decoder's layers.
PARTS: Mapping[str, tuple[str, ...]] = {
    "embedding": ("item_embed", "user_embed"),
    "encoder h": ("latent_encoder", "posterior"),
    "identity network m": ("task_encoder",),
    "pool A": ("cluster_pool",),
    "modulation": (),
    "decoder g": ("decoder",),
}
MODULATORS = ("gamma", "beta", "eta", "delta")


def trace(method: TaNP, batch: TaskBatch, generator: Generator) -> dict[str, tuple[int, ...]]:
    """Shapes of everything that one training pass makes, by symbol: what the arrows of Figure 2 carry."""
    noise = method.draw(batch, generator)
    regions = method.regions(batch, noise)
    user, item, labels = pooled(batch)
    with torch.no_grad():
        x = method.embed(user, item)
        r = method.encode(x, labels)
        posterior = method.posterior(r, regions.target)
        z = posterior.mu + noise["eps"] * torch.exp(0.5 * posterior.logvar)
        custom = method.customise(x, labels, regions.context)
        scores = method.decode(x, z, custom.o)
    made = {"v": x[0], "u": x[1], "r": r, "z": z, "t": custom.t, "c": custom.c, "o": custom.o, "ŷ": scores}
    return {name: tuple(value.shape) for name, value in made.items()}


def sizes(method: TaNP) -> dict[str, int]:
    """Trainable numbers of each part; together they are all there are."""
    found = {part: sum(n_parameters(method, p) for p in prefixes) for part, prefixes in PARTS.items()}
    inside = (
        p for n, p in method.named_parameters() if n.split(".")[-2:-1] and n.split(".")[-2] in MODULATORS
    )
    found["modulation"] = sum(p.numel() for p in inside)
    found["decoder g"] -= found["modulation"]
    return found


def lastfm() -> Schema:
    """What TaNP is told of Last.FM, from the counts of Table 2: how many users and items there are."""
    records = SPEC.records(Request("full", SPEC.tracks, 1, Store(results_root())))
    size = find([r for r in records if r.dataset == LASTFM.source], "counts").counts
    return Schema(size["users"], size["items"], "implicit", low=0, high=1)


def compared(columns: Mapping[str, Mapping[str, int]]) -> html.Html:
    """`sizes` of several models side by side, with each part's share."""
    total = {name: sum(counts.values()) for name, counts in columns.items()}
    rows = [
        (
            part,
            [
                f"{counts[part]:,} <small>({100 * counts[part] / total[name]:.1f} %)</small>"
                for name, counts in columns.items()
            ],
        )
        for part in PARTS
    ]
    rows.append(("all", [f"{n:,}" for n in total.values()]))
    caption = "Trainable numbers by part"
    rendered = html.table(list(columns), {"": rows}, caption=caption, corner="Part", kind="results")
    return html.Html(rendered, caption)


class _Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> tuple[float, float]:
        return self.x + self.width, self.y + self.height / 2

    @property
    def left(self) -> tuple[float, float]:
        return self.x, self.y + self.height / 2

    @property
    def top(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height

    @property
    def bottom(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y


def framework(shapes: Mapping[str, tuple[int, ...]], counts: Mapping[str, int]) -> Figure:
    """Figure 2, the training pass: arrows with the shapes they carry, shared parts with their parameters."""
    fig, axes = style.panels(height=4.9)
    ax = axes[0, 0]
    ax.set(xlim=(-1, 101), ylim=(-1, 72))
    ax.axis("off")
    target = _box(ax, 0, 57, 17, 10, "target $\\tau_i$\nitems, labels", OWN)
    context = _box(ax, 0, 15, 17, 10, "context $\\mathcal{S}_i$\nitems, labels", OWN)
    embed = _box(ax, 0, 36, 17, 10, f"embedding\n{counts['embedding']:,}", SHARED)
    encoder = _box(ax, 26, 52, 16, 10, f"encoder $h_\\theta$\n{counts['encoder h']:,}", SHARED)
    identity = _box(ax, 26, 20, 16, 10, f"identity $m_\\phi$\n{counts['identity network m']:,}", SHARED)
    posterior = _box(ax, 56, 61, 16, 8, "$q(z \\mid \\tau_i)$", OWN)
    prior = _box(ax, 56, 45, 16, 8, "$q(z \\mid \\mathcal{S}_i)$", OWN)
    pool = _box(ax, 56, 1, 16, 9, f"pool $A$\n{counts['pool A']:,}", SHARED)
    mixed = _box(ax, 56, 20, 16, 10, "$c_i$, then\n$o_i = t_i + c_i A$", OWN)
    words = f"decoder $g_\\omega$\n{counts['decoder g']:,}\n\nmodulation\n{counts['modulation']:,}"
    decoder = _box(ax, 85, 26, 15, 22, words, SHARED)
    _arrow(ax, target.bottom, embed.top)
    _arrow(ax, context.top, embed.bottom)
    _arrow(ax, embed.right, encoder.left, bend=0.25)
    _arrow(ax, embed.right, identity.left, bend=-0.25)
    inputs = f"v {_shape(shapes['v'])}\nu {_shape(shapes['u'])}"
    ax.text(24, 41, inputs, va="center", fontsize=8, linespacing=1.5)
    _arrow(ax, encoder.right, posterior.left, f"r {_shape(shapes['r'])}")
    _arrow(ax, encoder.right, prior.left)
    _arrow(ax, identity.right, mixed.left, f"t {_shape(shapes['t'])}")
    _arrow(ax, pool.top, mixed.bottom, f"c {_shape(shapes['c'])}")
    _arrow(ax, posterior.right, decoder.top, f"z {_shape(shapes['z'])}", bend=-0.3)
    _arrow(ax, mixed.right, decoder.left, f"o {_shape(shapes['o'])}", bend=0.2)
    _losses(ax, posterior, prior, mixed, decoder, shapes)
    return style.done(fig)


def _losses(
    ax: Axes, posterior: _Box, prior: _Box, mixed: _Box, decoder: _Box, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Where the three terms of the loss arise."""
    both = {"arrowstyle": "<->", "color": style.INK, "linewidth": 1.3}
    ax.annotate("", posterior.bottom, prior.top, arrowprops=both)
    ax.text(posterior.bottom[0] + 1.5, 57, "$\\mathcal{L}_{c,i}$", va="center", fontsize=11)
    error = _box(ax, 85, 1, 15, 9, "$\\mathcal{L}_{r,i}$", LOSS)
    _arrow(ax, decoder.bottom, error.top, f"ŷ {_shape(shapes['ŷ'])}")
    cluster = _box(ax, 26, 1, 16, 9, "$\\lambda\\,\\mathcal{L}_u$, all tasks", LOSS)
    _arrow(ax, (mixed.x + 3, mixed.y), cluster.right, bend=-0.2)


def _box(ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> _Box:
    rounded = "round,pad=0,rounding_size=1.4"
    ax.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle=rounded, facecolor=colour, edgecolor=style.MUTED)
    )
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9.5, linespacing=1.25)
    return _Box(x, y, width, height)


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", *, bend: float = 0.0
) -> None:
    """An arrow that bends by a share of its length, with a word over its middle."""
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=9,
            color=style.INK,
            linewidth=1.1,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=1,
            shrinkB=1,
        )
    )
    if text:
        across, along = end[0] - start[0], end[1] - start[1]
        x = (start[0] + end[0] + bend * along) / 2
        y = (start[1] + end[1] - bend * across) / 2
        paper = {"facecolor": style.CARD, "edgecolor": "none", "pad": 1.2}
        ax.text(x, y, text, ha="center", va="center", fontsize=8, color=style.INK, bbox=paper)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(str(n) for n in shape)}]"


def three(episodes: Episodes) -> tuple[int, int, int]:
    """Tasks a, b, c as in Figure 1: a and c of one planted group, b of the group that is least like it."""
    truth = episodes.ratings.truth
    assert truth is not None
    group = truth.user_group[episodes.task]
    tastes = np.stack([truth.expected[truth.user_group == g].mean(0) for g in range(group.max() + 1)])
    furthest = int(np.corrcoef(tastes)[group[0]].argmin())
    return 0, int(np.argmax(group == furthest)), int(np.flatnonzero(group == group[0])[1])


def tastes(episodes: Episodes, people: Mapping[str, int]) -> Figure:
    """Figure 1 on planted data: for each person (a task) the liked items in the plane of the item factors.

    The plane is that of the two largest principal components. Support filled, query ringed.
    """
    ratings = episodes.ratings
    assert ratings.truth is not None
    factors = ratings.truth.item_factors - ratings.truth.item_factors.mean(0)
    plane = factors @ np.linalg.svd(factors, full_matrices=False)[2][:2].T
    fig, axes = style.panels(1, len(people), height=2.6, sharex=True, sharey=True)
    for n, (ax, (title, task)) in enumerate(zip(axes[0], people.items(), strict=True)):
        rows = episodes.rows[episodes.offsets[task] : episodes.offsets[task + 1]]
        liked = ratings.label[rows] > 0
        first = np.arange(len(rows)) < episodes.n_support[task]
        colour = style.series(n)["color"]
        ax.plot(*plane.T, ".", color=style.GRID, markersize=4, zorder=1)
        for chosen, face, word in ((first & liked, colour, "support"), (~first & liked, "none", "query")):
            spots = plane[ratings.item[rows[chosen]]].T
            ax.plot(*spots, "o", mfc=face, mec=colour, ms=5.5, mew=1.3, label=word)
        ax.set_xticks([])
        ax.set_yticks([])
        style.label_axes(ax, x="taste, axis 1", y="taste, axis 2" if n == 0 else "", title=title)
    axes[0, 0].legend(loc="upper left", fontsize=8.5, handletextpad=0.2, borderpad=0.3)
    return style.done(fig)


def alike(episodes: Episodes, people: Mapping[str, int]) -> html.Html:
    """How alike planted tastes are: correlation over all items of two users' expected labels."""
    truth = episodes.ratings.truth
    assert truth is not None
    found = np.corrcoef(truth.expected[episodes.task[list(people.values())]])
    names: Sequence[str] = list(people)
    rows = [(a, [html.number(float(v)) for v in row]) for a, row in zip(names, found, strict=True)]
    caption = "Correlation of true tastes over all items"
    return html.Html(html.table(names, {"": rows}, caption=caption, corner="Taste of"), caption)
