"""ItemPop counts what is liked in the support, or in all training tasks."""

from __future__ import annotations

import torch
from tiny import scenarios, tiny_ratings, tiny_splits

from metarec.data.schema import Schema
from metarec.methods import make
from metarec.tasks import EpisodeTensors, Query, Support


def test_counts_of_positives_in_the_support() -> None:
    method = make("itempop", scenarios()[0])
    item = torch.tensor([[3, 3, 5, 3, 7]])
    mask = torch.tensor([[True, True, True, True, False]])
    support = Support(torch.zeros_like(item), item, mask, torch.tensor([[1.0, 1.0, 1.0, 0.0, 1.0]]))
    wanted = torch.tensor([[3, 5, 7, 9]])
    query = Query(torch.zeros_like(wanted), wanted, torch.ones_like(wanted, dtype=torch.bool))
    assert method.predict(support, query).tolist() == [[2, 1, 0, 0]]
    assert not method.rates and method.stages() == ()


def test_counts_over_all_training_tasks_are_the_floor_popularity() -> None:
    ratings = tiny_ratings("implicit")
    train = tiny_splits(ratings).train
    batch = EpisodeTensors(train).batch(torch.arange(3))
    found = []
    for name, options in (("itempop", {"scope": "train"}), ("popularity", {})):
        method = make(name, Schema.of(ratings), **options)
        method.fit(train)
        found.append(method.predict(batch.support, batch.query))
    assert torch.equal(*found)
