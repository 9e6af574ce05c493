r"""PNMTA's Fig 2: users in groups, and where the adaptation of each of them begins and ends.

The users and their ratings are planted (`lines`). In four settings the segment reaches the predictor's input,
its modulator, both or neither. All else is `pnmta` without pretraining.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.layers.adaptation import first_layer, modulated_mlp
from metarec.layers.embedding import Blocks
from metarec.layers.modulators import Modulate
from metarec.methods import initialised
from metarec.methods.pnmta import PNMTA
from metarec.papers.pnmta.lines import CENTRES, items_by_trait, lines, planted
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.show.cells import with_half
from metarec.stats.seeds import difference, over_seeds
from metarec.tasks import EpisodeTensors, Splits
from metarec.tasks.batch import Query, Support, TaskBatch
from metarec.tasks.rules import cold_start_episodes
from metarec.training.selection import Selection

SHOWN = 60  # users in the picture
# Groups in the order of their numbers: colour and marker.
LOOKS = tuple(zip(style.PALETTE[:3], style.MARKERS[:3], strict=True))
OPTIONS: dict[str, Any] = {
    "d": 8,
    "hidden": (16, 16),
    "generator": (16,),
    "encoder_modulator": "none",
    "pretraining": "none",
    "inner_lr": 0.02,
    "lr": 3e-3,
    "epochs": 40,
}


class _Toy(PNMTA):
    """PNMTA whose predictor may be `blind` to the user's fields, so that only the modulator reads them."""

    blind = False

    def inputs(self, support: Support, query: Query) -> tuple[Blocks, Blocks]:
        """Interaction vectors, with zeros for the user's part where the predictor is blind."""
        sides = super().inputs(support, query)
        if not self.blind:
            return sides
        (items_s, users_s), (items_q, users_q) = sides
        return (items_s, 0 * users_s), (items_q, 0 * users_q)

    def condition(
        self, x_support: Blocks, x_query: Blocks, support: Support, query: Query
    ) -> Modulate | None:
        """The modulation from the whole interaction vectors."""
        return super().condition(*super().inputs(support, query), support, query)


@dataclass(frozen=True)
class _Setting:
    """Where the segment goes: into the predictor's input, and into its modulator."""

    label: str
    an_input: bool
    modulated: bool


SETTINGS = (
    _Setting("Segment to nobody", False, False),
    _Setting("Segment to the modulator", False, True),
    _Setting("Segment to the input", True, False),
    _Setting("Segment to both", True, True),
)


def measure_fig2(request: Request) -> Iterator[Record]:
    """Fig 2: the four settings for each seed; errors by group and by number of steps; lines for seed 0."""
    quick = request.profile == "quick"
    measurement = Measurement("pnmta", "fig2", request, "sound", models=("pnmta",))
    for seed in range(request.seeds):
        ratings = planted(seed, 240 if quick else 1500)
        splits = cold_start_episodes(ratings, seed=seed)
        for setting in SETTINGS:
            given = {**OPTIONS, "predictor_modulator": "film" if setting.modulated else "none"}
            given |= {"epochs": 3} if quick else {}
            options = {**given, "segment_an_input": setting.an_input}
            kept = measurement.recorded(setting.label, ratings, options, seed=seed)
            if kept is None:
                started = time.perf_counter()
                method = _trained(setting, ratings, splits, given, seed, request.device)
                tests = EpisodeTensors(splits.test).all()
                found, drawn = analyse(method, tests, ratings, splits.test.task)
                kept = measurement.record(
                    setting.label,
                    ratings,
                    options,
                    found,
                    seed=seed,
                    started=started,
                    epochs=given["epochs"],
                    extra=drawn if seed == 0 else {},
                )
            yield kept


def _trained(
    setting: _Setting,
    ratings: Ratings,
    splits: Splits,
    given: dict[str, Any],
    seed: int,
    device: torch.device,
) -> _Toy:
    """The network of one setting after training, on the host."""
    from metarec.training.trainer import train

    with initialised(seed):
        method = _Toy(Schema.of(ratings), **given)
    method.blind = not setting.an_input
    trained = train([method], splits, [seed], Selection("last"), device=device)
    trained.stack.method(0, trained.params).cpu()
    return method


def analyse(
    method: PNMTA, batch: TaskBatch, ratings: Ratings, users: np.ndarray
) -> tuple[dict[str, float], dict[str, Any]]:
    """Distance from the truth before and after adaptation, in stars, all and by group; the lines themselves.

    The error of a task is the mean absolute difference between its function and the noise-free ratings over
    all values of the trait.
    """
    assert ratings.truth is not None
    curves = functions(method, batch, ratings)  # [steps + 1, users, TRAITS]
    truth = ratings.truth.expected[users][:, items_by_trait(ratings)]
    group = ratings.truth.user_group[users]
    error = np.abs(curves - truth).mean(-1)
    found = {f"error after {k} steps": float(e.mean()) for k, e in enumerate(error)}
    for g, name in enumerate(CENTRES):
        for k in (0, len(error) - 1):
            found[f"error after {k} steps: {name}"] = float(error[k, group == g].mean())
    start, end = lines(curves[0]), lines(curves[-1])
    found["distance moved"] = float(np.linalg.norm(end - start, axis=-1).mean())
    found["spread of starts"] = float(np.linalg.norm(start - start.mean(0), axis=-1).mean())
    drawn = {"start": start, "end": end, "truth": lines(truth)}
    extra: dict[str, Any] = {name: np.round(v[:SHOWN].astype(float), 3).tolist() for name, v in drawn.items()}
    return found, extra | {"group": group[:SHOWN].tolist()}


