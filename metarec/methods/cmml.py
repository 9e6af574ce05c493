r"""CMML, contextual modulation meta learning (Feng et al., 2021, section 3): no gradient step for a new task.

A context encoder reads the support, a hybrid context joins what it found with each pair that is to be
scored, and a hyper-network makes from that what modulates the backbone. The schema says what a task is: a
scenario, with frozen vectors, implicit labels and a hinge loss, or a user, with learned embeddings, ratings
and a squared error.

Shapes: `x` `[tasks, n, d_x]`, context `[tasks, d_x]`, hybrid context `[tasks, n or 1, d_context]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from metarec.data.schema import Schema
from metarec.layers.adaptation import pointwise_loss
from metarec.layers.context import ContextEncoder, EncoderKind, LabelCode
from metarec.layers.embedding import Blocks, joined
from metarec.layers.hypernetworks import MODULATIONS, BackboneOptions
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP
from metarec.layers.pairwise import hinge_loss
from metarec.layers.vectors import PairVectors
from metarec.methods.base import Method, Noise, Plateau, Stage, Terms, options_from, to_width
from metarec.tasks.batch import Query, Support, TaskBatch


@dataclass(frozen=True)
class CMMLOptions(BackboneOptions):
    r"""Every option of the paper, and every place where paper and released program part.

    Defaults are the released sizes of CMML-FiLM in the scenario setting. `RELEASED` holds the released
    configurations of that setting, `USER` that of the user setting, and `PAPER` what the paper says instead.

    `encoder`: sequential (`gru`, with `gru` units) or pooling (`mean`, `max`). `encoder_sizes` are the hidden
    widths of its MLP, `label_sizes` the widths of the network that reads a rating. `negatives=False` hides
    the negatives of the support: the ablation "Non-negative". The released pooling encoder always does so,
    for its negative branch is commented out. `order`: a GRU reads all positives and then all negatives
    (released), the support in a random order in training (paper), or as it stands. `encoder_bias` fills the
    biases of the encoder's MLP with a constant, as `bias` does those of backbone and hyper-network.

    `hybrid`: context and pair are joined by a product, by an MLP of widths `hybrid_sizes` (released: no
    layer, the joined vectors go straight to the hyper-network), or not at all. `detach` keeps the gradient of
    the encoder from the embeddings (released, user setting); frozen vectors have none. `pairs` negatives
    follow each positive of a training query. `d` is the size of a learned field.

    `plateau` divides the step size by five after three validations without a gain. The released program does
    so on the recall of the TEST scenarios, which we do not follow. `max_value` clamps each entry of the
    gradient (10 in the user setting). `standardise` trains on standardised ratings (`layers.labels`).

    The released GRU of the user setting is fed a sequence of length one and so knows the last rating of the
    support alone; ours reads all. No number of the paper comes from it.
    """

    encoder: EncoderKind = "gru"
    gru: int = 256
    encoder_sizes: tuple[int, ...] = (256,)
    label_sizes: tuple[int, ...] = (64, 64)
    negatives: bool = True
    order: Literal["positives-first", "random", "stored"] = "positives-first"
    hybrid: Literal["dot", "mlp", "none"] = "dot"
    hybrid_sizes: tuple[int, ...] = ()
    encoder_bias: float | None = None
    detach: bool = True
    d: int = 32
    pairs: int = 1
    margin: float = 1.0
    epochs: int = 450
    batch: int = 1
    lr: float = 1e-4
    weight_decay: float = 1e-5
    max_value: float | None = None
    plateau: bool = False
    window: int = 1
    standardise: bool = False


_SIZES: dict[str, dict[str, Any]] = {
    "film": {"gru": 256, "encoder_sizes": (256,)},
    "sigmoid": {"gru": 256, "encoder_sizes": (256,)},
    "linear": {"gru": 192, "encoder_sizes": (192,)},
    "softm": {"gru": 128, "encoder_sizes": (128,)},
}
_JOINT: dict[str, Any] = {"gru": 128, "encoder_sizes": (64,)}
_WIDE: dict[str, Any] = {"hyper": (128, 128, 128)}  # the paper has this width for FiLM on Taobao too
# The scenario setting as released: data set, modulation, options beside `modulation`.
RELEASED: dict[str, dict[str, dict[str, Any]]] = {
    "ml-20m": {
        **_SIZES,
        "film": {**_SIZES["film"], "bias": 0.1, "encoder_bias": 0.1},
        "sigmoid": {**_SIZES["sigmoid"], "bias": 0.1},
    },
    "taobao": {
        "film": {**_SIZES["film"], "bias": 0.0, "encoder_bias": 0.0},
        "sigmoid": {**_SIZES["sigmoid"], **_WIDE, "bias": 0.0},
        "linear": {**_SIZES["linear"], **_WIDE},
        "softm": {**_SIZES["softm"], **_WIDE},
    },
    "ml-taobao": {
        "film": _JOINT,
        "softm": {**_JOINT, "hyper": (64, 64, 32), "module_sizes": (32, 32, 32)},
    },
}
# The user setting as released, CMML-FiLM on MovieLens-1M.
USER: dict[str, Any] = {
    "encoder": "mean",
    "encoder_sizes": (64,),
    "backbone": (64, 64),
    "hyper": (256, 256),
    "module_sizes": (32, 32),
    "epochs": 30,
    "batch": 32,
    "lr": 3e-4,
    "max_value": 10.0,
}
# What the paper prints where it differs from the released program, in both settings.
PAPER: dict[str, Any] = {
    "activation": "relu",
    "order": "random",
    "route_over": "target",
    "detach": False,
    "lr": 1e-4,
}


class CMML(Method):
    """Context encoder, hybrid context and modulated backbone, trained end to end."""

    Options = CMMLOptions
    per_replica = BUFFERS

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: CMMLOptions = options_from(CMMLOptions, options, "CMML")
        self.options, self.kind = o, schema.kind
        self.vectors = PairVectors(schema, o.d)
        d_x = self.vectors.d_out
        self.code = LabelCode(schema.kind, o.label_sizes)
        self.encoder = ContextEncoder(d_x + self.code.d_out, d_x, o.encoder, o.encoder_sizes, o.gru)
        if o.encoder_bias is not None:
            for layer in self.encoder.mlp.layers:
                nn.init.constant_(layer.bias, o.encoder_bias)  # type: ignore[arg-type]
        d_context = 2 * d_x if o.hybrid == "mlp" else d_x
        if o.hybrid == "mlp" and o.hybrid_sizes:
            self.mix = MLP((d_context, *o.hybrid_sizes), last_relu=True)
            d_context = o.hybrid_sizes[-1]
        self.backbone = MODULATIONS[o.modulation](d_x, d_context, o)
        self.scale = LabelScale(o.standardise and schema.kind == "explicit")

    def stages(self) -> tuple[Stage, ...]:
        o = self.options
        plateau = Plateau(factor=0.2, patience=2, least=1e-6) if o.plateau else None
        return (
            Stage(
                "meta-train",
                epochs=o.epochs,
                batch=o.batch,
                lr=o.lr,
                window=o.window,
                weight_decay=o.weight_decay,
                max_value=o.max_value,
                plateau=plateau,
            ),
        )

    def draw(self, batch: TaskBatch, generator: Generator) -> Noise:
        """With `order="random"` a uniform `place` `[tasks, n_support]` for each entry of the support."""
        if self.options.encoder != "gru" or self.options.order != "random":
            return {}
        shape = batch.support.mask.shape
        return {"place": torch.rand(shape, generator=generator, device=generator.device)}

    def resize(self, noise: Noise, support: int, query: int, full_support: int) -> Noise:
        return {name: to_width(value, support) for name, value in noise.items()}

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        r"""`query`: mean over the tasks of a batch of $L(D^q_T \mid D^s_T)$. Implements eq-cmml-2.

        The paper's Algorithm 1 takes a batch of tasks; the released program one scenario a step, or 32 users.
        """
        scores = self.scores(batch.support, batch.query, noise)
        return {"query": self.loss(scores, batch.query_labels, batch.query.mask).mean()}

    def loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        r"""Loss of each task on its query, `[tasks]`: $\frac1{|D^q_T|}\sum_k \ell_k$. Implements eq-cmml-3.

        $\ell$ is the hinge loss of pairs for implicit labels and $(y_{u,i} - f(u, i))^2$ for ratings.
        Implements eq-cmml-5.
        """
        if self.kind == "implicit":
            return hinge_loss(scores, labels, mask, self.options.pairs, self.options.margin)
        return pointwise_loss("explicit", scores, self.scale.standard(labels), mask)

    def constant_loss(self, labels: Tensor) -> Tensor:
        """The margin for a hinge loss: a constant orders nothing."""
        if self.kind == "implicit":
            return torch.full_like(labels.mean(), self.options.margin)
        return super().constant_loss(labels)

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Predicted ratings `[tasks, n_query]`, or scores that rank and mean nothing else."""
        return self.scale.rating(self.scores(support, query, noise or {}))

    def scores(self, support: Support, query: Query, noise: Noise) -> Tensor:
        """Output of the modulated backbone on the query, `[tasks, n_query]`."""
        x = joined(self.vectors(query.user, query.item))
        scores: Tensor = self.backbone(x, self.hybrid(self.context(support, noise), x))
        return scores

    def context(self, support: Support, noise: Noise) -> Tensor:
        """The context $C$ of each task, `[tasks, d_x]`."""
        o, x = self.options, self.vectors(support.user, support.item)
        blocks: Blocks = [block.detach() for block in x] if o.detach else x
        mask = support.mask if o.negatives else support.mask & (support.labels > 0)
        code = self.code(self.scale.standard(support.labels))
        found: Tensor = self.encoder([*blocks, code], mask, self.place(support, noise))
        return found

    def place(self, support: Support, noise: Noise) -> Tensor:
        """By what a GRU sorts the support, `[tasks, n_support]`; equal places stay in their order."""
        if "place" in noise:
            return noise["place"].to(support.labels)
        if self.options.order == "stored":
            return torch.zeros_like(support.labels)
        return (support.labels <= 0).to(support.labels)

    def hybrid(self, context: Tensor, x: Tensor) -> Tensor:
        r"""$C^h = C \odot x$, $\mathrm{MLP}([x | C])$, or $C$ for all pairs alike. Implements eq-cmml-8.

        `context` `[tasks, d_x]`, `x` `[tasks, n, d_x]` -> `[tasks, n or 1, d_context]`. The paper calls the
        first a dot product; it is the element-wise one. Its MLP is missing from the released program.
        """
        c = context.unsqueeze(-2)
        if self.options.hybrid == "none":
            return c
        if self.options.hybrid == "dot":
            return c * x
        both = joined([x, c])
        mixed: Tensor = self.mix(both) if self.options.hybrid_sizes else both
        return mixed
