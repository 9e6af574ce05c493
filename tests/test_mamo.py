"""MAMO against the released pieces in float64, the loop over users, and what its memories must obey."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loops import dense_pair, inner_loop, mamo_attention, mamo_outputs, real_entries, write_in_turn
from parity_maml import close
from tiny import build, tiny, tiny_ratings, tiny_splits
from torch import Tensor, nn

from metarec.data.ratings import Field
from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.mlp import mlp_params
from metarec.layers.slots import attend, moving_average
from metarec.methods import make
from metarec.methods.base import Method, initialised, n_parameters
from metarec.methods.mamo import MAMO, Local
from metarec.tasks.batch import EpisodeTensors, Query, Support, TaskBatch
from metarec.training.predict import predict
from metarec.training.selection import Selection
from metarec.training.stack import Stack
from metarec.training.trainer import Trained, train

FOLDER = Path(os.environ.get("METAREC_PARITY", Path(__file__).parent / "parity")) / "mamo"
SMALL: dict[str, Any] = {"d": 3, "width": 4, "hidden": (5,), "steps": 2, "inner_lr": 0.05}
LAYERS = {"user": "user.", "item": "item.", "rec": "rating."}


def mamo(schema: Schema, seed: int = 0, **options: Any) -> MAMO:
    method = build(MAMO, schema, seed, **{**SMALL, **options})
    assert isinstance(method, MAMO)
    return method


# --- the released pieces ---------------------------------------------------------------------------------


def our_name(released: str) -> str:
    """`user.1.weight` -> `user.0.weight`, `rec.out.bias` -> `rating.1.bias`, `rec.memory.*` -> `memory.*`."""
    net, layer, part = released.split(".")
    if layer == "memory":
        return f"memory.{part}"
    return f"{LAYERS[net]}{1 if layer == 'out' else int(layer) - 1}.{part}"


class Rows(nn.Module):
    """Given item vectors in place of embeddings."""

    def __init__(self, rows: Tensor):
        super().__init__()
        self.rows = rows

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.rows)


class Released(MAMO):
    """The released loss: a cross-entropy, which applies a softmax, on the output of a softmax."""

    def loss(self, output: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        return super().loss(torch.softmax(output, -1), labels, mask)


class Fixture:
    """One file: users in a row, each with the weights it found, those it left, and the memories after it."""

    def __init__(self, name: str):
        with np.load(FOLDER / f"{name}.npz") as stored:
            self.a = {key: torch.as_tensor(stored[key]) for key in stored.files}
        self.users = len(self.a["support_size"])

    def ragged(self, name: str) -> list[Tensor]:
        return [self.a[name][a:b] for a, b in pairwise(self.a[f"{name}_offsets"].tolist())]

    def nets(self, group: str) -> dict[str, Tensor]:
        """The weights below `group/`, by our names."""
        found = {k.removeprefix(f"{group}/"): v for k, v in self.a.items() if k.startswith(f"{group}/")}
        return {our_name(name): v for name, v in found.items() if not name.startswith("emb.")}

    def tables(self, group: str, user: int | None = None) -> dict[str, Tensor]:
        found = {k.split("emb.")[1]: v for k, v in self.a.items() if k.startswith(f"{group}/emb.")}
        return found if user is None else {name: table[user] for name, table in found.items()}

    def profile(self, tables: Mapping[str, Tensor], user: int) -> Tensor:
        feature = self.a["user_feature"][user]
        return torch.cat([tables[n][feature[i]] for i, n in enumerate(("gender", "age", "occupation"))])

    def items(self, tables: Mapping[str, Tensor], user: int) -> Tensor:
        """Item vectors as released: many-valued fields through a matrix and a sigmoid, not a mean."""
        hot = {name: self.ragged(f"item_{name}")[user].double() for name in ("genre", "director")}
        single = [tables[name][self.ragged(f"item_{name}")[user]] for name in ("rate", "year")]
        return torch.cat([*single, *(torch.sigmoid(hot[name] @ tables[name].T) for name in hot)], -1)

    def method(self) -> Released:
        """A classifier of the fixture's sizes with the shared weights and memories of the start."""
        user_fields = tuple(
            Field(name, np.zeros(1, np.int64), np.arange(len(self.a[f"start/emb.{name}"])))
            for name in ("gender", "age", "occupation")
        )
        item_fields = tuple(
            Field(name, np.zeros(1, np.int64), np.arange(1)) for name in ("rate", "year", "g", "d")
        )
        schema = Schema(1, 1, "explicit", 1.0, 5.0, user_fields, item_fields)
        sizes = {"d": 4, "width": 4, "hidden": (4,), "output": "classes"}
        method = build(Released, schema, **sizes)
        assert isinstance(method, Released)
        start = self.nets("start")
        with torch.no_grad():
            for net, prefix in (
                (method.user_net, "user."),
                (method.item_net, "item."),
                (method.rating_net, "rating."),
            ):
                for name, p in mlp_params(net, prefix).items():
                    p.copy_(start[name])
            method.memory_bias.copy_(start["memory.bias"])
        self.memories(method, None)
        return method

    def memories(self, method: MAMO, before: int | None) -> None:
        """Set the memories to those that user `before` leaves behind; None for those before the first."""
        a = self.a
        with torch.no_grad():
            method.profile_memory.copy_(
                a["memory/profile"] if before is None else a["profile_after_read"][before]
            )
            method.task_memory.copy_(a["memory/task"] if before is None else a["memory_task_after"][before])
            for key, slot in method.user_memory.items():
                name = f"user.{int(key[0]) + 1}.weight"
                values = a[f"memory/{name}"] if before is None else a[f"memory_user_after.{name}"][before]
                slot.copy_(values if key.endswith("weight") else torch.zeros_like(slot))


