"""PNMTA and MAML-PT: what trains when, what reaches what, and the cell of Table 3 where the two are one."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from loops import dense_pair, inner_loop, real_entries
from tiny import build, gradients, tiny, tiny_ratings, tiny_splits
from torch import Tensor

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.mlp import mlp_params
from metarec.layers.modulators import EncoderKind
from metarec.methods.maml_pt import MAMLPT
from metarec.methods.melu import MeLU
from metarec.methods.pnmta import PNMTA
from metarec.tasks.batch import EpisodeTensors, TaskBatch
from metarec.training.selection import Selection
from metarec.training.stack import Stack
from metarec.training.trainer import train

SMALL: dict[str, Any] = {"d": 3, "hidden": (6, 5), "steps": 3, "inner_lr": 0.05}


def pnmta(schema: Schema, seed: int = 0, **options: Any) -> PNMTA:
    method = build(PNMTA, schema, seed, **{**SMALL, "generator": (7,), **options})
    assert isinstance(method, PNMTA)
    g = torch.Generator().manual_seed(seed)
    for p in method.encoder_modulator.parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=g, dtype=torch.float64)
    return method


def by_loop(method: PNMTA, schema: Schema, batch: TaskBatch) -> Tensor:
    """Algorithm 2, one user at a time: modulate, encode, pool, generate, adapt, predict."""
    o, losses = method.options, []
    tables = method.encoder_modulator.tables(
        {n: t.detach() if method.frozen else t for n, t in method.encoder.tables().items()}
    )
    for support, query in real_entries(batch):
        x = torch.stack([dense_pair(tables, schema, user, item) for user, item, _ in support + query])
        y = torch.tensor([label for _, _, label in support + query], dtype=torch.float64)
        if o.encoder_modulator in ("S", "SS"):
            x = x * method.encoder_modulator.weight["vector"]
        if o.encoder_modulator == "SS":
            x = x + method.encoder_modulator.bias["vector"]
        n = len(support)
        task = (x if o.task_members == "all" else x[:n]).mean(0)
        omega = [mlp(task) for mlp in method.predictor_modulator.generators]

        def scores(w: dict[str, Tensor], h: Tensor, omega: list[Tensor] = omega) -> Tensor:
            for layer in range(3):
                h = h @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]
                if layer < 2 and o.predictor_modulator == "film":
                    gamma, beta = omega[layer].chunk(2)
                    h = gamma * h + beta
                elif layer < 2 and o.predictor_modulator == "attention":
                    h = omega[layer].softmax(0) * h
                h = h.relu() if layer < 2 else h
            return h.squeeze(-1)

        def support_loss(
            w: dict[str, Tensor], x: Tensor = x[:n], y: Tensor = y[:n], scores: Any = scores
        ) -> Tensor:
            return (scores(w, x) - y).square().mean()

        head = mlp_params(method.head)
        head = inner_loop(support_loss, head, list(head), o.steps, o.inner_lr, o.order)  # type: ignore[arg-type]
        losses.append((scores(head, x[n:]) - y[n:]).square().mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("encoder", get_args(EncoderKind))
@pytest.mark.parametrize("predictor", ["film", "attention", "none"])
def test_every_cell_of_table_3_equals_the_loop_over_users(encoder: EncoderKind, predictor: str) -> None:
    schema, batch = tiny(tasks=3)
    method = pnmta(schema, encoder_modulator=encoder, predictor_modulator=predictor)
    loss = method.terms(batch, {})["query"]
    expected = by_loop(method, schema, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    wanted = gradients(method, expected)
    for name, slope in gradients(method, loss).items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-9, atol=1e-12)
        assert bool(slope.any()) == (name.startswith(method.meta_trained())), name


@pytest.mark.parametrize(
    "options", [{"order": "first"}, {"task_members": "support"}, {"bias_shape": "dimension"}]
)
def test_switches_equal_the_loop_over_users(options: dict[str, Any]) -> None:
    schema, batch = tiny(tasks=3)
    method = pnmta(schema, **options)
    loss, expected = method.terms(batch, {})["query"], by_loop(method, schema, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    wanted = gradients(method, expected)
    for name, slope in gradients(method, loss).items():
        torch.testing.assert_close(slope, wanted[name], rtol=1e-9, atol=1e-12)


def test_without_modulators_it_is_maml_pt_bit_for_bit() -> None:
    schema, batch = tiny()
    cell = build(PNMTA, schema, **SMALL, encoder_modulator="none", predictor_modulator="none")
    plain = build(MAMLPT, schema, **SMALL)
    assert {n: p.shape for n, p in cell.named_parameters()} == {
        n: p.shape for n, p in plain.named_parameters()
    }
    assert all(torch.equal(p, dict(plain.named_parameters())[n]) for n, p in cell.named_parameters())
    assert cell.stages() == plain.stages()
    one, other = cell.terms(batch, {})["query"], plain.terms(batch, {})["query"]
    assert torch.equal(one, other)
    wanted = gradients(plain, other)
    assert all(torch.equal(slope, wanted[name]) for name, slope in gradients(cell, one).items())
    rows = EpisodeTensors(tiny_splits(tiny_ratings()).train, dtype=torch.float64).rows(torch.arange(50))
    assert torch.equal(cell.pretrain_terms(rows)["pretrain"], plain.pretrain_terms(rows)["pretrain"])  # type: ignore[operator]


def test_maml_pt_meta_trains_as_melu() -> None:
    schema, batch = tiny()
    plain, melu = build(MAMLPT, schema, **SMALL), build(MeLU, schema, **SMALL)
    melu.load_state_dict({n: t for n, t in plain.state_dict().items() if not n.startswith("pretrained")})
    assert torch.equal(plain.terms(batch, {})["query"], melu.terms(batch, {})["query"])


def test_pretraining_is_plain_regression_on_rows() -> None:
    schema, _ = tiny()
    data = EpisodeTensors(tiny_splits(tiny_ratings()).train, dtype=torch.float64)
    method = build(MAMLPT, schema, **SMALL)
    rows = data.rows(torch.arange(20))
    loss = method.pretrain_terms(rows)["pretrain"]  # type: ignore[operator]
    errors = []
    for user, item, label in zip(rows.user.tolist(), rows.item.tolist(), rows.labels.tolist(), strict=True):
        x = dense_pair(method.encoder.tables(), schema, user, item)  # type: ignore[operator,union-attr]
        errors.append((method.pretrained_head(x) - label).square())  # type: ignore[operator]
    torch.testing.assert_close(loss, torch.stack(errors).mean())


def test_stages_move_what_the_paper_says() -> None:
    schema, _ = tiny()
    pretrain, meta = pnmta(schema).stages()
    assert (pretrain.name, pretrain.unit, pretrain.rows, pretrain.epochs) == ("pretrain", "rows", "train", 20)
    assert (pretrain.lr, meta.lr, meta.epochs, meta.batch) == (0.01, 0.001, 15, 32)
    assert pretrain.trained == ("encoder.", "pretrained_head.")
    assert meta.trained == ("head.", "encoder_modulator.", "predictor_modulator.")
    assert pnmta(schema, pretraining="full").stages()[0].rows == "full"
    assert [s.name for s in pnmta(schema, pretraining="none").stages()] == ["meta-train"]
    assert pnmta(schema, encoder_modulator="none").stages()[1].trained[0] == "encoder."
    assert pnmta(schema, train_encoder=True).stages()[1].trained[0] == "encoder."
    assert pnmta(schema, reinit_head=False).stages()[0].trained == ("encoder.", "head.")


@pytest.mark.parametrize("pretraining", ["cold", "full"])
def test_training_goes_through_both_stages_and_leaves_the_encoder_frozen(pretraining: str) -> None:
    ratings = tiny_ratings()
    schema, splits = Schema.of(ratings), tiny_splits(ratings)
    options = {**SMALL, "pretraining": pretraining, "batch": 8, "pretrain_batch": 64}
    method = pnmta(schema, **options, pretrain_epochs=3, epochs=2)
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    trained = train([method], splits, [0], Selection())
    moved = {n: not torch.equal(p[0].double(), before[n].float().double()) for n, p in trained.params.items()}
    assert all(moved.values())
    stages = [line["stage"] for line in trained.history[0]]
    assert stages == ["pretrain"] * 3 + ["meta-train"] * 2
    only_meta = pnmta(schema, **{**options, "pretraining": "none"}, epochs=2)
    before = {n: p.detach().clone() for n, p in only_meta.named_parameters()}
    trained = train([only_meta], splits, [0], Selection())
    for name, p in trained.params.items():
        same = torch.equal(p[0].double(), before[name].float().double())
        assert same == name.startswith("encoder."), name


def test_full_pretraining_sees_no_row_of_validation_or_test_users() -> None:
    splits = tiny_splits(tiny_ratings())
    every = splits.histories()
    users = set(every.ratings.user[every.rows].tolist())
    assert users >= set(splits.train.task.tolist())
    assert not users & {*splits.valid.task.tolist(), *splits.test.task.tolist()}
    assert len(every.rows) == int(sum(every.ratings.user == u for u in users).sum())  # type: ignore[attr-defined]


def test_no_label_reaches_the_task_vector_and_no_query_label_the_prediction() -> None:
    schema, batch = tiny()
    method, s, q = pnmta(schema), batch.support, batch.query
    v = method.task_vectors(s, q)
    assert torch.equal(method.task_vectors(s._replace(labels=s.labels.flip(0) + 3), q), v)
    scores = method.predict(s, q)
    for labels in (batch.query_labels, batch.query_labels.flip(-1)):
        loss = method.terms(batch._replace(query_labels=labels), {})["query"]
        expected = torch.where(q.mask, scores - labels, 0.0).square().sum(-1) / q.mask.sum(-1)
        torch.testing.assert_close(loss, expected.mean())


def test_candidates_enter_the_task_vector_as_printed_and_stay_out_by_the_switch() -> None:
    schema, batch = tiny()
    s, q = batch.support, batch.query
    others = q._replace(item=(q.item + 1) % schema.n_items)
    printed, alone = pnmta(schema), pnmta(schema, task_members="support")
    assert not torch.allclose(printed.task_vectors(s, q), printed.task_vectors(s, others))
    assert torch.equal(alone.task_vectors(s, q), alone.task_vectors(s, others))


def test_wider_padding_of_support_or_query_changes_nothing() -> None:
    schema, batch = tiny()
    method, s, q = pnmta(schema, task_vector="attention"), batch.support, batch.query

    def wider(t: Tensor, fill: float) -> Tensor:
        return torch.cat([t, torch.full_like(t[:, :2], fill)], 1)

    long_s = s._replace(item=wider(s.item, 1), mask=wider(s.mask, False), labels=wider(s.labels, 0))
    long_q = q._replace(item=wider(q.item, 2), mask=wider(q.mask, False))
    torch.testing.assert_close(method.predict(long_s, long_q)[:, : q.item.shape[1]], method.predict(s, q))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoder_modulator": "SS", "predictor_modulator": "attention", "task_vector": "attention"},
        {"encoder_modulator": "none", "predictor_modulator": "none"},
    ],
)
def test_stacked_replicas_equal_replicas_alone(options: dict[str, Any]) -> None:
    schema, batch = tiny()
    stack = Stack([pnmta(schema, seed, **options) for seed in (1, 2)])
    many = torch.utils._pytree.tree_map(lambda t: torch.stack([t] * 2), batch)
    together = stack.call("terms", many, {})["query"]
    params = list(stack.params.values())
    found = torch.autograd.grad(together.sum(), params, allow_unused=True, materialize_grads=True)
    for k, seed in enumerate((1, 2)):
        method = pnmta(schema, seed, **options)
        loss = method.terms(batch, {})["query"]
        torch.testing.assert_close(together[k], loss, rtol=1e-9, atol=0)
        own = gradients(method, loss)
        for name, slope in zip(stack.params, found, strict=True):
            torch.testing.assert_close(slope[k], own[name], rtol=1e-9, atol=1e-12)


def test_implicit_labels_and_bare_ids_work_too() -> None:
    for kind, fields in (("implicit", True), ("explicit", False)):
        schema, batch = tiny(kind, fields=fields)
        method = pnmta(schema)
        loss = method.terms(batch, {})["query"]
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.cat([g.flatten() for g in gradients(method, loss).values()])).all()


def test_unknown_settings_are_refused() -> None:
    schema, _ = tiny()
    for option, value in (("pretraining", "warm"), ("task_members", "query"), ("encoder_modulator", "B")):
        with pytest.raises(ProtocolError, match=repr(value)):
            PNMTA(schema, **{option: value})
