r"""PNMTA: pretrained network modulation and task adaptation (Pang et al., WWW 2022).

No program was released.

1. Pretraining: encoder and predictor on single interactions in random order (`MAMLPT`); the encoder then
stays as it is, $\theta_e^*$, and the predictor starts afresh. 2. Meta-adaptation: the encoder modulator turns
$\theta_e^*$ into $\theta_e$; the task vector $v_u$, pooled from the interaction vectors of support and query
(no label enters it), generates $\omega$, which modulates the hidden layers of the predictor; gradient steps
on the support then adapt $\theta_p$, and $\theta_p$ alone. 3. Meta-update: the loss on the query moves
$\theta_p$, $\phi_e$ and $\phi_p$ through the inner steps.

What the paper leaves open is an option of `PNMTAOptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from metarec.data.schema import Schema
from metarec.layers.embedding import Blocks
from metarec.layers.modulators import (
    BiasShape,
    EncoderKind,
    EncoderModulator,
    GammaStart,
    Modulate,
    PredictorKind,
    PredictorModulator,
    TaskEncoder,
)
from metarec.methods.maml_pt import MAMLPT, MAMLPTOptions
from metarec.methods.melu import MeLUOptions
from metarec.tasks.batch import Query, Support

MODULATORS = ("encoder_modulator.", "predictor_modulator.", "task_encoder.")


@dataclass(frozen=True)
class PNMTAOptions(MAMLPTOptions):
    """As `MAMLPTOptions`, with the modulators; the defaults are PNMTA-C-FiLM, the paper's basic model.

    `encoder_modulator` `none` is "w/o EM", where the encoder trains in the outer loop, and `Fix` is "-Fix";
    with `predictor_modulator` `none` ("w/o PM") too, it is `MAMLPT`. `task_members` says whose interactions
    the task vector pools: `all`, support and query, as printed, or the `support` alone. `train_encoder` lets
    a modulated encoder move as well, for w/o PT, where as printed it would stay random.
    """

    encoder_modulator: EncoderKind = "C"
    predictor_modulator: PredictorKind = "film"
    bias_shape: BiasShape = "category"
    gamma_start: GammaStart = "raw"
    generator: tuple[int, ...] = (64,)
    task_vector: Literal["mean", "attention"] = "mean"
    task_members: Literal["all", "support"] = "all"
    train_encoder: bool = False


class PNMTA(MAMLPT):
    """The model with its encoder modulators, predictor modulators and ablations."""

    Options: ClassVar[type[MeLUOptions]] = PNMTAOptions

    def __init__(self, schema: Schema, **options: Any):
        super().__init__(schema, **options)
        o: PNMTAOptions = self.options
        d_pair = self.encoder.d_out
        self.frozen = o.encoder_modulator != "none" and not o.train_encoder
        self.encoder_modulator = EncoderModulator(o.encoder_modulator, self.encoder.tables(), o.bias_shape)
        self.predictor_modulator = PredictorModulator(
            o.predictor_modulator, d_pair, o.hidden, o.generator, o.gamma_start
        )
        self.task_encoder = TaskEncoder(o.task_vector, d_pair)

    def meta_trained(self) -> tuple[str, ...]:
        parts = ("" if self.frozen else "encoder.", "head.", *MODULATORS)
        names = [name for name, _ in self.named_parameters()]
        return tuple(part for part in parts if part and any(name.startswith(part) for name in names))

    def tables(self) -> Mapping[str, Tensor]:
        r"""$\theta_e$: the tables of the encoder, held constant where it is frozen, after modulation."""
        own = self.encoder.tables()
        return self.encoder_modulator.tables({n: t.detach() for n, t in own.items()} if self.frozen else own)

    def inputs(self, support: Support, query: Query) -> tuple[Blocks, Blocks]:
        """Interaction vectors of the modulated encoder, in an item's and a user's block."""
        x_support, x_query = super().inputs(support, query)
        return self.encoder_modulator.vectors(x_support), self.encoder_modulator.vectors(x_query)

    def task_vectors(self, support: Support, query: Query) -> Tensor:
        """$v_u$ of each task, `[tasks, d_pair]`."""
        return self._pool(*self.inputs(support, query), support, query)

    def condition(
        self, x_support: Blocks, x_query: Blocks, support: Support, query: Query
    ) -> Modulate | None:
        """The modulation of the predictor, made once before adaptation and held through it."""
        if self.options.predictor_modulator == "none":
            return None
        modulate: Modulate | None = self.predictor_modulator(self._pool(x_support, x_query, support, query))
        return modulate

    def pools_query(self) -> str:
        """The task vector pools the query, where the predictor is modulated by it."""
        pooled = self.options.task_members == "all" and self.options.predictor_modulator != "none"
        return "task_members='support'" if pooled else ""

    def _pool(self, x_support: Blocks, x_query: Blocks, support: Support, query: Query) -> Tensor:
        if self.options.task_members == "support":
            pooled: Tensor = self.task_encoder([x_support], [support.mask])
            return pooled
        both: Tensor = self.task_encoder([x_support, x_query], [support.mask, query.mask])
        return both
