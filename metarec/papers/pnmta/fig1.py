r"""PNMTA's Fig 1: three streams of data, and what a gradient is worth when its rows come from one user.

A batch of $n$ rows drawn one by one gives a gradient with variance $V/n$, where $V$ is that of a single row.
A batch of one user's $n$ rows gives a gradient that varies from user to user by $B$. So it is worth as much
as $V/B$ rows drawn one by one: $n$ if a user's rows were no more alike than any others, 1 if they were
copies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor
from torch.func import functional_call, grad, vmap

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.errors import RecordError
from metarec.methods import initialised
from metarec.methods.maml_pt import MAMLPT
from metarec.papers.pnmta.tables import BLOCKS, spelt
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.show.cells import with_half
from metarec.stats.intervals import interval
from metarec.tasks import Episodes, EpisodeTensors, Splits
from metarec.tasks.batch import RowBatch
from metarec.training.selection import Selection

PARTS = {"user tables": "encoder.user.", "item tables": "encoder.item.", "predictor": "pretrained_head."}
STATES = {"as drawn": 0, "pretrained": 20}  # epochs of pretraining
SHOWN = 400  # rows of a stream in the picture
# The three panels: title and name of the vertical axis.
PICTURES = {
    "images": ("Images, by task", "class or user"),
    "tasks": ("Ratings, by user", ""),
    "shuffled": ("Ratings, shuffled", ""),
}


def measure_fig1(request: Request) -> Iterator[Record]:
    """Fig 1: for each data set, seed and state of the network, what one user's rows are worth."""
    quick = request.profile == "quick"
    measurement = Measurement("pnmta", "fig1", request, "sound", models=("maml-pt",))
    for block in BLOCKS[:1] if quick else BLOCKS:
        rules = block.protocol("sound", request.profile)
        ratings = rules.ratings()
        for seed in range(request.seeds):
            splits = rules.splits(ratings, seed)
            for state, epochs in STATES.items():
                given = {"epochs": 0, "pretrain_epochs": min(epochs, 2) if quick else epochs}
                given |= {"d": 8} if quick else {}
                kept = measurement.recorded(state, ratings, given, seed=seed)
                yield kept or _measure(measurement, state, ratings, splits, given, seed)


def _measure(
    measurement: Measurement, state: str, ratings: Ratings, splits: Splits, given: dict[str, Any], seed: int
) -> Record:
    """What one user's rows are worth to a network in one state."""
    from metarec.training.trainer import train

    started = time.perf_counter()
    quick = measurement.request.profile == "quick"
    with initialised(seed):
        method = MAMLPT(Schema.of(ratings), **given)
    trained = train([method], splits, [seed], Selection("last"), device=measurement.request.device)
    trained.stack.method(0, trained.params).cpu()
    users = 20 if quick else 100
    found = gradient_worth(method, splits.train, users=users, seed=seed) | batches(splits.train, seed)
    drawn = first_rows(splits.train) if seed == 0 and not given["pretrain_epochs"] else {}
    return measurement.record(state, ratings, given, found, seed=seed, started=started, extra=drawn)


def gradient_worth(method: MAMLPT, episodes: Episodes, *, users: int, seed: int) -> dict[str, float]:
    """$V/B$ for each part of the network, and the rows of a user, over a sample of training users."""
    chosen = np.random.default_rng(seed).permutation(len(episodes))[:users]
    own = episodes.select(np.sort(chosen), "sample")
    data = EpisodeTensors(own)
    rows = data.rows(torch.arange(len(data.user)))
    user = torch.repeat_interleave(torch.arange(len(own)), torch.as_tensor(np.diff(own.offsets)))
    params = {n: p.detach() for n, p in method.named_parameters() if n.startswith(tuple(PARTS.values()))}
    squares, sums = _accumulate(method, params, rows, user, len(own))
    count = torch.bincount(user).to(torch.float32)
    found = {"rows of a user": float(count.mean())}
    for part, prefix in PARTS.items():
        names = [n for n in params if n.startswith(prefix)]
        centre = sum(float((sums[n].sum(0) / count.sum()).square().sum()) for n in names)
        single = float(squares[part]) / float(count.sum()) - centre
        of_user = [sums[n].flatten(1) / count[:, None] for n in names]
        between = sum(float((g - g.mean(0)).square().sum(1).mean()) for g in of_user)
        found[f"worth: {part}"] = single / between
    return found


