r"""MAML-PT: pretrained MAML, the ablation that PNMTA (Pang et al., WWW 2022) compares with.

No program is released.

An encoder and a predictor are first trained on single interactions in random order; then the predictor starts
afresh and meta-training goes on as MeLU's does, the encoder moving in the outer loop. The paper
re-initialises the predictor (Algorithm 2), so pretraining has one of its own (`pretrained_head`), which is
put aside afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch

from metarec.data.schema import Schema
from metarec.layers.adaptation import pointwise_loss
from metarec.layers.mlp import MLP
from metarec.methods.base import Stage, Terms
from metarec.methods.melu import MeLU, MeLUOptions
from metarec.tasks.batch import RowBatch

Pretraining = Literal["cold", "full", "none"]


@dataclass(frozen=True)
class MAMLPTOptions(MeLUOptions):
    """As `MeLUOptions`, with the paper's step sizes and epochs (appendix C.3) and the pretraining.

    `pretraining` takes the interactions of the meta-training users (`cold`, as every baseline sees), those of
    all users who are in no other split (`full`: PNMTA's Full-PT), or leaves the stage out (`none`: w/o PT).
    The batch of the pretraining is not stated. `reinit_head=False` goes on with the pretrained predictor.
    """

    epochs: int = 15
    lr: float = 1e-3
    pretraining: Pretraining = "cold"
    pretrain_epochs: int = 20
    pretrain_lr: float = 0.01
    pretrain_batch: int = 1024
    reinit_head: bool = True


class MAMLPT(MeLU):
    """MeLU with a pretraining stage and step sizes that are not tiny."""

    Options: ClassVar[type[MeLUOptions]] = MAMLPTOptions

    def __init__(self, schema: Schema, **options: Any):
        super().__init__(schema, **options)
        o: MAMLPTOptions = self.options
        if o.pretraining != "none" and o.reinit_head:
            self.pretrained_head = MLP((self.encoder.d_out, *o.hidden, 1))

    def stages(self) -> tuple[Stage, ...]:
        """Pretraining on rows, then meta-training. Implements eq-pnmta-9, eq-pnmta-13 and eq-pnmta-14.

        Both equations print plain gradient descent; appendix C.3 names Adam, which the trainer uses.
        """
        o: MAMLPTOptions = self.options
        meta = replace(super().stages()[0], trained=self.meta_trained())
        if o.pretraining == "none":
            return (meta,)
        pretrain = Stage(
            "pretrain",
            terms="pretrain_terms",
            unit="rows",
            rows="train" if o.pretraining == "cold" else "full",
            epochs=o.pretrain_epochs,
            batch=o.pretrain_batch,
            lr=o.pretrain_lr,
            trained=("encoder.", "pretrained_head." if o.reinit_head else "head."),
        )
        return (pretrain, meta)

    def meta_trained(self) -> tuple[str, ...]:
        """Prefixes of the parameters that the outer loop moves."""
        return ("encoder.", "head.")

    def pretrain_terms(self, rows: RowBatch) -> Terms:
        r"""`pretrain`: mean loss of $\hat y = P(E(x))$ over rows `[rows]`.

        Implements eq-pnmta-3, eq-pnmta-7 and eq-pnmta-8.
        """
        head = self.pretrained_head if self.options.reinit_head else self.head
        scores = head(self.encoder(rows.user, rows.item)).squeeze(-1)
        every = torch.ones_like(rows.labels, dtype=torch.bool)
        return {"pretrain": pointwise_loss(self.kind, scores, self.scale.standard(rows.labels), every)}
