r"""MAMO, memory-augmented meta-optimisation (Dong et al., KDD 2020): MAML whose start is read from memories.

A task is a user with profile $p_u$. Three nets predict: a user net on $p_u$, an item net on the item's
fields, and a rating net on both, whose first layer is the *task-specific memory*. All three adapt to the
support. Before they do, $K$ slots of memory make their start the user's own, by an attention over slots:

    a_u = softmax(cos(p_u, M_P))                  which kind of user this is
    theta_u <- phi_u - tau sum_k a_uk M_U[k]      a step along the gradients of users of that kind
    W_ui    <- sum_k a_uk M_UI[k]                 the mixing layer users of that kind ended with

After a step of the outer loop the memories are written, as moving averages; no gradient reaches them:

    M_P[k]  <- alpha a_uk p_u                        + (1 - alpha) M_P[k]
    M_U[k]  <- beta  a_uk grad L_query(theta_u')     + (1 - beta)  M_U[k]
    M_UI[k] <- gamma a_uk W_ui'                      + (1 - gamma) M_UI[k]

with $\theta_u'$, $W_{ui}'$ the weights after local training.

These writes undo what the slots are for, and we keep them as they are. Every slot averages the same profiles,
with weights that differ by $e^2$ at most; where profiles have a part in common, as embedded fields have, the
slots end up parallel, and then $a_{uk} = 1/K$ for every user. And a read of what was written with weight $a$
returns $\sum_k a_k^2$ of it, $1/K$ at even attention, so the mixing layer shrinks towards the size of a local
step. `describe` reports the attention.

Kept out, though the released program has them: the layer over the similarities is drawn anew at every read
and never trained; a softmax is followed by a cross-entropy that applies another; biases and embedding tables
are never reset, so they drift from user to user and test users train them too; all slots of $M_U$ start as
one; at test the weights of the last training user replace the start that was read, the profile memory is
written, and only the first hundred users train. There local training is Adam on mini-batches of five,
embeddings included, and the outer step first-order, one an epoch; here local training is gradient descent on
the whole support, the embeddings move in the outer loop alone, and the order is an option.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import grad

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.adaptation import Order, Params, adapt, per_task, pointwise_loss
from metarec.layers.embedding import FieldEmbedding, side_fields
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP, mlp_params, task_linear
from metarec.layers.pooling import masked_average, masked_mean
from metarec.layers.slots import attend, mixed, moving_average
from metarec.methods.base import Method, Noise, Stable, Stage, Terms, options_from
from metarec.tasks.batch import Query, Support, TaskBatch
from metarec.tasks.episodes import Episodes

SLOPE = 0.1


@dataclass(frozen=True)
class MAMOOptions(Stable):
    """Sizes, memories, and the two loops.

    `d` is the size of each field's embedding, `width` that of the outputs of user and item net, so the memory
    layer is `2 width` by `2 width`; `hidden` are the layers behind it (the default makes the common head of
    PNMTA's comparison, 64 -> 64 -> 1; the released one is `(width,)`). Rates `alpha`, `beta`, `gamma`, `tau`
    and `slots` are the released ones.

    `attention="linear"` puts a trained layer between similarities and softmax, which the released program
    draws at random; the paper has none. `write="mean"` writes the mean of a batch at once; `"sequential"`
    one user after another, as released, so that with `alpha = 0.5` about five users are remembered.
    `output="classes"` is the released classifier over whole-number ratings, its prediction the likeliest.
    """

    d: int = 32
    width: int = 32
    hidden: tuple[int, ...] = (64,)
    slots: int = 3
    alpha: float = 0.5
    beta: float = 0.05
    gamma: float = 0.1
    tau: float = 0.01
    attention: Literal["cosine", "linear"] = "cosine"
    write: Literal["mean", "sequential"] = "mean"
    output: Literal["rating", "classes"] = "rating"
    steps: int = 5
    inner_lr: float = 0.01
    order: Order = "second"
    epochs: int = 30
    batch: int = 32
    lr: float = 3e-4
    window: int = 1


class Local(NamedTuple):
    """A batch of users after local training: profile `[tasks, d_p]`, attention `[tasks, K]`, weights."""

    profile: Tensor
    attention: Tensor
    params: Params


class MAMO(Method):
    """User, item and rating net with feature-specific and task-specific memory.

    Without user fields the profile is the mean vector of the support's items: ids of new users say nothing,
    and TaNP's "original memory mechanism" for such data is not specified further.
    """

    Options = MAMOOptions
    per_replica = ("inner_lr", *BUFFERS)
    written = ("profile_memory", "user_memory", "task_memory")

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: MAMOOptions = options_from(MAMOOptions, options, "MAMO")
        self.options, self.kind, self.low = o, schema.kind, schema.low
        self.item = FieldEmbedding(side_fields(schema, "item"), o.d)
        self.user = FieldEmbedding(schema.user_fields, o.d) if schema.user_fields else None
        d_i = self.item.d_out
        d_p = d_i if self.user is None else self.user.d_out
        self.user_net = MLP((d_p, d_p // 2, o.width))
        self.item_net = MLP((d_i, d_i // 2, o.width))
        self.memory_bias = nn.Parameter(torch.zeros(2 * o.width))
        self.rating_net = MLP((2 * o.width, *o.hidden, _outputs(schema, o.output)))
        if o.attention == "linear":
            self.attention = nn.Linear(o.slots, o.slots)
        self._start_memories(d_p)
        self.inner_lr: Tensor
        self.register_buffer("inner_lr", torch.tensor(o.inner_lr, dtype=torch.float64))
        self.scale = LabelScale(o.standardise and self.kind == "explicit" and o.output == "rating")

    def _start_memories(self, d_p: int) -> None:
        """Slots start apart: profiles normal, gradients near none, mixing layers as Linear draws weights."""
        k, wide = self.options.slots, 2 * self.options.width
        self.profile_memory = _memory(torch.randn(k, d_p))
        named = mlp_params(self.user_net)
        self.user_memory = nn.ParameterDict(
            {_key(name): _memory(0.05 * torch.randn(k, *p.shape)) for name, p in named.items()}
        )
        self.task_memory = _memory(torch.empty(k, wide, wide).uniform_(-1, 1) / wide**0.5)

    def fit(self, train: Episodes) -> None:
        if self.options.output == "classes" and (train.ratings.label[train.rows] % 1).any():
            raise ProtocolError("MAMO: output='classes' needs whole-number ratings; use output='rating'.")
        super().fit(train)

    def stages(self) -> tuple[Stage, ...]:
        o = self.options
        return (
            Stage(
                "meta-train",
                epochs=o.epochs,
                batch=o.batch,
                lr=o.lr,
                window=o.window,
                max_norm=o.max_norm,
            ),
        )

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`query`: mean over tasks of the loss on the query after local training."""
        local = self.local(batch.support)
        return {"query": self.query_loss(local.params, local.profile, batch).mean()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Predicted labels `[tasks, n_query]` (probabilities if implicit); memories are only read."""
        local = self.local(support)
        output = self.forward_nets(local.params, local.profile, self.item(query.item))
        if self.options.output == "classes":
            return self.low + output.argmax(-1).to(output.dtype)
        scores = output.squeeze(-1)
        return torch.sigmoid(scores) if self.kind == "implicit" else self.scale.rating(scores)

    def describe(self, support: Support) -> dict[str, Tensor]:
        """How sharp the read is: the largest attention of each task, `[tasks]`; 1/K if slots count alike."""
        return {"attention_max": self.read(self.profile(support)).max(-1).values}

    def writes(self, batch: TaskBatch, noise: Noise) -> dict[str, Tensor]:
        """The memories after this batch: see the head of this module and `moving_average`."""
        o, local = self.options, self.local(batch.support)
        slope = self.user_gradient(local, batch)

        def write(memory: Tensor, value: Tensor, rate: float) -> Tensor:
            return moving_average(memory, local.attention, value, rate, sequential=o.write == "sequential")

        users = {key: write(self.user_memory[key], slope[key], o.beta) for key in slope}
        return {
            "profile_memory": write(self.profile_memory, local.profile, o.alpha),
            "task_memory": write(self.task_memory, local.params["memory.weight"], o.gamma),
            **{f"user_memory.{key}": value for key, value in users.items()},
        }

    def profile(self, support: Support) -> Tensor:
        """$p_u$, `[tasks, d_p]`: the embedded fields of the user."""
        if support.user.shape[-1] != 1:
            raise ProtocolError(
                "MAMO reads its memories by a user's profile; give it tasks of one user each."
            )
        if self.user is None:
            return masked_mean(self.item(support.item), support.mask)
        return self.user(support.user).squeeze(-2)

    def read(self, profile: Tensor) -> Tensor:
        """Attention over slots, `[tasks, K]`."""
        if self.options.attention == "linear":
            return attend(profile, self.profile_memory, self.attention.weight, self.attention.bias)
        return attend(profile, self.profile_memory)

    def start(self, attention: Tensor) -> Params:
        """The weights of every net before local training, as stacks `[tasks, ...]`, read by `attention`."""
        shared = {**mlp_params(self.item_net, "item."), **mlp_params(self.rating_net, "rating.")}
        params = per_task({**shared, "memory.bias": self.memory_bias}, len(attention))
        for name, p in mlp_params(self.user_net).items():
            params[f"user.{name}"] = p - self.options.tau * mixed(attention, self.user_memory[_key(name)])
        params["memory.weight"] = mixed(attention, self.task_memory)
        return params

    def local(self, support: Support) -> Local:
        """Read the memories and train every net on the support."""
        profile, x = self.profile(support), self.item(support.item)
        attention = self.read(profile)

        def loss(p: Params) -> Tensor:
            return self.loss(self.forward_nets(p, profile, x), support.labels, support.mask)

        o = self.options
        adapted = adapt(
            loss,
            self.start(attention),
            steps=o.steps,
            lr=self.inner_lr,
            order=o.order,
            max_step=o.inner_max_step,
        )
        return Local(profile, attention, adapted)

    def forward_nets(self, params: Params, profile: Tensor, x: Tensor) -> Tensor:
        """Output `[tasks, n, outputs]` of `profile` `[tasks, d_p]` and item vectors `x` `[tasks, n, d_i]`."""
        user = _leaky(params, "user.", profile.unsqueeze(-2), last=True)
        item = _leaky(params, "item.", x, last=True)
        pair = torch.cat([user.expand(*item.shape[:-1], user.shape[-1]), item], -1)
        mixed = task_linear(pair, params["memory.weight"], params["memory.bias"])
        return _leaky(params, "rating.", mixed, last=False)

    def loss(self, output: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Loss of each task, `[tasks]`: squared error, cross-entropy of 0/1 labels, or of rating classes."""
        if self.options.output == "rating":
            return pointwise_loss(self.kind, output.squeeze(-1), self.scale.standard(labels), mask)
        label = (labels - self.low).round().long().clamp(0, output.shape[-1] - 1).unsqueeze(-1)
        return masked_average(-F.log_softmax(output, -1).gather(-1, label).squeeze(-1), mask)

    def query_loss(self, params: Params, profile: Tensor, batch: TaskBatch) -> Tensor:
        """Loss of each task on its query, `[tasks]`."""
        output = self.forward_nets(params, profile, self.item(batch.query.item))
        return self.loss(output, batch.query_labels, batch.query.mask)

    def user_gradient(self, local: Local, batch: TaskBatch) -> dict[str, Tensor]:
        """Gradient of each task's query loss for its adapted user net, `[tasks, ...]`, by slot name."""

        def total(moving: Params) -> Tensor:
            return self.query_loss({**local.params, **moving}, local.profile, batch).sum()

        found = grad(total)({name: p for name, p in local.params.items() if name.startswith("user.")})
        return {_key(name.removeprefix("user.")): g for name, g in found.items()}


def _leaky(params: Params, prefix: str, x: Tensor, *, last: bool) -> Tensor:
    """A net, `[tasks, n, d] -> [tasks, n, d_out]`, LeakyReLU between its layers and, if `last`, behind."""
    depth = sum(1 for name in params if name.startswith(prefix) and name.endswith(".weight"))
    for index in range(depth):
        x = task_linear(x, params[f"{prefix}{index}.weight"], params[f"{prefix}{index}.bias"])
        if last or index < depth - 1:
            x = F.leaky_relu(x, SLOPE)
    return x


def _memory(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _key(name: str) -> str:
    """A parameter's name as the key of a ParameterDict, which takes no dots."""
    return name.replace(".", "_")


def _outputs(schema: Schema, output: str) -> int:
    if output == "rating":
        return 1
    if schema.kind != "explicit":
        raise ProtocolError("MAMO: output='classes' needs explicit ratings; use output='rating'.")
    return 1 + int(np.rint(schema.high - schema.low))
