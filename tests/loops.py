"""Slow, obvious versions, one task at a time: what the batched code is held to."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from metarec.data.schema import Schema
from metarec.tasks.batch import TaskBatch


def best_first(scores: Sequence[float], labels: Sequence[float]) -> list[float]:
    """The labels in descending order of score; equal scores keep their order."""
    return [label for _, label in sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])]


def multiset_hits(ranked: Sequence[float], n: int) -> list[int]:
    """1 for each of the first n labels that is still among the query's n largest, which it then uses up."""
    wanted = sorted(ranked, reverse=True)[:n]
    hits = []
    for label in ranked[:n]:
        hits.append(int(label in wanted))
        if label in wanted:
            wanted.remove(label)
    return hits


def standard_hits(ranked: Sequence[float], n: int, threshold: float) -> list[int]:
    """1 for each of the first n labels that reaches the threshold."""
    return [int(label >= threshold) for label in ranked[:n]]


def precision_sum(hits: Sequence[int]) -> float:
    """Mean precision's numerator: the precision at each hit, added up."""
    return sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit)


def dcg(ranked: Sequence[float], n: int, gain: str) -> float:
    """Discounted cumulative gain of the first n labels."""
    total = 0.0
    for i, label in enumerate(ranked[:n], start=1):
        total += (2.0**label - 1.0 if gain == "exponential" else label) / math.log2(i + 1)
    return total


def multiset_scores(ranked: Sequence[float], n: int) -> dict[str, float]:
    """P, NDCG and MAP at n of one ranked query, the way TaNP's released scorer counts."""
    hits = multiset_hits(ranked, n)
    return {"P": sum(hits) / n, "NDCG": ndcg(ranked, n, "exponential"), "MAP": precision_sum(hits) / n}


def standard_scores(ranked: Sequence[float], n: int, threshold: float, gain: str) -> dict[str, float]:
    """P, NDCG, MAP and Recall at n of one ranked query, in the standard form."""
    hits = standard_hits(ranked, n, threshold)
    relevant = sum(label >= threshold for label in ranked)
    return {
        "P": sum(hits) / n,
        "NDCG": ndcg(ranked, n, gain),
        "MAP": precision_sum(hits) / min(n, relevant) if relevant else math.nan,
        "Recall": sum(hits) / relevant if relevant else math.nan,
    }


def ndcg(ranked: Sequence[float], n: int, gain: str) -> float:
    """DCG over the DCG of the best order."""
    best = dcg(sorted(ranked, reverse=True), n, gain)
    return dcg(ranked, n, gain) / best if best > 0 else math.nan


def dense_pair(tables: Mapping[str, Tensor], schema: Schema, user: int, item: int) -> Tensor:
    """The vector of one pair the released way: every field a multi-hot vector times its matrix."""
    parts = []
    for side, n in (("item", item), ("user", user)):
        for f in schema.item_fields if side == "item" else schema.user_fields:
            hot = torch.zeros(f.size, dtype=torch.float64)
            hot[[int(v) for v in np.atleast_1d(f.values[n]) if v >= 0]] = 1.0
            count = hot.sum() if hot.any() else 1.0
            parts.append(hot @ tables[f"{side}.{f.name}"] / count)
    return torch.cat(parts)


