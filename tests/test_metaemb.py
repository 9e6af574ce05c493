"""MetaEmb for users against the loop over users: one embedding each, a frozen base, two stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from loops import dense_pair, inner_loop, mlp, real_entries
from tiny import build, gradients, tiny, tiny_ratings, tiny_splits
from torch import Tensor

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.mlp import mlp_params
from metarec.methods import make
from metarec.methods.base import Method, initialised
from metarec.methods.metaemb import MetaEmb
from metarec.tasks.batch import EpisodeTensors, Query, RowBatch, Support, TaskBatch
from metarec.training.selection import Selection
from metarec.training.trainer import Trained, train

SMALL: dict[str, Any] = {"d": 3, "hidden": (6, 5), "steps": 3, "inner_lr": 0.5, "alpha": 0.3}


def metaemb(schema: Schema, seed: int = 0, **options: Any) -> MetaEmb:
    method = build(MetaEmb, schema, seed, **{**SMALL, **options})
    assert isinstance(method, MetaEmb)
    return method


def task_loss(kind: str, scores: Tensor, labels: Tensor) -> Tensor:
    if kind == "implicit":
        return F.binary_cross_entropy_with_logits(scores, labels)
    return (scores - labels).square().mean()


def tables(method: MetaEmb) -> dict[str, Tensor]:
    found = {f"item.{n}": t for n, t in method.item.tables.items()}
    return found if method.user is None else found | {f"user.{n}": t for n, t in method.user.tables.items()}


def by_loop(method: MetaEmb, schema: Schema, batch: TaskBatch) -> dict[str, Tensor]:
    """Both terms, user by user, every interaction a vector of its own."""
    o, weights, before, after = method.options, mlp_params(method.predictor), [], []
    n_items = len(schema.item_fields) * o.d
    for sides in real_entries(batch):
        x, x_query = (
            torch.stack([dense_pair(tables(method), schema, u, i) for u, i, _ in rows]) for rows in sides
        )
        y, y_query = (torch.tensor([label for *_, label in rows], dtype=torch.float64) for rows in sides)
        phi = o.scale * torch.tanh(method.generator.weight @ x[0, n_items:])

        def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return task_loss(schema.kind, mlp(weights, torch.stack([torch.cat([phi, row]) for row in x])), y)

        before.append(loss(phi, x, y))
        moved = inner_loop(
            lambda w, x=x, y=y: loss(w["phi"], x, y),
            {"phi": phi},
            ["phi"],
            o.steps,
            o.inner_lr,
            o.order,
            o.inner_max_step,
        )
        after.append(loss(moved["phi"], x_query, y_query))
    alpha = o.alpha
    return {"support": alpha * torch.stack(before).mean(), "query": (1 - alpha) * torch.stack(after).mean()}


@pytest.mark.parametrize("kind", ["explicit", "implicit"])
@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("bound", [None, 1e-4])
def test_batch_equals_loop_over_users(kind: str, order: str, bound: float | None) -> None:
    schema, batch = tiny(kind)
    method = metaemb(schema, order=order, inner_max_step=bound)
    terms, expected = method.terms(batch, {}), by_loop(method, schema, batch)
    assert set(terms) == set(expected)
    for name, value in terms.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=0)
    wanted = gradients(method, torch.stack(list(expected.values())).sum())
    for name, slope in gradients(method, torch.stack(list(terms.values())).sum()).items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-9, atol=1e-12)
        assert slope.any() != (name == "identity"), name


def test_one_embedding_a_user_steps_by_the_mean_gradient_of_its_support() -> None:
    schema, batch = tiny()
    method, s = metaemb(schema, steps=1), batch.support
    phi = method.generate(s).detach()
    assert phi.shape == (4, 3) and (phi.abs() < method.options.scale).all()
    moved = method.adapted(phi, method.first_layer(s.user, s.item), s)
    for t, (support, _) in enumerate(real_entries(batch)):
        own = phi[t].clone().requires_grad_()
        slopes = []
        for user, item, label in support:
            x = torch.cat([own, dense_pair(tables(method), schema, user, item)])
            loss = (mlp(mlp_params(method.predictor), x[None]) - label).square().sum()
            slopes.append(torch.autograd.grad(loss, own)[0])
        step = method.options.inner_lr * torch.stack(slopes).mean(0)
        torch.testing.assert_close(moved[t], phi[t] - step, rtol=1e-9, atol=1e-12)


def test_pretraining_is_the_loss_of_single_interactions_with_learned_identities() -> None:
    schema, batch = tiny()
    method, (support, query) = metaemb(schema), next(real_entries(batch))
    rows = support + query
    users, items = (torch.tensor([row[i] for row in rows]) for i in (0, 1))
    labels = torch.tensor([row[2] for row in rows], dtype=torch.float64)
    x = [
        torch.cat([method.identity[user], dense_pair(tables(method), schema, user, item)])
        for user, item, _ in rows
    ]
    expected = (mlp(mlp_params(method.predictor), torch.stack(x)) - labels).square().mean()
    terms = method.pretrain_terms(RowBatch(users, items, labels))
    torch.testing.assert_close(terms["pretrain"], expected, rtol=1e-9, atol=0)
    assert not gradients(method, terms["pretrain"])["generator.weight"].any()


def test_shuffled_query_labels_change_no_prediction() -> None:
    schema, batch = tiny()
    method = metaemb(schema)
    scores = method.predict(batch.support, batch.query)
    labels = batch.query_labels.flip(-1)
    shuffled = batch._replace(query_labels=labels)
    assert torch.equal(method.predict(shuffled.support, shuffled.query), scores)
    error = torch.where(batch.query.mask, scores - labels, 0.0).square().sum(-1) / batch.query.mask.sum(-1)
    terms = method.terms(shuffled, {})
    torch.testing.assert_close(terms["query"], 0.7 * error.mean())
    torch.testing.assert_close(terms["support"], method.terms(batch, {})["support"])


def test_predictions_follow_the_support_and_not_its_order_or_padding() -> None:
    schema, batch = tiny()
    method, s = metaemb(schema), batch.support
    scores = method.predict(s, batch.query)
    turned = Support(s.user, s.item.flip(1), s.mask.flip(1), s.labels.flip(1))
    torch.testing.assert_close(method.predict(turned, batch.query), scores)

    def wider(t: Tensor, fill: float) -> Tensor:
        return torch.cat([t, torch.full_like(t[:, :3], fill)], 1)

    padded = Support(s.user, wider(s.item, 1), wider(s.mask, False), wider(s.labels, 9))
    torch.testing.assert_close(method.predict(padded, batch.query), scores)
    assert not torch.allclose(method.predict(s._replace(labels=s.labels + 1), batch.query), scores)


def test_learned_identities_are_not_for_new_users() -> None:
    schema, batch = tiny()
    method = metaemb(schema)
    scores = method.predict(batch.support, batch.query)
    with torch.no_grad():
        method.identity.normal_()
    assert torch.equal(method.predict(batch.support, batch.query), scores)


def test_without_user_fields_all_users_start_as_one() -> None:
    schema, batch = tiny(fields=False)
    method = metaemb(schema)
    phi = method.generate(batch.support)
    torch.testing.assert_close(phi, phi[:1].expand_as(phi))
    torch.testing.assert_close(phi[0], 0.2 * torch.tanh(method.generator.weight[:, 0]))
    assert torch.isfinite(method.predict(batch.support, batch.query)).all()


def test_implicit_predictions_are_probabilities() -> None:
    schema, batch = tiny("implicit")
    scores = metaemb(schema).predict(batch.support, batch.query)
    assert ((scores > 0) & (scores < 1)).all()


SPLITS = tiny_splits(tiny_ratings())


def fresh(seed: int, **options: Any) -> Method:
    sizes = {"d": 8, "hidden": (16, 16), "inner_lr": 0.1, "batch": 8, "lr": 5e-3}
    stages = {"pretrain_epochs": 2, "pretrain_batch": 32, "pretrain_lr": 5e-3, "epochs": 2}
    with initialised(seed):
        return make("metaemb", Schema.of(tiny_ratings()), **{**sizes, **stages, **options})


def fit(seeds: list[int], **options: Any) -> Trained:
    methods = [fresh(s, **options) for s in seeds]
    return train(methods, SPLITS, seeds, Selection(), dtype=torch.float64)


def test_each_stage_moves_its_own_part_alone() -> None:
    start = dict(fresh(1).double().named_parameters())
    base, whole = fit([1], epochs=0).params, fit([1]).params
    for name, p in start.items():
        generator = name.startswith("generator")
        assert torch.equal(base[name][0], p) == generator, name
        assert torch.equal(whole[name][0], base[name][0]) != generator, name
    trained = torch.zeros(len(start["identity"]), dtype=torch.bool)
    trained[SPLITS.train.task] = True
    changed = (base["identity"][0] != start["identity"]).any(-1)
    assert torch.equal(changed, trained), "identities of training users, and of no others, are learned"


def test_stacked_replicas_equal_replicas_alone() -> None:
    together = fit([4, 9])
    for k, seed in enumerate([4, 9]):
        for name, p in fit([seed]).params.items():
            torch.testing.assert_close(together.params[name][k], p[0], rtol=1e-8, atol=1e-10)


def test_both_stages_lower_their_loss_on_planted_data() -> None:
    trained = fit([0], pretrain_epochs=25, epochs=15)
    base = [h["pretrain"] for h in trained.history[0] if "pretrain" in h]
    meta = [h["query"] for h in trained.history[0] if "query" in h]
    assert len(base) == 25 and base[-1] < 0.3 * base[0]
    assert len(meta) == 15 and meta[-1] < meta[0]
    batch = EpisodeTensors(SPLITS.test, dtype=torch.float64).all()
    model = trained.stack.method(0, trained.params)
    error = [
        (
            torch.where(batch.query.mask, scores - batch.query_labels, 0.0).square().sum()
            / batch.query.mask.sum()
        )
        for scores in (
            model.predict(batch.support, batch.query),
            model.predict(batch.support._replace(labels=6 - batch.support.labels), batch.query),
        )
    ]
    assert error[0] < error[1], "a user's own ratings serve better than their opposite"


def test_what_it_cannot_do_is_refused() -> None:
    schema, batch = tiny()
    mixed = batch.support._replace(user=batch.support.user.expand_as(batch.support.item))
    with pytest.raises(ProtocolError, match="tasks of one user each"):
        metaemb(schema).predict(mixed, Query(*batch.query))
    with pytest.raises(ProtocolError, match="MetaEmb has no option 'eta'"):
        metaemb(schema, eta=1.0)
