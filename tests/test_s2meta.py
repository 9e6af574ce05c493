"""s2Meta against its released program in float64, and its inner loop."""

from __future__ import annotations

import math
import re

import pytest
import torch
from parity_cmml import Arrays, close, padded
from tiny import build, each_alone, gradients, scenarios, tiny
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from metarec.data.schema import Schema
from metarec.layers.adaptation import Params
from metarec.layers.learned_optimiser import CoordinateLSTM, smooth
from metarec.layers.pairwise import support_pairs
from metarec.methods.base import initialised
from metarec.methods.s2meta import Course, S2Meta
from metarec.tasks import Query, Support, TaskBatch
from metarec.training.stack import Stack, stack_noise

TENSORS = [f"rec.{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")]
CELL = r"lstm_(w_input|w_hidden|b_input|b_hidden)|(h0|c0)"


def ours(name: str) -> str:
    """`opt/rec.1.bias/lstm_w_input` -> `rules.1.cell.w_input`, and so on."""
    group, _, rest = name.partition("/")
    if group == "init":
        layer, kind = rest.removeprefix("rec.").split(".")
        return f"start.layers.{int(layer) - 1}.{kind}"
    where, last = ("stop", rest) if group == "stop" else (f"rules.{TENSORS.index(rest.split('/')[0])}", "")
    last = last or rest.split("/")[1]
    if match := re.fullmatch(CELL, last):
        return f"{where}.cell.{match[1] or match[2]}"
    part, kind = last.rsplit("_", 1)
    part = {"lr": "rate", "norm": "norm"}.get(part, part)
    return f"{where}.{part}.{dict(scale='weight', shift='bias').get(kind, kind)}"


class Fixture(Arrays):
    def __init__(self) -> None:
        super().__init__("s2meta_learner", "fixture")
        schema = Schema(
            7,
            11,
            "implicit",
            0.0,
            1.0,
            user_vectors=self.a["user_vectors"],
            item_vectors=self.a["item_vectors"],
        )
        self.model = S2Meta(schema, hidden=(6, 5), lstm=8, steps=6, min_steps=6).double()
        for side in ("user", "item"):
            getattr(self.model.vectors, side).vectors = torch.as_tensor(self.a[f"{side}_vectors"])
        weights = {
            ours(k): torch.as_tensor(v) for k, v in self.a.items() if k.startswith(("init/", "opt/", "stop/"))
        }
        assert set(weights) == {name for name, _ in self.model.named_parameters()}
        self.model.load_state_dict({**self.model.state_dict(), **weights})
        rows = {}
        for name in ("user", "positive", "negative"):
            rows[name], self.mask = padded(self.ragged(f"query_{name}"), torch.long)
        self.query = tuple(Query(rows["user"], rows[side], self.mask) for side in ("positive", "negative"))

    def course(self) -> Course:
        def at(k: int) -> object:
            user, *items = (
                torch.as_tensor(self.a[f"batch_{n}"][:, k]) for n in ("user", "positive", "negative")
            )
            mask = torch.ones_like(user, dtype=torch.bool)
            return lambda p: self.model.pair_loss(p, tuple(Query(user, item, mask) for item in items))

        return self.model.course(at, torch.zeros(3, 6), self.query_loss)

    def query_loss(self, params: Params) -> Tensor:
        return self.model.pair_loss(params, self.query)

    def compare(self, group: str, task: int) -> None:
        """The gradients in the model against those of one task; `stop` has none but in the total."""
        expected = {
            ours(k.removeprefix(f"{group}/")): v[task] for k, v in self.a.items() if k.startswith(f"{group}/")
        }
        for name, p in self.model.named_parameters():
            if name in expected:
                found = torch.zeros_like(p) if p.grad is None else p.grad
                torch.testing.assert_close(found, torch.as_tensor(expected[name]), rtol=1e-8, atol=1e-11)


