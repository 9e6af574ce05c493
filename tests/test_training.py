"""The trainer: replicas equal lone runs, resume gives the same bits, selection looks at validation only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metarec import metrics
from metarec.data import Schema, synthetic
from metarec.errors import ProtocolError, RecordError
from metarec.methods import Method, class_of, initialised, make, schema_for
from metarec.methods.base import STABLE
from metarec.tasks import EpisodeTensors, Splits, cold_start_episodes, tanp_episodes
from metarec.training.predict import predict
from metarec.training.selection import Selection
from metarec.training.stack import Stack
from metarec.training.trainer import Trained, checkpoints, train

PLANTED = synthetic(seed=0, n_users=120, n_items=80, kind="implicit")
SPLITS = tanp_episodes(PLANTED, n_support=12, min_query=5)


def score(scores: torch.Tensor, data: EpisodeTensors) -> dict[str, torch.Tensor]:
    batch = data.all()
    shape = (len(data.parts), -1, batch.query.mask.shape[-1])
    labels, mask = batch.query_labels.reshape(shape), batch.query.mask.reshape(shape)
    return metrics.evaluate(scores, labels, mask, "ranking-standard")


def tanp(seed: int, **options: Any) -> Method:
    with initialised(seed):
        return make("tanp", Schema.of(PLANTED), **{"epochs": 3, "context_min": 5, "lr": 1e-3, **options})


def fit(
    seeds: list[int],
    splits: Splits | list[Splits] = SPLITS,
    selection: Selection | None = None,
    sample: bool = False,
    **options: Any,
) -> Trained:
    methods = [tanp(s, **options) for s in seeds]
    return train(methods, splits, seeds, selection or Selection(), score, dtype=torch.float64, sample=sample)


def numbers(line: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name != "stage"}


@pytest.mark.parametrize("variant", ["gating", "none"])
def test_a_replica_gives_the_numbers_of_the_same_seed_alone(variant: str) -> None:
    together = fit([4, 9, 5], variant=variant)
    for k, seed in enumerate([4, 9, 5]):
        alone = fit([seed], variant=variant)
        for name, p in alone.params.items():
            torch.testing.assert_close(together.params[name][k], p[0], rtol=1e-9, atol=1e-10)
        for ours, theirs in zip(together.history[k], alone.history[0], strict=True):
            assert numbers(ours) == pytest.approx(numbers(theirs), rel=1e-9, abs=1e-12)


def test_a_lone_method_is_trained_in_place_and_predicts_with_other_parameters_untouched() -> None:
    method, start = tanp(4).double(), tanp(4).double()
    trained = train([method], SPLITS, [4], Selection("last"), dtype=torch.float64)
    for (name, p), before in zip(method.named_parameters(), start.parameters(), strict=True):
        assert torch.equal(trained.params[name][0], p) and p.requires_grad and p.grad is None
        assert torch.equal(trained.stack.params[name][0], p) and not torch.equal(before, p), name
    data = EpisodeTensors(SPLITS.test, dtype=torch.float64)
    own = predict(trained.stack, data, [4])
    other = predict(trained.stack, data, [4], {n: p.unsqueeze(0) for n, p in start.named_parameters()})
    assert not torch.equal(own, other) and torch.equal(own, predict(trained.stack, data, [4]))
    with torch.no_grad():
        trained.stack.params["decoder_out.bias"] += 1
    torch.testing.assert_close(predict(trained.stack, data, [4]), own + 1)


def test_replicas_with_their_own_splits_and_sorted_windows_equal_lone_runs() -> None:
    own = [cold_start_episodes(PLANTED, seed=s) for s in (0, 1)]

    class Windowed(type(tanp(0))):  # type: ignore[misc]
        def stages(self) -> Any:
            from dataclasses import replace

            return tuple(replace(stage, window=2, batch=16) for stage in super().stages())

    def run(seeds: list[int], splits: list[Splits]) -> Trained:
        methods = []
        for s in seeds:
            with initialised(s):
                methods.append(Windowed(Schema.of(PLANTED), epochs=2, context_min=5, lr=1e-3))
        return train(methods, splits, seeds, Selection(), score, dtype=torch.float64)

    together = run([0, 1], own)
    for k in (0, 1):
        alone = run([k], [own[k]])
        for name, p in alone.params.items():
            torch.testing.assert_close(together.params[name][k], p[0], rtol=1e-9, atol=1e-10)


RAGGED = synthetic(seed=11, n_users=40, n_items=150, ratings_per_user=(14, 90))
UNLIKE = [cold_start_episodes(RAGGED, seed=s) for s in (0, 1, 2)]
SMALL: dict[str, dict[str, Any]] = {
    "tanp": {"embed": "content", "d_field": 4, "context_min": 3},
    "melu": {"d": 4, "inner_batch": 4},
    "pnmta": {"d": 4, "pretrain_epochs": 2, "pretrain_batch": 64},
    "plain": {"d": 4},
}


def unlike(model: str, seeds: list[int]) -> Trained:
    methods = []
    for s in seeds:
        with initialised(s):
            methods.append(make(model, Schema.of(RAGGED), epochs=2, **SMALL[model]))
    splits = [UNLIKE[s] for s in seeds]
    return train(methods, splits, seeds, Selection(), score, dtype=torch.float64)


@pytest.mark.parametrize("model", ["tanp", "melu"])
def test_a_replica_draws_for_the_widths_of_its_own_split(model: str) -> None:
    assert len({int(s.train.n_support.max()) for s in UNLIKE}) > 1
    together = unlike(model, [0, 1, 2])
    for k in (0, 1, 2):
        alone = unlike(model, [k])
        for name, p in alone.params.items():
            torch.testing.assert_close(together.params[name][k], p[0], rtol=1e-9, atol=1e-10)
        batch = EpisodeTensors([s.test for s in UNLIKE]), EpisodeTensors(UNLIKE[k].test)
        both = predict(together.stack, batch[0], [0, 1, 2], together.params, sample=True)[k]
        own = predict(alone.stack, batch[1], [k], alone.params, sample=True)[0]
        torch.testing.assert_close(both[:, : own.shape[1]], own, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("model", ["melu", "metacs", "pnmta", "metaemb", "paml", "mamo"])
def test_bounded_runs_are_the_same_alone_and_in_a_stack(model: str) -> None:
    """With the settings of the sound track, strangers among them; in single precision, as runs are."""
    known = class_of(model).Options.__dataclass_fields__
    small = {"epochs": 2, "pretrain_epochs": 1, "d": 4, "hidden": (8,), "lr": 1e-3, "inner_lr": 0.05}
    given = {k: v for k, v in {**small, **STABLE}.items() if k in known}

    def fitted(seeds: list[int]) -> Trained:
        schema = schema_for(model, UNLIKE[0], 0.05, **given)
        methods = []
        for seed in seeds:
            with initialised(seed):
                methods.append(make(model, schema, **given))
        return train(methods, UNLIKE[0], seeds, Selection("last"), hide=0.05)

    together = fitted([4, 9])
    for k, seed in enumerate([4, 9]):
        alone = fitted([seed])
        assert numbers(together.history[k][-1]) == pytest.approx(numbers(alone.history[0][-1]), rel=1e-4)


@pytest.mark.parametrize("model", ["pnmta", "plain"])
def test_replicas_of_unequally_many_steps_are_refused(model: str) -> None:
    with pytest.raises(ProtocolError, match="as many steps"):
        unlike(model, [0, 1, 2])


def test_settings_free_per_replica_share_one_program() -> None:
    methods = [tanp(3, cluster_weight=w) for w in (0.01, 1.0)]
    together = train(methods, SPLITS, [3, 3], Selection(), score, dtype=torch.float64)
    for k, weight in enumerate((0.01, 1.0)):
        alone = fit([3], cluster_weight=weight)
        for name, p in alone.params.items():
            torch.testing.assert_close(together.params[name][k], p[0], rtol=1e-9, atol=1e-10)


def test_training_lowers_the_loss_and_beats_the_random_floor() -> None:
    trained = fit([0], epochs=25, lr=3e-3, variant="none")
    history = trained.history[0]
    assert history[-1]["reconstruction"] < 0.8 * history[0]["reconstruction"]
    data = EpisodeTensors(SPLITS.test, dtype=torch.float64)
    batch = data.all()
    ours = score(predict(trained.stack, data, [0], trained.params), data)["NDCG@5"].mean()
    floor = metrics.random_floor(batch.query_labels, batch.query.mask, "ranking-standard")["NDCG@5"].mean()
    assert ours > floor + 0.1


@pytest.mark.parametrize("sample", [False, True])
def test_selection_keeps_the_best_validation_epoch_of_each_replica(sample: bool) -> None:
    trained = fit([1, 2], selection=Selection("valid", "NDCG@10"), sample=sample, epochs=6)
    for k in (0, 1):
        values = [h["valid"]["NDCG@10"] for h in trained.history[k]]
        assert trained.best_epoch[k] == 1 + max(range(6), key=lambda e: (values[e], -e))
    data = EpisodeTensors(SPLITS.valid, dtype=torch.float64)
    scores = predict(trained.stack, data, [1, 2], trained.params, sample=sample)
    kept = score(scores, data)["NDCG@10"].nanmean(-1)
    best = [max(h["valid"]["NDCG@10"] for h in trained.history[k]) for k in (0, 1)]
    torch.testing.assert_close(kept, torch.tensor(best, dtype=torch.float64))


def test_early_stop_of_one_replica_does_not_depend_on_the_others() -> None:
    selection = Selection("valid", "NDCG@10", patience=2)
    together = fit([1, 2, 3], selection=selection, epochs=30, lr=1e-2)
    for k, seed in enumerate([1, 2, 3]):
        alone = fit([seed], selection=selection, epochs=30, lr=1e-2)
        assert alone.best_epoch[0] == together.best_epoch[k]
        assert len(alone.history[0]) < 30, "patience ends the run"


def test_test_scores_never_choose() -> None:
    watched = fit([1], selection=Selection("valid", "NDCG@10", watch_test=True))
    plain = fit([1], selection=Selection("valid", "NDCG@10"))
    assert watched.best_epoch == plain.best_epoch
    assert "test" in watched.history[0][0] and "test" not in plain.history[0][0]


def interrupted(path: Path, epochs: int) -> Trained:
    return train([tanp(3, epochs=epochs)], SPLITS, [3], Selection("valid", "NDCG@10"), score, checkpoint=path,
                 checkpoint_seconds=0.0)  # fmt: skip


SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch; torch.set_num_threads(1)
from test_training import interrupted
interrupted(Path(sys.argv[2]), 400)
"""


