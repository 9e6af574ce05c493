"""The step of training: bounds of the gradient in closed form, weight decay, step sizes on a plateau."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_ratings, tiny_splits
from torch import Tensor, nn

from metarec.errors import ProtocolError
from metarec.methods.base import Method, Plateau, Stage
from metarec.methods.tanp import TaNP
from metarec.papers.tanp.tables import LASTFM
from metarec.runs import group
from metarec.runs.protocol import Run
from metarec.runs.runner import run_all
from metarec.runs.store import Store
from metarec.tasks import EpisodeTensors
from metarec.training import trainer
from metarec.training.selection import Selection
from metarec.training.step import Stepper, bound_gradient
from metarec.training.trainer import Trained, train

SPLITS = tiny_splits(tiny_ratings())
ONE_STEP = Stage(epochs=1, batch=1000, lr=0.1)  # all tasks in one batch: an epoch is a step
VALID = Selection("valid", "MAE")


# --- bounds


def bounded(stage: Stage, replicas: int, **grads: Any) -> dict[str, Tensor]:
    """The gradients after their bounds."""
    leaves = {name: nn.Parameter(torch.zeros(torch.tensor(g).shape)) for name, g in grads.items()}
    for name, p in leaves.items():
        p.grad = torch.tensor(grads[name])
    bound_gradient(leaves, stage, replicas)
    return {name: p.grad for name, p in leaves.items() if p.grad is not None}


def test_without_a_bound_the_gradient_is_as_it_was() -> None:
    grads = {"a": [[1e9, -2.0], [0.0, 3.0]], "b": [4.0, -1e-9]}
    for name, g in bounded(Stage(), 2, **grads).items():
        assert torch.equal(g, torch.tensor(grads[name]))


def test_a_value_bound_holds_entry_by_entry() -> None:
    found = bounded(Stage(max_value=1.0), 2, a=[[5.0, -0.5], [-7.0, 1.0]])
    assert found["a"].tolist() == [[1.0, -0.5], [-1.0, 1.0]]


def test_a_norm_bound_holds_over_all_parameters_of_a_replica() -> None:
    """The norms are 13 and 0.5: the first gradient is divided by 13, the second is within the bound."""
    found = bounded(Stage(max_norm=1.0), 2, a=[[3.0, 4.0], [0.3, 0.0]], b=[12.0, 0.4])
    torch.testing.assert_close(found["a"], torch.tensor([[3 / 13, 4 / 13], [0.3, 0.0]]))
    torch.testing.assert_close(found["b"], torch.tensor([12 / 13, 0.4]))


def test_a_lone_replica_has_no_axis_and_the_same_bound() -> None:
    found = bounded(Stage(max_norm=1.0), 1, a=[3.0, 4.0], b=12.0)
    torch.testing.assert_close(found["a"], torch.tensor([3 / 13, 4 / 13]))
    torch.testing.assert_close(found["b"], torch.tensor(12 / 13))


def test_the_value_bound_comes_first() -> None:
    found = bounded(Stage(max_value=1.0, max_norm=1.0), 1, a=[100.0, -100.0])
    torch.testing.assert_close(found["a"], torch.tensor([0.5**0.5, -(0.5**0.5)]))


@pytest.mark.parametrize("huge", [1e18, 1e30, float("inf"), float("nan")])
def test_a_replica_that_explodes_leaves_the_other_untouched(huge: float) -> None:
    found = bounded(Stage(max_value=2.0, max_norm=1.0), 2, a=[[huge, huge], [0.6, 0.0]], b=[huge, 0.8])
    assert found["a"][1].tolist() == pytest.approx([0.6, 0.0]) and float(found["b"][1]) == pytest.approx(0.8)


# --- a method of three numbers


class Line(Method):
    """Every score is the mean of `w`; the loss pulls each of its three numbers to 3."""

    def __init__(self, stage: Stage, start: float = 0.0, *, scored: bool = True):
        super().__init__()
        self.w = nn.Parameter(start + torch.arange(3.0))
        self.stage, self.scored = stage, scored

    def stages(self) -> tuple[Stage, ...]:
        return (self.stage,)

    def terms(self, batch: Any, noise: Any) -> dict[str, Tensor]:
        return {"loss": (self.w - 3).square().sum()}

    def predict(self, support: Any, query: Any, noise: Any = None) -> Tensor:
        return self.w.mean() * self.scored + torch.zeros_like(query.item, dtype=self.w.dtype)


def errors(scores: Tensor, data: EpisodeTensors) -> dict[str, Tensor]:
    return {"MAE": (scores - 3).abs().mean(-1)}


def fit(*methods: Line, **given: Any) -> Trained:
    about: dict[str, Any] = {"selection": Selection("last"), "dtype": torch.float64, **given}
    selection = about.pop("selection")
    return train(methods, SPLITS, list(range(len(methods))), selection, errors, **about)


def by_hand(stage: Stage, start: float, bound: Callable[[Tensor], Tensor] = lambda g: g) -> Tensor:
    """`w` after the same steps by torch's own Adam."""
    w = nn.Parameter(start + torch.arange(3.0, dtype=torch.float64))
    adam = torch.optim.Adam([w], lr=stage.lr, weight_decay=stage.weight_decay)
    for _ in range(stage.epochs):
        w.grad = bound(2 * (w.detach() - 3))
        adam.step()
    return w.detach()


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_weight_decay_is_that_of_torchs_adam(decay: float) -> None:
    stage = replace(ONE_STEP, epochs=5, weight_decay=decay)
    torch.testing.assert_close(fit(Line(stage, 5.0)).params["w"][0], by_hand(stage, 5.0))
    assert torch.equal(by_hand(stage, 5.0), by_hand(replace(stage, weight_decay=0.0), 5.0)) == (decay == 0)


