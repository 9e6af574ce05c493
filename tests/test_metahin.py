"""MetaHIN against loops over users and paths: its neighbours, its co-adaptation, and what must not leak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from loops import dense_pair, inner_loop, mlp, path_neighbours, real_entries
from tiny import build, gradients, tiny, tiny_ratings, tiny_splits
from torch import Tensor

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.mlp import mlp_params
from metarec.methods import make
from metarec.methods.base import initialised
from metarec.methods.metahin import MetaHIN
from metarec.tasks.batch import EpisodeTensors, Query, Support, TaskBatch
from metarec.tasks.episodes import Episodes
from metarec.training.selection import Selection
from metarec.training.trainer import train

SMALL: dict[str, Any] = {"d": 3, "d_context": 4, "hidden": (6, 5), "semantic_lr": 0.3, "inner_lr": 0.3}
STEPS: dict[str, Any] = {"semantic_steps": 2, "steps": 2}
PATHS = ("UM", "UMUM", "UM-studio-M", "UM-genre-M")


def metahin(ratings: Ratings, seed: int = 0, **options: Any) -> MetaHIN:
    method = build(MetaHIN, Schema.of(ratings), seed, **{**SMALL, **STEPS, **options})
    assert isinstance(method, MetaHIN)
    method.fit(tiny_splits(ratings).train)
    return method


def links(ratings: Ratings) -> dict[int, list[int]]:
    """Items in the support of each training user; of implicit ratings the positive ones."""
    train, found = tiny_splits(ratings).train, {}
    for t, user in enumerate(train.task):
        rows = train.rows[train.offsets[t] : train.offsets[t] + train.n_support[t]]
        found[int(user)] = [
            int(ratings.item[r]) for r in rows if ratings.kind == "explicit" or ratings.label[r] > 0
        ]
    return found


def neighbours(
    ratings: Ratings, side: str, support: list[Any], query: list[Any]
) -> dict[str, list[list[int]]]:
    """For each path the neighbours of every row of one side of a task."""
    user, schema = support[0][0], Schema.of(ratings)
    own = [i for _, i, label in support if ratings.kind == "explicit" or label > 0]
    others = [items for v, items in links(ratings).items() if v != user]
    rows = support if side == "support" else query
    return {path: [path_neighbours(path, schema, item, own, others) for _, item, _ in rows] for path in PATHS}


def batch_of(ratings: Ratings, split: str, tasks: int = 3) -> TaskBatch:
    data = EpisodeTensors(getattr(tiny_splits(ratings), split), dtype=torch.float64)
    return data.batch(torch.arange(tasks))


def vectors(method: MetaHIN, schema: Schema) -> Tensor:
    """Every item's vector, each field a multi-hot product."""
    tables = {f"item.{n}": t for n, t in method.item.tables.items()}
    items_only = Schema(1, schema.n_items, schema.kind, 0, 1, (), schema.item_fields)
    return torch.stack([dense_pair(tables, items_only, 0, i) for i in range(schema.n_items)])


# --- neighbours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["explicit", "implicit"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_neighbours_equal_the_loop(kind: str, split: str) -> None:
    ratings = tiny_ratings(kind)
    method, batch = metahin(ratings), batch_of(ratings, split)
    e = vectors(method, Schema.of(ratings))
    found = method.paths(e, batch.support, batch.query)
    assert method.paths.names == PATHS
    for t, (support, query) in enumerate(real_entries(batch)):
        for side, ours, mask in zip(
            ("support", "query"), found, (batch.support.mask[t], batch.query.mask[t]), strict=True
        ):
            expected = neighbours(ratings, side, support, query)
            for path, (total, number) in zip(PATHS, ours, strict=True):
                sums = torch.stack([e[rows].sum(0) for rows in expected[path]])
                torch.testing.assert_close(total[t, mask], sums, rtol=1e-9, atol=1e-9)
                assert number[t, mask].tolist() == [len(rows) for rows in expected[path]]


