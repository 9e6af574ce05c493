"""One tidy frame of comparisons for each claim: a row a comparison, at one place.

Columns: `a, b, metric, gain, low, high, relative, relative_low, relative_high, p, n, seeds, sign, detectable`
as by `stats.tests.compare`, and

    place      the data set, as the claim calls it
    scale      what the gain is measured in; gains of two scales are never averaged
    part       which of several demands the row belongs to
    at         the value of a setting, in words, if one is varied
    level      whether `a` is level with a floor in every metric
    sample     the gains, user by user, for the interval of a mean over rows; None for a count

A finder is a function `(ground) -> Found`: the frame, and what has to be run to complete it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metarec.claims.courses import Combination, Setting
from metarec.claims.ground import Ground
from metarec.claims.roles import Method, Ranked, Role
from metarec.errors import RecordError
from metarec.stats import tests
from metarec.stats.intervals import LEVEL, Estimate, Interval, nan_mean, weighted
from metarec.stats.samples import Sample, direction, gains, meet, on_shared_seeds, relative


class Found(NamedTuple):
    """What was found at a place: the comparisons, and what is missing."""

    frame: pd.DataFrame
    missing: tuple[str, ...] = ()


Finder = Callable[[Ground], Found]


def pairs(*sides: tuple[Role, Role], metrics: Sequence[str], along: Setting | None = None) -> Finder:
    """Each `a` against its `b`, metric by metric; with `along`, at every value of a setting.

    `RecordError` at once where a method would be compared with itself.
    """
    for a, b in sides:
        own = set(getattr(b, "labels", ())) if isinstance(a, Method) else set(getattr(a, "labels", ()))
        other = a if isinstance(a, Method) else b
        if a == b or (isinstance(other, Method) and other.label in own):
            raise RecordError(f"{a} is compared with itself in {b}; leave it out of one side.")
    values = (None,) if along is None else along.values

    def found(ground: Ground) -> Found:
        rows, missing = [], []
        for value in values:
            here = ground if along is None or value is None else ground.hold({along.path: value})
            word = "" if along is None or value is None else along.word(value)
            end = f" at {word}" if word else ""
            for part, (a, b) in enumerate(sides):
                missing += [what + end for what in (*a.missing(here), *b.missing(here))]
                x, y = a.fill(here, metrics), b.fill(here, metrics)
                if x is not None and y is not None and meet(x, y):
                    rows.append(compared(x, y, here).assign(part=part, at=word))
                elif x is not None and y is not None:
                    missing.append(f"a seed at which neither {x.label} nor {y.label} has diverged{end}")
        return Found(joined(rows), tuple(dict.fromkeys(missing)))

    return found


def parts(*finders: Finder) -> Finder:
    """The rows of several finders; `part` counts the finders from 0."""

    def found(ground: Ground) -> Found:
        each = [finder(ground) for finder in finders]
        rows = [one.frame.assign(part=k) for k, one in enumerate(each) if len(one.frame)]
        missing = dict.fromkeys(what for one in each for what in one.missing)
        return Found(joined(rows), tuple(missing))

    return found


def compared(a: Sample, b: Sample, ground: Ground) -> pd.DataFrame:
    """Each metric of `a` against `b`; a sign stands where the interval excludes zero."""
    frame, (gain, _) = tests.compare(a, b), gains(a, b)
    scale = [scale_of(m, ground.place.source) for m in frame["metric"]]
    each = pd.Series([gain.only([m]) for m in gain.metrics], dtype=object)
    return frame.assign(scale=scale, place=ground.place.name, level=ground.level(a), sample=each)


def scale_of(metric: str, source: str) -> str:
    """What a metric is measured in: the ratings of a data set for an error, shares for a ranking."""
    name = metric.rpartition(":")[2]
    kind = metric.rpartition(":")[0].partition(" ")[0]
    if direction(metric) > 0:
        return "ranking"
    return f"{f'{kind} of ' if kind and kind not in ('std', 'epoch', 'exp') else ''}{name} on {source}"


def rows(ground: Ground, given: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows that no pair of methods gave (a count, a ratio of times): `gain`, `low` and `high` as given.

    Where an end is not given the row is a count: it has no error, and both ends are the number itself.
    """
    made = []
    for row in given:
        low, high = row.get("low", row["gain"]), row.get("high", row["gain"])
        sign = "+" if low > 0 else "-" if high < 0 else "0"
        blank = {"a": "", "b": "", "metric": "", "p": 0.0 if sign != "0" else 1.0, "sample": None, "part": 0}
        about = {"place": ground.place.name, "scale": "", "level": False, "at": "", "seeds": np.nan}
        made.append({**blank, **about, "sign": sign, **row, "low": low, "high": high})
    return pd.DataFrame(made)


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other; those without a row say nothing."""
    there = [f for f in frames if len(f)]
    return pd.concat(there, ignore_index=True) if there else pd.DataFrame()


def means(frame: pd.DataFrame, by: str = "scale", level: float = LEVEL) -> pd.DataFrame:
    """Mean gain over the rows of each group, with the interval of the mean: a row a group.

    Groups are scales, so that errors of one data set are never averaged with those of another, nor with
    shares of a ranking. Columns `gain, low, high, n`; the ends are nan where a row is a count.
    """
    found = []
    for name, own in frame.groupby(by, sort=False):
        half = _mean(own).half(1 - level) if own["sample"].notna().all() else np.nan
        gain = float(own["gain"].mean())
        found.append({by: name, "gain": gain, "low": gain - half, "high": gain + half, "n": len(own)})
    return pd.DataFrame(found)


def _mean(frame: pd.DataFrame) -> Estimate:
    """The mean over rows; places are independent.

    Rows at one place share users and are averaged user by user, on the seeds that all of them have.
    """
    groups = [frame["place"], frame["sample"].map(lambda s: s.values.shape[1])]
    each, shares = [], []
    for _, own in frame.groupby(groups, sort=False):
        there = on_shared_seeds(list(own["sample"]))
        mean = replace(there[0], values=np.mean([s.values for s in there], 0))
        each += mean.estimates()
        shares.append(len(own) / len(frame))
    return weighted(each, shares)


def spread(
    setting: Setting,
    methods: Mapping[str, Mapping[str, Any]],
    metric: str,
    *,
    share: bool = False,
) -> Finder:
    """The range along a setting (largest less smallest mean): a row a method.

    `methods` maps a label to the fields held fixed for it. `share` takes the range as a share of the mean.
    """

    def found(ground: Ground) -> Found:
        made, missing = [], []
        for label, held in methods.items():
            roles = [Combination(label, setting, {v: 1.0}, label, held) for v in setting.values]
            missing += [what for role in roles for what in role.missing(ground)]
            points = [s for role in roles if (s := role.fill(ground, [metric])) is not None]
            points = on_shared_seeds(points) if points else []
            if len(points) < len(setting.values) or not points[0].seeds:
                continue
            gain, low, high = width(points, share=share)
            about = {"a": label, "b": setting.label, "metric": metric, "seeds": len(points[0].seeds)}
            made.append({**about, "gain": gain, "low": low, "high": high})
        return Found(rows(ground, made), tuple(dict.fromkeys(missing)))

    return found


def width(points: Sequence[Sample], *, share: bool = False) -> Interval:
    r"""The range (largest less smallest mean) of one metric over points with the same users.

    The range is the largest difference of two points. The upper end is the largest upper end among the
    intervals of all differences: it misses only if that of the largest true one does. The lower end is the
    largest lower end, each at 5 % over the number of pairs (Bonferroni), for noise alone makes some pair
    differ. It is never below zero. `share`: of the mean over all points.
    """
    base = replace(points[0], values=np.mean([p.values for p in points], 0))
    each = [replace(a, values=a.values - b.values) for a, b in combinations(points, 2)]
    found = [one for d in each for one in (relative(d, base) if share else d).estimates()]
    low = max(abs(one.mean) - one.half((1 - LEVEL) / len(found)) for one in found)
    high = max(abs(one.mean) + one.half() for one in found)
    return Interval(max(abs(one.mean) for one in found), max(low, 0.0), high)


def ranking(label: str, others: Sequence[str], metric: str) -> Finder:
    """One method against each of others, and its rank among all of them.

    `rank` is by mean over the seeds that all have, `ranks` seed by seed, `of` how many methods there are.
    """

    def found(ground: Ground) -> Found:
        pairwise = pairs(*((Method(label), Method(o)) for o in others), metrics=[metric])(ground)
        there = [s for n in (label, *others) if (s := ground.sample(n, [metric])) is not None]
        if pairwise.frame.empty or there[0].label != label:
            return pairwise
        cut = on_shared_seeds(there)
        scores = np.stack([nan_mean(s.values, 1)[:, 0] for s in cut]) * direction(metric)
        ranks = 1 + (scores > scores[0]).sum(0)
        # Without a seed that all share there is no rank by mean.
        rank = 1.0 + (scores.mean(1) > scores[0].mean()).sum() if len(ranks) else np.nan
        frame = pairwise.frame.assign(rank=rank, ranks=[ranks.tolist()] * len(pairwise.frame), of=len(there))
        return Found(frame.assign(seeds=len(ranks)), pairwise.missing)

    return found


def largest(a: Role, b: Role, metrics: Sequence[str], named: Mapping[str, str]) -> Finder:
    """The relative gain of `a` over `b` in the named metric of each place against that in every other metric.

    `rank` is that of the named metric by mean, `ranks` seed by seed.
    """

    def found(ground: Ground) -> Found:
        missing = tuple(dict.fromkeys([*a.missing(ground), *b.missing(ground)]))
        x, y = a.fill(ground, metrics), b.fill(ground, metrics)
        if x is None or y is None or not meet(x, y):
            return Found(pd.DataFrame(), missing)
        gain, base = gains(x, y)
        shares, here = relative(gain, base), named[ground.place.name]
        by_seed = nan_mean(gain.values, 1) / np.abs(nan_mean(base.values, 1))
        mean = dict(zip(gain.metrics, (one.mean for one in shares.estimates()), strict=True))
        ranks = 1 + (by_seed > by_seed[:, [gain.metrics.index(here)]]).sum(1)
        about = {"a": f"relative gain in {here}", "metric": here, "relative": mean[here], "of": len(mean)}
        about |= {"rank": 1.0 + sum(m > mean[here] for m in mean.values())}
        about |= {"ranks": ranks.tolist(), "seeds": len(ranks)}
        this = shares.only([here])
        made = [
            {**about, "b": f"in {other}"}
            | estimated(replace(this, values=this.values - shares.only([other]).values))
            for other in gain.metrics
            if other != here
        ]
        return Found(rows(ground, made), missing)

    return found


def estimated(sample: Sample) -> dict[str, Any]:
    """What a row says of a sample of one metric: `gain, low, high, p, sample`."""
    (one,) = sample.estimates()
    gain, low, high = one.interval()
    return {"gain": gain, "low": low, "high": high, "p": one.p, "sample": sample}


def best(labels: Sequence[str], name: str, without: Mapping[str, tuple[str, ...]] | None = None) -> Ranked:
    """The best of several methods, metric by metric."""
    return Ranked(tuple(labels), 0, name, without or {})
