"""Rules about ranks among many methods, and rules that count or wait instead of comparing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from metarec.report import statistics as st
from metarec.report.evidence import Cells, Ground, Role
from metarec.report.layout import select
from metarec.report.rules import FAILS, HOLDS, NOISE, Paired, Rule, Unit
from metarec.report.samples import Sample, direction, on_shared_seeds
from metarec.runs.records import Record
from metarec.show import html


@dataclass(frozen=True)
class Ranked:
    """For each metric, the method at a place in the order by mean over seeds.

    `place` is 0 for the best, 1 for the worst, 0.5 for the median (of an even number, the worse of the two);
    it counts among those that were run. One whose seeds all diverged has no rank.
    """

    labels: tuple[str, ...]
    place: float
    name: str

    def missing(self, ground: Ground) -> list[str]:
        """Those of the methods that were not run."""
        run = {r.method for r in ground.own}
        return [label for label in self.labels if label not in run]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """A sample put together metric by metric, over the seeds that all of them have."""
        there = [s for label in self.labels if (s := ground.sample(label, metrics)) is not None]
        if not there:
            return None
        there = on_shared_seeds(there)
        sign = np.array([direction(m) for m in metrics])
        order = (-sign * np.stack([st.nan_mean(s.values, (0, 1)) for s in there])).argsort(0)
        row = order[int(np.ceil(self.place * (len(there) - 1)))]
        chosen = np.stack([there[k].values[..., m] for m, k in enumerate(row)], -1)
        label = f"{self.name} ({', '.join(there[k].label for k in np.unique(row))})"
        return replace(there[0], label=label, values=chosen)


@dataclass(frozen=True)
class Average:
    """The mean of several roles, user by user; `name` says of what."""

    roles: tuple[Role, ...]
    name: str

    def missing(self, ground: Ground) -> list[str]:
        """What any of them lacks."""
        return list(dict.fromkeys(what for role in self.roles for what in role.missing(ground)))

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The mean, once all are there."""
        there = [s for role in self.roles if (s := role.fill(ground, metrics)) is not None]
        if len(there) < len(self.roles):
            return None
        there = on_shared_seeds(there)
        return replace(there[0], label=self.name, values=np.mean([s.values for s in there], axis=0))


@dataclass(frozen=True)
class Gap:
    """Squared error on test users less that on training users, one value a seed (`gap:MSE`).

    The latter is the mean of the query term over the kept epoch, after adaptation as at test.
    """

    label: str

    def missing(self, ground: Ground) -> list[str]:
        """The method, or its training curve."""
        return [f"{self.label}: query loss by epoch"] if self.fill(ground, ()) is None else []

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """Test less training."""
        own = sorted(select(ground.own, {"method": self.label}), key=lambda r: r.seed)
        if not own or any("query" not in r.extra.get("curve", {}) for r in own):
            return None
        kept = [r.extra["curve"]["epoch"].index(r.best_epoch) for r in own]
        gaps = [r.metrics["MSE"] - r.extra["curve"]["query"][k] for r, k in zip(own, kept, strict=True)]
        return _one_a_seed(self.label, "gap:MSE", own, gaps)


@dataclass(frozen=True)
class Overfit:
    """Error on test users less that on training users, one value a seed (`gap:MAE`).

    For a method whose last stage measures the latter (`train MAE`).
    """

    label: str

    def missing(self, ground: Ground) -> list[str]:
        """The method, or its error on training users."""
        return [f"{self.label}: error on training users"] if self.fill(ground, ()) is None else []

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """Test less training."""
        own = sorted(select(ground.own, {"method": self.label}), key=lambda r: r.seed)
        if not own or any("train MAE" not in r.terms for r in own):
            return None
        gaps = [r.metrics["MAE"] - r.terms["train MAE"] for r in own]
        return _one_a_seed(self.label, "gap:MAE", own, gaps)


def _one_a_seed(label: str, metric: str, own: Sequence[Record], values: Sequence[float]) -> Sample | None:
    """One value a seed as a sample; a seed that diverged is left out, and nothing is left if all have."""
    kept = [(r, v) for r, v in zip(own, values, strict=True) if np.isfinite(v)]
    if not kept:
        return None
    seeds, splits = tuple(r.seed for r, _ in kept), tuple(r.split_id for r, _ in kept)
    return Sample(label, seeds, splits, (metric,), np.array([v for _, v in kept])[:, None, None])


@dataclass(frozen=True, kw_only=True)
class Champion(Rule):
    """`label` against each of `others`, Holm within a place.

    Holds if it has the best mean everywhere, is + against at least half and - against none; fails if it is -
    against any.
    """

    label: str
    others: tuple[str, ...]

    def missing(self, ground: Ground) -> list[str]:
        return [name for name in (self.label, *self.others) if name not in ground.samples]

    def cells(self, ground: Ground) -> Cells | None:
        own = ground.sample(self.label, self.metrics)
        there = [s for name in self.others if (s := ground.sample(name, self.metrics)) is not None]
        if own is None or not there:
            return None
        joined = Cells.join([Cells.of(own, other, ground) for other in there])
        frame = st.holm(joined.frame)
        best = bool((frame["gain"] >= 0).all())
        return replace(joined, frame=frame.assign(sign=frame["clear"], best=best))

    def outcome(self, cells: Cells) -> str:
        if self.refuted(cells):
            return FAILS
        places = cells.frame.groupby("place", sort=False)
        enough = all((rows["sign"] == "+").mean() >= 0.5 for _, rows in places)
        return HOLDS if enough and cells.frame["best"].all() else NOISE

    def refuted(self, cells: Cells) -> bool:
        return cells.count("-") > 0

    def evidence(self, cells: Cells, unit: Unit) -> str:
        lines = []
        for place, rows in cells.frame.groupby("place", sort=False):
            ahead = rows[rows["gain"] < 0].sort_values("gain")["b"].tolist()
            rank = f"rank {len(ahead) + 1} of {len(rows) + 1}"
            signs = ", ".join(f"{(rows['sign'] == s).sum()} {s}" for s in ("+", "-")).replace("-", "−")
            best = f"; ahead of it: {', '.join(ahead[:3])}{' …' if len(ahead) > 3 else ''}" if ahead else ""
            lines.append(
                f"{place}: {rank} by means over shared seeds, {signs} of {len(rows)} after Holm{best}"
            )
        return f"{self.label}. {'. '.join(lines)}."


