"""Scores of a stack of replicas on a split, in batches, without the labels of any query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from metarec.methods.base import Noise
from metarec.tasks.batch import EpisodeTensors
from metarec.training.feed import noise
from metarec.training.seeds import derived
from metarec.training.stack import Stack


def predict(
    stack: Stack,
    data: EpisodeTensors,
    seeds: Sequence[int],
    params: dict[str, Tensor] | None = None,
    *,
    sample: bool = False,
    chunk: int = 512,
) -> Tensor:
    """Scores `[K, tasks, n_query]` of every replica on its tasks; the query's labels are never handed over.

    With `sample`, methods that predict from a random draw (TaNP's z) draw it from the replica's seed, the
    same at every call; otherwise they use their deterministic prediction.
    """
    k, n = stack.size, len(data)
    drawn: Noise = {}
    if sample:
        generators = [Generator().manual_seed(derived(seed, 29)) for seed in seeds]
        drawn = noise(stack, data, (n,), generators, "draw_predict")
        drawn = {name: value.to(data.device) for name, value in drawn.items()}
    first = torch.as_tensor(data.host_first if len(data.host_first) > 1 else np.zeros(k, np.int64))
    first = first.to(data.device)[:, None]
    parts = []
    with torch.no_grad():
        for start in range(0, n, chunk):
            index = torch.arange(start, min(start + chunk, n), device=data.device)
            batch = data.batch(index + first)
            here = {name: value[:, start : start + chunk] for name, value in drawn.items()}
            parts.append(stack.call("predict", batch.support, batch.query, here, params=params))
    return torch.cat(parts, 1) if parts else torch.zeros(k, 0, data.width_query, device=data.device)
