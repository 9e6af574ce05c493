r"""s2Meta (Du et al., KDD 2019): a learned optimiser adapts a recommender to a task, a baseline of CMML.

All weights and biases of an MLP start from learned values and move for up to 20 steps. An LSTM for each
tensor makes the size of a step and a factor of forgetting. Another one decides when to stop and is trained
by REINFORCE. In a scenario both losses are hinge losses on pairs; for ratings both are squared errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import grad

from metarec.data.schema import Schema
from metarec.layers.adaptation import Params, per_task, pointwise_loss
from metarec.layers.embedding import joined
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.learned_optimiser import CoordinateLSTM, StopController
from metarec.layers.mlp import MLP, mlp_params, task_mlp
from metarec.layers.pairwise import even_shares, hinge, hinge_loss, support_pairs
from metarec.layers.pooling import masked_average
from metarec.layers.vectors import PairVectors
from metarec.methods.base import Method, Noise, Plateau, Stage, Terms, options_from
from metarec.tasks.batch import Query, Support, TaskBatch

# Parameters `[tasks, ...]` -> the loss of each task `[tasks]`.
TaskLoss = Callable[[Params], Tensor]


@dataclass(frozen=True)
class S2MetaOptions:
    """Sizes and steps; defaults are those of the released configuration for MovieLens-20M.

    `hidden` are the widths of the recommender (CMML's reruns: 64, 64, 64 on Taobao and on the joined set) and
    `lstm` the units of a coordinate's LSTM (8 on the joined set). The inner loop takes at most `steps` steps,
    `min_steps` of them in any case, each on `inner_batch` pairs of a positive and a random item of the
    scenario, drawn with `replacement` (64 pairs without it on Taobao). `step_penalty` charges for steps (0 in
    every released configuration). `max_value` clamps the outer gradient, 1 is the clamp of the inner one.
    `pairs`: negatives after each positive of a training query.

    The stop controller has `stop_rate` times the step size `lr` of the rest. The released program steps its
    schedule by the recall of the TEST scenarios; `plateau` steps it by validation.
    """

    hidden: tuple[int, ...] = (64, 32, 16)
    lstm: int = 16
    steps: int = 20
    min_steps: int = 4
    inner_batch: int = 128
    replacement: bool = True
    step_penalty: float = 0.0
    d: int = 32
    pairs: int = 1
    epochs: int = 450
    batch: int = 1
    lr: float = 1e-4
    stop_rate: float = 0.5
    weight_decay: float = 1e-5
    max_value: float | None = 0.25
    plateau: bool = False
    window: int = 1
    standardise: bool = False


class Course(NamedTuple):
    """What the inner loop did: the last parameters, and of each step `[steps, tasks]` the rest.

    `logits` of stopping before the step, whether the task was still `alive` and took it, the support `loss`,
    and the loss on the query `before` it (zeros where nobody watched).
    """

    params: Params
    logits: Tensor
    alive: Tensor
    loss: Tensor
    before: Tensor


class S2Meta(Method):
    """A recommender with learned initial weights, an optimiser of its own, and a stop controller."""

    Options = S2MetaOptions
    per_replica = BUFFERS
    penalties = ("stop",)

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: S2MetaOptions = options_from(S2MetaOptions, options, "S2Meta")
        self.options, self.kind = o, schema.kind
        self.vectors = PairVectors(schema, o.d)
        self.start = MLP((self.vectors.d_out, *o.hidden, 1))
        for layer in self.start.layers:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.names = list(mlp_params(self.start))
        self.rules = nn.ModuleList(CoordinateLSTM(o.lstm) for _ in self.names)
        self.stop = StopController(len(self.names))
        self.scale = LabelScale(o.standardise and schema.kind == "explicit")

    def stages(self) -> tuple[Stage, ...]:
        o = self.options
        return (
            Stage(
                "meta-train",
                epochs=o.epochs,
                batch=o.batch,
                lr=o.lr,
                rates=(("stop.", o.stop_rate),),
                window=o.window,
                weight_decay=o.weight_decay,
                max_value=o.max_value,
                plateau=Plateau(factor=0.2, patience=2, least=1e-6) if o.plateau else None,
            ),
        )

    def draw(self, batch: TaskBatch, generator: Generator) -> Noise:
        """Uniform `stop` `[tasks, steps]`; for implicit labels `first`, `second` `[tasks, steps, pairs]`."""
        return self.draw_predict(batch.support, batch.query, generator)

    def draw_predict(self, support: Support, query: Query, generator: Generator) -> Noise:
        """The same: the released program draws its pairs and its stops at test too."""
        o, tasks = self.options, support.mask.shape[:-1]

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*tasks, *shape, generator=generator, device=generator.device)

        noise = {"stop": uniform(o.steps)}
        if self.kind == "implicit":
            first = uniform(o.steps, o.inner_batch)
            if not o.replacement:  # a random order of equally spaced shares
                first = (first.argsort(-1).argsort(-1) + 0.5) / o.inner_batch
            noise |= {"first": first, "second": uniform(o.steps, o.inner_batch)}
        return noise

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`query`: mean query loss after the inner loop; `stop`: mean of `stop_loss`."""

        def query_loss(params: Params) -> Tensor:
            scores = self.scores(params, batch.query)
            if self.kind == "implicit":
                return hinge_loss(scores, batch.query_labels, batch.query.mask, self.options.pairs)
            labels = self.scale.standard(batch.query_labels)
            return pointwise_loss("explicit", scores, labels, batch.query.mask)

        course = self.course(self.support_loss(batch.support, noise), noise["stop"], query_loss)
        final = query_loss(course.params)
        return {"query": final.mean(), "stop": self.stop_loss(course, final).mean()}

    def stop_loss(self, course: Course, final: Tensor) -> Tensor:
        r"""What REINFORCE makes of the length of a course, `[tasks]`; `final` is the query loss $L$ after it.

        $\sum_t -\log(1 - p_t)\,(L_t - L - (T - t)\,c)$ over the $T$ steps taken, the bracket held constant:
        $L_t$ is the query loss before step $t$ and $c$ the penalty of a step. The decision to stop itself has
        no term, as released.
        """
        taken = course.alive.to(final).cumsum(0)
        left = (taken[-1] - taken + 1) * self.options.step_penalty
        gain = (course.before - final.detach() - left) * course.alive
        return (F.softplus(course.logits) * gain).sum(0)

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Scores `[tasks, n_query]` after the inner loop.

        Without `noise` the pairs of a step are spread evenly over the support, and the loop stops where
        stopping is likelier than not.
        """
        noise = noise or self._even(support)
        params = self.course(self.support_loss(support, noise), noise["stop"]).params
        return self.scale.rating(self.scores(params, query))

    def scores(self, params: Params, query: Query) -> Tensor:
        """Output of the recommender with each task's own weights, `[tasks, n_query]`."""
        return task_mlp(params, joined(self.vectors(query.user, query.item))).squeeze(-1)

    def support_loss(self, support: Support, noise: Noise) -> Callable[[int], TaskLoss]:
        """The loss of step `k`: on its pairs, or on all ratings of the support."""

        def at(k: int) -> TaskLoss:
            def loss(params: Params) -> Tensor:
                if self.kind == "explicit":
                    scores = self.scores(params, Query(*support[:3]))
                    return pointwise_loss(
                        "explicit", scores, self.scale.standard(support.labels), support.mask
                    )
                return self.pair_loss(
                    params, support_pairs(support, noise["first"][:, k], noise["second"][:, k])
                )

            return loss

        return at

    def pair_loss(self, params: Params, pairs: tuple[Query, Query]) -> Tensor:
        """Mean hinge loss of each task over pairs of entries, `[tasks]`."""
        positive, negative = (self.scores(params, side) for side in pairs)
        return masked_average(hinge(positive, negative), pairs[0].mask)

    def course(
        self, support_loss: Callable[[int], TaskLoss], uniform: Tensor, watch: TaskLoss | None = None
    ) -> Course:
        """The inner loop on `support_loss(k)` of step `k`; `uniform` `[tasks, steps]` decides the stops.

        Of first order: gradients are constants, and the outer gradient reaches the start, the rules and the
        stop controller through the steps alone. A task that has stopped keeps its weights, and no step is
        skipped in Python. `watch` measures the query before each step.
        """
        o, n = self.options, len(uniform)
        params = per_task(mlp_params(self.start), n)
        states, stop = [rule.cell.start() for rule in self.rules], self.stop.cell.start()  # type: ignore[operator,union-attr]
        alive = torch.ones_like(uniform[:, 0], dtype=torch.bool)
        kept: list[tuple[Tensor, ...]] = []
        for k in range(o.steps):
            with torch.no_grad():
                gradient, loss = _gradient(support_loss(k), params)
                before = watch(params) if watch else torch.zeros_like(loss)
            norms = torch.stack([gradient[n].flatten(1).norm(dim=-1) for n in self.names], -1)
            logit, stop = self.stop(norms, loss, stop)
            if k >= o.min_steps:
                alive = alive & (uniform[:, k].to(logit) >= torch.sigmoid(logit))
            for i, (name, rule) in enumerate(zip(self.names, self.rules, strict=True)):
                w = params[name]
                new, states[i] = rule(w, gradient[name].clamp(-1, 1), loss, states[i])
                params[name] = torch.where(alive.reshape(-1, *[1] * (w.ndim - 1)), new, w)
            kept.append((logit, alive, loss, before))
        return Course(params, *(torch.stack(values) for values in zip(*kept, strict=True)))

    def _even(self, support: Support) -> Noise:
        """Noise that is none: pairs spread evenly, and a stop where its probability is above one half."""
        o, tasks = self.options, len(support.mask)
        shape = (tasks, o.steps, o.inner_batch)
        first, _ = even_shares(o.inner_batch, support.labels)
        _, second = even_shares(o.steps * o.inner_batch, support.labels)
        return {
            "stop": support.labels.new_full((tasks, o.steps), 0.5),
            "first": first.expand(shape),
            "second": second.reshape(shape[1:]).expand(shape),
        }


def _gradient(loss: TaskLoss, params: Params) -> tuple[Params, Tensor]:
    """Every task's own gradient of its own loss, and that loss `[tasks]`."""

    def total(moving: Params) -> tuple[Tensor, Tensor]:
        each = loss(moving)
        return each.sum(), each

    found: tuple[Params, Tensor] = grad(total, has_aux=True)(params)
    return found