def test_support_mean_of_a_task_pools_all_its_rows() -> None:
    ratings = tiny_ratings()
    batch, e = batch_of(ratings, "test"), vectors(metahin(ratings), Schema.of(ratings))
    by_task, by_item = metahin(ratings), metahin(ratings, pool="item")
    pooled, rows = (m.sides(batch.support, batch.query)[1].means for m in (by_task, by_item))
    for t, (support, query) in enumerate(real_entries(batch)):
        for p, lists in enumerate(neighbours(ratings, "query", support, query).values()):
            torch.testing.assert_close(pooled[t, p, 0], e[list(chain(*lists))].mean(0), rtol=1e-9, atol=1e-9)
            each = torch.stack([e[items].mean(0) for items in lists])
            torch.testing.assert_close(rows[t, p, batch.query.mask[t]], each, rtol=1e-9, atol=1e-9)


# --- no leak ---------------------------------------------------------------------------------------------


def with_queries_moved(train: Episodes) -> Episodes:
    """The same supports; every query row becomes the lowest rating of item 0."""
    ratings, query = train.ratings, np.zeros(len(train.ratings), bool)
    query[train.rows[train.is_query]] = True
    label = np.where(query, np.float32(1), ratings.label)
    moved = replace(ratings, item=np.where(query, 0, ratings.item), label=label)
    return Episodes(moved, train.task, train.rows, train.offsets, train.n_support, train.split)


def test_no_query_of_a_training_user_is_a_link() -> None:
    ratings = tiny_ratings()
    method, other = metahin(ratings), metahin(ratings)
    moved = with_queries_moved(tiny_splits(ratings).train)
    assert (moved.ratings.item != ratings.item).any()
    other.fit(moved)
    for (name, ours), (_, theirs) in zip(method.named_buffers(), other.named_buffers(), strict=True):
        assert torch.equal(ours, theirs), name
    assert len(method.paths.to_users_start) == tiny_splits(ratings).train.n_support.sum()


def test_no_label_of_the_support_makes_a_link_of_explicit_ratings() -> None:
    ratings = tiny_ratings()
    method, batch = metahin(ratings), batch_of(ratings, "test")
    s = batch.support
    means = method.sides(s, batch.query)[0].means
    assert torch.equal(
        method.sides(s._replace(labels=torch.zeros_like(s.labels)), batch.query)[0].means, means
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_shuffled_query_labels_change_no_prediction(split: str) -> None:
    ratings = tiny_ratings()
    method, batch = metahin(ratings), batch_of(ratings, split)
    scores = method.predict(batch.support, batch.query)
    for labels in (batch.query_labels.flip(-1), torch.zeros_like(batch.query_labels)):
        changed = batch._replace(query_labels=labels)
        assert torch.equal(method.predict(changed.support, changed.query), scores)
        error = torch.where(batch.query.mask, scores - labels, 0.0).square().sum(-1)
        expected = (error / batch.query.mask.sum(-1)).mean()
        torch.testing.assert_close(method.terms(changed, {})["query"], expected)


def test_paths_are_weighed_by_the_support_alone() -> None:
    ratings = tiny_ratings()
    method, batch = metahin(ratings), batch_of(ratings, "test")
    side, _ = method.sides(batch.support, batch.query)
    weights = method.adapted(side, batch.support).weights
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, dtype=torch.float64))
    described = method.describe(batch.support)
    assert list(described) == [f"weight {path}" for path in PATHS]
    torch.testing.assert_close(torch.stack(list(described.values()), -1), weights)


# --- co-adaptation ---------------------------------------------------------------------------------------


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.01 * x)


