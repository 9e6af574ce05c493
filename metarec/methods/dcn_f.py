"""DCN-F: the DCN of the pooled training tasks, tuned to each test task on its support (CMML, section 4.1.3).

Nothing is meta-trained. For each task all parameters but the embeddings take a few steps from the same start.
The paper does not name the optimiser of these steps; Adam is ours, plain descent an option (at the paper's
step sizes it hardly moves anything).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from metarec.layers.adaptation import Params, per_task, pointwise_loss, tune
from metarec.layers.embedding import joined
from metarec.layers.pairwise import even_shares, hinge, support_pairs
from metarec.layers.pooling import masked_average
from metarec.methods.base import Noise
from metarec.methods.dcn import DCN, DCNOptions
from metarec.methods.dcn import USER as DCN_USER
from metarec.tasks.batch import Query, Support


@dataclass(frozen=True)
class DCNFOptions(DCNOptions):
    """DCN's, and the steps on a support: 10 of size 1e-3 on MovieLens-20M (5 on Taobao), `USER` for users.

    In a scenario each step sees the same `tune_pairs` pairs of a positive and an item of the scenario.
    """

    tune_steps: int = 10
    tune_lr: float = 1e-3
    tune_pairs: int = 64
    optimiser: Literal["adam", "sgd"] = "adam"


USER: dict[str, Any] = {**DCN_USER, "tune_steps": 5, "tune_lr": 2e-4}


class DCNF(DCN):
    """DCN with a copy of its weights for each task."""

    Options: ClassVar[type[Any]] = DCNFOptions

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Scores `[tasks, n_query]` after the steps on the support."""
        o = self.options
        start = per_task(self.weights(), len(support.item))
        tuned = tune(
            self.support_loss(support), start, steps=o.tune_steps, lr=o.tune_lr, optimiser=o.optimiser
        )
        return self.scale.rating(self.network(tuned, joined(self.vectors(query.user, query.item))))

    def support_loss(self, support: Support) -> Any:
        """The loss of each task on its support, `[tasks]`, as a function of the weights."""
        if self.kind == "explicit":
            x, labels = joined(self.vectors(support.user, support.item)), self.scale.standard(support.labels)

            def squared(p: Params) -> Tensor:
                return pointwise_loss("explicit", self.network(p, x), labels, support.mask)

            return squared
        shape = (len(support.item), self.options.tune_pairs)
        first, second = (s.expand(shape) for s in even_shares(shape[1], support.labels))
        pairs = support_pairs(support, first, second)
        sides = [joined(self.vectors(side.user, side.item)) for side in pairs]

        def ranking(p: Params) -> Tensor:
            return masked_average(hinge(self.network(p, sides[0]), self.network(p, sides[1])), pairs[0].mask)

        return ranking
