"""The network without meta-learning: two streams of the same rows, and an error measured without moving."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import build, tiny, tiny_ratings, tiny_splits

from metarec.data.schema import Schema
from metarec.methods.plain import Plain
from metarec.tasks.batch import EpisodeTensors, RowBatch, TaskBatch
from metarec.training.feed import Feed
from metarec.training.selection import Selection
from metarec.training.stack import Stack
from metarec.training.trainer import train

SMALL = {"d": 3, "hidden": (6,), "epochs": 2}


def plain(schema: Schema, **options: object) -> Plain:
    method = build(Plain, schema, **{**SMALL, **options})
    assert isinstance(method, Plain)
    return method


def rows_of(batch: TaskBatch, task: int) -> RowBatch:
    """All interactions of one task, its padding left out."""
    sides = ((batch.support, batch.support.labels), (batch.query, batch.query_labels))
    item, labels = (
        torch.cat([column[task][side.mask[task]] for side, column in pairs])
        for pairs in ([(s, s.item) for s, _ in sides], sides)
    )
    return RowBatch(batch.support.user[task, :1].expand(len(item)), item, labels)


@pytest.mark.parametrize("kind", ["explicit", "implicit"])
def test_a_step_on_a_user_is_a_step_on_its_rows(kind: str) -> None:
    schema, batch = tiny(kind)
    method = plain(schema)
    by_rows = [method.row_terms(rows_of(batch, t))["loss"] for t in range(4)]
    torch.testing.assert_close(method.terms(batch, {})["loss"], torch.stack(by_rows).mean())


def test_nobody_is_adapted_to() -> None:
    schema, batch = tiny()
    method = plain(schema)
    other = batch.support._replace(labels=-batch.support.labels, item=batch.support.item.flip(-1))
    assert torch.equal(method.predict(batch.support, batch.query), method.predict(other, batch.query))


def test_both_streams_take_the_same_number_of_steps_but_for_rounding() -> None:
    ratings = tiny_ratings()
    splits, steps = tiny_splits(ratings), {}
    for stream in ("shuffled", "users"):
        method = plain(Schema.of(ratings), stream=stream)
        method.fit(splits.train)
        stack = Stack([method], torch.device("cpu"))
        feed = Feed(
            [splits], stack, [torch.Generator()], torch.device("cpu"), torch.float64, full=False, round_to=1
        )
        steps[stream] = len(list(feed.epoch(method.stages()[0], 0, 0)))
    assert steps["users"] == len(splits.train)
    assert 0 <= steps["shuffled"] / steps["users"] - 1 < 1 / method.rows


def test_the_last_stage_measures_and_moves_nothing() -> None:
    ratings = tiny_ratings()
    schema, splits = Schema.of(ratings), tiny_splits(ratings)
    splits = splits._replace(train=splits.train.select(np.arange(32), "train"))  # one whole batch
    method = plain(schema, epochs=0)
    before = {n: p.clone() for n, p in method.named_parameters()}
    trained = train([method], splits, [0], Selection("last"), dtype=torch.float64)
    for name, p in before.items():
        assert torch.equal(trained.params[name][0], p), name
    whole = EpisodeTensors(splits.train, dtype=torch.float64).all()
    error = (plain(schema).predict(whole.support, whole.query) - whole.query_labels).abs().mean()
    assert trained.history[0][-1]["train MAE"] == pytest.approx(error.item())
