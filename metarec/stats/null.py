"""A against A: how often the test says "clear" where there is nothing to find."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.stats.intervals import LEVEL, estimate
from metarec.stats.samples import Sample
from metarec.stats.tests import compare


def against_itself(sample: Sample, size: int = 2) -> pd.DataFrame:
    """`compare` of `size` seeds of a method with `size` others, on the same users: every way to pair them.

    One row a way and metric. The ways share seeds, so that the count of clear ones scatters more than that of
    as many independent tests; its mean is the same. `RecordError` where seeds have splits of their own: two
    of them share no users.
    """
    _needs_one_split(sample)
    rows = [
        compare(_part(sample, left), replace(_part(sample, right), label=f"{sample.label}, again"))
        for left in combinations(range(len(sample.seeds)), size)
        for right in permutations(sorted(set(range(len(sample.seeds))) - set(left)), size)
        if min(left) < min(right)
    ]
    if not rows:
        raise RecordError(f"{sample.label!r} has {len(sample.seeds)} seeds; {2 * size} or more are needed.")
    return pd.concat(rows, ignore_index=True)


def simulated(sample: Sample, metric: str, *, times: int = 2000, seed: int = 0) -> float:
    """The share of made-up comparisons of a method with itself in which p is below 5 %.

    Both sides have as many seeds as the sample, on its users. A seed's effect is normal with the variance
    estimated from the sample; the rest is the sample's own, its residuals of the same user with random signs.
    """
    _needs_one_split(sample)
    (x,) = np.moveaxis(sample.only([metric]).values, -1, 0)
    x = x[:, ~np.isnan(x).any(0)]
    seeds, users = x.shape
    rest = (x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()) * np.sqrt(seeds / max(seeds - 1, 1))
    of_rest = (rest**2).mean()
    of_seed = np.sqrt(max(x.mean(1).var(ddof=1) - of_rest / users, 0.0))
    rng, clear = np.random.default_rng(seed), 0
    for _ in range(times):
        picked = rest[rng.integers(seeds, size=(2, seeds, users)), np.arange(users)]
        sides = rng.normal(0, of_seed, (2, seeds, 1)) + picked * rng.choice([-1.0, 1.0], picked.shape)
        one = estimate(sides[0] - sides[1])
        clear += abs(one.mean) > one.half(1 - LEVEL)
    return clear / times


def _part(sample: Sample, index: tuple[int, ...]) -> Sample:
    """Some of a sample's seeds, numbered from 0, so that those of two parts are paired in order."""
    splits = tuple(sample.splits[i] for i in index)
    return replace(sample, seeds=tuple(range(len(index))), splits=splits, values=sample.values[list(index)])


def _needs_one_split(sample: Sample) -> None:
    if sample.nested:
        raise RecordError(
            f"{sample.label!r} has a split for each seed, so that two seeds share no users; "
            "A against A needs runs on one split."
        )