def mlp(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Linear layers `0.weight`, `0.bias`, `1.weight`, ... with ReLU between: `[n, d] -> [n]`."""
    depth = sum(name.endswith(".weight") for name in weights)
    for k in range(depth):
        x = x @ weights[f"{k}.weight"].T + weights[f"{k}.bias"]
        x = x.relu() if k < depth - 1 else x
    return x.squeeze(-1)


def inner_loop(
    loss: Callable[[Mapping[str, Tensor]], Tensor],
    weights: Mapping[str, Tensor],
    moved: Collection[str],
    steps: int,
    lr: float | Tensor,
    order: str = "second",
    max_step: float | None = None,
) -> dict[str, Tensor]:
    """Gradient steps of one task on the weights named by `moved`, by autograd with its graph kept; a step
    longer than `max_step` is cut to that length.
    """
    now = dict(weights)
    for _ in range(steps):
        value = loss(now)
        slopes = torch.autograd.grad(value, [now[name] for name in moved], create_graph=order == "second")
        length = lr * torch.cat([slope.flatten() for slope in slopes]).norm()
        factor = 1.0 if max_step is None or length <= max_step else max_step / length
        for name, slope in zip(moved, slopes, strict=True):
            now[name] = now[name] - lr * factor * slope
    return now


def real_entries(
    batch: TaskBatch,
) -> Iterator[tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]]]:
    """The support and the query of each task as lists of (user, item, label), without padding."""
    s, q = batch.support, batch.query
    sides = ((s.user, s.item, s.mask, s.labels), (q.user, q.item, q.mask, batch.query_labels))
    for task in range(len(s.item)):
        support, query = (
            [
                (int(user[task, j if user.shape[1] > 1 else 0]), int(item[task, j]), float(label[task, j]))
                for j in range(item.shape[1])
                if mask[task, j]
            ]
            for user, item, mask, label in sides
        )
        yield support, query


def leaky_net(weights: Mapping[str, Tensor], prefix: str, x: Tensor, last: bool) -> Tensor:
    """Layers `{prefix}0.weight`, ... with LeakyReLU of slope 0.1 between them and, if `last`, behind."""
    depth = sum(name.startswith(prefix) and name.endswith("weight") for name in weights)
    for k in range(depth):
        x = x @ weights[f"{prefix}{k}.weight"].T + weights[f"{prefix}{k}.bias"]
        x = torch.where(x > 0, x, 0.1 * x) if last or k < depth - 1 else x
    return x


def mamo_outputs(weights: Mapping[str, Tensor], profile: Tensor, items: Tensor) -> Tensor:
    """MAMO's three nets for one user: `profile` `[d_p]`, `items` `[n, d_i]` -> `[n, outputs]`."""
    user = leaky_net(weights, "user.", profile, last=True)
    rows = []
    for item in items:
        pair = torch.cat([user, leaky_net(weights, "item.", item, last=True)])
        mixed = weights["memory.weight"] @ pair + weights["memory.bias"]
        rows.append(leaky_net(weights, "rating.", mixed, last=False))
    return torch.stack(rows)


def mamo_attention(profile: Tensor, slots: Tensor) -> Tensor:
    """Softmax over slots of the cosine with the profile of one user."""
    cosines = [
        profile @ slot / ((profile.square() + 1e-5).sum() * (slot.square() + 1e-5).sum()).sqrt()
        for slot in slots
    ]
    return torch.softmax(torch.stack(cosines), 0)


def write_in_turn(
    memory: Tensor, attention: Sequence[Tensor], values: Sequence[Tensor], rate: float
) -> Tensor:
    """A memory `[K, ...]` after one write a user, each slot by its own share of the user's attention."""
    for a, value in zip(attention, values, strict=True):
        memory = torch.stack([rate * a[k] * value + (1 - rate) * memory[k] for k in range(len(memory))])
    return memory


def path_neighbours(
    path: str, schema: Schema, item: int, own: Sequence[int], others: Sequence[Sequence[int]]
) -> list[int]:
    """Where a user with links `own` gets from `item` along a meta-path; `others` are other users' links."""
    if path == "UM":
        return list(own)
    if path == "UMUM":
        reached = [list(own), *(links for links in others if item in links)]
        return [item] + [j for links in reached for j in links if j != item]
    (field,) = (f for f in schema.item_fields if path == f"UM-{f.name}-M")
    values = [{int(v) for v in np.atleast_1d(row) if v >= 0} for row in field.values]
    return [item] + [
        j for v in sorted(values[item]) for j in range(schema.n_items) if v in values[j] and j != item
    ]