@pytest.fixture(params=["released_slots", "different_slots"], scope="module")
def released(request: pytest.FixtureRequest) -> Fixture:
    return Fixture(request.param)


def test_released_attention_and_profile_writes(released: Fixture) -> None:
    memory = released.a["memory/profile"]
    for u in range(released.users):
        profile = released.profile(released.tables("personal", u), u)
        layer = released.a["attention_weight"][u], released.a["attention_bias"][u]
        attention = attend(profile[None], memory, *layer)
        close(attention[0], released.a["attention"][u])
        memory = moving_average(memory, attention, profile[None], 0.5)
        close(memory, released.a["profile_after_read"][u])


def test_released_start_is_read_from_the_memories(released: Fixture) -> None:
    method, personal = released.method(), released.nets("personal")
    for u in range(released.users):
        released.memories(method, u - 1 if u else None)
        start = method.start(released.a["attention"][u : u + 1])
        assert set(start) == set(personal)
        for name, expected in personal.items():
            # Released biases are not reset: they are what the user before has left.
            if name.endswith("weight"):
                close(start[name][0], expected[u])
    assert not torch.equal(personal["user.0.weight"][1], personal["user.0.weight"][0])


@pytest.mark.parametrize(
    ("weights", "output"), [("personal", "query_prob_at_start"), ("adapted", "query_prob")]
)
def test_released_predictions(released: Fixture, weights: str, output: str) -> None:
    method = released.method()
    tables = [released.tables(weights, u) for u in range(released.users)]
    profile = torch.stack([released.profile(t, u) for u, t in enumerate(tables)])
    items = [released.items(t, u) for u, t in enumerate(tables)]
    x = nn.utils.rnn.pad_sequence(items, batch_first=True)
    found = torch.softmax(method.forward_nets(released.nets(weights), profile, x), -1)
    for u, expected in enumerate(released.ragged(output)):
        n = int(released.a["support_size"][u])
        close(found[u, n : n + len(expected)], expected)


def test_released_local_training_runs_on_our_nets_and_loss(released: Fixture) -> None:
    """Adam on mini-batches of five over every weight, as the release trains: equal losses, equal end."""
    method = released.method()
    for u in range(released.users):
        nets = {n: p[u].clone().requires_grad_() for n, p in released.nets("personal").items()}
        tables = {n: p.clone().requires_grad_() for n, p in released.tables("personal", u).items()}
        optimiser = torch.optim.Adam([*nets.values(), *tables.values()], lr=0.01)
        labels, losses = released.ragged("rating")[u].double(), []
        for _ in range(3):
            for rows in torch.arange(int(released.a["support_size"][u])).split(5):
                x, profile = released.items(tables, u)[rows], released.profile(tables, u)
                output = method.forward_nets({n: p[None] for n, p in nets.items()}, profile[None], x[None])
                (loss,) = method.loss(output, labels[None, rows], torch.ones(1, len(rows), dtype=torch.bool))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
        close(torch.stack(losses), released.ragged("local_loss")[u])
        for name, expected in released.nets("adapted").items():
            close(nets[name].detach(), expected[u])
        for name, table in released.tables("adapted", u).items():
            close(tables[name].detach(), table)


