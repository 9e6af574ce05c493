"""What training never saw has rows of its own, and they are trained: no list hangs on a random start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import QUICK, tiny_ratings, tiny_splits

from metarec.data import Schema
from metarec.data.ratings import Field, Ratings
from metarec.layers.embedding import FieldEmbedding
from metarec.methods import METHODS, class_of, make, schema_for
from metarec.recommend import learn
from metarec.tasks.batch import EpisodeTensors, RowBatch
from metarec.training.feed import with_strangers

TRAINED = [name for name in METHODS if make(name, Schema.of(tiny_ratings())).stages()]
SHORT = {"epochs": 2, "pretrain_epochs": 1, "d": 4, "hidden": (8,), "context_min": 3, "window": 1}


def options(name: str, **more: Any) -> dict[str, Any]:
    """What is short and small of a method's options; scores that do not hang on the catalogue."""
    known = class_of(name).Options.__dataclass_fields__
    short = {k: v for k, v in SHORT.items() if k in known}
    apart = {"pnmta": {"task_members": "support"}, "metahin": {"pool": "item"}}.get(name, {})
    return {**short, **QUICK.get(name, {}), **apart, **more}


def without_user_fields() -> Ratings:
    return replace(tiny_ratings(), user_fields=())


def test_an_unseen_value_is_the_unknown_one_and_the_stranger_has_nothing_else() -> None:
    f = Field("zip", np.array([0, 1, 2, 1]), np.array(["a", "b", "c"]))
    many = Field("genre", np.array([[0, 1], [2, -1], [1, 2], [0, -1]]), np.arange(3), np.array([2, 1, 2, 1]))
    schema = Schema(4, 4, "explicit", 1, 5, (f,), (many,)).knowing(np.array([0, 1]), np.array([0, 3]))
    (zips,), (genres,) = schema.user_fields, schema.item_fields
    assert zips.values.tolist() == [0, 1, 3, 1, 3] and zips.unknown == 3 and zips.size == 4
    assert genres.values.tolist() == [[0, 1], [3, -1], [1, 3], [0, -1], [3, -1]]
    assert (schema.n_users, schema.n_items) == (5, 5)
    assert schema.user_ids is not None and schema.user_ids.values.tolist() == [0, 1, 4, 4, 4]


def test_the_unknown_row_starts_at_the_mean_of_a_start() -> None:
    f = Field("zip", np.array([0, 1]), np.array(["a", "b", "unknown"], object), unknown=2)
    table = FieldEmbedding([f], 8).tables["zip"]
    assert (table[2] == 0).all() and (table[:2] != 0).all()


def test_strangers_take_the_place_of_what_is_hidden_and_labels_stay() -> None:
    batch = EpisodeTensors(tiny_splits(tiny_ratings()).train).all()
    n_support, n_query = batch.support.item.shape[-1], batch.query.item.shape[-1]
    hidden = torch.rand(len(batch.query.item), 1 + n_support + n_query) < 0.5
    changed = with_strangers(batch, (1000, 2000), hidden)
    for side, was, start in (
        (changed.support, batch.support, 1),
        (changed.query, batch.query, 1 + n_support),
    ):
        place = hidden[:, start : start + side.item.shape[-1]]
        assert torch.equal(side.item, torch.where(place, 2000, was.item))
        assert torch.equal(side.user, torch.where(hidden[:, :1], 1000, was.user))
        assert torch.equal(side.mask, was.mask)
    assert torch.equal(changed.support.labels, batch.support.labels)
    rows = RowBatch(torch.arange(3), torch.arange(3), torch.ones(3))
    place = torch.tensor([[True, False], [False, True], [False, False]])
    assert with_strangers(rows, (7, 9), place).user.tolist() == [7, 1, 2]
    assert with_strangers(rows, (7, 9), place).item.tolist() == [0, 9, 2]


@pytest.mark.parametrize("name", TRAINED)
def test_newcomers_with_the_same_ratings_get_the_same_list(name: str) -> None:
    """Of a table without user fields, whoever they are; and a stranger gets it too."""
    ratings = without_user_fields()
    splits = tiny_splits(ratings)
    model = learn(ratings, name, splits=splits, hide=0.1, device="cpu", **options(name))
    plays = dict(zip(ratings.items[:4].tolist(), (1.0, 5.0, 4.0, 2.0), strict=True))
    lists = [model.recommend(plays, 5, user=ratings.users[u]) for u in splits.test.task[:3]]
    for other in (*lists[1:], model.recommend(plays, 5)):
        assert other["item"].tolist() == lists[0]["item"].tolist()
        assert np.allclose(other["score"], lists[0]["score"])


@pytest.mark.parametrize("name", TRAINED)
def test_without_strangers_nothing_is_drawn_and_no_table_has_another_row(name: str) -> None:
    splits = tiny_splits(tiny_ratings())
    plain, wide = (
        make(name, schema_for(name, splits, hide, **options(name)), **options(name)) for hide in (0.0, 0.1)
    )
    longer = [n for n, p in plain.named_parameters() if p.shape != wide.get_parameter(n).shape]
    grown = [wide.get_parameter(n).shape[0] - plain.get_parameter(n).shape[0] for n in longer]
    assert grown and set(grown) == {1}


def test_every_row_that_a_test_user_reads_has_been_trained() -> None:
    """With a field whose every value belongs to one user, as a zip code: test users read the unknown row."""
    ratings = tiny_ratings()
    own = Field("zip", np.arange(ratings.n_users), np.arange(ratings.n_users))
    ratings = replace(ratings, user_fields=(*ratings.user_fields, own))
    splits = tiny_splits(ratings)
    schema = schema_for("melu", splits, 0.1)
    zips = schema.user_fields[-1]
    assert set(zips.values[splits.test.task].tolist()) == {zips.unknown}
    model = learn(ratings, "melu", splits=splits, hide=0.2, device="cpu", **options("melu"))
    table = dict(model.method.named_parameters())["encoder.user.tables.zip"]
    assert (table[zips.unknown] != 0).any(), "it started at 0"
