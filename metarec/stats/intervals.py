r"""Every interval of the book: one model, one formula, no resampling.

    interval([0.61, 0.64, 0.60])             one value a seed: Student's t
    interval(a - b, nested=False)            [seeds, tasks, metrics]: other seeds and other users
    estimate(values).p                       the test of the same mean: p < 5 % where the interval excludes 0
    prediction(means, users=...)             where one more run would lie

A user's value at a seed is $\mu + a_s + b_u + e_{su}$ (level, seed, user, rest), all random. The variance of
a mean is a sum of parts $V_i$, each estimated with $\nu_i$ degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

LEVEL = 0.95
POWER = 0.8


class Interval(NamedTuple):
    """A mean and its 95 % interval; `low` and `high` are nan where there is none.

    The fields are numbers, or arrays of one entry a metric.
    """

    mean: Any
    low: Any
    high: Any


@dataclass(frozen=True)
class Estimate:
    r"""A mean and the parts of its variance, $(V_i, \nu_i)$.

    Each part has its own Student quantile (Banerjee, Sankhya 22, 1960, p. 357):

    $$h(p) = \sqrt{\sum_i t_{1-p/2,\,\nu_i}^2\, V_i},\qquad \bar y \pm h(5\,\%) .$$

    With one part this is Student's t. With more it errs on the wide side, at every level. Satterthwaite's
    single t does not: in the far tails, where Holm's correction looks, it finds up to five times too many
    differences with five seeds.
    """

    mean: float
    parts: tuple[tuple[float, float], ...]

    def half(self, p: float = 1 - LEVEL) -> float:
        """Half of the width of the interval of level 1 - `p`; nan without parts."""
        if not self.parts:
            return float("nan")
        return float(np.sqrt(sum(v * special.stdtrit(f, p / 2) ** 2 for v, f in self.parts)))

    def interval(self, level: float = LEVEL) -> Interval:
        """The mean and both ends."""
        half = self.half(1 - level)
        return Interval(self.mean, self.mean - half, self.mean + half)

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(sum(v for v, _ in self.parts))) if self.parts else float("nan")

    @cached_property
    def p(self) -> float:
        r"""Two-sided p of a mean of zero: the root of $h(p) = |\bar y|$, 1 where nothing can be told."""
        size = abs(self.mean)
        if not self.error >= 0 or not size:
            return 1.0
        if not self.error or self.half(least := 1e-100) < size:
            return least if self.error else 0.0
        return float(np.exp(optimize.brentq(lambda x: self.half(np.exp(x)) - size, np.log(least), 0.0)))

    @property
    def detectable(self) -> float:
        """The mean that would be told from zero at 5 % with probability 0.8.

        By the noncentral t with the same error, and the degrees of freedom at which Student's quantile gives
        the same interval.
        """
        if not self.error > 0:
            return self.error  # nan without parts
        t = self.half() / self.error
        freedom = min((f for _, f in self.parts), default=1.0)
        if len(self.parts) > 1:
            freedom = float(special.stdtridf((1 + LEVEL) / 2, t))
        return float(special.nctdtrinc(freedom, 1 - POWER, t) * self.error)


def estimate(values: Any, *, nested: bool = False) -> Estimate:
    r"""The mean of `values`, `[seeds]` or `[seeds, tasks]`, over seeds and users, and its variance.

    With S seeds, U users and the mean squares of a two-way table (seeds, users, rest), *crossed* seeds, which
    share their users, give

    $$V_\text{seeds} = \frac{s^2}{S} = \frac{MS_s}{SU},\ \nu = S - 1,\qquad
      V_\text{users} = \frac{\max(MS_u - MS_e,\, 0)}{SU},\ \nu = U - 1 :$$

    Student's t over the means of seeds, and what users add to it. One seed has the users' part only, so it
    speaks of that one model; one user has the seeds' part only.

    *Nested* seeds have users of their own: $s^2$ has the users' variance in it already, and is the only
    part. Splits drawn at random share some users. Given the users of the data set they are independent all
    the same, so the interval is that of the mean over these users; a wider population would need a part more.

    Nan is left out: seeds without any value, then (crossed) users without a value at some seed.
    """
    x = np.asarray(list(values) if isinstance(values, Iterable) else values, float)
    x = x[:, None] if x.ndim == 1 else x
    x = x[~np.isnan(x).all(1)]
    if not nested or len(x) == 1:
        x = x[:, ~np.isnan(x).any(0)]
    if not x.size:
        return Estimate(float("nan"), ())
    seeds, users = x.shape
    by_seed, parts = nan_mean(x, 1), []
    if seeds > 1:
        parts.append((float(by_seed.var(ddof=1)) / seeds, seeds - 1))
    if users > 1 and not (nested and seeds > 1):
        by_user = x.mean(0)
        rest = ((x - by_user - by_seed[:, None] + x.mean()) ** 2).sum() / max((seeds - 1) * (users - 1), 1)
        parts.append((max(float(by_user.var(ddof=1) - rest / seeds), 0.0) / users, users - 1))
    return Estimate(float(by_seed.mean()), tuple(parts))


def weighted(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """The sum of independent estimates, each times its weight: their parts stand side by side."""
    both = list(zip(estimates, weights, strict=True))
    known = all(one.parts for one in estimates)
    parts = tuple((w**2 * v, f) for one, w in both for v, f in one.parts) if known else ()
    return Estimate(float(sum(w * one.mean for one, w in both)), parts)


def interval(values: Any, *, nested: bool = False, level: float = LEVEL) -> Interval:
    """The mean of `values` and its interval, by `estimate`: numbers, or arrays by metric.

    `[seeds]` gives numbers, `[seeds, tasks, metrics]` arrays of one entry a metric.
    """
    x = np.asarray(list(values) if isinstance(values, Iterable) else values, float)
    if x.ndim < 3:
        return estimate(x, nested=nested).interval(level)
    found = [estimate(x[..., m], nested=nested).interval(level) for m in range(x.shape[-1])]
    return Interval(*np.array(found).reshape(-1, 3).T)


def prediction(means: Any, *, users: Any = None, level: float = LEVEL) -> Interval:
    r"""Where one more run would lie, made with a new seed on other test users.

    `means` holds one mean a seed, `[S]`. `users`, `[n]`, holds each test user's value averaged over seeds,
    where all seeds share the users (crossed); it is None where each seed has users of its own (nested).

    The paper's number is the mean over one seed and n users. Ours is the mean over S other seeds and n other
    users. In the crossed case $s^2$, the variance of `means`, estimates the variance of one seed's mean on
    fixed users. The users enter twice, ours and the paper's:

    $$\operatorname{Var}(\text{theirs} - \text{ours}) = s^2\,(1 + 1/S) + 2\,\sigma_u^2/n .$$

    In the nested case each mean is over its own users, so $s^2$ has the variance of users in it already, and
    $\operatorname{Var} = s^2 (1 + 1/S)$. The degrees of freedom are S − 1 for seeds and n − 1 for users; the
    parts are put together as in `Estimate`. One mean of a method without random parts (a floor) has the
    users' variance only. One mean without `users` gives no interval: the ends are nan. The paper's number of
    users is taken to be ours.
    """
    x = np.asarray(means, float)
    parts: list[tuple[float, float]] = []
    if len(x) > 1:
        parts.append((float(x.var(ddof=1)) * (1 + 1 / len(x)), len(x) - 1))
    if users is not None:
        u = np.asarray(users, float)
        u = u[~np.isnan(u)]
        parts += [(2 * float(u.var(ddof=1)) / len(u), len(u) - 1)] if len(u) > 1 else []
    return Estimate(float(x.mean()), tuple(parts)).interval(level)


def nan_mean(
    x: np.ndarray, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> np.ndarray:
    """Mean of what is defined; nan, without a warning, where nothing is."""
    there = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        total = np.where(there, x, 0.0).sum(axis, keepdims=keepdims)
        return np.asarray(total / there.sum(axis, keepdims=keepdims))
