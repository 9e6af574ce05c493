"""Rules whose cells come from several comparisons: many pairs, every value of a grid, several demands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metarec.report.contrasts import ZERO, Setting
from metarec.report.evidence import Cells, Ground
from metarec.report.rules import FAILS, HOLDS, NOISE, Comparable, EveryCell, Magnitude, Paired, Rule, Unit
from metarec.show import html


@dataclass(frozen=True, kw_only=True)
class Over(Rule):
    """The cells of several comparisons as one set, judged by the rule of the first; see `over`.

    `every` prints each cell as evidence.
    """

    parts: tuple[Rule, ...]
    title: str
    every: bool = False

    def missing(self, ground: Ground) -> list[str]:
        here = (part for part in self.parts if ground.place.name in part.places)
        return list(dict.fromkeys(what for part in here for what in part.missing(ground)))

    def cells(self, ground: Ground) -> Cells | None:
        found = []
        for k, part in enumerate(self.parts):
            cells = part.cells(ground) if ground.place.name in part.places else None
            if cells is not None:
                found.append(replace(cells, frame=cells.frame.assign(part=k)))
        return Cells.join(found) if found else None

    def outcome(self, cells: Cells) -> str:
        return self.parts[0].outcome(cells)

    def refuted(self, cells: Cells) -> bool:
        return self.parts[0].refuted(cells)

    def evidence(self, cells: Cells, unit: Unit) -> str:
        n, mean, small = len(cells.frame), cells.mean, cells.frame["detectable"]
        order = cells.frame.sort_values("gain", kind="stable").to_dict("records")
        least, most = _cell(order[0], unit), _cell(order[-1], unit)
        text = (
            f"{self.title}: mean gain {unit(mean.mean)} [{unit(mean.low)}, {unit(mean.high)}]; of {n} cells "
            f"{cells.count('+')} +, {cells.count('-')} −, {cells.count('0')} undecided"
        )
        if self.every:
            return f"{text}: {listed(cells, unit)}"
        return (
            f"{text}; least {least}, most {most}. Smallest detectable difference {unit.plain(small.min())} "
            f"to {unit.plain(small.max())}."
        )


def over(title: str, *parts: Rule, every: bool = False) -> Over:
    """`Over` with the metrics of the first part and the places of all."""
    metrics, places = parts[0].metrics, _places(parts)
    return Over(metrics=metrics, places=places, parts=parts, title=title, every=every)


@dataclass(frozen=True, kw_only=True)
class Each(Over):
    """Several demands, each judged by itself: holds if all do, fails if one does."""

    def outcome(self, cells: Cells) -> str:
        words = {part.outcome(own) for part, own in self._apart(cells)}
        return FAILS if FAILS in words else HOLDS if words == {HOLDS} else NOISE

    def refuted(self, cells: Cells) -> bool:
        return any(part.refuted(own) for part, own in self._apart(cells))

    def evidence(self, cells: Cells, unit: Unit) -> str:
        return " ".join(part.evidence(own, unit) for part, own in self._apart(cells))

    def _apart(self, cells: Cells) -> list[tuple[Rule, Cells]]:
        return [
            (self.parts[int(str(k))], replace(cells, frame=rows)) for k, rows in cells.frame.groupby("part")
        ]


def each(title: str, *parts: Rule) -> Each:
    """`Each` with the metrics of the first part and the places of all."""
    return Each(metrics=parts[0].metrics, places=_places(parts), parts=parts, title=title)


@dataclass(frozen=True, kw_only=True)
class FirstRefutes(EveryCell, Over):
    """A statement and its condition: holds if every cell is +; fails if one of the first part's is -."""

    def refuted(self, cells: Cells) -> bool:
        frame = cells.frame
        return bool(((frame["part"] == 0) & (frame["sign"] == "-")).any())

    def evidence(self, cells: Cells, unit: Unit) -> str:
        return listed(cells, unit)


def first_refutes(title: str, *parts: Rule) -> FirstRefutes:
    """`FirstRefutes` with the metrics of the first part and the places of all."""
    return FirstRefutes(metrics=parts[0].metrics, places=_places(parts), parts=parts, title=title)


