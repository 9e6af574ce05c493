"""User vectors of trained methods: the panels of PNMTA's Fig 8, their training, and what is read of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import Field, Ratings
from metarec.data.schema import Schema
from metarec.layers.pooling import masked_mean
from metarec.methods import initialised, make
from metarec.methods.melu import MeLU
from metarec.papers.pnmta.protocol import WINDOW
from metarec.papers.pnmta.tables import MOVIELENS
from metarec.runs.measured import Request
from metarec.runs.protocol import Run
from metarec.runs.records import Record
from metarec.tasks import EpisodeTensors, Splits
from metarec.training.selection import Selection

CONTROL = "Untrained encoder"
EARLY, LATE = "MeLU, 1 epoch", "MeLU, 30 epochs"
PRETRAINED, TRAINED = "PNMTA, pretrained only", "PNMTA, 10 meta-epochs"


@dataclass(frozen=True)
class Panel:
    """One panel of the figure: a method with its options, the epochs of meta-training among them."""

    label: str
    model: str
    options: dict[str, Any]


# The four panels of the figure, and a control: age is an input, so embeddings nobody trained carry it too.
PANELS = (
    Panel(CONTROL, "melu", {"epochs": 0}),
    Panel(EARLY, "melu", {"epochs": 1, "lr": 1e-3}),
    Panel(LATE, "melu", {"epochs": 30, "lr": 1e-3}),
    Panel(PRETRAINED, "pnmta", {"epochs": 0}),
    Panel(TRAINED, "pnmta", {"epochs": 10}),
)


def planned(request: Request) -> list[Run]:
    """The trainings behind the panels, one for each seed and panel."""
    rules = MOVIELENS.protocol("published", request.profile)
    quick = {"d": 8} if request.profile == "quick" else {}
    runs = []
    for seed, panel in product(range(request.seeds), PANELS):
        given = {"window": WINDOW, **panel.options, **quick}
        if quick:
            given["epochs"] = min(given["epochs"], 2)
        runs.append(Run("pnmta", panel.model, rules, given, seed, request.profile, panel.label))
    return runs


def trained_vectors(run: Run, ratings: Ratings, splits: Splits, device: torch.device) -> np.ndarray:
    """$v_u$ of the test users, `[tasks, d]`, after the training of `run`."""
    from metarec.training.trainer import train

    with initialised(run.seed):
        method = make(run.model, Schema.of(ratings), **run.options)
    trained = train([method], splits, [run.seed], Selection("last"), device=device)
    trained.stack.method(0, trained.params)
    return user_vectors(method, EpisodeTensors(splits.test, device)).cpu().numpy()


def user_vectors(method: Any, data: EpisodeTensors) -> Tensor:
    """$v_u$, the mean interaction vector over support and query, `[tasks, d]`. Implements eq-pnmta-2.

    The same pooling for MeLU, which has no such vector, so that the panels compare.
    """
    assert isinstance(method, MeLU)
    batch = data.all()
    with torch.no_grad():
        sides = method.inputs(batch.support, batch.query)
        both = [torch.cat([items, users.expand(*items.shape[:-1], -1)], -1) for items, users in sides]
        return masked_mean(torch.cat(both, -2), torch.cat([batch.support.mask, batch.query.mask], -1))


def without(vectors: np.ndarray, ratings: Ratings, name: str) -> np.ndarray:
    """The vectors without the slice of one user field (items' fields come first, all equal in size)."""
    order: tuple[Field, ...] = (*ratings.item_fields, *ratings.user_fields)
    d = vectors.shape[1] // len(order)
    field = len(ratings.item_fields) + [f.name for f in ratings.user_fields].index(name)
    return np.delete(vectors, np.s_[field * d : (field + 1) * d], axis=1)


def panels(records: Sequence[Record]) -> list[str]:
    """The panels that were run, in their order."""
    return list(dict.fromkeys(r.label for r in records))


def values_of(records: Sequence[Record], panel: str, metric: str) -> np.ndarray:
    """A metric of one panel, seed by seed."""
    return np.array([r.metrics[metric] for r in sorted(records, key=lambda r: r.seed) if r.label == panel])
