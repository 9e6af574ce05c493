r"""PNMTA's Fig 2 as an experiment: users in groups, and where the adaptation of each of them begins.

An item has one trait $x \in [0, 1]$, shown as one of twelve values; a user's ratings are a line in it,
$y = \mathrm{level}_u + \mathrm{slope}_u (x - \frac12) + \varepsilon$, and lines come in three groups. A field
of the user, the segment, names the group but for some error. In four settings the segment reaches the
predictor's input, its modulator, both or neither. All else is `pnmta` without pretraining.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import Field, Ratings, Truth
from metarec.data.schema import Schema
from metarec.layers.adaptation import first_layer, modulated_mlp
from metarec.layers.embedding import Blocks
from metarec.layers.modulators import Modulate
from metarec.methods import initialised
from metarec.methods.pnmta import PNMTA
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.tasks import EpisodeTensors, Splits
from metarec.tasks.batch import Query, Support, TaskBatch
from metarec.tasks.rules import cold_start_episodes
from metarec.training.selection import Selection
from metarec.training.trainer import train

# What a group likes: level at the middle of the trait, and slope from one end to the other, in stars.
CENTRES = {"one end": (3.0, 3.0), "other end": (3.0, -3.0), "everything": (4.3, 0.0)}
SPREAD, NOISE, TOLD = (0.2, 0.6), 0.3, 0.85
TRAITS, SHOWN = 12, 60  # values of the trait; users in the picture
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


def planted(seed: int, n_users: int) -> Ratings:
    """Users of three groups and their ratings."""
    rng = np.random.default_rng([seed, 22])
    centres = np.array(list(CENTRES.values()))
    group = rng.permutation(np.arange(n_users) % len(centres))
    line = centres[group] + rng.normal(size=(n_users, 2)) * SPREAD
    told = np.where(rng.random(n_users) < TOLD, group, rng.integers(0, len(centres), n_users))
    trait = np.arange(5 * TRAITS) % TRAITS
    x = trait / (TRAITS - 1) - 0.5
    length = rng.integers(13, 17, n_users)
    chosen = rng.random((n_users, len(trait))).argsort(1).argsort(1) < length[:, None]
    user, item = np.nonzero(chosen)
    expected = line[:, :1] + line[:, 1:] * x
    label = expected[user, item] + NOISE * rng.normal(size=len(user))
    segment = Field("segment", told, np.array([f"segment {g}" for g in range(len(centres))]))
    return Ratings(
        name="three groups",
        kind="explicit",
        user=user,
        item=item,
        label=label.astype(np.float32),
        users=np.arange(n_users),
        items=np.arange(len(trait)),
        time=rng.permutation(len(user)),
        user_fields=(segment,),
        item_fields=(Field("trait", trait, np.arange(TRAITS)),),
        truth=Truth(expected.astype(np.float32), group, x[:, None].astype(np.float32)),
        notes=(f"Planted lines in three groups, seed {seed}; the segment is right for {TOLD:.0%} or more.",),
    )


def measure_fig2(request: Request) -> Iterator[Record]:
    """Fig 2: the four settings for each seed; errors by group and by number of steps; lines for seed 0."""
    quick = request.profile == "quick"
    place = Measurement("pnmta", "fig2", request, "sound", models=("pnmta",))
    for seed in range(request.seeds):
        ratings = planted(seed, 240 if quick else 1500)
        splits = cold_start_episodes(ratings, seed=seed)
        for setting in SETTINGS:
            given = {**OPTIONS, "predictor_modulator": "film" if setting.modulated else "none"}
            given |= {"epochs": 3} if quick else {}
            options = {**given, "segment_an_input": setting.an_input}
            kept = place.recorded(setting.label, ratings, options, seed=seed)
            if kept is None:
                started = time.perf_counter()
                method = _trained(setting, ratings, splits, given, seed, request.device)
                tests = EpisodeTensors(splits.test).all()
                found, lines = analyse(method, tests, ratings, splits.test.task)
                kept = place.record(
                    setting.label,
                    ratings,
                    options,
                    found,
                    seed=seed,
                    started=started,
                    epochs=given["epochs"],
                    extra=lines if seed == 0 else {},
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
    truth = ratings.truth.expected[users][:, _items_by_trait(ratings)]
    group = ratings.truth.user_group[users]
    error = np.abs(curves - truth).mean(-1)
    found = {f"error after {k} steps": float(e.mean()) for k, e in enumerate(error)}
    for place, name in enumerate(CENTRES):
        for k in (0, len(error) - 1):
            found[f"error after {k} steps: {name}"] = float(error[k, group == place].mean())
    start, end = lines(curves[0]), lines(curves[-1])
    found["distance moved"] = float(np.linalg.norm(end - start, axis=-1).mean())
    found["spread of starts"] = float(np.linalg.norm(start - start.mean(0), axis=-1).mean())
    drawn = {"start": start, "end": end, "truth": lines(truth)}
    extra: dict[str, Any] = {name: np.round(v[:SHOWN].astype(float), 3).tolist() for name, v in drawn.items()}
    return found, extra | {"group": group[:SHOWN].tolist()}


def lines(curves: np.ndarray) -> np.ndarray:
    """Level and slope of the least-squares line through each curve: `[..., TRAITS] -> [..., 2]`, in stars."""
    x = np.arange(TRAITS) / (TRAITS - 1) - 0.5
    return np.stack([curves.mean(-1), curves @ x / (x @ x)], -1)


def functions(method: PNMTA, batch: TaskBatch, ratings: Ratings) -> np.ndarray:
    """Each user's predictions for every value of the trait, before the steps and after each: `[k, users, x]`.

    The task vector stays that of the user's own support and query; the grid is only evaluated.
    """
    support, query = batch.support, batch.query
    tasks = len(query.item)
    every = torch.as_tensor(_items_by_trait(ratings)).expand(tasks, -1)
    grid = Query(query.user, every, torch.ones_like(every, dtype=torch.bool))
    x_support, x_query = method.inputs(support, query)
    modulate = method.condition(x_support, x_query, support, query)
    _, x_grid = method.inputs(support, grid)

    def evaluate(p: dict[str, Tensor]) -> np.ndarray:
        with torch.no_grad():
            return modulated_mlp(p, first_layer(p, x_grid), modulate).double().numpy()

    return np.stack([evaluate(p) for p in method.path(support, query)])


def _items_by_trait(ratings: Ratings) -> np.ndarray:
    """One item for each value of the trait, `[TRAITS]`."""
    return np.unique(ratings.item_fields[0].values, return_index=True)[1]


SPEC = Measured("pnmta.fig2", "Users in groups", measure_fig2, tracks=("sound",))