def by_loop(method: MetaHIN, ratings: Ratings, batch: TaskBatch) -> tuple[Tensor, list[Tensor]]:
    """Mean query loss and query scores, user by user and path by path."""
    o, e, losses, scores = method.options, vectors(method, Schema.of(ratings)), [], []
    shared = mlp_params(method.scorer)
    start = {"w": method.context.weight, "b": method.context.bias}

    def means(lists: list[list[int]]) -> Tensor:
        if o.pool == "task":
            return e[list(chain(*lists))].mean(0).expand(len(lists), -1)
        return torch.stack([e[items].mean(0) for items in lists])

    def contexts(c: Mapping[str, Tensor], mean: Tensor) -> Tensor:
        return leaky(mean @ c["w"].T + c["b"])

    for support, query in real_entries(batch):
        y, y_query = (
            torch.tensor([label for *_, label in rows], dtype=torch.float64) for rows in (support, query)
        )
        x, x_query = (e[[item for _, item, _ in rows]] for rows in (support, query))
        sides = [neighbours(ratings, side, support, query) for side in ("support", "query")]
        ends, asked, path_losses = [], [], []
        for path in PATHS:
            mean, mean_query = (means(side[path]) for side in sides)

            def loss(w: Mapping[str, Tensor], context: Tensor, x: Tensor = x, y: Tensor = y) -> Tensor:
                return (mlp(w, torch.cat([x, context], -1)) - y).square().mean()

            c = inner_loop(
                lambda c, mean=mean: loss(shared, contexts(c, mean)),
                start, ["w", "b"], o.semantic_steps, o.semantic_lr, o.order, o.inner_max_step,
            )  # fmt: skip
            context = contexts(c, mean)
            gate = torch.sigmoid(method.gate.weight @ context.mean(0) + method.gate.bias)
            gated, at = {}, 0
            for name, w in shared.items():
                gated[name] = w * gate[at : at + w.numel()].reshape(w.shape)
                at += w.numel()
            end = inner_loop(
                lambda w, context=context: loss(w, context),
                gated,
                list(gated),
                o.steps,
                o.inner_lr,
                o.order,
                o.inner_max_step,
            )
            ends.append(end)
            path_losses.append(loss(end, context))
            asked.append(contexts(c, mean_query))
        a = torch.softmax(-torch.stack(path_losses), 0).detach()
        scorer = {name: sum(a[p] * ends[p][name] for p in range(len(PATHS))) for name in shared}
        context = sum(a[p] * asked[p] for p in range(len(PATHS)))
        scores.append(mlp(scorer, torch.cat([x_query, context], -1)))  # type: ignore[arg-type,list-item]
        losses.append((scores[-1] - y_query).square().mean())
    return torch.stack(losses).mean(), scores


@pytest.mark.parametrize("bound", [None, 1e-3])
@pytest.mark.parametrize(("order", "pool"), [("second", "task"), ("second", "item"), ("first", "task")])
def test_batch_equals_loop_over_users_and_paths(order: str, pool: str, bound: float | None) -> None:
    ratings = tiny_ratings()
    method = metahin(ratings, order=order, pool=pool, inner_max_step=bound)
    batch = batch_of(ratings, "train")
    (loss,) = method.terms(batch, {}).values()
    expected, scores = by_loop(method, ratings, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    for t, ours in enumerate(method.predict(batch.support, batch.query)):
        torch.testing.assert_close(ours[batch.query.mask[t]], scores[t], rtol=1e-9, atol=1e-12)
    wanted = gradients(method, expected)
    for name, slope in gradients(method, loss).items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-8, atol=1e-11)
        assert slope.any(), name


@pytest.mark.parametrize("pool", ["task", "item"])
def test_wider_padding_changes_nothing(pool: str) -> None:
    ratings = tiny_ratings()
    method, batch = metahin(ratings, pool=pool), batch_of(ratings, "test")

    def wider(t: Tensor, fill: float) -> Tensor:
        return torch.cat([t, torch.full_like(t[:, :3], fill)], 1)

    s, q = batch.support, batch.query
    support = Support(s.user, wider(s.item, 1), wider(s.mask, False), wider(s.labels, 9))
    query = Query(q.user, wider(q.item, 2), wider(q.mask, False))
    n = q.item.shape[1]
    torch.testing.assert_close(method.predict(support, query)[:, :n], method.predict(s, q))
    turned = Support(s.user, s.item.flip(1), s.mask.flip(1), s.labels.flip(1))
    torch.testing.assert_close(method.predict(turned, q), method.predict(s, q))


