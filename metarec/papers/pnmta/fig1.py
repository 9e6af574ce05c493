r"""PNMTA's Fig 1 measured: what a gradient is worth when its rows come from one user.

A batch of $n$ rows drawn one by one gives a gradient with variance $V/n$, where $V$ is that of a single row.
A batch of one user's $n$ rows gives a gradient that varies from user to user by $B$. So it is worth as much
as $V/B$ rows drawn one by one: $n$ if a user's rows were no more alike than any others, 1 if they were
copies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.func import functional_call, grad, vmap

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.methods import initialised
from metarec.methods.maml_pt import MAMLPT
from metarec.papers.pnmta.protocol import protocol
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.tasks import Episodes, EpisodeTensors, Splits
from metarec.tasks.batch import RowBatch
from metarec.training.selection import Selection
from metarec.training.trainer import train

PARTS = {"user tables": "encoder.user.", "item tables": "encoder.item.", "predictor": "pretrained_head."}
STATES = {"as drawn": 0, "pretrained": 20}  # epochs of pretraining
SHOWN = 400  # places of a stream in the picture


def measure_fig1(request: Request) -> Iterator[Record]:
    """Fig 1: for each data set, seed and state of the network, what one user's rows are worth."""
    quick = request.profile == "quick"
    place = Measurement("pnmta", "fig1", request, "sound", models=("maml-pt",))
    for dataset in ("ml-1m",) if quick else ("ml-1m", "book-crossing"):
        rules = protocol("sound", request.profile, dataset)
        ratings = rules.ratings()
        for seed in range(request.seeds):
            splits = rules.splits(ratings, seed)
            for state, epochs in STATES.items():
                given = {"epochs": 0, "pretrain_epochs": min(epochs, 2) if quick else epochs}
                given |= {"d": 8} if quick else {}
                kept = place.recorded(state, ratings, given, seed=seed)
                yield kept or _measure(place, state, ratings, splits, given, seed)


def _measure(
    place: Measurement, state: str, ratings: Ratings, splits: Splits, given: dict[str, Any], seed: int
) -> Record:
    """What one user's rows are worth to a network in one state."""
    started = time.perf_counter()
    quick = place.request.profile == "quick"
    with initialised(seed):
        method = MAMLPT(Schema.of(ratings), **given)
    trained = train([method], splits, [seed], Selection("last"), device=place.request.device)
    trained.stack.method(0, trained.params).cpu()
    found = worth(method, splits.train, users=20 if quick else 100, seed=seed) | batches(splits.train, seed)
    drawn = streams(splits.train) if seed == 0 and not given["pretrain_epochs"] else {}
    return place.record(state, ratings, given, found, seed=seed, started=started, extra=drawn)


def worth(method: MAMLPT, episodes: Episodes, *, users: int, seed: int) -> dict[str, float]:
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


def streams(episodes: Episodes) -> dict[str, Any]:
    """The first places of three streams: which user (or class of images) stands at each.

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


SPEC = Measured("pnmta.fig1", "What the rows of one user are worth", measure_fig1, tracks=("sound",))
