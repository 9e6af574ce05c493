"""One tidy frame of comparisons for each claim: a row a comparison, at one place.

Columns: `a, b, metric, gain, low, high, relative, relative_low, relative_high, p, n, seeds, sign, detectable`
as by `stats.tests.compare`, and

    place      the data set, as the claim calls it
    scale      what the gain is measured in; gains of two scales are never averaged
    part       which of several demands the row belongs to
    at         the value of a setting, in words, if one is varied
    level      whether `a` is level with a floor in every metric
    draws      draws of the gain, for the interval of a mean over rows; None for a count

A finder is a function `(ground) -> Found`: the frame, and what has to be run to complete it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metarec.claims.courses import Combination, Setting
from metarec.claims.ground import Ground
from metarec.claims.roles import Method, Ranked, Role
from metarec.errors import RecordError
from metarec.stats import tests
from metarec.stats.intervals import LEVEL, draws, interval, nan_mean
from metarec.stats.samples import Sample, aligned, direction, on_shared_seeds


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
                if x is not None and y is not None:
                    rows.append(compared(x, y, here).assign(part=part, at=word))
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
    """Each metric of `a` against `b`. A sign stands where the interval excludes zero and the test agrees."""
    frame, drawn = tests.compared(a, b)
    sign = np.where(frame["p"] < 1 - LEVEL, frame["sign"], "0")
    scale = [scale_of(m, ground.place.source) for m in frame["metric"]]
    return frame.assign(
        sign=sign, scale=scale, place=ground.place.name, level=ground.level(a), draws=list(drawn.T)
    )


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
        blank = {"a": "", "b": "", "metric": "", "p": 0.0 if sign != "0" else 1.0, "draws": None, "part": 0}
        about = {"place": ground.place.name, "scale": "", "level": False, "at": "", "seeds": np.nan}
        made.append({**blank, **about, "sign": sign, **row, "low": low, "high": high})
    return pd.DataFrame(made)


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other; those without a row say nothing."""
    there = [f for f in frames if len(f)]
    return pd.concat(there, ignore_index=True) if there else pd.DataFrame()


def means(frame: pd.DataFrame, by: str = "scale") -> pd.DataFrame:
    """Mean gain over the rows of each group, with the interval of the mean: a row a group.

    Groups are scales, so that errors of one data set are never averaged with those of another, nor with
    shares of a ranking. Columns `gain, low, high, n`; the ends are nan where a row has no draws.
    """
    found = []
    for name, own in frame.groupby(by, sort=False):
        gain = float(own["gain"].mean())
        drawn = [d for d in own["draws"] if d is not None]
        low = high = float("nan")
        if len(drawn) == len(own):
            _, low, high = interval(gain, drawn=np.mean(drawn, axis=0))
        found.append({by: name, "gain": gain, "low": float(low), "high": float(high), "n": len(own)})
    return pd.DataFrame(found)


def spread(
    setting: Setting,
    methods: Mapping[str, Mapping[str, Any]],
    metric: str,
    *,
    relative: bool = False,
) -> Finder:
    """The range along a setting (largest less smallest mean): a row a method.

    `methods` maps a label to the fields held fixed for it. `relative` takes the range as a share of the mean.
    """

    def width(means_: np.ndarray) -> np.ndarray:
        wide = means_.max(-1) - means_.min(-1)
        return np.asarray(wide / np.abs(means_.mean(-1)) if relative else wide)

    def found(ground: Ground) -> Found:
        made, missing = [], []
        for label, held in methods.items():
            roles = [Combination(label, setting, {v: 1.0}, label, held) for v in setting.values]
            missing += [what for role in roles for what in role.missing(ground)]
            points = [s for role in roles if (s := role.fill(ground, [metric])) is not None]
            points = on_shared_seeds(points) if points else []
            if len(points) < len(setting.values) or not points[0].seeds:
                continue
            values = np.concatenate([p.values for p in points], -1)
            drawn = width(draws(values, nested=points[0].nested))
            own, low, high = interval(float(width(nan_mean(values, axis=(0, 1)))), drawn=drawn)
            about = {"a": label, "b": setting.label, "metric": metric, "seeds": len(points[0].seeds)}
            made.append({**about, "gain": own, "low": float(low), "high": float(high), "draws": drawn})
        return Found(rows(ground, made), tuple(dict.fromkeys(missing)))

    return found


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
        whole = 1 + int((scores.mean(1) > scores[0].mean()).sum())
        n = len(pairwise.frame)
        frame = pairwise.frame.assign(
            rank=float(whole) if len(ranks) else np.nan, ranks=[ranks.tolist()] * n, of=len(there)
        )
        return Found(frame.assign(seeds=len(ranks)), pairwise.missing)

    return found


def largest(a: Role, b: Role, metrics: Sequence[str], named: Mapping[str, str]) -> Finder:
    """The relative gain of `a` over `b` in the named metric of each place against that in every other metric.

    `rank` is that of the named metric by mean, `ranks` seed by seed.
    """

    def found(ground: Ground) -> Found:
        missing = tuple(dict.fromkeys([*a.missing(ground), *b.missing(ground)]))
        x, y = a.fill(ground, metrics), b.fill(ground, metrics)
        if x is None or y is None:
            return Found(pd.DataFrame(), missing)
        left, right = aligned(x, y)
        nested = x.nested or y.nested
        drawn = draws(left - right, nested=nested) / np.abs(draws(right, nested=nested))
        relative = nan_mean(left - right, (0, 1)) / np.abs(nan_mean(right, (0, 1)))
        by_seed = nan_mean(left - right, 1) / np.abs(nan_mean(right, 1))
        own = list(metrics).index(named[ground.place.name])
        ranks = 1 + (by_seed > by_seed[:, [own]]).sum(1)
        about = {"a": f"relative gain in {metrics[own]}", "rank": 1.0 + int((relative > relative[own]).sum())}
        about |= {"ranks": ranks.tolist(), "of": len(metrics), "seeds": len(ranks), "relative": relative[own]}
        made = []
        for k, other in enumerate(metrics):
            if k != own:
                gain, low, high = interval(relative[own] - relative[k], drawn=drawn[:, own] - drawn[:, k])
                p = two_sided(drawn[:, own] - drawn[:, k])
                row = {
                    "b": f"in {other}",
                    "metric": metrics[own],
                    "gain": gain,
                    "low": low,
                    "high": high,
                    "p": p,
                }
                made.append({**about, **row, "draws": drawn[:, own] - drawn[:, k]})
        return Found(rows(ground, made), missing)

    return found


def two_sided(drawn: np.ndarray) -> float:
    """Two-sided p that belongs to a percentile interval: below 5 % where that excludes zero."""
    tail = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return float(min(1.0, max(2 * tail, 1 / len(drawn))))


def best(labels: Sequence[str], name: str, without: Mapping[str, tuple[str, ...]] | None = None) -> Ranked:
    """The best of several methods, metric by metric."""
    return Ranked(tuple(labels), 0, name, without or {})