def handed(released: Fixture, method: Released, users: list[int]) -> tuple[Local, TaskBatch]:
    """Users as the release leaves them after local training, and their queries over given item vectors."""
    tables = [released.tables("adapted", u) for u in users]
    sizes = [(int(released.a["support_size"][u]), int(released.a["query_size"][u])) for u in users]
    width, flat, items, labels, masks = max(q for _, q in sizes), [], [], [], []
    for u, t, (n, q) in zip(users, tables, sizes, strict=True):
        first = sum(len(rows) for rows in flat)
        flat.append(released.items(t, u)[n : n + q])
        items.append(F.pad(torch.arange(first, first + q), (0, width - q)))
        labels.append(F.pad(released.ragged("rating")[u][n : n + q].double(), (0, width - q)))
        masks.append(torch.arange(width) < q)
    method.item = Rows(torch.cat(flat))  # type: ignore[assignment]
    profile = torch.stack([released.profile(t, u) for u, t in zip(users, tables, strict=True)])
    params = {name: p[users] for name, p in released.nets("adapted").items()}
    local = Local(profile, released.a["attention"][users], params)
    user, item, mask = torch.zeros(len(users), 1, dtype=torch.long), torch.stack(items), torch.stack(masks)
    support = Support(user, item, mask, torch.stack(labels))
    return local, TaskBatch(support, Query(user, item, mask), torch.stack(labels))


def test_released_query_losses_and_gradients(released: Fixture) -> None:
    method = released.method()
    local, batch = handed(released, method, list(range(released.users)))
    close(method.query_loss(local.params, local.profile, batch), released.a["query_loss"])
    slope = method.user_gradient(local, batch)
    for name, expected in released.nets("query_grad").items():
        if name.startswith("user."):
            close(slope[name.removeprefix("user.").replace(".", "_")], expected)


def test_released_writes_user_by_user_and_all_at_once(released: Fixture) -> None:
    method = released.method()
    for u in range(released.users):
        local, batch = handed(released, method, [u])
        method.local = lambda support, local=local: local  # type: ignore[method-assign]
        written = method.writes(batch, {})
        with torch.no_grad():
            for name, value in written.items():
                method.get_parameter(name).copy_(value)
        close(written["task_memory"], released.a["memory_task_after"][u])
        for k in (0, 1):
            expected = released.a[f"memory_user_after.user.{k + 1}.weight"][u]
            close(written[f"user_memory.{k}_weight"], expected)
    whole = released.method()
    object.__setattr__(whole.options, "write", "sequential")
    local, batch = handed(released, whole, list(range(released.users)))
    whole.local = lambda support: local  # type: ignore[method-assign]
    at_once = whole.writes(batch, {})
    close(at_once["task_memory"], released.a["memory_task_after"][-1])
    for k in (0, 1):
        close(at_once[f"user_memory.{k}_weight"], released.a[f"memory_user_after.user.{k + 1}.weight"][-1])


# --- the method as we train it ---------------------------------------------------------------------------


