"""What keeps two loops from exploding: a bound on each inner step, and labels without a scale."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from loops import inner_loop, mlp
from test_adaptation import LENGTHS, TASKS, problem, query_loss, support_loss, weights
from tiny import tiny, tiny_ratings, tiny_splits
from torch import Tensor

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.adaptation import adapt_mlp, adapt_path, bounded, per_task
from metarec.layers.mlp import task_mlp
from metarec.methods import class_of, initialised, make
from metarec.methods.base import Method
from metarec.tasks.batch import EpisodeTensors
from metarec.tasks.rules import cold_start_episodes
from metarec.training.predict import predict
from metarec.training.selection import Selection
from metarec.training.trainer import train

STEPS, LR, BOUND = 3, 0.1, 0.1  # the bound acts on two of the three tasks, and not at every step


def scores(p: dict[str, Tensor], w: dict[str, Tensor], **how: Any) -> Tensor:
    return adapt_mlp(w, [p["x"]], [p["q"]], support_loss(p), steps=STEPS, lr=LR, **how)


def path(p: dict[str, Tensor], w: dict[str, Tensor], bound: float | None) -> list[dict[str, Tensor]]:
    """Weights of each task before the first step and after each."""
    return adapt_path(
        lambda v: support_loss(p)(task_mlp(v, p["x"]).squeeze(-1)),
        per_task(w, TASKS),
        steps=STEPS,
        lr=LR,
        max_step=bound,
    )


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> Tensor:
    """Length of a step over all that adapts, `[tasks]`."""
    return torch.cat([(after[name] - before[name]).flatten(1) for name in before], 1).norm(dim=1)


def bounded_loop(p: dict[str, Tensor], w: dict[str, Tensor], order: str) -> Tensor:
    """Query losses, one task at a time."""
    losses = []
    for t, n in enumerate(LENGTHS):
        x, y = p["x"][t, :n], p["y"][t, :n]
        now = inner_loop(
            lambda v, x=x, y=y: (mlp(v, x) - y).square().mean(), w, list(w), STEPS, LR, order, BOUND
        )
        losses.append((mlp(now, p["q"][t]) - p["t"][t]).square().mean())
    return torch.stack(losses)


def test_a_step_moves_no_task_further_than_the_bound() -> None:
    p, w = problem(), weights()
    free, held = path(p, w, None), path(p, w, BOUND)
    steps = torch.stack([moved(*pair) for pair in pairwise(held)])
    assert (moved(free[0], free[1]) > BOUND).any() and (moved(free[0], free[1]) < BOUND).any()
    assert (steps <= BOUND * (1 + 1e-12)).all()
    torch.testing.assert_close(steps[0], moved(free[0], free[1]).clamp(max=BOUND), rtol=1e-12, atol=0)


@pytest.mark.parametrize("span", [True, False])
@pytest.mark.parametrize("order", ["second", "first"])
def test_the_bounded_loop_over_all_tasks_equals_the_loop_over_one(span: bool, order: str) -> None:
    p, w = problem(), weights()
    for name in ("x", "q"):
        p[name].requires_grad_()
    leaves = [*w.values(), p["x"], p["q"]]
    got = query_loss(p, scores(p, w, order=order, span=span, max_step=BOUND))
    wanted = bounded_loop(p, w, order)
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=0)
    found, expected = (
        torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
        for total in (got.sum(), wanted.sum())
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("span", [True, False])
def test_a_bound_that_never_acts_changes_no_bit(span: bool) -> None:
    p, w = problem(), weights()
    assert torch.equal(scores(p, w, span=span, max_step=1e9), scores(p, w, span=span))


def test_the_meta_gradient_through_the_bound_agrees_with_finite_differences() -> None:
    p, w = problem(), weights()
    names = list(w)

    def outer(x: Tensor, *values: Tensor) -> Tensor:
        own = dict(zip(names, values, strict=True))
        return query_loss(p, scores({**p, "x": x}, own, max_step=BOUND)).sum()

    assert torch.autograd.gradcheck(outer, (p["x"].requires_grad_(), *w.values()))


def test_one_tasks_explosion_changes_no_other() -> None:
    p, w = problem(), weights()
    wild = {**p, "y": p["y"].clone()}
    wild["y"][0] *= 1e6
    for bound in (None, BOUND):
        calm, after = scores(p, w, max_step=bound), scores(wild, w, max_step=bound)
        assert torch.equal(calm[1:], after[1:]) and not torch.equal(calm[0], after[0])
    assert after.abs().max() < 10 < scores(wild, w).abs().max()


def test_a_task_without_support_stands_still_and_sends_no_nan() -> None:
    p, w = problem(), weights()
    p["mask"] = p["mask"] & (torch.arange(TASKS) > 0)[:, None]
    found = query_loss(p, scores(p, w, max_step=BOUND))
    still = query_loss(p, task_mlp(w, p["q"]).squeeze(-1))
    torch.testing.assert_close(found[0], still[0], rtol=1e-9, atol=0)
    assert all(g.isfinite().all() for g in torch.autograd.grad(found.sum(), list(w.values())))


def test_paths_of_a_task_are_bounded_one_by_one() -> None:
    g = {"a": torch.randn(2, 3, 4, dtype=torch.float64), "b": torch.randn(2, 3, dtype=torch.float64)}
    held = bounded(g, 1.0, 1.0, axes=2)
    norm = (g["a"].square().sum(-1) + g["b"].square()).sqrt()
    torch.testing.assert_close(held["a"], g["a"] / norm.clamp(min=1)[..., None])
    torch.testing.assert_close(held["b"], g["b"] / norm.clamp(min=1))


@pytest.mark.parametrize("name", ["melu", "metacs", "maml-pt", "pnmta", "paml", "mamo", "metahin", "metaemb"])
def test_every_method_of_two_loops_takes_the_bound(name: str) -> None:
    ratings = tiny_ratings()
    splits = tiny_splits(ratings)
    batch = EpisodeTensors(splits.test, dtype=torch.float64).all()
    found = []
    for bound in (None, 1e9, 1e-4):
        method = fresh(name, ratings, inner_max_step=bound, standardise=False).double()
        method.fit(splits.train)
        found.append(method.predict(batch.support, batch.query))
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2], rtol=1e-6)


# --- the scale of labels

REGRESSORS = ("melu", "metacs", "maml-pt", "pnmta", "paml", "mamo", "metahin", "metaemb", "plain", "tanp")
SMALL: dict[str, Any] = {"d": 4, "hidden": (6, 5), "steps": 2, "epochs": 2, "pretrain_epochs": 1, "batch": 8}
SMALL |= {
    "lr": 1e-3,
    "inner_lr": 0.05,
    "embed": "content",
    "d_field": 4,
    "inner_max_step": 1.0,
    "max_norm": 1.0,
}


def fresh(name: str, ratings: Ratings, seed: int = 0, **options: Any) -> Method:
    known = {f.name for f in fields(class_of(name).Options)}
    given = {k: v for k, v in SMALL.items() if k in known}
    with initialised(seed):
        return make(name, Schema.of(ratings), **{**given, "standardise": True, **options})


def predicted(name: str, ratings: Ratings, **options: Any) -> Tensor:
    """Test predictions after two epochs in float64."""
    splits = tiny_splits(ratings)
    trained = train([fresh(name, ratings, **options)], splits, [0], Selection("last"), dtype=torch.float64)
    return predict(trained.stack, EpisodeTensors(splits.test, dtype=torch.float64), [0])


@pytest.mark.parametrize("name", REGRESSORS)
def test_ratings_times_twenty_give_predictions_times_twenty(name: str) -> None:
    ratings = tiny_ratings()
    scaled = replace(ratings, label=20 * ratings.label)
    found = predicted(name, ratings)
    torch.testing.assert_close(predicted(name, scaled), 20 * found, rtol=1e-7, atol=1e-7)
    raw = predicted(name, ratings, standardise=False)
    assert not torch.allclose(predicted(name, scaled, standardise=False), 20 * raw, rtol=1e-3)


@pytest.mark.parametrize("name", REGRESSORS)
def test_implicit_labels_are_left_alone(name: str) -> None:
    ratings = tiny_ratings("implicit")
    given = {"likelihood": "bce"} if name == "tanp" else {}
    assert torch.equal(
        predicted(name, ratings, **given), predicted(name, ratings, standardise=False, **given)
    )


def test_each_replica_has_the_scale_of_its_own_split() -> None:
    ratings = tiny_ratings()
    own = [cold_start_episodes(ratings, shortest=8, longest=40, n_query=4, seed=s) for s in (1, 2)]
    replicas = [fresh("melu", ratings, seed) for seed in (0, 1)]
    both = train(replicas, own, [0, 1], Selection("last"), dtype=torch.float64)
    for k, splits in enumerate(own):
        labels = ratings.label[splits.train.rows].astype(float)
        assert float(both.stack.own["scale.mean"][k]) == pytest.approx(labels.mean())
        assert float(both.stack.own["scale.sd"][k]) == pytest.approx(labels.std())
        alone = train([fresh("melu", ratings, k)], splits, [k], Selection("last"), dtype=torch.float64)
        for name, p in alone.params.items():
            torch.testing.assert_close(both.params[name][k], p[0], rtol=1e-9, atol=1e-12)


def test_labels_that_are_all_alike_keep_their_scale() -> None:
    ratings = tiny_ratings()
    alike = replace(ratings, label=np.full_like(ratings.label, 3))
    assert (predicted("melu", alike) - 3).abs().max() < 2


@pytest.mark.parametrize("option", ["inner_max_step", "max_norm"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1"])
def test_a_bound_is_a_number_above_zero(option: str, value: object) -> None:
    schema, _ = tiny()
    with pytest.raises(ProtocolError, match=f"{option}=.*use a number above 0, or None"):
        make("melu", schema, **{option: value})