def test_six_steps_equal_the_released_program() -> None:
    f = Fixture()
    course = f.course()
    close(torch.sigmoid(course.logits).T, f.a["stop_probability"])
    close(course.loss.T, f.a["step_loss"])
    close(course.before.T, f.a["query_loss_before_step"])
    for tensor, name in zip(TENSORS, f.model.names, strict=True):
        close(course.params[name], f.a[f"updated/{tensor}"][:, -1])
    for side, query in zip(("positive", "negative"), f.query, strict=True):
        scores = f.model.scores(course.params, query)
        for t, expected in enumerate(f.ragged(f"query_score_{side}")):
            close(scores[t][f.mask[t]], expected)
    close(f.query_loss(course.params), f.a["query_loss"])


@pytest.mark.parametrize("task", range(3))
def test_outer_gradients_equal_the_released_program(task: int) -> None:
    f = Fixture()
    course = f.course()
    final = f.query_loss(course.params)
    final[task].backward(retain_graph=True)
    f.compare("grad_query", task)
    f.model.zero_grad()
    total = final + f.model.stop_loss(course, final)
    close(total, f.a["total_loss"])
    total[task].backward()
    f.compare("grad_total", task)


# --- the parts, by hand


def test_smooth_gives_size_and_sign_of_any_number() -> None:
    x = torch.tensor([-1.0, math.exp(-5), 1e-6, 0.0]).double()
    size, sign = smooth(x)
    torch.testing.assert_close(size, torch.tensor([0.0, -0.5, -1.0, -1.0]).double())
    torch.testing.assert_close(sign, torch.tensor([-1.0, 1.0, math.exp(10) * 1e-6, 0.0]).double())


def test_pairs_are_a_positive_and_its_user_with_the_item_of_a_negative() -> None:
    user, item = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[10, 11, 12, 10, 13]])
    labels = torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True, True, False]])
    first, second = torch.tensor([[0.0, 0.0, 0.6, 0.6]]), torch.tensor([[0.0, 0.99, 0.0, 0.99]])
    positive, negative = support_pairs(Support(user, item, mask, labels), first, second)
    assert positive.user.tolist() == negative.user.tolist() == [[1, 1, 3, 3]]
    assert positive.item.tolist() == [[10, 10, 12, 12]]
    # The negative with item 10 is no negative of the positive with item 10; item 13 is padding.
    assert negative.item.tolist() == [[11, 11, 11, 10]]
    nothing = support_pairs(Support(user, item, mask, torch.zeros_like(labels)), first, second)
    assert not nothing[0].mask.any()


def test_a_rule_moves_a_coordinate_by_its_two_gates() -> None:
    with initialised(0):
        rule = CoordinateLSTM(3).double()
    nn.init.zeros_(rule.rate.weight)
    nn.init.zeros_(rule.forget.weight)
    w, g = torch.tensor([[2.0, -1.0]]).double(), torch.tensor([[0.5, 0.25]]).double()
    new, _ = rule(w, g, torch.ones(1).double(), rule.cell.start())
    close(new, w / (1 + math.exp(-5)) - 0.5 * g)  # sigmoid(5) and sigmoid(0)


def test_rewards_of_steps_that_were_taken() -> None:
    with initialised(0):
        model = S2Meta(tiny()[0], steps=3, step_penalty=0.1, d=2).double()
    logits = torch.zeros(3, 1).double()  # -log(1 - 0.5) = log 2
    alive = torch.tensor([[True], [True], [False]])
    before = torch.tensor([[3.0], [2.0], [1.5]]).double()
    course = Course({}, logits, alive, torch.zeros(3, 1), before)
    found = model.stop_loss(course, torch.tensor([1.5]).double())
    close(found, torch.tensor([math.log(2) * ((3 - 1.5 - 0.2) + (2 - 1.5 - 0.1))], dtype=torch.float64))


# --- the whole method

SMALL = {"hidden": (5, 4), "lstm": 3, "steps": 4, "min_steps": 2, "inner_batch": 6, "d": 2, "pairs": 2}


def s2meta(kind: str, seed: int = 0, **options: object) -> tuple[S2Meta, TaskBatch]:
    schema, batch = scenarios() if kind == "implicit" else tiny(tasks=3)
    method = build(S2Meta, schema, seed, **{**SMALL, **options})
    assert isinstance(method, S2Meta)
    return method, batch


