"""Both sides of a step, side by side: a table for the reader, a `CheckFailed` when the step does not hold.

`equal` wants two sides alike, `covers` an exact value beside a Monte Carlo estimate, `ordered` the left side
below the right, `apart` two sides that differ, `within` a value between two ends, `same` two texts alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, log, log10
from typing import NamedTuple

import pandas as pd
from scipy import stats
from torch import Tensor

from metarec.errors import MetarecError

Number = float | Tensor
NBSP = "\N{NO-BREAK SPACE}"  # a number and its interval stay on one line


class CheckFailed(MetarecError):
    """The two sides of a step do not stand to each other as the step says."""


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
        """Mean and half-width of the interval, with the decimals that the half-width deserves."""
        return with_half_width(self.mean, self.interval[1] - self.mean)


def estimate(draws: Tensor) -> Estimate:
    """Mean of independent draws `[n]` with its standard error."""
    return Estimate(float(draws.mean()), float(draws.std() / draws.numel() ** 0.5))


def log_mean_exp(draws: Tensor) -> Estimate:
    """Logarithm of the mean of `exp(draws)` `[n]`; its error by the delta method."""
    top = draws.max()
    mean, error = estimate((draws - top).exp())
    return Estimate(log(mean) + float(top), error / mean)


def with_half_width(mean: float, half: float) -> str:
    """`0.503 ± 0.015`: the half-width of an interval with two digits, the mean with as many decimals."""
    decimals = max(0, 1 - floor(log10(half))) if half > 0 else 3
    return _signed(f"{mean:.{decimals}f}{NBSP}±{NBSP}{half:.{decimals}f}")


def percent(happened: Tensor) -> str:
    """Share of the cases `[n]` in which something happened, with its 95 % interval."""
    return f"{estimate(100 * happened.double())}{NBSP}%"


def text(value: Number, digits: int = 4) -> str:
    """A number with `digits` significant digits; what rounding has left of a zero is shown as 0."""
    number = float(value)
    return "0" if abs(number) < 1e-12 else _signed(f"{number:#.{digits}g}".rstrip("."))


def _signed(number: str) -> str:
    """With a minus sign in place of the hyphen."""
    return number.replace("-", "\N{MINUS SIGN}")


def below(tol: float) -> str:
    """`< 10⁻¹⁰`: a tolerance as the reader sees it."""
    exponent = round(log10(tol))
    if tol != float(f"1e{exponent}") or tol > 1e-3:
        return f"< {tol:g}"
    return "< 10" + f"{exponent:d}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def equal(
    rows: Mapping[str, tuple[Number, Number]], *, tol: float = 1e-10, heading: str = "in nats"
) -> pd.DataFrame:
    """Left side, right side and difference of each named identity.

    A `CheckFailed` names the first one whose sides differ by more than `tol`. A difference below `tol` is
    shown as such: its digits are rounding and change from machine to machine.
    """
    table = {}
    for name, (left, right) in rows.items():
        difference = abs(float(left) - float(right))
        if not difference <= tol:
            raise CheckFailed(
                f"{name}: {float(left)} and {float(right)} differ by {difference:.2g} > {tol:g}."
            )
        table[name] = {"left side": text(left), "right side": text(right), "difference": below(tol)}
    return _framed(table, heading)


def covers(
    rows: Mapping[str, tuple[Number, Estimate]], *, heading: str = "in nats", errors: float = 5.0
) -> pd.DataFrame:
    """Exact value beside its estimate with a 95 % interval.

    One interval in twenty misses by chance, so that is shown, not refused; a `CheckFailed` is raised when an
    estimate is more than `errors` standard errors away, which chance brings about once in two million.
    """
    table = {}
    for name, (exact, found) in rows.items():
        off = abs(found.mean - float(exact)) / found.error
        if not off <= errors:
            raise CheckFailed(f"{name}: {found.mean} is {off:.1f} standard errors from {float(exact)}.")
        low, high = found.interval
        table[name] = {
            "exact": text(exact),
            "estimate": text(found.mean),
            "95 % interval": f"{text(low)}{NBSP}to{NBSP}{text(high)}",
            "inside": "yes" if low <= float(exact) <= high else "no",
        }
    return _framed(table, heading)


def ordered(rows: Mapping[str, tuple[Number, Number]], *, heading: str = "in nats") -> pd.DataFrame:
    """Left side, right side and by how much the left one is smaller; a `CheckFailed` where it is not."""
    table = {}
    for name, (left, right) in rows.items():
        room = float(right) - float(left)
        if not room > 0:
            raise CheckFailed(f"{name}: {float(left)} is not smaller than {float(right)}.")
        table[name] = {"left side": text(left), "right side": text(right), "smaller by": text(room, 3)}
    return _framed(table, heading)


def apart(rows: Mapping[str, tuple[Number, Number]], *, by: float, heading: str = "in nats") -> pd.DataFrame:
    """Left side, right side and difference; a `CheckFailed` where the sides differ by no more than `by`."""
    table = {}
    for name, (left, right) in rows.items():
        difference = abs(float(left) - float(right))
        if not difference > by:
            raise CheckFailed(f"{name}: {float(left)} and {float(right)} differ by no more than {by:g}.")
        table[name] = {"left side": text(left), "right side": text(right), "difference": text(difference)}
    return _framed(table, heading)


def within(rows: Mapping[str, tuple[Number, float, float]], *, heading: str) -> pd.DataFrame:
    """Each value with the two ends that it must lie between; a `CheckFailed` where it does not."""
    table = {}
    for name, (value, low, high) in rows.items():
        if not low <= float(value) <= high:
            raise CheckFailed(f"{name}: {float(value)} is not between {low:g} and {high:g}.")
        table[name] = {"value": text(value), "must lie between": f"{low:g}{NBSP}and{NBSP}{high:g}"}
    return _framed(table, heading)


def same(rows: Mapping[str, tuple[str, str]], *, heading: str = "") -> pd.DataFrame:
    """What was found and what was said; a `CheckFailed` where the two texts differ."""
    for name, (found, said) in rows.items():
        if found != said:
            raise CheckFailed(f"{name}: found {found!r}, said {said!r}.")
    return _framed({name: {"found": found, "said": said} for name, (found, said) in rows.items()}, heading)


def _framed(table: Mapping[str, Mapping[str, str]], heading: str) -> pd.DataFrame:
    return pd.DataFrame.from_dict(dict(table), orient="index").rename_axis(columns=heading)


def values(rows: Mapping[str, Number | str], *, heading: str = "in nats") -> pd.DataFrame:
    """Named numbers as a table; what is a text already stays as it is."""
    shown = {name: value if isinstance(value, str) else text(value) for name, value in rows.items()}
    return _framed({name: {"value": value} for name, value in shown.items()}, heading)


def stacked(values: Tensor) -> tuple[float, float]:
    """Mean and half-width of its 95 % t-interval over independent runs `[runs]`."""
    n = values.numel()
    if n < 2:
        raise MetarecError("An interval over runs needs at least two of them; set seeds to 2 or more.")
    half = float(stats.t.ppf(0.975, n - 1)) * float(values.std()) / n**0.5
    return float(values.mean()), half