def by_loop(method: MAMO, schema: Schema, batch: TaskBatch) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean query loss, user by user, and the memories after one write with the mean of the users."""
    o, n_items = method.options, len(schema.item_fields) * method.options.d
    tables = {f"item.{n}": t for n, t in method.item.tables.items()}
    if method.user is not None:
        tables |= {f"user.{n}": t for n, t in method.user.tables.items()}
    losses, attentions, written = [], [], {"profile": [], "task": [], "slope": []}  # type: ignore[var-annotated]
    for support, query in real_entries(batch):
        pairs = [
            torch.stack([dense_pair(tables, schema, u, i) for u, i, _ in rows]) for rows in (support, query)
        ]
        labels = [torch.tensor([y for _, _, y in rows], dtype=torch.float64) for rows in (support, query)]
        profile, (x, x_query) = pairs[0][0, n_items:], [p[:, :n_items] for p in pairs]
        a = mamo_attention(profile, method.profile_memory)
        weights = {**mlp_params(method.item_net, "item."), **mlp_params(method.rating_net, "rating.")}
        for name, p in mlp_params(method.user_net).items():
            slots = method.user_memory[name.replace(".", "_")]
            weights[f"user.{name}"] = p - o.tau * sum(a[k] * slots[k] for k in range(o.slots))
        weights["memory.weight"] = torch.stack([a[k] * method.task_memory[k] for k in range(o.slots)]).sum(0)
        weights["memory.bias"] = method.memory_bias

        def loss(w: Mapping[str, Tensor], x: Tensor, y: Tensor, profile: Tensor = profile) -> Tensor:
            return (mamo_outputs(w, profile, x).squeeze(-1) - y).square().mean()

        weights = inner_loop(
            lambda w, x=x, y=labels[0]: loss(w, x, y),
            weights,
            list(weights),
            o.steps,
            o.inner_lr,
            o.order,
            o.inner_max_step,
        )
        losses.append(loss(weights, x_query, labels[1]))
        attentions.append(a)
        users = {n: w for n, w in weights.items() if n.startswith("user.")}
        slopes = torch.autograd.grad(losses[-1], list(users.values()), retain_graph=True)
        written["profile"].append(profile)
        written["task"].append(weights["memory.weight"])
        written["slope"].append(dict(zip(users, slopes, strict=True)))

    def mean_write(memory: Tensor, values: list[Tensor], rate: float) -> Tensor:
        each = [write_in_turn(memory, [a], [v], rate) for a, v in zip(attentions, values, strict=True)]
        return torch.stack(each).mean(0)

    after = {
        "profile_memory": mean_write(method.profile_memory, written["profile"], o.alpha),
        "task_memory": mean_write(method.task_memory, written["task"], o.gamma),
    }
    for key, slots in method.user_memory.items():
        name = "user." + key.replace("_", ".")
        after[f"user_memory.{key}"] = mean_write(slots, [s[name] for s in written["slope"]], o.beta)
    return torch.stack(losses).mean(), after


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("bound", [None, 0.02])
def test_batch_equals_loop_over_users(order: str, bound: float | None) -> None:
    schema, batch = tiny()
    method = mamo(schema, order=order, tau=0.5, inner_max_step=bound)
    (loss,) = method.terms(batch, {}).values()
    expected, memories = by_loop(method, schema, batch)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    with torch.no_grad():
        written = method.writes(batch, {})
    assert set(written) == set(memories)
    for name, value in written.items():
        torch.testing.assert_close(value, memories[name], rtol=1e-9, atol=1e-12)
    assert {name for name, p in method.named_parameters() if not p.requires_grad} == set(written)
    moved = {name: p for name, p in method.named_parameters() if p.requires_grad}
    wanted = torch.autograd.grad(expected, list(moved.values()))
    found = torch.autograd.grad(loss, list(moved.values()))
    for name, ours, theirs in zip(moved, found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
        assert ours.any(), name


def test_memories_are_no_trainable_numbers() -> None:
    schema, _ = tiny()
    method = mamo(schema)
    memories = sum(p.numel() for name, p in method.named_parameters() if name.startswith(MAMO.written))
    assert n_parameters(method) + memories == sum(p.numel() for p in method.parameters())


def test_one_write_of_a_batch_and_writes_in_turn() -> None:
    g = torch.Generator().manual_seed(0)
    memory = torch.randn(3, 2, 5, generator=g, dtype=torch.float64)
    value = torch.randn(4, 2, 5, generator=g, dtype=torch.float64)
    attention = torch.softmax(torch.randn(4, 3, generator=g, dtype=torch.float64), -1)
    in_turn = write_in_turn(memory, list(attention), list(value), 0.3)
    torch.testing.assert_close(moving_average(memory, attention, value, 0.3, sequential=True), in_turn)
    one = moving_average(memory, attention[:1], value[:1], 0.3)
    torch.testing.assert_close(one, moving_average(memory, attention[:1], value[:1], 0.3, sequential=True))
    again = moving_average(memory, attention.repeat(2, 1), value.repeat(2, 1, 1), 0.3)
    torch.testing.assert_close(again, moving_average(memory, attention, value, 0.3))


def test_writing_back_what_was_read_shrinks_it_by_the_closed_form() -> None:
    """At even attention, r of it is written and 1/K of that is read: a factor 1 - r (1 - 1/K) each time."""
    k, rate = 3, 0.1
    even = torch.full((1, k), 1 / k, dtype=torch.float64)
    memory = torch.randn(k, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first = memory.mean(0)
    for step in range(1, 40):
        memory = moving_average(memory, even, memory.mean(0, keepdim=True), rate)
        torch.testing.assert_close(memory.mean(0), first * (1 - rate * (1 - 1 / k)) ** step)


def test_slots_end_up_parallel_where_profiles_have_a_common_part() -> None:
    g = torch.Generator().manual_seed(0)
    apart, memory = (torch.randn(n, 8, generator=g, dtype=torch.float64) for n in (50, 3))
    profiles = apart + 0.25
    assert attend(profiles, memory).max(-1).values.mean() > 0.4
    for _ in range(200):
        memory = moving_average(memory, attend(profiles, memory), profiles, 0.5)
    torch.testing.assert_close(F.cosine_similarity(memory[:1], memory), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(attend(profiles, memory), torch.full((50, 3), 1 / 3, dtype=torch.float64))


def test_attention_follows_the_nearest_slot() -> None:
    profile, memory = torch.eye(3, dtype=torch.float64), 5 * torch.eye(3, dtype=torch.float64)
    attention = attend(profile, memory)
    e = torch.tensor(np.e, dtype=torch.float64)
    torch.testing.assert_close(attention.diagonal(), (e / (e + 2)).expand(3), rtol=1e-4, atol=0)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, dtype=torch.float64))
    assert torch.isfinite(attend(torch.zeros(1, 3), torch.zeros(2, 3))).all()


def test_shuffled_query_labels_change_no_prediction_and_prediction_writes_nothing() -> None:
    schema, batch = tiny()
    method = mamo(schema)
    before = {name: p.clone() for name, p in method.named_parameters()}
    scores = method.predict(batch.support, batch.query)
    shuffled = batch._replace(query_labels=batch.query_labels.flip(-1))
    assert torch.equal(method.predict(shuffled.support, shuffled.query), scores)
    error = torch.where(batch.query.mask, scores - shuffled.query_labels, 0.0).square().sum(-1)
    torch.testing.assert_close(method.terms(shuffled, {})["query"], (error / batch.query.mask.sum(-1)).mean())
    for name, p in method.named_parameters():
        assert torch.equal(p, before[name])


def test_wider_padding_changes_neither_predictions_nor_memories() -> None:
    schema, batch = tiny()
    method, s, q = mamo(schema), batch.support, batch.query

    def wider(t: Tensor, fill: float) -> Tensor:
        return torch.cat([t, torch.full_like(t[:, :3], fill)], 1)

    padded = TaskBatch(
        Support(s.user, wider(s.item, 1), wider(s.mask, False), wider(s.labels, 9)),
        Query(q.user, wider(q.item, 2), wider(q.mask, False)),
        wider(batch.query_labels, 7),
    )
    n = q.item.shape[1]
    torch.testing.assert_close(method.predict(padded.support, padded.query)[:, :n], method.predict(s, q))
    expected = method.writes(batch, {})
    for name, value in method.writes(padded, {}).items():
        torch.testing.assert_close(value, expected[name])


def test_without_user_fields_the_support_is_the_profile() -> None:
    schema, batch = tiny(fields=False)
    method, s = mamo(schema), batch.support
    expected = torch.stack([method.item(i[m]).mean(0) for i, m in zip(s.item, s.mask, strict=True)])
    torch.testing.assert_close(method.profile(s), expected)
    renamed = s._replace(user=s.user.flip(0))
    assert torch.equal(method.predict(renamed, batch.query), method.predict(s, batch.query))


def test_implicit_predictions_are_probabilities_and_classes_are_ratings() -> None:
    schema, batch = tiny("implicit")
    scores = mamo(schema).predict(batch.support, batch.query)
    assert ((scores > 0) & (scores < 1)).all()
    schema, batch = tiny()
    method = mamo(schema, output="classes", steps=20, inner_lr=0.2)
    assert set(method.predict(batch.support, batch.query).unique().tolist()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    logits = torch.randn(2, 3, 5, dtype=torch.float64)
    labels = torch.tensor([[1.0, 5.0, 0.0], [2.0, 3.0, 4.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    expected = [F.cross_entropy(logits[t, mask[t]], labels[t, mask[t]].long() - 1) for t in (0, 1)]
    torch.testing.assert_close(method.loss(logits, labels, mask), torch.stack(expected))


SPLITS = tiny_splits(tiny_ratings())


def fresh(seed: int, **options: Any) -> Method:
    with initialised(seed):
        chosen = {"d": 8, "width": 8, "hidden": (16,), "epochs": 2, "batch": 8, "lr": 3e-3, **options}
        return make("mamo", Schema.of(tiny_ratings()), **chosen)


def squared_error(scores: Tensor, data: EpisodeTensors) -> dict[str, Tensor]:
    batch = data.all()
    error = torch.where(batch.query.mask, scores - batch.query_labels, 0.0).square().sum(-1)
    return {"MSE": error / batch.query.mask.sum(-1)}


def fit(
    seeds: list[int], selection: Selection | None = None, path: Path | None = None, **options: Any
) -> Trained:
    methods = [fresh(s, **options) for s in seeds]
    chosen = selection or Selection()
    return train(methods, SPLITS, seeds, chosen, squared_error, dtype=torch.float64, checkpoint=path,
                 checkpoint_seconds=0.0)  # fmt: skip


def test_the_trainer_writes_what_the_method_says_with_the_parameters_before_the_step() -> None:
    n = len(SPLITS.train)
    whole = EpisodeTensors(SPLITS.train, dtype=torch.float64).all()
    untrained = fresh(1).double()
    expected = untrained.writes(whole, {})
    loss = untrained.terms(whole, {})["query"].detach()
    trained = fit([1], epochs=1, batch=n)
    assert trained.history[0][0]["query"] == pytest.approx(float(loss))
    for name, value in expected.items():
        torch.testing.assert_close(trained.params[name][0], value, rtol=1e-8, atol=1e-10)
    moved = {name for name, p in untrained.named_parameters() if not torch.equal(trained.params[name][0], p)}
    assert moved == {name for name, _ in untrained.named_parameters()}


def test_stacked_replicas_equal_replicas_alone_memories_included() -> None:
    together = fit([4, 9])
    for k, seed in enumerate([4, 9]):
        alone = fit([seed])
        for name, p in alone.params.items():
            torch.testing.assert_close(together.params[name][k], p[0], rtol=1e-8, atol=1e-10)


def test_a_step_size_each_in_one_stack() -> None:
    schema, batch = tiny()
    copies = [mamo(schema, seed, inner_lr=lr) for seed, lr in ((1, 0.01), (2, 0.1))]
    stack = Stack([mamo(schema, seed, inner_lr=lr) for seed, lr in ((1, 0.01), (2, 0.1))])
    many = torch.utils._pytree.tree_map(lambda t: torch.stack([t] * 2), batch)
    losses = stack.call("terms", many, {})["query"]
    for k, method in enumerate(copies):
        torch.testing.assert_close(losses[k], method.terms(batch, {})["query"], rtol=1e-9, atol=0)


def test_selection_and_resume_keep_the_memories(tmp_path: Path) -> None:
    selection = Selection("valid", "MSE", maximise=False)
    path = tmp_path / "run.safetensors"
    fit([3], selection, path, epochs=2)
    resumed = fit([3], selection, path, epochs=4)
    whole = fit([3], selection, epochs=4)
    assert resumed.best_epoch == whole.best_epoch
    for name, p in whole.params.items():
        torch.testing.assert_close(resumed.params[name], p, rtol=0, atol=0)
    valid = EpisodeTensors(SPLITS.valid, dtype=torch.float64)
    kept = squared_error(predict(whole.stack, valid, [3], whole.params), valid)["MSE"].mean()
    assert float(kept) == pytest.approx(min(h["valid"]["MSE"] for h in whole.history[0]))


@pytest.mark.parametrize("options", [{}, {"attention": "linear", "write": "sequential"}])
def test_training_lowers_the_loss_on_planted_data(options: dict[str, Any]) -> None:
    history = fit([0], epochs=12, lr=5e-3, **options).history[0]
    assert history[-1]["query"] < 0.3 * history[0]["query"]


def test_what_it_cannot_do_is_refused() -> None:
    schema, batch = tiny()
    mixed = batch.support._replace(user=batch.support.user.expand_as(batch.support.item))
    with pytest.raises(ProtocolError, match="tasks of one user each"):
        mamo(schema).predict(mixed, batch.query)
    with pytest.raises(ProtocolError, match="needs explicit ratings"):
        mamo(tiny("implicit")[0], output="classes")
    with pytest.raises(ProtocolError, match="attention='dot' is unknown; use 'cosine' or 'linear'"):
        mamo(schema, attention="dot")
    halves = replace(tiny_ratings(), label=tiny_ratings().label - np.float32(0.5))
    with pytest.raises(ProtocolError, match="whole-number ratings"):
        mamo(schema, output="classes").fit(tiny_splits(halves).train)
