"""Both sides of a step, side by side: a table for the reader, an error when the step does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from scipy import stats
from torch import Tensor

from metarec.errors import MetarecError

Number = float | Tensor


class Estimate(NamedTuple):
    """A Monte Carlo mean and its standard error."""

    mean: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean, by the normal approximation."""
        half = float(stats.norm.ppf(0.975)) * self.error
        return self.mean - half, self.mean + half

    def __str__(self) -> str:
        low, high = self.interval
        return f"{text(self.mean, 3)} ({text(low, 3)} to {text(high, 3)})"


def estimate(draws: Tensor) -> Estimate:
    """Mean of independent draws `[n]` with its standard error."""
    return Estimate(float(draws.mean()), float(draws.std() / draws.numel() ** 0.5))


def percent(happened: Tensor) -> str:
    """Share of the cases `[n]` in which something happened, with its 95 % interval."""
    found = estimate(100 * happened.double())
    low, high = found.interval
    return f"{found.mean:.1f} % ({max(low, 0):.1f} to {high:.1f})"


def text(value: Number, digits: int = 4) -> str:
    """A number with `digits` significant digits; what rounding has left of a zero is shown as 0."""
    number = float(value)
    return "0" if abs(number) < 1e-12 else f"{number:#.{digits}g}".rstrip(".")


def equal(
    rows: Mapping[str, tuple[Number, Number]], *, tol: float = 1e-10, unit: str = "nats"
) -> pd.DataFrame:
    """Left side, right side and difference of each named identity.

    A `MetarecError` names the first one whose sides differ by more than `tol`. A difference below `tol` is
    shown as such: its digits are rounding and change from machine to machine.
    """
    table = {}
    for name, (left, right) in rows.items():
        difference = abs(float(left) - float(right))
        if not difference <= tol:
            raise MetarecError(
                f"{name}: {float(left)} and {float(right)} differ by {difference:.2g} > {tol:g} {unit}."
            )
        table[name] = {"left side": text(left), "right side": text(right), "difference": f"< {tol:g}"}
    return _framed(table, unit)


def covers(
    rows: Mapping[str, tuple[Number, Estimate]], *, unit: str = "nats", errors: float = 5.0
) -> pd.DataFrame:
    """Exact value beside its estimate with a 95 % interval.

    One interval in twenty misses by chance, so that is shown, not refused; a `MetarecError` is raised when an
    estimate is more than `errors` standard errors away, which chance brings about once in two million.
    """
    table = {}
    for name, (exact, found) in rows.items():
        off = abs(found.mean - float(exact)) / found.error
        if not off <= errors:
            raise MetarecError(
                f"{name}: {found.mean} is {off:.1f} standard errors from {float(exact)} {unit}."
            )
        low, high = found.interval
        table[name] = {
            "exact": text(exact),
            "estimate": text(found.mean),
            "95 % interval": f"{text(low)} to {text(high)}",
            "inside": "yes" if low <= float(exact) <= high else "no",
        }
    return _framed(table, unit)


def _framed(table: Mapping[str, Mapping[str, str]], unit: str) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(dict(table), orient="index")
    return frame.rename_axis(f"in {unit}" if unit else None)


def values(rows: Mapping[str, Number], *, unit: str = "nats") -> pd.DataFrame:
    """Named numbers as a table."""
    return _framed({name: {"value": text(value)} for name, value in rows.items()}, unit)


class Verdicts:
    """What became of each claim, as a table in Markdown: claim, verdict, what was measured."""

    def __init__(self, rows: Sequence[tuple[str, str, str]]):
        self.rows = rows

    def _repr_markdown_(self) -> str:
        head = ["| Claim | Verdict | Measured above |", "|:--|:--|:--|"]
        return "\n".join(head + [f"| {' | '.join(row)} |" for row in self.rows])

    def __repr__(self) -> str:
        return self._repr_markdown_()


def stacked(values: Tensor) -> tuple[float, float]:
    """Mean and half-width of its 95 % t-interval over independent runs `[runs]`."""
    n = values.numel()
    if n < 2:
        raise MetarecError("An interval over runs needs at least two of them; set seeds to 2 or more.")
    half = float(stats.t.ppf(0.975, n - 1)) * float(values.std()) / n**0.5
    return float(values.mean()), half