def _accumulate(
    method: MAMLPT, params: dict[str, Tensor], rows: RowBatch, user: Tensor, users: int, chunk: int = 64
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Sum over rows of the squared norm of a row's gradient, by part; sum of gradients, by user."""

    def loss(p: dict[str, Tensor], row: RowBatch) -> Tensor:
        one = RowBatch(*(column.unsqueeze(0) for column in row))
        terms: dict[str, Tensor] = functional_call(method, p, ("pretrain_terms", one))
        return terms["pretrain"]

    each = vmap(grad(loss), in_dims=(None, 0))
    squares = {part: torch.zeros(()) for part in PARTS}
    sums = {n: torch.zeros(users, *p.shape) for n, p in params.items()}
    for start in range(0, len(user), chunk):
        piece = RowBatch(*(column[start : start + chunk] for column in rows))
        found = each(params, piece)
        for n, g in found.items():
            sums[n].index_add_(0, user[start : start + chunk], g)
            part = next(name for name, prefix in PARTS.items() if n.startswith(prefix))
            squares[part] = squares[part] + g.square().sum()
    return squares, sums


def batches(episodes: Episodes, seed: int) -> dict[str, float]:
    """Rows and users in a step: one task, 32 tasks (appendix C.3), and 1024 shuffled rows."""
    rng = np.random.default_rng(seed)
    length = np.diff(episodes.offsets)
    owner = np.repeat(np.arange(len(length)), length)
    size = min(1024, len(owner))
    distinct = [len(np.unique(rng.choice(owner, size, replace=False))) for _ in range(50)]
    return {
        "rows in 32 tasks": float(32 * length.mean()),
        "rows shuffled": float(size),
        "users in 32 tasks": float(min(32, len(length))),
        "users shuffled": float(np.mean(distinct)),
        "training users": float(len(length)),
    }


def first_rows(episodes: Episodes) -> dict[str, Any]:
    """The first rows of three streams: to which user (or class of images) each belongs.

    `tasks`: training users in shuffled order, each with all rows. `shuffled`: rows in shuffled order.
    `images`: tasks of five classes and ten images each, drawn from as many classes as there are users.
    """
    g = Generator().manual_seed(0)
    length = torch.as_tensor(np.diff(episodes.offsets))
    users = torch.randperm(len(length), generator=g)
    owner = torch.repeat_interleave(torch.arange(len(length)), length)
    tasks = torch.repeat_interleave(users, length[users])[:SHOWN]
    shuffled = owner[torch.randperm(len(owner), generator=g)[:SHOWN]]
    classes = torch.rand(SHOWN // 50, len(length), generator=g).argsort(1)[:, :5]
    order = torch.rand(SHOWN // 50, 50, generator=g).argsort(1)
    images = classes.repeat_interleave(10, 1).gather(1, order).flatten()
    return {"images": images.tolist(), "tasks": tasks.tolist(), "shuffled": shuffled.tolist()}


def streams(records: Sequence[Record]) -> Figure:
    """To which class or user each row of a stream belongs: three panels, one point for each row."""
    kept = next((r.extra for r in records if r.extra), None)
    if kept is None:
        raise RecordError("no record of Fig 1 keeps its streams; run `metarec run pnmta.fig1` again.")
    fig, axes = style.panels(1, 3, height=3.0, sharey=True)
    for n, (ax, (key, (title, what))) in enumerate(zip(axes[0], PICTURES.items(), strict=True)):
        owner = np.array(kept[key])
        ax.plot(np.arange(len(owner)), owner, ".", color=style.PALETTE[n], markersize=3)
        style.label_axes(ax, x="place in the stream", y=what, title=title)
    return style.done(fig)


def worth(records: Sequence[Record]) -> html.Html:
    """What the gradient of one user's rows is worth in rows drawn one by one, by part of the network.

    `frame` has a row for each data set, state and part: `dataset, state, part, mean, low, high, rows`.
    """
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    for dataset in dict.fromkeys(r.dataset for r in records):
        for state in dict.fromkeys(r.label for r in records):
            own = [r for r in records if r.dataset == dataset and r.label == state]
            rows = interval(r.metrics["rows of a user"] for r in own)
            found = [interval(r.metrics[f"worth: {part}"] for r in own) for part in PARTS]
            cells = [html.number(rows.mean, 0), *(with_half(i, 1) for i in found)]
            sections.setdefault(spelt(dataset), []).append((f"network {state}", cells))
            values += [
                {"dataset": dataset, "state": state, "part": p, **i._asdict(), "rows": rows.mean}
                for p, i in zip(PARTS, found, strict=True)
            ]
    seeds = len({r.seed for r in records})
    notes = [
        "Worth: the number of rows drawn one by one from all users whose mean gradient is as precise as that "
        f"of one user’s rows. Below it, half the width of the 95 % interval over {seeds} seeds."
    ]
    caption = "What the rows of one user are worth"
    groups = (("", 1), ("They are worth, for the gradient of the", len(PARTS)))
    columns = ["Rows of a user", *PARTS]
    rendered = html.table(
        columns, sections, caption=caption, corner="", groups=groups, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def steps(records: Sequence[Record]) -> html.Html:
    """Rows and users in one step, for the three ways to make a batch, and the worth for the predictor."""
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    for dataset in dict.fromkeys(r.dataset for r in records):
        own = [r for r in records if r.dataset == dataset and r.label == "as drawn"]
        mean = {m: float(np.mean([r.metrics[m] for r in own])) for m in own[0].metrics}
        one, shuffled = mean["worth: predictor"], mean["rows shuffled"]
        lines = [
            ("one task (Algorithm 2)", mean["rows of a user"], 1.0, one),
            ("32 tasks (appendix C.3)", mean["rows in 32 tasks"], mean["users in 32 tasks"], 32 * one),
            ("shuffled rows (pretraining)", shuffled, mean["users shuffled"], shuffled),
        ]
        cells = [(name, [f"{rows:,.0f}", f"{users:,.0f}", f"{w:,.0f}"]) for name, rows, users, w in lines]
        sections[f"{spelt(dataset)}, {mean['training users']:,.0f} training users"] = cells
    caption = "What one step sees"
    columns = ["Rows", "Users", "Worth, in shuffled rows"]
    notes = ["Worth: for the gradient of the predictor as drawn; tasks of different users are independent."]
    rendered = html.table(columns, sections, caption=caption, corner="A step takes", notes=notes)
    return html.Html(rendered, caption)


def said(records: Sequence[Record]) -> str:
    """What one user's rows are worth to the untrained predictor, in a sentence."""
    frame = worth(records).frame
    own = frame[(frame["state"] == "as drawn") & (frame["part"] == "predictor")]
    told = [
        f"on {spelt(row['dataset'])} the {row['rows']:.0f} rows of a user are worth {row['mean']:.1f} rows "
        "drawn one by one from all users"
        for row in own.to_dict("records")
    ]
    return f"For the gradient of a predictor before training, {'; '.join(told)}."


SPEC = Measured("pnmta.fig1", "What the rows of one user are worth", measure_fig1, tracks=("sound",))