@dataclass(frozen=True, kw_only=True)
class HasRank(Rule):
    """`label` is at `rank` among `labels`, by mean and in `share` of the seeds; fails past rank `worst`.

    Ranks are those of the seeds that all have. Others may turn them round, so no failure is final before.
    """

    label: str
    labels: tuple[str, ...]
    rank: int
    worst: int = 5
    share: float = 0.8

    def missing(self, ground: Ground) -> list[str]:
        return [name for name in self.labels if name not in ground.samples]

    def cells(self, ground: Ground) -> Cells | None:
        there = [s for name in self.labels if (s := ground.sample(name, self.metrics)) is not None]
        if self.label not in [s.label for s in there] or len(there) < 2:
            return None
        there = on_shared_seeds(there)
        own = [s.label for s in there].index(self.label)
        means = np.stack([st.nan_mean(s.values, 1)[:, 0] for s in there]) * direction(self.metrics[0])
        ranks = 1 + (means > means[own]).sum(0)
        whole = 1 + int((means.mean(1) > means[own].mean()).sum())
        row = {"a": self.label, "gain": 0.0, "rank": whole, "share": float(np.mean(ranks == self.rank))}
        seeds = {"ranks": [ranks.tolist()], "seeds": means.shape[1], "of": len(there)}
        return Cells(pd.DataFrame({**row, **seeds, "place": ground.place.name}), np.zeros(st.DRAWS))

    def outcome(self, cells: Cells) -> str:
        frame = cells.frame
        if (frame["rank"] > self.worst).any():
            return FAILS
        return HOLDS if ((frame["rank"] == self.rank) & (frame["share"] >= self.share)).all() else NOISE

    def evidence(self, cells: Cells, unit: Unit) -> str:
        row = cells.frame.iloc[0]
        ranks = ", ".join(str(r) for r in row["ranks"])
        shared = f"the {row['seeds']} seed{'s' * int(row['seeds'] > 1)} that all have"
        return f"{row['a']} ranks {row['rank']} of {row['of']} by mean over {shared}; by seed {ranks}."


@dataclass(frozen=True, kw_only=True)
class SettlesEarly(Paired):
    """`a` needs at most `limit` epochs in `share` of the seeds and fewer than `b`; fails if it needs more.

    That is by the mean, once all seeds are there; before, only an interval below zero settles it.
    """

    limit: int = 5
    share: float = 0.8

    def cells(self, ground: Ground) -> Cells | None:
        found = super().cells(ground)
        own = self.a.fill(ground, self.metrics)
        if found is None or own is None:
            return None
        epochs = own.values[:, 0, 0]
        return replace(found, frame=found.frame.assign(early=float(np.mean(epochs <= self.limit))))

    def outcome(self, cells: Cells) -> str:
        if (cells.frame["gain"] < 0).any():
            return FAILS
        early = (cells.frame["early"] >= self.share).all()
        return HOLDS if early and cells.count("+") == len(cells.frame) else NOISE

    def refuted(self, cells: Cells) -> bool:
        return cells.count("-") > 0

    def evidence(self, cells: Cells, unit: Unit) -> str:
        lines = [
            f"{row['a']}: settled by epoch {self.limit} in {100 * row['early']:.0f} % of the seeds; "
            f"{html.signed(row['gain'], 1)} epochs [{html.signed(row['low'], 1)}, "
            f"{html.signed(row['high'], 1)}] ahead of {row['b']}"
            for row in cells.frame.to_dict("records")
        ]
        return f"{'; '.join(lines)}."


def tunable(options: type[Any], shared: type[Any]) -> tuple[str, ...]:
    """Numbers to choose in `options` beyond those of `shared`; switches between variants are not counted."""
    known = {f.name for f in fields(shared)}
    return tuple(
        f.name
        for f in fields(options)
        if f.name not in known
        and (isinstance(f.default, (int, float, tuple)) and not isinstance(f.default, bool))
    )


@dataclass(frozen=True, kw_only=True)
class NoneToTune(Rule):
    """`counts` gives each method's own hyper-parameters; holds if the first has none and the second some."""

    counts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def missing(self, ground: Ground) -> list[str]:
        return []

    def cells(self, ground: Ground) -> Cells | None:
        (a, own), (b, other) = self.counts.items()
        row = {"a": a, "b": b, "gain": len(other) - len(own), "own": len(own), "seeds": sys.maxsize}
        return Cells(pd.DataFrame([{**row, "place": ground.place.name}]), np.zeros(st.DRAWS))

    def outcome(self, cells: Cells) -> str:
        row = cells.frame.iloc[0]
        return HOLDS if row["own"] == 0 and row["gain"] > 0 else FAILS

    def refuted(self, cells: Cells) -> bool:
        return self.outcome(cells) == FAILS

    def evidence(self, cells: Cells, unit: Unit) -> str:
        parts = (f"{name}: {len(names)} ({', '.join(names)})" for name, names in self.counts.items())
        return f"Numbers to choose beyond the common ones: {'; '.join(parts)}."
