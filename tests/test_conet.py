"""CoNet: what the two domains exchange, and its training on each support."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from tiny import build, each_alone, scenarios, tiny
from torch.utils._pytree import tree_map

from metarec.data.ratings import Field
from metarec.data.schema import Schema
from metarec.methods.conet import CoNet
from metarec.tasks import Query, TaskBatch
from metarec.training.stack import Stack

SMALL = {"hidden": (5, 4), "steps": 3, "lr": 0.01}


def with_source() -> tuple[Schema, TaskBatch]:
    """Every user but the last has one or two source items, of ids 15 to 19."""
    schema, batch = scenarios()
    values = np.array([[u % 5, (u + 1) % 5 if u % 2 else -1] for u in range(schema.n_users)])
    values[-1] = -1
    return replace(schema, user_fields=(Field("source", values, np.arange(15, 20)),)), batch


def conet(seed: int = 0, **options: object) -> tuple[CoNet, TaskBatch]:
    schema, batch = with_source()
    method = build(CoNet, schema, seed, **{**SMALL, **options})
    assert isinstance(method, CoNet)
    return method, batch


def test_both_domains_exchange_through_one_matrix() -> None:
    method, _ = conet()
    p, d = dict(method.weights()), method.vectors.d_out
    a, b = torch.randn(1, 2, d).double(), torch.randn(1, 2, d).double()
    left, right = a, b
    for i, h in enumerate(method.exchange):
        left, right = (
            F.relu(method.target[i](left) + right @ h.mT),
            F.relu(method.with_source[i](right) + left @ h.mT),
        )
    target, source = method.network(p, a, b)
    torch.testing.assert_close(target, method.target[2](left).squeeze(-1))
    torch.testing.assert_close(source, method.with_source[2](right).squeeze(-1))


def test_source_items_are_chosen_by_share_and_a_user_without_any_has_zeros() -> None:
    method, _ = conet()
    user = torch.tensor([[1, 1, 2, 11]])
    entries = Query(user, torch.zeros_like(user), torch.ones_like(user, dtype=torch.bool))
    share = torch.tensor([[0.0, 0.9, 0.9, 0.0]]).double()
    (_, source), known = method.inputs(entries, share)
    items = method.vectors.item.vectors
    d = items.shape[1]
    for place, item in enumerate((16, 17, 17)):
        assert torch.equal(source[0, place, -d:], items[item])
    assert not source[0, 3, -d:].any() and known.tolist() == [[True, True, True, False]]


def test_each_task_trains_alone_and_padding_changes_nothing() -> None:
    method, batch = conet()
    scores = method.predict(batch.support, batch.query)
    for t, one in enumerate(each_alone(batch)):
        torch.testing.assert_close(
            scores[t][batch.query.mask[t]], method.predict(one.support, one.query)[0], rtol=1e-9, atol=1e-11
        )
    assert not torch.allclose(scores, conet(steps=0)[0].predict(batch.support, batch.query))


def test_training_lowers_the_loss_on_the_support() -> None:
    method, batch = conet(steps=200, sparse=0.0, max_value=10.0)
    s = batch.support
    own = Query(*s[:3])
    before = conet(steps=0)[0].predict(s, own)
    loss = [
        F.binary_cross_entropy_with_logits(x[s.mask], s.labels[s.mask])
        for x in (before, method.predict(s, own))
    ]
    assert loss[1] < 0.5 * loss[0]


def test_without_a_source_domain_and_with_ratings_it_still_runs() -> None:
    schema, batch = tiny(tasks=2)
    method = build(CoNet, schema, **SMALL, d=2)
    assert isinstance(method, CoNet) and not method.has_source
    assert method.predict(batch.support, batch.query).isfinite().all()


def test_stacked_replicas_equal_each_alone() -> None:
    methods, batch = [conet(seed)[0] for seed in (0, 1)], conet()[1]
    noise = methods[0].draw_predict(batch.support, batch.query, torch.Generator().manual_seed(0))
    noise = {k: v.double() for k, v in noise.items()}
    alone = torch.stack([m.predict(batch.support, batch.query, noise) for m in methods])
    parts = (batch.support, batch.query, noise)
    both = [tree_map(lambda t: torch.stack([t, t]), part) for part in parts]
    with torch.no_grad():
        torch.testing.assert_close(Stack(methods).call("predict", *both), alone, rtol=1e-8, atol=1e-10)
