"""Rules that decide a claim: what the cells must show for it to hold, and when it fails.

The rules are those of the ledger, `reference/claims.csv`. A cell is + or - where the bootstrap interval of
its gain excludes zero, and 0 otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarec.report.evidence import Cells, Ground, Role
from metarec.show import html

HOLDS, FAILS, NOISE = "holds", "does not hold", "cannot be told from noise"


@dataclass(frozen=True)
class Unit:
    """How a gain is printed: in points of per cent, or in the metric's own unit."""

    percent: bool

    def __call__(self, value: float) -> str:
        return html.signed(100 * value) if self.percent else html.signed(value, 4)

    def plain(self, value: float) -> str:
        """Without a sign."""
        return html.number(100 * value) if self.percent else html.number(value, 4)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What must be shown in `metrics` at `places`.

    `outcome` is the verdict on complete cells; `refuted` tells whether some of the cells already settle
    that the claim fails, whatever the rest may be.
    """

    metrics: tuple[str, ...]
    places: tuple[str, ...]

    def missing(self, ground: Ground) -> list[str]:
        """What has to be run at a place before the rule can be applied in full."""
        raise NotImplementedError

    def cells(self, ground: Ground) -> Cells | None:
        """The comparisons at one place, with what has been run; None if there is nothing to compare."""
        raise NotImplementedError

    def outcome(self, cells: Cells) -> str:
        """`HOLDS`, `FAILS` or `NOISE`."""
        raise NotImplementedError

    def refuted(self, cells: Cells) -> bool:
        """Whether these cells alone make the claim fail."""
        return False

    def evidence(self, cells: Cells, unit: Unit) -> str:
        """The numbers behind a verdict, in a sentence or two."""
        n, mean, small = len(cells.frame), cells.mean, cells.frame["detectable"]
        names = [" and ".join(dict.fromkeys(cells.frame[side])) for side in ("a", "b")]
        text = (
            f"{names[0]} over {names[1]}: mean gain {unit(mean.mean)} [{unit(mean.low)}, {unit(mean.high)}]; "
            f"of {n} cells {cells.count('+')} +, {cells.count('-')} −, {cells.count('0')} undecided. "
            f"Smallest detectable difference {unit.plain(small.min())} to {unit.plain(small.max())}."
        )
        return text + (f" {names[0]} is level with a floor in every metric." if cells.level else "")


@dataclass(frozen=True, kw_only=True)
class EveryCell(Rule):
    """Holds if every cell is +; fails if one is -, or as a rule of this kind says in `refuted`."""

    def outcome(self, cells: Cells) -> str:
        if cells.count("+") == len(cells.frame):
            return HOLDS
        return FAILS if self.refuted(cells) else NOISE

    def refuted(self, cells: Cells) -> bool:
        return cells.count("-") > 0


@dataclass(frozen=True, kw_only=True)
class Paired(Rule):
    """One method `a` against one opponent `b`, metric by metric."""

    a: Role
    b: Role

    def missing(self, ground: Ground) -> list[str]:
        return list(dict.fromkeys([*self.a.missing(ground), *self.b.missing(ground)]))

    def cells(self, ground: Ground) -> Cells | None:
        a, b = self.a.fill(ground, self.metrics), self.b.fill(ground, self.metrics)
        if a is None or b is None:
            return None
        return Cells.of(a, b, ground)


@dataclass(frozen=True, kw_only=True)
class AllCells(Paired):
    """Holds if every cell is +; fails if a cell is - after Holm or the mean gain is negative."""

    def outcome(self, cells: Cells) -> str:
        if cells.count("+") == len(cells.frame):
            return HOLDS
        return FAILS if self.refuted(cells) or cells.mean.mean < 0 else NOISE

    def refuted(self, cells: Cells) -> bool:
        return cells.refuting > 0


@dataclass(frozen=True, kw_only=True)
class Majority(Paired):
    """Holds if more than half the cells are + and none is -; fails if more than half are -, or the mean
    gain is.

    With `mean_excludes_zero`, the interval of the mean gain must lie above zero as well.
    """

    mean_excludes_zero: bool = False

    def outcome(self, cells: Cells) -> str:
        half = len(cells.frame) / 2
        if cells.mean.mean < 0 or cells.count("-") > half:
            return FAILS
        clear = cells.mean.low > 0 or not self.mean_excludes_zero
        return HOLDS if cells.count("+") > half and not cells.count("-") and clear else NOISE


@dataclass(frozen=True, kw_only=True)
class Comparable(Paired):
    """Holds if the interval of gain / mean(b) lies above -`tolerance` in every cell.

    Fails if it lies below -`tolerance` in `failing` cells or more.
    """

    tolerance: float = 0.02
    failing: int = 1

    def outcome(self, cells: Cells) -> str:
        if self.refuted(cells):
            return FAILS
        return HOLDS if (cells.frame["relative_low"] > -self.tolerance).all() else NOISE

    def refuted(self, cells: Cells) -> bool:
        return int((cells.frame["relative_high"] < -self.tolerance).sum()) >= self.failing


@dataclass(frozen=True, kw_only=True)
class Magnitude(Paired):
    """Holds if the interval of the relative gain excludes 0 and reaches `stated`; fails if it ends below."""

    stated: float = 0.0

    def outcome(self, cells: Cells) -> str:
        row = cells.frame.iloc[0]
        if row["relative_high"] < self.stated:
            return FAILS
        return HOLDS if row["relative_low"] > 0 else NOISE

    def evidence(self, cells: Cells, unit: Unit) -> str:
        row = cells.frame.iloc[0]
        low, high = html.signed(100 * row["relative_low"], 1), html.signed(100 * row["relative_high"], 1)
        gain, stated = html.signed(100 * row["relative"], 1), html.signed(100 * self.stated, 1)
        return f"{row['a']} over {row['b']}: relative gain {gain} % [{low}, {high}]; stated {stated} %."