def test_a_step_is_taken_along_the_bounded_gradient() -> None:
    stage = replace(ONE_STEP, epochs=5, max_norm=0.5)
    expected = by_hand(stage, 5.0, lambda g: g * min(1.0, 0.5 / float(g.norm())))
    torch.testing.assert_close(fit(Line(stage, 5.0)).params["w"][0], expected)


class TwoLines(Line):
    """A second line, of which `rates` may say that it moves slower."""

    def __init__(self, stage: Stage, start: float = 0.0):
        super().__init__(stage, start)
        self.slow = nn.Parameter(start + torch.arange(3.0))

    def terms(self, batch: Any, noise: Any) -> dict[str, Tensor]:
        return {**super().terms(batch, noise), "slow": (self.slow - 3).square().sum()}


@pytest.mark.parametrize("replicas", [1, 2])
def test_parameters_may_have_a_share_of_the_step_size(replicas: int) -> None:
    stage = replace(ONE_STEP, epochs=5, rates=(("slow", 0.5),))
    found = fit(*(TwoLines(stage, 5.0) for _ in range(replicas))).params
    torch.testing.assert_close(found["w"][-1], by_hand(stage, 5.0))
    torch.testing.assert_close(found["slow"][-1], by_hand(replace(stage, lr=0.5 * stage.lr), 5.0))


def test_stacked_replicas_are_bounded_as_each_is_alone() -> None:
    stage = replace(ONE_STEP, epochs=5, weight_decay=0.1, max_value=4.0, max_norm=0.5)
    starts = (1e6, 0.0, -2.0)
    together = fit(*(Line(stage, s) for s in starts)).params["w"]
    for k, start in enumerate(starts):
        torch.testing.assert_close(together[k], fit(Line(stage, start)).params["w"][0])


# --- a plateau


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The step size after each validation."""
    seen: list[float] = []

    class Watched(Stepper):
        def validated(self, score: float) -> None:
            super().validated(score)
            seen.append(self.optimiser.param_groups[0]["lr"])

    monkeypatch.setattr(trainer, "Stepper", Watched)
    return seen


@pytest.mark.parametrize("maximise", [False, True], ids=["an error", "a share"])
def test_the_step_size_falls_where_nothing_improves(rates: list[float], maximise: bool) -> None:
    """A score that never changes: the first is the best, and each third one more lets the step size fall."""
    stage = replace(ONE_STEP, epochs=11, lr=0.8, plateau=Plateau(0.5, patience=2, least=0.15))
    fit(Line(stage, scored=False), selection=replace(VALID, maximise=maximise))
    assert rates == [0.8] * 3 + [0.4] * 3 + [0.2] * 3 + [0.15] * 2


def test_the_step_size_stays_where_every_epoch_improves(rates: list[float]) -> None:
    fit(Line(replace(ONE_STEP, epochs=6, lr=0.01, plateau=Plateau(patience=0))), selection=VALID)
    assert rates == [0.01] * 6


def test_a_run_on_a_plateau_goes_on_from_a_checkpoint_with_the_same_numbers(
    tmp_path: Path, rates: list[float]
) -> None:
    stage = replace(ONE_STEP, epochs=9, plateau=Plateau(0.1, patience=1))
    whole = fit(Line(stage, scored=False), selection=VALID)
    expected, place = list(rates), tmp_path / "stopped.safetensors"
    rates.clear()

    def stop(state: dict[str, Any]) -> None:
        if state["epoch"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            Line(stage, scored=False),
            selection=VALID,
            checkpoint=place,
            checkpoint_seconds=-1.0,
            progress=stop,
        )
    resumed = fit(Line(stage, scored=False), selection=VALID, checkpoint=place)
    assert rates == expected and len(set(rates)) > 2, "the step size fell before the stop and after it"
    assert torch.equal(resumed.stack.params["w"], whole.stack.params["w"])
    assert resumed.history == whole.history


def test_every_step_size_falls_and_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    stage = replace(ONE_STEP, epochs=8, plateau=Plateau(0.1, patience=1), rates=(("slow", 0.5),))
    made = [TwoLines(stage) for _ in range(3)]
    for line in made:
        line.scored = False
    whole = fit(made[0], selection=VALID)

    def stop(state: dict[str, Any]) -> None:
        if state["epoch"] == 5:
            raise KeyboardInterrupt

    given: dict[str, Any] = {"selection": VALID, "checkpoint": tmp_path / "stopped.safetensors"}
    with pytest.raises(KeyboardInterrupt):
        fit(made[1], **given, checkpoint_seconds=-1.0, progress=stop)
    resumed = fit(made[2], **given)
    for name, value in whole.stack.params.items():
        assert torch.equal(resumed.stack.params[name], value)


def test_a_plateau_is_not_stacked() -> None:
    stage = replace(ONE_STEP, plateau=Plateau())
    with pytest.raises(ProtocolError, match=r"^runs whose step size follows a plateau are not .* by one\.$"):
        fit(Line(stage), Line(stage), selection=VALID)


def test_the_runner_trains_runs_on_a_plateau_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = LASTFM.protocol("sound", "quick", n_support=10)
    runs = [
        Run("tanp", "tanp", place, {"epochs": 1, "context_min": 5}, seed, "quick", "TaNP") for seed in (0, 1)
    ]
    assert group.alike(runs, group.Tables()) == [runs]
    stages = TaNP.stages
    monkeypatch.setattr(
        TaNP, "stages", lambda self: tuple(replace(s, plateau=Plateau()) for s in stages(self))
    )
    assert group.alike(runs, group.Tables()) == [[run] for run in runs]
    assert [r.replicas for r in run_all(runs, Store(tmp_path), device="cpu", quiet=True)] == [1, 1]
