"""Every interval of the book, in one function, and the prediction interval of a number a paper prints.

    interval([0.61, 0.64, 0.60])                 one value a seed: Student's t
    interval(a - b, nested=False)                [seeds, tasks, metrics]: users resampled, then seeds
    interval(ratio, drawn=draws)                 a statistic whose draws are there already

The random stream is fixed by the shape of the values, so an interval repeats, and two methods resampled
apart stay paired.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
DRAWS = 4000


class Interval(NamedTuple):
    """A mean and its 95 % interval; `low` and `high` are nan where there is none.

    The fields are numbers, or arrays of one entry a metric.
    """

    mean: Any
    low: Any
    high: Any


def interval(
    values: Any, *, nested: bool = False, drawn: np.ndarray | None = None, level: float = LEVEL
) -> Interval:
    r"""The mean of `values` and its interval.

    `[n]`, one value a seed: $\bar x \pm t_{(1+\text{level})/2,\,n-1}\, s/\sqrt n$, without an interval where
    n is 1. `[seeds, tasks, metrics]`: percentiles of `draws`, by metric. With `drawn`, draws of a statistic
    over the first axis, `values` is the statistic itself and the interval their percentiles.
    """
    if drawn is not None:
        low, high = percentile(drawn, level)
        return Interval(values, low, high)
    x = np.asarray(list(values) if isinstance(values, Iterable) else values, float)
    if x.ndim == 3:
        low, high = percentile(draws(x, nested=nested), level)
        return Interval(nan_mean(x, axis=(0, 1)), low, high)
    if len(x) < 2:
        return Interval(float(x.mean()), float("nan"), float("nan"))
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def prediction(means: Any, *, users: Any = None, level: float = LEVEL) -> Interval:
    r"""Where one more run would lie, made with a new seed on other test users.

    `means` holds one mean a seed, `[S]`. `users`, `[n]`, holds each test user's value averaged over seeds,
    where all seeds share the users (crossed); it is None where each seed has users of its own (nested).

    A user's value at a seed is $\mu + a_s + b_u + e_{su}$ (level, seed, user, rest). The paper's number is
    the mean over one seed and n users. Ours is the mean over S other seeds and n other users. In the crossed
    case $s^2$, the variance of `means`, estimates the variance of one seed's mean on fixed users. The users
    enter twice, ours and the paper's:

    $$\operatorname{Var}(\text{theirs} - \text{ours}) = s^2\,(1 + 1/S) + 2\,\sigma_u^2/n .$$

    In the nested case each mean is over its own users, so $s^2$ has the variance of users in it already, and
    $\operatorname{Var} = s^2 (1 + 1/S)$. The interval is $\bar x \pm t_\nu \sqrt{\operatorname{Var}}$. The
    degrees of freedom are Satterthwaite's, $\nu = (\sum_i V_i)^2 / \sum_i V_i^2/\nu_i$, with S − 1 for seeds
    and n − 1 for users. One mean of a method without random parts (a floor) has the users' variance only.
    One mean without `users` gives no interval: the ends are nan. The paper's number of users is taken to be
    ours.
    """
    x = np.asarray(means, float)
    parts: list[tuple[float, int]] = []
    if len(x) > 1:
        parts.append((float(x.var(ddof=1)) * (1 + 1 / len(x)), len(x) - 1))
    if users is not None:
        u = np.asarray(users, float)
        u = u[~np.isnan(u)]
        parts += [(2 * float(u.var(ddof=1)) / len(u), len(u) - 1)] if len(u) > 1 else []
    mean, total = float(x.mean()), sum(v for v, _ in parts)
    if not parts:
        return Interval(mean, float("nan"), float("nan"))
    freedom = total**2 / sum(v**2 / f for v, f in parts) if total else 1.0
    half = float(stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(total))
    return Interval(mean, mean - half, mean + half)


def nan_mean(
    x: np.ndarray, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> np.ndarray:
    """Mean of what is defined; nan, without a warning, where nothing is."""
    there = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        total = np.where(there, x, 0.0).sum(axis, keepdims=keepdims)
        return np.asarray(total / there.sum(axis, keepdims=keepdims))


@lru_cache(maxsize=4)
def _weights(seeds: int, tasks: int, nested: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each seed: which draws take it (once for each time), and how often each user then counts.

    `[times]` and `[times, tasks]`. Users of crossed seeds are drawn once for all seeds of a draw.
    """
    rng = np.random.default_rng([seeds, tasks, int(nested)])
    rows = DRAWS * (seeds if nested else 1)
    users = np.empty((rows, tasks), np.uint16)
    for start in range(0, rows, 1000):  # in blocks, because the generator counts in 64 bits
        stop = min(start + 1000, rows)
        users[start:stop] = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=stop - start)
    chosen = rng.integers(seeds, size=(DRAWS, seeds))
    if not nested:
        every = users.astype(float)
        return [((chosen == seed).sum(1, keepdims=True), every) for seed in range(seeds)]
    pairs = [np.nonzero(chosen == seed) for seed in range(seeds)]
    return [(draw, users[draw * seeds + slot].astype(float)) for draw, slot in pairs]


def draws(values: np.ndarray, *, nested: bool = False) -> np.ndarray:
    """Draws of the mean: users and seeds resampled, `[seeds, tasks, metrics]` -> `[draws, metrics]`.

    The draws depend on the shape alone, so two methods resampled apart stay paired. Users are drawn once
    for all seeds of a draw; `nested` ones belong to their seed and are drawn anew for each. Tasks where a
    metric is undefined (nan) do not count. Where there is but one value a seed (a curve), draws follow
    Student's t: a handful of values resampled would give intervals far too short.
    """
    values = np.ascontiguousarray(values, float)
    return _drawn(values.tobytes(), values.shape, nested)


@lru_cache(maxsize=128)
def _drawn(content: bytes, shape: tuple[int, int, int], nested: bool) -> np.ndarray:
    """`draws` of an array by its content: a page compares one method with many, and draws for it once."""
    values = np.frombuffer(content).reshape(shape)
    seeds, tasks, width = values.shape
    if tasks == 1:
        return _seed_draws(values[:, 0])
    there = ~np.isnan(values)
    both = np.concatenate([np.where(there, values, 0.0), there], -1)
    sums = np.zeros((DRAWS, 2 * width))
    for seed, (taken, users) in enumerate(_weights(seeds, tasks, nested)):
        found = users @ both[seed]
        if nested:
            np.add.at(sums, taken, found)
        else:
            sums += taken * found
    return sums[:, :width] / sums[:, width:]


def _seed_draws(values: np.ndarray) -> np.ndarray:
    """`[seeds, metrics]` -> `[draws, metrics]`, mean plus t times standard error; nan from a single seed."""
    there = ~np.isnan(values)
    n = there.sum(0)
    mean = nan_mean(values, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.where(there, (values - mean) ** 2, 0.0).sum(0) / (n - 1) / n)
        levels = (np.arange(DRAWS) + 0.5) / DRAWS
        t = stats.t.ppf(levels[:, None], np.where(n > 1, n - 1, np.nan))
    return np.asarray(mean + t * error)


def percentile(drawn: np.ndarray, level: float = LEVEL) -> tuple[Any, Any]:
    """Lower and upper end of the percentile interval over the first axis."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