def functions(method: PNMTA, batch: TaskBatch, ratings: Ratings) -> np.ndarray:
    """Each user's predictions for every value of the trait, before the steps and after each: `[k, users, x]`.

    The task vector stays that of the user's own support and query; the grid is only evaluated.
    """
    support, query = batch.support, batch.query
    tasks = len(query.item)
    every = torch.as_tensor(items_by_trait(ratings)).expand(tasks, -1)
    grid = Query(query.user, every, torch.ones_like(every, dtype=torch.bool))
    x_support, x_query = method.inputs(support, query)
    modulate = method.condition(x_support, x_query, support, query)
    _, x_grid = method.inputs(support, grid)

    def evaluate(p: dict[str, Tensor]) -> np.ndarray:
        with torch.no_grad():
            return modulated_mlp(p, first_layer(p, x_grid), modulate).double().numpy()

    return np.stack([evaluate(p) for p in method.path(support, query)])


def settings(records: Sequence[Record]) -> list[str]:
    """The settings compared, in the order in which they were run."""
    return list(dict.fromkeys(r.label for r in records))


def errors(records: Sequence[Record]) -> html.Html:
    """Distance from the truth, in stars, by setting: before adaptation, after it, and by group.

    `frame` has a row for each setting and metric: `setting, metric, mean, low, high`.
    """
    names = list(records[0].metrics)
    last = max(n for n in names if n.startswith("error after") and ":" not in n)
    groups = sorted(n.partition(": ")[2] for n in names if n.startswith(f"{last}: "))
    shown = ["error after 0 steps", "error after 1 steps", last]
    shown += [f"{last}: {g}" for g in groups] + ["distance moved"]
    rows, values = [], []
    for setting in settings(records):
        found = [over_seeds(records, setting, metric) for metric in shown]
        rows.append((setting, [with_half(i) for i in found]))
        values += [
            {"setting": setting, "metric": m, **i._asdict()} for m, i in zip(shown, found, strict=True)
        ]
    steps = last.split()[2]
    columns = ["Before", "1 step", f"{steps} steps", *groups, "Moved"]
    heads = (("Error", 3), ("Of users who like", len(groups)), ("", 1))
    seeds = len({r.seed for r in records})
    notes = [
        "Mean absolute distance between a user’s function and the noise-free ratings, in stars; below it "
        f"half the width of its 95 % interval over {seeds} seeds.",
        f"By group: the error after {steps} steps. Moved: the way from the starting line to the adapted one, "
        "in the plane of the picture.",
    ]
    caption = "Four ways to tell a model who the user is"
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner="Setting", groups=heads, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def said(records: Sequence[Record]) -> str:
    """The error of each setting before and after adaptation, in a sentence."""
    frame = errors(records).frame
    steps = sorted({m for m in frame["metric"] if m.startswith("error after") and ":" not in m})
    told = []
    for setting, own in frame.groupby("setting", sort=False):
        mean = own.set_index("metric")["mean"]
        name = str(setting)
        told.append(f"{name[0].lower()}{name[1:]} {mean[steps[0]]:.2f} and {mean[steps[-1]]:.2f}")
    return f"Distance from the true taste, in stars, before and after adaptation: {'; '.join(told)}."


def plane(records: Sequence[Record], names: Sequence[str]) -> Figure:
    """One panel for each setting: users as points (level, slope), thin lines from their starts to their ends.

    Crosses are the users' true lines; `names` says what the groups are called. From the seed that keeps them.
    """
    drawn = {r.label: r.extra for r in records if r.extra}
    fig, axes = style.panels(2, 2, height=3.1, sharex=True, sharey=True)
    for ax, (setting, kept) in zip(axes.flat, drawn.items(), strict=True):
        start, end, truth = (np.array(kept[k]) for k in ("start", "end", "truth"))
        group = np.array(kept["group"])
        for g, (colour, marker) in enumerate(LOOKS):
            own = group == g
            pairs = np.stack([start[own], end[own]])
            ax.plot(pairs[..., 0], pairs[..., 1], color=colour, linewidth=0.8, alpha=0.55)
            ax.plot(*truth[own].T, "x", color=colour, markersize=4, alpha=0.6)
            ax.plot(*end[own].T, marker, color=colour, markersize=4.5, label=names[g])
            ax.plot(*start[own].T, marker, mfc="white", mec=style.INK, mew=1.1, markersize=6, zorder=4)
        style.label_axes(ax, x="level", y="slope", x_unit="stars", y_unit="stars", title=setting)
        ax.label_outer()
    keys = style.handles(fig)
    fig.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=3, title="users who like")
    return style.done(fig)


def contrasts(records: Sequence[Record], pairs: Mapping[str, tuple[str, str]], metric: str) -> html.Html:
    """Differences of a metric between two settings, paired by seed, one row for each pair.

    `frame` has a row for each pair: `pair, mean, low, high`.
    """
    rows, values = [], []
    for name, (a, b) in pairs.items():
        found = difference(records, a, b, metric)
        ends = "–" if np.isnan(found.low) else f"{html.signed(found.low, 3)} to {html.signed(found.high, 3)}"
        rows.append((name, [html.signed(found.mean, 3), ends]))
        values.append({"pair": name, **found._asdict()})
    caption = f"Differences in the {metric}, paired by seed"
    columns = ["Mean (stars)", "95 % interval"]
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Difference")
    return html.Html(rendered, caption, pd.DataFrame(values))


SPEC = Measured("pnmta.fig2", "Users in groups", measure_fig2, tracks=("sound",))