@dataclass(frozen=True, kw_only=True)
class AlongGrid(Rule):
    """One rule at every value of a setting, all cells together; see `along`."""

    rule: Rule
    setting: Setting

    def missing(self, ground: Ground) -> list[str]:
        return [
            f"{what} at {self.setting.word(v)}"
            for v in self.setting.values
            for what in self.rule.missing(self.setting.hold(ground, v))
        ]

    def cells(self, ground: Ground) -> Cells | None:
        found = []
        for value in self.setting.values:
            cells = self.rule.cells(self.setting.hold(ground, value))
            if cells is not None:
                found.append(replace(cells, frame=cells.frame.assign(at=self.setting.word(value))))
        return Cells.join(found) if found else None

    def outcome(self, cells: Cells) -> str:
        return self.rule.outcome(cells)

    def refuted(self, cells: Cells) -> bool:
        return self.rule.refuted(cells)

    def evidence(self, cells: Cells, unit: Unit) -> str:
        counts = f"{cells.count('+')} +, {cells.count('-')} −, {cells.count('0')} undecided"
        return f"Of {len(cells.frame)} cells {counts}: {listed(cells, unit)}"


def along(setting: Setting, rule: Rule) -> AlongGrid:
    """`AlongGrid` with the metrics and places of the rule."""
    return AlongGrid(metrics=rule.metrics, places=rule.places, rule=rule, setting=setting)


@dataclass(frozen=True, kw_only=True)
class Signs(EveryCell, Paired):
    """Holds if every cell is +; fails if one is -."""

    def evidence(self, cells: Cells, unit: Unit) -> str:
        return listed(cells, unit)


@dataclass(frozen=True, kw_only=True)
class OnMean(Paired):
    """Holds if the mean gain over the cells is +, fails if it is -; its cells are only shown."""

    def outcome(self, cells: Cells) -> str:
        if cells.mean.low > 0:
            return HOLDS
        return FAILS if cells.mean.high < 0 else NOISE


@dataclass(frozen=True, kw_only=True)
class NoGain(Paired):
    """No significant gain: holds if at most `allowed` cells are +, fails if `failing` or more are.

    Without `failing`, if more than half are.
    """

    allowed: int
    failing: int | None = None

    def outcome(self, cells: Cells) -> str:
        if self.refuted(cells):
            return FAILS
        return HOLDS if cells.count("+") <= self.allowed else NOISE

    def refuted(self, cells: Cells) -> bool:
        return cells.count("+") >= (self.failing or len(cells.frame) // 2 + 1)


@dataclass(frozen=True, kw_only=True)
class AtLeast(Magnitude):
    """`Magnitude` over the best of several; more of them only lower the gain, so too little is final."""

    def refuted(self, cells: Cells) -> bool:
        return self.outcome(cells) == FAILS


@dataclass(frozen=True, kw_only=True)
class AboutEqual(Comparable):
    """Holds if gain / mean(b) lies within ± `tolerance` with its interval in every cell.

    Fails if it lies outside, with its whole interval, in every cell.
    """

    def outcome(self, cells: Cells) -> str:
        low, high = cells.frame["relative_low"], cells.frame["relative_high"]
        if ((low > self.tolerance) | (high < -self.tolerance)).all():
            return FAILS
        return HOLDS if ((low > -self.tolerance) & (high < self.tolerance)).all() else NOISE

    def refuted(self, cells: Cells) -> bool:
        return False

    def evidence(self, cells: Cells, unit: Unit) -> str:
        lines = [_relative(row) for row in cells.frame.to_dict("records")]
        names = f"{cells.frame['a'].iloc[0]} over {cells.frame['b'].iloc[0]}"
        return f"{names}, relative: {'; '.join(lines)}; tolerance ± {100 * self.tolerance:g} %."


def listed(cells: Cells, unit: Unit) -> str:
    """Every comparison: who over whom, where on the grid, how much."""
    lines: dict[str, list[str]] = {}
    for row in cells.frame.to_dict("records"):
        lines.setdefault(_names(row), []).append(_gain(row, unit))
    return " ".join(f"{names}: {'; '.join(gains)}." for names, gains in lines.items())


def _cell(row: Mapping[Any, Any], unit: Unit) -> str:
    return f"{_gain(row, unit)} ({_names(row)})"


def _names(row: Mapping[Any, Any]) -> str:
    return str(row["a"] if row["b"] == ZERO else f"{row['a']} over {row['b']}")


def _gain(row: Mapping[Any, Any], unit: Unit) -> str:
    metric = row["metric"].rpartition(":")
    where = [row["at"]] if isinstance(row.get("at"), str) else []
    where += [metric[0] or metric[2]]
    ends = "one seed" if np.isnan(row["low"]) else f"{unit(row['low'])}, {unit(row['high'])}"
    return f"{', '.join(where)} {unit(row['gain'])} [{ends}]"


def _relative(row: Mapping[Any, Any]) -> str:
    """A relative gain in per cent."""
    mean, low, high = (html.signed(100 * row[k], 1) for k in ("relative", "relative_low", "relative_high"))
    return f"{row['metric'].rpartition(':')[0] or row['metric']} {mean} % [{low}, {high}]"


def _places(parts: Sequence[Rule]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part.places))
