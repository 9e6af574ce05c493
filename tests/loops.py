"""Slow, obvious versions, one task at a time: what the batched code is held to."""

from __future__ import annotations

import math
from collections.abc import Sequence


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
