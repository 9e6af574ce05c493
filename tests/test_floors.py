"""Floors and ceiling against their formulas, one user at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarec import metrics
from metarec.data import Schema, synthetic
from metarec.errors import ProtocolError
from metarec.methods import Method, make
from metarec.methods.floors import Oracle
from metarec.tasks import EpisodeTensors, cold_start_episodes

PLANTED = synthetic(seed=2, n_users=150, n_items=90)
SPLITS = cold_start_episodes(PLANTED, seed=0)
BATCH = EpisodeTensors(SPLITS.test, dtype=torch.float64).all()


def fitted(name: str) -> Method:
    method = make(name, Schema.of(PLANTED))
    method.fit(SPLITS.train)
    if isinstance(method, Oracle):
        method.reveal(PLANTED)
    return method


def predicted(name: str) -> torch.Tensor:
    return fitted(name).predict(BATCH.support, BATCH.query)


def test_damped_bias_equals_its_formula_user_by_user() -> None:
    rows = SPLITS.train.rows
    label = PLANTED.label[rows].astype(float)
    mu = label.mean()
    bias = np.zeros(PLANTED.n_items)
    for item in range(PLANTED.n_items):
        own = label[PLANTED.item[rows] == item]
        bias[item] = (own - mu).sum() / (len(own) + 5)
    scores = predicted("damped-bias")
    for t in range(len(SPLITS.test)):
        own = BATCH.support.mask[t]
        support = list(
            zip(BATCH.support.item[t, own].tolist(), BATCH.support.labels[t, own].tolist(), strict=True)
        )
        user = sum(y - mu - bias[i] for i, y in support) / (len(support) + 5)
        for j in torch.flatten(torch.nonzero(BATCH.query.mask[t])).tolist():
            expected = mu + bias[int(BATCH.query.item[t, j])] + user
            assert scores[t, j].item() == pytest.approx(expected, abs=1e-12)


def test_item_mean_and_popularity_count_training_episodes_only() -> None:
    rows = SPLITS.train.rows
    item = int(BATCH.query.item[0, 0])
    own = PLANTED.label[rows][PLANTED.item[rows] == item].astype(float)
    mu = PLANTED.label[rows].astype(float).mean()
    assert predicted("item-mean")[0, 0].item() == pytest.approx(
        mu + (own - mu).sum() / (len(own) + 5), abs=1e-12
    )
    assert predicted("popularity")[0, 0].item() == (own >= 4).sum()
    assert predicted("global-mean")[0, 0].item() == pytest.approx(mu, abs=1e-6)


def test_random_ranker_scores_the_closed_form() -> None:
    found = metrics.evaluate(predicted("random"), BATCH.query_labels, BATCH.query.mask, "tanp-released")
    floor = metrics.random_floor(BATCH.query_labels, BATCH.query.mask, "tanp-released")
    for name, value in floor.items():
        torch.testing.assert_close(found[name], value)


def test_the_ladder_from_floor_to_ceiling() -> None:
    def mae(name: str) -> float:
        return float(
            metrics.mean_absolute_error(predicted(name), BATCH.query_labels, BATCH.query.mask).mean()
        )

    ladder = [mae(name) for name in ("global-mean", "item-mean", "damped-bias", "oracle")]
    assert ladder == sorted(ladder, reverse=True)
    assert ladder[-1] < 0.8 * ladder[-2], "planted taste leaves room above the biases"


def test_the_oracle_of_real_labels_is_perfect() -> None:
    from dataclasses import replace

    oracle = make("oracle", Schema.of(PLANTED))
    assert isinstance(oracle, Oracle)
    oracle.reveal(replace(PLANTED, truth=None))
    scores = oracle.predict(BATCH.support, BATCH.query)
    assert torch.equal(scores[BATCH.query.mask], BATCH.query_labels[BATCH.query.mask])


@pytest.mark.parametrize(
    "name", ["random", "item-mean", "popularity", "damped-bias", "oracle", "global-mean"]
)
def test_shuffled_query_labels_change_no_prediction(name: str) -> None:
    method = fitted(name)
    before = method.predict(BATCH.support, BATCH.query)
    shuffled = BATCH._replace(query_labels=BATCH.query_labels.flip(-1))
    assert torch.equal(method.predict(shuffled.support, shuffled.query), before)


def test_names_and_options_are_checked() -> None:
    with pytest.raises(ProtocolError, match="method 'tamp' is unknown"):
        make("tamp", Schema.of(PLANTED))
    with pytest.raises(ProtocolError, match="no option"):
        make("popularity", Schema.of(PLANTED), damping=3)
