"""Metrics against closed forms, enumeration, the loop, and the released programs' own numbers."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import loops
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metarec.errors import MetarecError
from metarec.metrics import (
    METRIC_SETS,
    Metric,
    ceiling,
    evaluate,
    higher_is_better,
    mean_over_tasks,
    pooled_rmse,
    random_floor,
    ranking_set,
    squared_error,
)
from metarec.metrics.ranking import Form
from metarec.metrics.ties import Ties, hypergeometric

PARITY = Path(os.environ.get("METAREC_PARITY", Path(__file__).parent / "parity"))
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]
CUTOFFS = (1, 3, 5, 8)


def exact(a: Tensor, b: Tensor | list[float] | np.ndarray, tolerance: float = 1e-12) -> None:
    expected = torch.as_tensor(b, dtype=torch.float64).expand(a.shape)
    torch.testing.assert_close(a, expected, rtol=0, atol=tolerance, equal_nan=True)


def one(scores: list[float], labels: list[float], metrics: str | tuple[Metric, ...]) -> dict[str, float]:
    """One query, no padding."""
    s, y = torch.tensor([scores], dtype=torch.float64), torch.tensor([labels], dtype=torch.float64)
    return {k: v.item() for k, v in evaluate(s, y, torch.ones_like(y, dtype=torch.bool), metrics).items()}


def every_metric(ties: Ties = "expected", threshold: float = 2.0) -> tuple[Metric, ...]:
    """Each form and gain at each cut-off; the names say form/metric@N."""
    metrics = []
    for n in CUTOFFS:
        for form in get_args(Form):
            plain = Metric(f"{form}/P@{n}", "precision", n, form=form, threshold=threshold, ties=ties)
            metrics += [plain, replace(plain, name=f"{form}/MAP@{n}", kind="average_precision")]
        metrics.append(Metric(f"multiset/NDCG@{n}", "ndcg", n, gain="exponential", ties=ties))
        metrics.append(Metric(f"standard/NDCG@{n}", "ndcg", n, gain="linear", ties=ties))
        metrics.append(Metric(f"standard/Recall@{n}", "recall", n, threshold=threshold, ties=ties))
    return tuple(metrics)


def by_loop(scores: list[float], labels: list[float], threshold: float = 2.0) -> dict[str, float]:
    """The metrics of `every_metric` for one query, by the slow versions, ties in the order given."""
    ranked = loops.best_first(scores, labels)
    values: dict[str, float] = {}
    for n in CUTOFFS:
        for form, result in (
            ("multiset", loops.multiset_scores(ranked, n)),
            ("standard", loops.standard_scores(ranked, n, threshold, "linear")),
        ):
            values |= {f"{form}/{name}@{n}": value for name, value in result.items()}
    return values


def queries(
    tasks: int, width: int, seed: int, levels: int = 5, score_levels: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random queries of 1..width entries; nan in the padding. `score_levels` > 0 makes ties."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (tasks, 1), generator=g)
    mask = torch.arange(width) < lengths
    if score_levels:
        scores = torch.randint(score_levels, (tasks, width), generator=g).double()
    else:
        scores = torch.rand(tasks, width, generator=g, dtype=torch.float64)
    labels = torch.randint(levels, (tasks, width), generator=g).double()
    return scores.where(mask, torch.nan), labels.where(mask, torch.nan), mask


# --- The released programs' own numbers -----------------------------------------------------------


def padded(flat: np.ndarray, offsets: np.ndarray, fill: float) -> Tensor:
    rows = [torch.from_numpy(flat[a:b]) for a, b in itertools.pairwise(offsets)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)


def test_tanp_scorer_parity() -> None:
    data = np.load(PARITY / "tanp_metrics" / "fixture.npz")
    labels, ranking = (
        padded(data[k], data[f"{k}_offsets"], fill) for k, fill in (("label", -1.0), ("ranking", -1))
    )
    pred = padded(data["pred"], data["pred_offsets"], torch.nan)
    mask = labels >= 0
    given_order = torch.where(mask, labels.gather(-1, ranking.clamp(min=0)), torch.nan)
    # The fixture's own rankings: entries stand in the order given, all scores equal.
    metrics = ranking_set(form="multiset", ties="given")
    values = evaluate(torch.zeros_like(labels), given_order, mask, metrics)
    ours = torch.stack([values[m.name] for m in metrics], -1).unflatten(-1, (3, 3))
    assert data["N"].tolist() == [5, 7, 10]
    exact(ours, data["metrics"])
    exact(torch.stack([mean_over_tasks(v).mean for v in values.values()]).view(3, 3), data["mean_metrics"])
    # From scores, where they fix the order, the tie rule makes no difference.
    untied = torch.from_numpy(data["has_ties"] == 0)
    assert 0 < int(untied.sum()) < len(untied)
    values = evaluate(pred[untied], labels[untied], mask[untied], "tanp-released")
    exact(torch.stack([*values.values()], -1).unflatten(-1, (3, 3)), data["metrics"][untied.numpy()])


def test_recall_parity() -> None:
    data = np.load(PARITY / "recall_metric" / "fixture.npz")
    scores = padded(data["score"], data["score_offsets"], torch.nan)
    mask = ~scores.isnan()
    labels = (torch.arange(scores.shape[1]) < torch.from_numpy(data["n_positive"])[:, None]).double()
    values = evaluate(scores, labels, mask, "cmml-scenario")
    assert list(values) == [f"Recall@{n}" for n in data["N"]]
    exact(torch.stack([*values.values()], -1), data["recall"], 1e-15)
    exact(torch.stack([mean_over_tasks(v).mean for v in values.values()]), data["mean_recall"], 1e-15)


# --- Worked by hand -------------------------------------------------------------------------------


def test_released_form_by_hand() -> None:
    """Ranked labels 3 5 3 4 1 2, N = 3: t = {5, 4, 3}; hits 1 1 0; H = 1 2 2."""
    values = one([6, 5, 4, 3, 2, 1], [3, 5, 3, 4, 1, 2], ranking_set((3,), form="multiset"))
    log3 = math.log2(3)
    assert values["P@3"] == pytest.approx(2 / 3, abs=1e-15)
    assert values["MAP@3"] == pytest.approx((1 / 1 + 2 / 2) / 3, abs=1e-15)
    assert values["NDCG@3"] == pytest.approx((7 + 31 / log3 + 7 / 2) / (31 + 15 / log3 + 7 / 2), abs=1e-15)


def test_standard_form_by_hand() -> None:
    """Ranked labels 3 5 3 4 1 2, relevant from 4 on: hits 0 1 0 1 0 0, two relevant in all."""
    metrics = (*ranking_set((3, 4), threshold=4.0), Metric("Recall@3", "recall", 3, threshold=4.0))
    values = one([6, 5, 4, 3, 2, 1], [3, 5, 3, 4, 1, 2], metrics)
    assert values["P@3"] == pytest.approx(1 / 3) and values["P@4"] == pytest.approx(2 / 4)
    assert values["MAP@3"] == pytest.approx((1 / 2) / 2) and values["MAP@4"] == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )
    assert values["Recall@3"] == pytest.approx(1 / 2)


def test_linear_gain_by_hand() -> None:
    metrics = (Metric("NDCG@2", "ndcg", 2, gain="linear"),)
    log3 = math.log2(3)
    assert one([3, 2, 1], [2, 1, 4], metrics)["NDCG@2"] == pytest.approx(
        (2 + 1 / log3) / (4 + 2 / log3), abs=1e-15
    )


@pytest.mark.parametrize(("ones", "found"), [(3, 0), (3, 2), (5, 1), (7, 4)])
def test_zeros_count_as_hits_in_the_released_form(ones: int, found: int) -> None:
    """0/1 labels: with n1 < N ones of which h are recommended, P@N = 1 - (n1 - h)/N."""
    n, width = 10, 40
    labels = [1.0] * found + [0.0] * (width - ones) + [1.0] * (ones - found)
    scores = [float(width - i) for i in range(width)]
    assert one(scores, labels, "tanp-released")["P@10"] == pytest.approx(1 - (ones - found) / n, abs=1e-15)
    assert one(scores, labels, "ranking-standard")["P@10"] == pytest.approx(found / n, abs=1e-15)


def test_query_of_exactly_n_entries_has_released_precision_one() -> None:
    g = torch.Generator().manual_seed(0)
    labels, mask = torch.randint(2, (20, 10), generator=g), torch.ones(20, 10, dtype=torch.bool)
    exact(evaluate(torch.rand(20, 10, generator=g), labels, mask, "tanp-released")["P@10"], [1.0] * 20)


def test_query_shorter_than_n() -> None:
    """Two entries, N = 5: P divides by N in both forms, MAP by the relevant entries or (multiset) by N."""
    metrics = (*ranking_set((5,)), Metric("Recall@5", "recall", 5))
    values = one([2, 1], [0, 1], metrics)
    assert values["P@5"] == pytest.approx(1 / 5)
    assert values["MAP@5"] == pytest.approx(1 / 2)
    assert values["Recall@5"] == 1.0
    assert values["NDCG@5"] == pytest.approx(1 / math.log2(3))
    released = one([2, 1], [0, 1], ranking_set((5,), form="multiset"))
    assert released["P@5"] == pytest.approx(2 / 5) and released["MAP@5"] == pytest.approx(2 / 5)


def test_undefined_tasks_are_nan_and_counted() -> None:
    """Task 0 is ordinary, task 1 has no relevant entry, task 2 is empty."""
    scores = torch.tensor([[3.0, 2.0, 1.0]] * 3)
    labels = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[True] * 3, [True] * 3, [False] * 3])
    values = evaluate(scores, labels, mask, (*every_metric(threshold=1.0), Metric("MAE", "mae")))
    for name, value in values.items():
        always = "/P@" in name or "multiset/MAP" in name or name == "MAE"
        assert value.isnan().tolist() == [False, not always, True], name
    mean, left_out = mean_over_tasks(values["standard/Recall@1"])
    assert mean.item() == 1.0 and left_out.item() == 2
    assert mean_over_tasks(torch.full((2,), torch.nan)).mean.isnan()


def test_rating_errors_by_hand() -> None:
    scores = torch.tensor([[1.0, 2.0, torch.nan], [3.0, 3.0, 3.0]])
    labels = torch.tensor([[2.0, 4.0, torch.nan], [3.0, 0.0, 3.0]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    values = evaluate(scores, labels, mask, "pnmta")
    exact(values["MAE"], [1.5, 1.0])
    exact(values["MSE"], [2.5, 3.0])
    exact(values["RMSE"], [2.5**0.5, 3.0**0.5])
    exact(squared_error(scores, labels, mask), [5.0, 9.0])
    exact(pooled_rmse(scores, labels, mask), torch.tensor((14 / 5) ** 0.5, dtype=torch.float64))
    # Queries of one length: the pooled RMSE is the root of the mean MSE, and never below the mean RMSE.
    mse = evaluate(scores[:, :2], labels[:, :2], mask[:, :2], "pnmta")["MSE"]
    exact(pooled_rmse(scores[:, :2], labels[:, :2], mask[:, :2]), mse.mean().sqrt())
    assert mse.mean().sqrt() >= mse.sqrt().mean()


# --- Batch against loop, and ties against enumeration ---------------------------------------------


@pytest.mark.parametrize("score_levels", [0, 3])
def test_batch_equals_loop(score_levels: int) -> None:
    scores, labels, mask = queries(60, 12, seed=1, score_levels=score_levels)
    values = evaluate(scores, labels, mask, every_metric(ties="given"))
    expected = [by_loop(s[m].tolist(), y[m].tolist()) for s, y, m in zip(scores, labels, mask, strict=True)]
    assert set(values) == set(expected[0])
    for name, value in values.items():
        exact(value, [e[name] for e in expected])


@pytest.mark.parametrize("seed", range(4))
def test_expected_and_worst_ties_equal_enumeration(seed: int) -> None:
    """All orders of six graded entries with few score levels: the mean and the least of every metric."""
    scores, labels, mask = queries(6, 6, seed=seed + 10, score_levels=1 + seed)
    mean = evaluate(scores, labels, mask, every_metric(ties="expected"))
    worst = evaluate(scores, labels, mask, every_metric(ties="worst"))
    assert any((mean[name] - worst[name]).abs().nan_to_num().max() > 0.01 for name in mean)
    for task in range(len(scores)):
        s, y = scores[task][mask[task]].tolist(), labels[task][mask[task]].tolist()
        orders = [
            by_loop([s[i] for i in p], [y[i] for i in p]) for p in itertools.permutations(range(len(s)))
        ]
        for name in mean:
            each = torch.tensor([order[name] for order in orders], dtype=torch.float64)
            exact(mean[name][task], each.mean())
            exact(worst[name][task], each.min())


def test_hypergeometric_equals_scipy() -> None:
    grid = torch.cartesian_prod(torch.arange(-1, 8), torch.arange(1, 9), torch.arange(9), torch.arange(9))
    y, population, marked, draws = grid[(grid[:, 2] <= grid[:, 1]) & (grid[:, 3] <= grid[:, 1])].T
    ours = hypergeometric(y, population, marked, draws, limit=8)
    exact(ours, scipy.stats.hypergeom.pmf(*(x.numpy() for x in (y, population, marked, draws))))


def test_long_lists_keep_their_digits() -> None:
    """A constant scorer over 2,000 candidates, P of them positive: E Recall@N = N/2000, E P@N = P/2000."""
    labels = (torch.arange(2000) < torch.tensor([[1], [40], [1500]])).double()
    mask = torch.ones_like(labels, dtype=torch.bool)
    exact(random_floor(labels, mask, "cmml-scenario")["Recall@100"], [0.05] * 3)
    exact(random_floor(labels, mask, "ranking-standard")["P@10"], [1 / 2000, 40 / 2000, 1500 / 2000])
    # One positive, standard form: the single hit is at each rank with chance 1/2000.
    standard = random_floor(labels[:1], mask[:1], "ranking-standard")
    exact(standard["MAP@10"], [sum(1 / i for i in range(1, 11)) / 2000])
    # One positive, released form: nine zeros are wanted too, so only the tenth hit hangs on finding the one.
    released = random_floor(labels[:1], mask[:1], "tanp-released")
    # (The logarithm of 2000! has five digits before the point: of sixteen, eleven are left.)
    exact(released["P@10"], [0.9 + 0.1 * 10 / 2000], 1e-11)
    exact(released["MAP@10"], [0.9 + 0.1 * 10 / 2000], 1e-11)


# --- Floors and ceilings --------------------------------------------------------------------------


def test_random_ranker_meets_its_closed_form() -> None:
    """20,000 random rankings of each of four queries: every mean within five standard errors of the floor.

    With 36 metrics on 4 queries the chance that any |z| passes 5 is below 1e-4 even before the seed is fixed.
    """
    draws = 20_000
    _, labels, mask = queries(4, 12, seed=3)
    g = torch.Generator().manual_seed(4)
    scores = torch.rand(draws, 4, 12, generator=g, dtype=torch.float64)
    floor = random_floor(labels, mask, every_metric())
    for name, value in evaluate(scores, labels, mask, every_metric()).items():
        error = value.std(0) / draws**0.5
        assert bool(
            ((value.mean(0) - floor[name]).abs() <= 5 * error + 1e-12).logical_or(floor[name].isnan()).all()
        ), name


def test_constant_predictor_is_the_random_floor_and_worst_is_reversed() -> None:
    _, labels, mask = queries(30, 12, seed=5)
    constant = torch.full_like(labels, 7.0)
    floor, best = random_floor(labels, mask, every_metric()), ceiling(labels, mask, every_metric())
    expected = evaluate(constant, labels, mask, every_metric())
    worst = evaluate(constant, labels, mask, every_metric(ties="worst"))
    reverse = evaluate(-labels, labels, mask, every_metric())
    for name in floor:
        exact(expected[name], floor[name], 0.0)
        exact(worst[name], reverse[name])
        ordered = (reverse[name] <= floor[name] + 1e-12) & (floor[name] <= best[name] + 1e-12)
        assert bool((ordered | floor[name].isnan()).all()), name


def test_perfect_ranker_reaches_one_where_one_is_possible() -> None:
    _, labels, mask = queries(40, 20, seed=6)
    best = ceiling(labels, mask, every_metric())
    lengths, relevant = mask.sum(-1), ((labels >= 2) & mask).sum(-1)
    for n in CUTOFFS:
        full = lengths >= n
        exact(best[f"multiset/P@{n}"], lengths.clamp(max=n).double() / n)
        exact(best[f"multiset/MAP@{n}"][full], [1.0] * int(full.sum()))
        exact(best[f"standard/P@{n}"], relevant.clamp(max=n).double() / n)
        exact(best[f"standard/MAP@{n}"], torch.where(relevant > 0, 1.0, torch.nan))
        exact(
            best[f"standard/Recall@{n}"],
            torch.where(relevant > 0, relevant.clamp(max=n).double() / relevant, torch.nan),
        )
        exact(best[f"standard/NDCG@{n}"].nan_to_num(1.0), [1.0] * 40)


def test_floor_leaves_rating_errors_out() -> None:
    _, labels, mask = queries(3, 8, seed=7)
    assert list(random_floor(labels, mask, "pnmta")) == ["NDCG@3", "NDCG@5", "NDCG-exp@3", "NDCG-exp@5"]
    exact(ceiling(labels, mask, "pnmta")["MAE"], [0.0] * 3)


# --- Invariances ----------------------------------------------------------------------------------

entries = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=9)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(entries=entries, data=st.data(), padding=st.integers(1, 4))
def test_order_and_padding_do_not_matter(
    entries: list[tuple[int, int]], data: st.DataObject, padding: int
) -> None:
    scores, labels = torch.tensor(entries).double().T.unsqueeze(1)
    mask = torch.ones_like(labels, dtype=torch.bool)
    metrics = (*every_metric(), *METRIC_SETS["pnmta"])
    plain = evaluate(scores, labels, mask, metrics)
    blank = torch.full((1, padding), data.draw(st.sampled_from([torch.nan, torch.inf, 99.0])))
    wide_scores, wide_labels = torch.cat([scores, blank], -1), torch.cat([labels, blank], -1)
    wide_mask = torch.nn.functional.pad(mask, (0, padding))
    order = torch.tensor(data.draw(st.permutations(range(mask.shape[1] + padding))))
    moved = evaluate(wide_scores[:, order], wide_labels[:, order], wide_mask[:, order], metrics)
    for name in plain:
        exact(moved[name], plain[name])


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(entries=entries, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_ranking_metrics_read_the_order_only(
    entries: list[tuple[int, int]], scale: float, shift: float
) -> None:
    scores, labels = torch.tensor(entries).double().T.unsqueeze(1)
    mask = torch.ones_like(labels, dtype=torch.bool)
    before = evaluate(scores, labels, mask, every_metric())
    after = evaluate(torch.exp(scores) * scale + shift, labels, mask, every_metric())
    for name in before:
        exact(after[name], before[name], 0.0)


@pytest.mark.parametrize("score_levels", [0, 3])
@pytest.mark.parametrize("device", DEVICES)
def test_leading_dimensions_and_dtypes(device: str, score_levels: int) -> None:
    """Replicas of scores over one set of labels equal one call a replica; float32 goes in, float64 out."""
    _, labels, mask = queries(10, 8, seed=8)
    scores = torch.stack([queries(10, 8, seed=s, score_levels=score_levels)[0] for s in range(6)])
    scores = scores.nan_to_num(0.0).float().view(2, 3, 10, 8)
    metrics = (*every_metric(), *METRIC_SETS["pnmta"])
    stacked = evaluate(scores.to(device), labels.float().to(device), mask.to(device), metrics)
    for a, b in itertools.product(range(2), range(3)):
        single = evaluate(scores[a, b].double(), labels, mask, metrics)
        for name in single:
            assert stacked[name].shape == (2, 3, 10) and stacked[name].dtype == torch.float64
            exact(stacked[name][a, b].cpu(), single[name])


# --- Names and refusals ---------------------------------------------------------------------------


def test_every_set_is_named_once_and_knows_its_direction() -> None:
    for metrics in METRIC_SETS.values():
        assert len({m.name for m in metrics}) == len(metrics)
        for metric in metrics:
            assert (
                higher_is_better(metric.name)
                == metric.higher_is_better
                == (metric.kind not in ("mae", "rmse", "mse"))
            )
    assert [m.name for m in METRIC_SETS["tanp-released"]] == [
        f"{k}@{n}" for n in (5, 7, 10) for k in ("P", "NDCG", "MAP")
    ]
    assert {m.form for m in METRIC_SETS["tanp-released"] if m.kind != "ndcg"} == {"multiset"}


def test_refusals_say_what_and_how_to_mend() -> None:
    labels, mask = torch.ones(4, 3), torch.ones(4, 3, dtype=torch.bool)
    broken = torch.zeros(4, 3)
    broken[1, 0], broken[3, 2] = torch.nan, -torch.inf
    with pytest.raises(MetarecError, match=r"2 of 4 tasks .*nan or infinite.*learning rate"):
        evaluate(broken, labels, mask, "pnmta")
    with pytest.raises(MetarecError, match=r"4 of 4 tasks .*negative labels"):
        evaluate(labels, -labels, mask, "tanp-released")
    with pytest.raises(MetarecError, match=r"labels that are nan"):
        evaluate(labels, labels / 0 * 0, mask, "pnmta")
    with pytest.raises(MetarecError, match=r"unknown metric set 'tanp'.*tanp-released"):
        evaluate(labels, labels, mask, "tanp")
    with pytest.raises(MetarecError, match="P@5 more than once"):
        evaluate(labels, labels, mask, (*ranking_set((5,)), *ranking_set((5,))))
    with pytest.raises(MetarecError, match="bool"):
        evaluate(labels, labels, mask.float(), "pnmta")
    with pytest.raises(MetarecError, match="do not fit"):
        evaluate(labels, labels[:, :2], mask, "pnmta")
    with pytest.raises(MetarecError, match="unknown metric name 'AUC@5'"):
        higher_is_better("AUC@5")


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"kind": "auc", "n": 5}, "unknown kind 'auc'"),
        ({"kind": "precision", "n": 5, "form": "loose"}, "unknown form 'loose'"),
        ({"kind": "ndcg", "n": 5, "gain": "log"}, "unknown gain 'log'"),
        ({"kind": "ndcg", "n": 5, "ties": "lucky"}, "unknown ties 'lucky'"),
        ({"kind": "ndcg"}, "cut-off n of 1 or more"),
        ({"kind": "mae", "n": 3}, "no cut-off n"),
        ({"kind": "recall", "n": 3, "form": "multiset"}, "standard form only"),
    ],
)
def test_impossible_metrics_are_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(MetarecError, match=message):
        Metric("X", **choice)


def test_exponential_gains_of_large_labels_do_not_overflow() -> None:
    """Ratings to 4000: only the best item counts against the others, and its discount is all of NDCG."""
    labels = torch.tensor([[4000.0, 3000.0, 1000.0]])
    scores = torch.tensor([[1.0, 3.0, 2.0]])  # the best item stands third
    found = evaluate(scores, labels, torch.ones(1, 3, dtype=torch.bool), (Metric("N", "ndcg", 3),))
    assert found["N"].item() == pytest.approx(1 / np.log2(4))
