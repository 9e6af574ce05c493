"""PNMTA's three steps run once each: which parameters a step uses, and which of them it moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.methods import initialised
from metarec.methods.pnmta import PNMTA
from metarec.tasks import EpisodeTensors, Splits
from metarec.tasks.batch import Query, RowBatch, TaskBatch
from metarec.tasks.rules import cold_start_episodes
from metarec.training.selection import Selection
from metarec.training.trainer import train

STEPS = ("pretraining", "meta-adaptation", "meta-update")
GROUPS: Mapping[str, str] = {
    "encoder.": "encoder",
    "encoder_modulator.": "encoder modulator",
    "predictor_modulator.": "generators",
    "head.": "predictor",
    "pretrained_head.": "first predictor",
}
MOVES, HELD, ABSENT = "moves", "held", "no part"


SETTINGS: Mapping[str, dict[str, Any]] = {
    "pretraining": {"pretrain_epochs": 1, "epochs": 0},
    "meta-adaptation": {"epochs": 0},
    "meta-update": {"pretraining": "none", "epochs": 1},
}


def roles(ratings: Ratings) -> pd.DataFrame:
    """`moves`, `held` or `no part` for each group of parameters (rows) in each step (columns), by trying.

    A group takes part in a step if changing it changes the step's loss. It moves if an epoch of the step, or
    for the adaptation the inner steps on one batch, leave it changed.
    """
    splits = cold_start_episodes(ratings)
    data = EpisodeTensors(splits.train)
    batch, rows = data.batch(torch.arange(8)), data.rows(torch.arange(64))
    columns = {}
    for step in STEPS:
        with initialised(0):
            method = PNMTA(
                Schema.of(ratings), **{"d": 4, "hidden": (8, 8), "generator": (8,), **SETTINGS[step]}
            )
        used = {g for g in GROUPS if _matters(method, g, partial(_loss, method, step, batch, rows))}
        moved = _adapted(method, batch) if step == "meta-adaptation" else _trained(method, splits)
        columns[step] = {
            name: MOVES if g in moved else HELD if g in used else ABSENT for g, name in GROUPS.items()
        }
    return pd.DataFrame(columns)


def _adapted(method: PNMTA, batch: TaskBatch) -> set[str]:
    """The groups whose copies differ after the inner steps."""
    path = method.path(batch.support, batch.query)
    moved = [f"head.{n}" for n in path[0] if not torch.equal(path[0][n], path[-1][n])]
    return {g for g in GROUPS if any(n.startswith(g) for n in moved)}


def _trained(method: PNMTA, splits: Splits) -> set[str]:
    """The groups that the trainer moves."""
    before = dict(method.named_parameters())
    after = train([deepcopy(method)], splits, [0], Selection("last")).params
    moved = [n for n in before if not torch.equal(before[n], after[n][0])]
    return {g for g in GROUPS if any(n.startswith(g) for n in moved)}


def _loss(method: PNMTA, step: str, batch: TaskBatch, rows: RowBatch) -> Tensor:
    """The loss that a step follows; that of the adaptation is on the support, before its first step."""
    if step == "pretraining":
        return method.pretrain_terms(rows)["pretrain"]
    if step == "meta-update":
        return method.terms(batch, {})["query"]
    support, options = batch.support, method.options
    method.options = replace(options, steps=0)
    scores = method.scores(support, Query(support.user, support.item, support.mask), {})
    method.options = options
    return method.support_loss(support)(scores, None).sum()


def _matters(method: PNMTA, group: str, loss: Callable[[], Tensor]) -> bool:
    """Whether the loss changes when the group's parameters are shifted."""
    own = [p for n, p in method.named_parameters() if n.startswith(group)]
    with torch.no_grad():
        before = loss().item()
        for p in own:
            p.add_(0.5)
        after = loss().item()
        for p in own:
            p.sub_(0.5)
    return bool(own) and before != after
