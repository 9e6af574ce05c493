"""Scores of a stack of replicas on a split, in batches, without the labels of any query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from metarec.errors import ProtocolError
from metarec.methods.base import Noise
from metarec.tasks.batch import EpisodeTensors, Query
from metarec.training.feed import noise
from metarec.training.seeds import derived
from metarec.training.stack import Stack

PAIRS = 2**16  # of user and item that a method scores at a time where a support serves many lists


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

    Where a support serves many candidate lists, it is adapted to once and all its lists are one query.

    With `sample`, methods that predict from a random draw (TaNP's z) draw it from the replica's seed, the
    same at every call; otherwise they use their deterministic prediction.
    """
    k, n = stack.size, len(data)
    supports = data.owners() if data.shared else np.arange(n)
    drawn: Noise = {}
    if sample:
        generators = [Generator().manual_seed(derived(seed, 29)) for seed in seeds]
        drawn = noise(stack, data, (len(supports),), generators, "draw_predict")
        drawn = {name: value.to(data.device) for name, value in drawn.items()}
    if data.shared:
        return _of_lists(stack, data, supports, drawn, params)
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


def _of_lists(
    stack: Stack, data: EpisodeTensors, supports: np.ndarray, drawn: Noise, params: dict[str, Tensor] | None
) -> Tensor:
    """Scores of candidate lists `[K, lists, n_query]`, support by support, about `PAIRS` pairs at a time."""
    if len(data.parts) > 1:
        raise ProtocolError("lists that share a support need one split for all seeds; give them one.")
    k, scores = stack.size, None
    lists = [np.flatnonzero(data.host_lender == owner) for owner in supports]
    with torch.no_grad():
        for s, (owner, own) in enumerate(zip(supports, lists, strict=True)):
            width = int(data.host_query[own].max())
            here = {name: value[:, s : s + 1] for name, value in drawn.items()}
            first = torch.full((k, 1), int(owner), device=data.device)
            support = data.supports(first, data.width_support)
            for part in np.array_split(own, -(-len(own) * width // PAIRS)):
                index = torch.as_tensor(part).to(data.device).expand(k, -1)
                query, _ = data.queries(index, width)
                flat = Query(*(side.reshape(k, 1, -1) for side in query))
                found = stack.call("predict", support, flat, here, params=params).reshape(k, len(part), width)
                if scores is None:
                    scores = found.new_zeros(k, len(data), data.width_query)
                scores[:, part, :width] = found
    return torch.zeros(k, 0, data.width_query, device=data.device) if scores is None else scores