@pytest.mark.slow
def test_resume_after_kill_gives_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    here = Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(here), str(path)],
        cwd=here.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, meta = checkpoints.load(path)
    reached = meta["epoch"]
    assert 1 <= reached < 400
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed = interrupted(path, reached + 3)
        whole = train([tanp(3, epochs=reached + 3)], SPLITS, [3], Selection("valid", "NDCG@10"), score)
    finally:
        torch.set_num_threads(threads)
    assert len(resumed.history[0]) == reached + 3
    assert resumed.best_epoch == whole.best_epoch
    assert resumed.history == whole.history
    for name, p in whole.params.items():
        assert torch.equal(resumed.params[name], p)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    interrupted(path, 1)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RecordError, match="not a readable checkpoint"):
        interrupted(path, 2)


@pytest.mark.parametrize(
    ("what", "given"),
    [
        ("seeds", {"seeds": [4]}),
        ("options", {"lr": 1e-2}),
        ("splits", {"splits": tanp_episodes(PLANTED, n_support=12, min_query=5, seed=1)}),
        ("selection", {"selection": Selection("valid", "NDCG@5")}),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    tmp_path: Path, what: str, given: dict[str, Any]
) -> None:
    path = tmp_path / "run.safetensors"
    chosen: dict[str, Any] = {"seeds": [3], "splits": SPLITS, "selection": Selection(), "lr": 1e-3, **given}
    train([tanp(3)], SPLITS, [3], Selection(), score, checkpoint=path, checkpoint_seconds=0)
    methods = [tanp(seed, lr=chosen["lr"]) for seed in chosen["seeds"]]
    with pytest.raises(ProtocolError, match=f"was left by a training with other {what}; delete it"):
        train(methods, chosen["splits"], chosen["seeds"], chosen["selection"], score, checkpoint=path)


def test_a_selection_that_nothing_is_scored_for_is_refused() -> None:
    with pytest.raises(ProtocolError, match="needs `evaluate`"):
        train([tanp(3)], SPLITS, [3], Selection("valid", "NDCG@5"))


def test_the_better_way_follows_from_the_metric() -> None:
    assert Selection("valid", "std:NDCG@5").maximise and not Selection("valid", "MAE").maximise
    assert Selection("valid", "profit", maximise=True).maximise
    with pytest.raises(ProtocolError, match="'profit' is no metric known here"):
        Selection("valid", "profit")


@pytest.mark.parametrize(("name", "given"), [("melu", {"steps": 1}), ("tanp", {"sigma": "log-sigma"})])
def test_settings_that_a_stack_would_not_see_are_refused(name: str, given: dict[str, Any]) -> None:
    schema = Schema.of(PLANTED)
    with pytest.raises(ProtocolError, match=r"may differ in these settings: .*; train the others apart"):
        Stack([make(name, schema), make(name, schema, **given)])


def test_a_split_without_tasks_gets_no_scores() -> None:
    nobody = EpisodeTensors(SPLITS.test.select(np.arange(0), "test"))
    assert predict(Stack([tanp(0).float()]), nobody, [0]).shape[:2] == (1, 0)


def test_a_replica_that_validation_cannot_judge_keeps_its_last_epoch_in_a_stack_too() -> None:
    def blind(scores: torch.Tensor, data: EpisodeTensors) -> dict[str, torch.Tensor]:
        found = scores.mean(-1)
        found[-1] = torch.nan
        return {"MAE": found}

    rule = Selection("valid", "MAE")
    together = train([tanp(4), tanp(9)], SPLITS, [4, 9], rule, blind, dtype=torch.float64)
    last = fit([9])
    assert together.best_epoch[1] == 3
    for name, p in last.params.items():
        torch.testing.assert_close(together.params[name][1], p[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"every": 0}, "from 1 on"),
        ({"patience": 0}, "from 1 on"),
        ({"every": 5}, "never comes"),
        ({"metric": "P@99"}, "no metric 'P@99'"),
    ],
)
def test_a_selection_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        fit([4], selection=Selection(**{"rule": "valid", "metric": "P@5", **given}))


def test_settings_that_cannot_train_together_are_refused() -> None:
    with pytest.raises(ProtocolError, match="equal shapes"):
        train([tanp(0, variant="film"), tanp(1, variant="none")], SPLITS, [0, 1], Selection(), score)
    with pytest.raises(ProtocolError, match="give one each"):
        train([tanp(0)], SPLITS, [0, 1], Selection(), score)
    with pytest.raises(ProtocolError, match="selection rule 'test'"):
        Selection("test")
    with pytest.raises(ProtocolError, match="name of a metric"):
        Selection("valid")
    oracles = [make("popularity", Schema.of(PLANTED)) for _ in range(2)]
    with pytest.raises(ProtocolError, match="cannot be stacked"):
        train(oracles, SPLITS, [0, 1], Selection(), score)


def test_sampled_prediction_repeats_and_differs_from_the_mean() -> None:
    trained = fit([0])
    data = EpisodeTensors(SPLITS.test, dtype=torch.float64)
    once, again, in_chunks = (
        predict(trained.stack, data, [0], trained.params, sample=True, chunk=chunk) for chunk in (512, 512, 5)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, predict(trained.stack, data, [0], trained.params))
    torch.testing.assert_close(in_chunks, once)
