"""ItemPop (CMML, section 4.1.3): an item's score is how often it is liked in the support of its scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from metarec.data.schema import Schema
from metarec.methods.base import Noise, options_from
from metarec.methods.floors import Popularity
from metarec.tasks.batch import Query, Support


@dataclass(frozen=True)
class ItemPopOptions:
    """Where interactions are counted: in the support, as in the paper, or in all training tasks.

    In a task of one user no item of the query stands in the support: `train` is then the only use.
    """

    scope: Literal["support", "train"] = "support"


class ItemPop(Popularity):
    """Counts of positives. Most candidates of a scenario count 0, so how ties are broken decides much.

    The released list has positives first, and a sort that keeps ties in order would favour them; the metrics
    here take ties by expectation.
    """

    Options = ItemPopOptions

    def __init__(self, schema: Schema, **options: Any):
        super().__init__(schema)
        self.options: ItemPopOptions = options_from(ItemPopOptions, options, "ItemPop")

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """`[tasks, n_query]`, whole numbers."""
        if self.options.scope == "train":
            return super().predict(support, query)
        liked = torch.where(support.mask, support.labels, 0.0) > 0
        same = query.item.unsqueeze(-1) == support.item.unsqueeze(-2)
        return (same & liked.unsqueeze(-2)).sum(-1).to(support.labels)