def test_a_score_depends_on_the_other_candidates_only_if_contexts_are_pooled() -> None:
    ratings = tiny_ratings()
    batch = batch_of(ratings, "test")
    first = Query(*(t[:, :1] for t in batch.query))
    for pool, same in (("item", True), ("task", False)):
        method = metahin(ratings, pool=pool)
        alone, among = method.predict(batch.support, first), method.predict(batch.support, batch.query)[:, :1]
        assert torch.allclose(alone, among, rtol=1e-9) == same


def test_implicit_predictions_are_probabilities() -> None:
    ratings = tiny_ratings("implicit")
    batch = batch_of(ratings, "test")
    scores = metahin(ratings).predict(batch.support, batch.query)
    assert ((scores > 0) & (scores < 1)).all()


def test_an_item_without_values_reaches_itself_alone() -> None:
    ratings = tiny_ratings()
    genre, studio = ratings.item_fields
    batch = batch_of(ratings, "test")
    item = int(batch.support.item[0, 0])
    values, counts = genre.values.copy(), genre.counts.copy()  # type: ignore[union-attr]
    values[item], counts[item] = -1, 0
    bare = replace(ratings, item_fields=(replace(genre, values=values, counts=counts), studio))
    method = metahin(bare)
    e = vectors(method, Schema.of(bare))
    total, number = method.paths(e, batch.support, batch.query)[0][PATHS.index("UM-genre-M")]
    torch.testing.assert_close(total[0, 0], e[item])
    assert number[0, 0] == 1 and torch.isfinite(method.predict(batch.support, batch.query)).all()


def test_a_user_without_positives_has_a_finite_context() -> None:
    ratings = tiny_ratings("implicit")
    method, batch = metahin(ratings), batch_of(ratings, "test")
    empty = batch.support._replace(labels=torch.zeros_like(batch.support.labels))
    assert torch.isfinite(method.predict(empty, batch.query)).all()
    assert not method.sides(empty, batch.query)[0].means[:, 0].any(), "no link, no neighbour along UM"


def test_training_lowers_the_loss_on_planted_data() -> None:
    ratings = tiny_ratings()
    with initialised(0):
        method = make(
            "metahin", Schema.of(ratings), d=8, d_context=8, hidden=(16, 16), epochs=12, batch=8, lr=5e-3
        )
    trained = train([method], tiny_splits(ratings), [0], Selection(), dtype=torch.float64)
    history = trained.history[0]
    assert history[-1]["query"] < 0.3 * history[0]["query"]


def test_paths_lead_through_the_fields_asked_for() -> None:
    ratings = tiny_ratings()
    assert metahin(ratings, attributes=("genre",)).paths.names == ("UM", "UMUM", "UM-genre-M")
    assert metahin(ratings, attributes=()).paths.names == ("UM", "UMUM")
    with pytest.raises(ProtocolError, match="no item field 'actor' to draw a path through"):
        metahin(ratings, attributes=("actor",))


def test_what_it_cannot_do_is_refused() -> None:
    schema, batch = tiny(fields=False)
    with pytest.raises(ProtocolError, match="draws meta-paths through item fields"):
        MetaHIN(schema)
    schema, batch = tiny()
    unfitted = build(MetaHIN, schema, **SMALL)
    with pytest.raises(ProtocolError, match="call fit"):
        unfitted.predict(batch.support, batch.query)
    mixed = batch.support._replace(user=batch.support.user.expand_as(batch.support.item))
    with pytest.raises(ProtocolError, match="links of one user"):
        metahin(tiny_ratings()).predict(mixed, batch.query)
    with pytest.raises(ProtocolError, match="cannot be stacked"):
        methods = [make("metahin", schema, **SMALL) for _ in range(2)]
        train(methods, tiny_splits(tiny_ratings()), [0, 1], Selection())