each_setting = pytest.mark.parametrize("kind", ["implicit", "explicit"])


def drawn(method: S2Meta, batch: TaskBatch, seed: int = 1) -> dict[str, Tensor]:
    return {k: v.double() for k, v in method.draw(batch, torch.Generator().manual_seed(seed)).items()}


@each_setting
def test_a_task_stops_by_its_own_draws_and_keeps_its_weights(kind: str) -> None:
    method, batch = s2meta(kind)
    noise = drawn(method, batch)
    noise["stop"] = torch.tensor([0.0, 1.0, 1.0]).double()[:, None].expand(3, 4)
    course = method.course(method.support_loss(batch.support, noise), noise["stop"])
    assert course.alive.sum(0).tolist() == [2, 4, 4], "min_steps steps are taken in any case"
    short, _ = s2meta(kind, steps=2)
    two = short.course(short.support_loss(batch.support, noise), noise["stop"][:, :2])
    for name, w in course.params.items():
        close(w[0], two.params[name][0])
    assert not torch.equal(course.params["0.weight"][1], two.params["0.weight"][1])


@each_setting
def test_batch_equals_the_loop_over_tasks(kind: str) -> None:
    method, batch = s2meta(kind)
    noise = drawn(method, batch)
    whole, scores = method.terms(batch, noise), method.predict(batch.support, batch.query, noise)
    even = method.predict(batch.support, batch.query)
    found = []
    for t, one in enumerate(each_alone(batch)):
        own = {k: v[t : t + 1] for k, v in noise.items()}
        found.append(method.terms(one, own))
        keep = batch.query.mask[t]
        torch.testing.assert_close(
            scores[t][keep], method.predict(one.support, one.query, own)[0], rtol=1e-9, atol=1e-11
        )
        torch.testing.assert_close(
            even[t][keep], method.predict(one.support, one.query)[0], rtol=1e-9, atol=1e-11
        )
    for name, value in whole.items():
        torch.testing.assert_close(value, torch.stack([f[name] for f in found]).mean(), rtol=1e-9, atol=1e-11)


@each_setting
def test_padding_never_changes_a_number(kind: str) -> None:
    method, batch = s2meta(kind)
    s, q = batch.support, batch.query
    poisoned = s._replace(item=torch.where(s.mask, s.item, 1), labels=torch.where(s.mask, s.labels, 1.0))
    expected, found = (method.predict(side, q) for side in (s, poisoned))
    assert torch.equal(expected[q.mask], found[q.mask])


@each_setting
def test_stacked_replicas_equal_each_alone(kind: str) -> None:
    methods, batch = [s2meta(kind, seed)[0] for seed in (0, 1)], s2meta(kind)[1]
    noise = [drawn(m, batch, seed) for seed, m in enumerate(methods)]
    alone = [m.terms(batch, n) for m, n in zip(methods, noise, strict=True)]
    gradient = [gradients(m, sum(found.values())) for m, found in zip(methods, alone, strict=True)]  # type: ignore[arg-type]
    stack = Stack(methods)
    both = [tree_map(lambda t: torch.stack([t, t]), part) for part in (batch.support, batch.query)]
    terms = stack.call("terms", TaskBatch(*both, torch.stack([batch.query_labels] * 2)), stack_noise(noise))
    for name, value in terms.items():
        torch.testing.assert_close(value, torch.stack([a[name] for a in alone]), rtol=1e-9, atol=1e-11)
    sum(terms.values()).sum().backward()
    for name, leaf in stack.leaves.items():
        found = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(found, torch.stack([g[name] for g in gradient]), rtol=1e-7, atol=1e-10)


def test_without_replacement_a_step_takes_every_positive_once() -> None:
    method, batch = s2meta("implicit", replacement=False, inner_batch=4)
    first = method.draw(batch, torch.Generator().manual_seed(0))["first"]
    assert (first.sort(-1).values == torch.tensor([0.125, 0.375, 0.625, 0.875])).all()
