"""s2Meta against its released program in float64, and its inner loop."""

from __future__ import annotations

import re

import pytest
import torch
from parity_cmml import Arrays, close, padded
from torch import Tensor

from metarec.data.schema import Schema
from metarec.layers.adaptation import Params
from metarec.methods.s2meta import Course, S2Meta
from metarec.tasks import Query

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
