"""Multiply-adds of PNMTA's meta-step, counted as it runs (section 3.5): no clock, so the same on any machine.

Matrix products are counted, by `torch.utils.flop_counter`; element-wise work and lookups are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from metarec.data.ratings import Ratings
from metarec.derivations.unrolled import (
    batch_of,
    flat_loss,
    flat_start,
    pnmta,
    query_scores,
    second_derivatives,
)
from metarec.layers.adaptation import Order, pointwise_loss
from metarec.methods.pnmta import PNMTA
from metarec.tasks.batch import TaskBatch


def multiply_adds(method: PNMTA, batch: TaskBatch, span: bool = False) -> int:
    """Multiply-adds of the matrix products in one meta-step: inner loop, query loss and its gradient."""
    with FlopCounterMode(display=False) as counter:
        scores = query_scores(method, batch, span)
        pointwise_loss(method.kind, scores, batch.query_labels, batch.query.mask).mean().backward()
    return counted(counter)


def of_product(rows: int, inner: int, columns: int) -> int:
    """Multiply-adds counted in one product of a `rows` x `inner` by an `inner` x `columns` matrix."""
    with FlopCounterMode(display=False) as counter:
        torch.ones(rows, inner) @ torch.ones(inner, columns)
    return counted(counter)


def of_steps(ratings: Ratings, steps: int) -> int:
    """`multiply_adds` for one user with so many inner steps."""
    return multiply_adds(pnmta(ratings, steps=steps), batch_of(ratings, 1))


def counted(counter: FlopCounterMode) -> int:
    """Its multiply-adds: the counter counts a multiplication and an addition apart."""
    return int(counter.get_total_flops()) // 2


def costs(widths: Sequence[int], ratings: Ratings, **options: Any) -> dict[str, list[int]]:
    """`multiply_adds` for one user by the width $n$ of the predictor's two hidden layers.

    `second order` and `first order` carry copies of all weights, `span` the first layer's outputs.
    """
    batch = batch_of(ratings, 1)
    kinds: dict[str, tuple[Order, bool]] = {
        "second order": ("second", False),
        "first order": ("first", False),
        "second order, first layer in the span": ("second", True),
    }
    return {
        name: [
            multiply_adds(pnmta(ratings, **{"hidden": (n, n), "order": order, **options}), batch, span)
            for n in widths
        ]
        for name, (order, span) in kinds.items()
    }


def hessian_costs(widths: Sequence[int], n_support: int = 10) -> list[int]:
    """Multiply-adds of the whole matrix of second derivatives; all layers of the predictor are $n$ wide."""
    found = []
    for n in widths:
        x = torch.zeros(n_support, n, dtype=torch.float64)
        with FlopCounterMode(display=False) as counter:
            second_derivatives(flat_loss((n, n, n, 1), x, x[:, 0]), flat_start((n, n, n, 1), 0))
        found.append(counted(counter))
    return found


def slope(widths: Sequence[int], counts: Sequence[int]) -> float:
    """The exponent $s$ of cost $\\propto n^s$: slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(widths), np.log(counts), 1)[0])
