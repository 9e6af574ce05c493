"""A search of settings: points drawn so that no two options are tied, tried shortly, the best in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Search:
    """Settings that are tried on validation users, in two rounds.

    `space` holds the range of each option, ends included: whole numbers are drawn evenly, others evenly in
    their logarithm. `own` is the paper's point, or a usual one where it prints none; it is always among the
    `n`. The others are a Latin hypercube: the range of every option is cut into as many parts as there are
    points, each part is met once, and the order of one option says nothing about that of another. `beyond`
    holds points that were added behind an end at which a value had been chosen.

    Round one trains every point with the first seed for `epochs[0]` epochs. Round two trains the `finalists`
    with the best scores for `epochs[1]`, with every seed.
    """

    space: Mapping[str, tuple[float, float]]
    own: Mapping[str, Any]
    epochs: tuple[int, int]
    maximise: bool = True
    n: int = 16
    beyond: tuple[Mapping[str, Any], ...] = ()
    finalists: int = 4
    seeds: tuple[int, ...] = (0, 1)

    @cached_property
    def points(self) -> tuple[Mapping[str, Any], ...]:
        """The points, the paper's own first; numbers to two digits."""
        from scipy.stats import qmc

        sampler = qmc.LatinHypercube(len(self.space), optimization="random-cd", rng=np.random.default_rng(0))
        drawn = sampler.random(self.n - 1)
        columns = [_spread(u, *ends) for u, ends in zip(drawn.T, self.space.values(), strict=True)]
        found = [dict(zip(self.space, values, strict=True)) for values in zip(*columns, strict=True)]
        return (dict(self.own), *found, *self.beyond)

    def best(self, scores: Sequence[float]) -> list[int]:
        """Indices of points from the best score on; one without a finite score stands last."""
        merit = np.asarray(scores, float) * (1 if self.maximise else -1)
        return [int(i) for i in np.argsort(-np.where(np.isfinite(merit), merit, -np.inf), kind="stable")]

    def at_best(self, curve: Sequence[float], width: int = 3) -> float:
        """The best mean of `width` validations in a row; nan if every such mean has one that is not finite.

        The best single validation would reward a setting for noise: where scores jump from epoch to epoch,
        the largest of them says little about the next.
        """
        x = np.asarray(curve, float)
        means = np.lib.stride_tricks.sliding_window_view(x, min(width, len(x))).mean(-1)
        means = means[np.isfinite(means)]
        if not len(means):
            return float("nan")
        return float(means.max() if self.maximise else means.min())

    def ends(self, option: str) -> tuple[Any, Any]:
        """The smallest and the largest value of an option that was tried."""
        tried = [point[option] for point in self.points]
        return min(tried), max(tried)


def _spread(u: np.ndarray, low: float, high: float) -> list[Any]:
    """Draws from [0, 1) over a range: whole numbers if both ends are, else evenly in the logarithm."""
    if isinstance(low, int) and isinstance(high, int):
        return [int(low + np.floor(x * (high - low + 1))) for x in u]
    return [float(f"{low * (high / low) ** x:.2g}") for x in u]
