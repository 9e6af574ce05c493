"""The numbers behind a verdict, in a sentence or two: functions from a frame of comparisons to text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from metarec.claims.cells import means
from metarec.claims.roles import ZERO
from metarec.show.html import ends, number, signed
from metarec.stats.tests import holm


@dataclass(frozen=True)
class Unit:
    """How a gain is printed: in points of per cent, or in the metric's own unit."""

    percent: bool

    def __call__(self, value: float) -> str:
        """With a sign."""
        return signed(100 * value) if self.percent else signed(value, 4)

    def plain(self, value: float) -> str:
        """Without a sign."""
        return number(100 * value) if self.percent else number(value, 4)


Say = Callable[[pd.DataFrame, Unit], str]
Row = Mapping[Any, Any]


def summary(frame: pd.DataFrame, unit: Unit, *, title: str = "", every: bool = False) -> str:
    """The mean gain on each scale, how many rows are + and -, and the least and the most; or `every` row."""
    names = [" and ".join(dict.fromkeys(frame[side])) for side in ("a", "b")]
    text = f"{title or f'{names[0]} over {names[1]}'}: {_means(frame, unit)}; {counts(frame)}"
    if every:
        return f"{text}: {listed(frame, unit)}"
    if title:
        order = frame.sort_values("gain", kind="stable").to_dict("records")
        text += f"; least {_cell(order[0], unit)}, most {_cell(order[-1], unit)}"
    if "detectable" in frame and frame["detectable"].notna().any():
        small = frame["detectable"]
        text += f". Smallest detectable difference {unit.plain(small.min())} to {unit.plain(small.max())}"
    return f"{text}.{level(frame)}"


def listed(frame: pd.DataFrame, unit: Unit, *, counted: bool = False) -> str:
    """Every comparison: who over whom, where on the grid, how much."""
    lines: dict[str, list[str]] = {}
    for row in frame.to_dict("records"):
        lines.setdefault(_names(row), []).append(_gain(row, unit))
    text = " ".join(f"{names}: {'; '.join(gains)}." for names, gains in lines.items())
    return f"{counts(frame).capitalize()}: {text}" if counted else text


def sizes(frame: pd.DataFrame, unit: Unit, *, stated: tuple[float, ...]) -> str:
    """The relative gain of each row with its interval, and the size that is stated for it."""
    lines = []
    for (_, rows), size in zip(frame.groupby("part", sort=True), stated, strict=False):
        row = rows.iloc[0]
        low, high = signed(100 * row["relative_low"], 1), signed(100 * row["relative_high"], 1)
        gain = signed(100 * row["relative"], 1)
        lines.append(
            f"{row['a']} over {row['b']}: relative gain {gain} % {ends(low, high)}; stated "
            f"{signed(100 * size, 1)} %."
        )
    return " ".join(lines)


def relative(frame: pd.DataFrame, unit: Unit, *, tolerance: float) -> str:
    """The relative gain of each row with its interval, and what is tolerated."""
    lines: dict[str, list[str]] = {}
    for row in frame[frame["relative"].notna()].to_dict("records"):
        mean, low, high = (signed(100 * row[k], 1) for k in ("relative", "relative_low", "relative_high"))
        name = row["metric"].rpartition(":")[0] or row["metric"]
        lines.setdefault(_names(row), []).append(f"{name} {mean} % {ends(low, high)}")
    text = ". ".join(f"{names}, relative: {'; '.join(gains)}" for names, gains in lines.items())
    return f"{text}; tolerance ± {100 * tolerance:g} %.{level(frame)}"


def widths(frame: pd.DataFrame, unit: Unit, *, bound: float, share: bool = False) -> str:
    """The range along a setting of each method with its interval, and its bound."""
    own = frame[frame["part"] == 0]
    unit = Unit(percent=True) if share else unit
    ranges = (
        f"{r['a']} {unit.plain(r['gain'])} {ends(unit.plain(r['low']), unit.plain(r['high']))}"
        for r in own.to_dict("records")
    )
    kind = " in per cent of the mean" if share else ""
    return f"Range over {own['b'].iloc[0]}{kind}: {'; '.join(ranges)}; bound {unit.plain(bound)}."


def ranks(frame: pd.DataFrame, unit: Unit) -> str:
    """The rank by mean at each place, how many others are clearly ahead or behind, and the ranks by seed."""
    lines = []
    for place, own in frame.groupby("place", sort=False):
        row, clear = own.iloc[0], holm(own)["clear"]
        ahead = own[own["gain"] < 0].sort_values("gain")["b"].tolist()
        told = ", ".join(f"{(clear == s).sum()} {s}" for s in ("+", "-")).replace("-", "−")
        if "rank" in own and not np.isnan(row["rank"]):
            n = int(row["seeds"])
            shared = f"the {n} seed{'s' * (n > 1)} that all have"
            by = ", ".join(str(r) for r in row["ranks"])
            lines.append(
                f"{place}: rank {row['rank']:.0f} of {row['of']} by mean over {shared}; by seed {by}; "
                f"{told} of {len(own)} after Holm"
            )
            continue
        more = f"; ahead of it: {', '.join(ahead[:3])}{' …' if len(ahead) > 3 else ''}" if ahead else ""
        lines.append(
            f"{place}: rank {len(ahead) + 1} of {len(own) + 1} by means over shared seeds, {told} of "
            f"{len(own)} after Holm{more}"
        )
    return f"{frame['a'].iloc[0]}. {'. '.join(lines)}."


def scatters(frame: pd.DataFrame, unit: Unit) -> str:
    """How much more each opponent scatters over seeds, as a ratio with its interval."""
    parts = []
    for row in means(frame, "b").to_dict("records"):
        ratio, low, high = np.exp([row["gain"], row["low"], row["high"]])
        parts.append(f"{row['b']} {ratio:.2f} times as much [{low:.2f}, {high:.2f}]")
    return f"Scatter over seeds against that of {frame['a'].iloc[0]}: {'; '.join(parts)}."


def told(frame: pd.DataFrame, unit: Unit) -> str:
    """The sentences that the rows bring along (column `text`), each once."""
    return " ".join(dict.fromkeys(t for t in frame["text"] if isinstance(t, str) and t))


def together(*says: Say) -> Say:
    """Several sentences, one for each part."""

    def say(frame: pd.DataFrame, unit: Unit) -> str:
        found = {k: own for k, own in frame.groupby("part", sort=True)}
        return " ".join(one(found[k], unit) for k, one in enumerate(says) if k in found)

    return say


def counts(frame: pd.DataFrame) -> str:
    """How many rows have each sign."""
    n = {s: int((frame["sign"] == s).sum()) for s in ("+", "-", "0")}
    return f"of {len(frame)} cells {n['+']} +, {n['-']} −, {n['0']} undecided"


def level(frame: pd.DataFrame) -> str:
    """A sentence if the method compared is level with a floor."""
    own = frame[frame["sample"].notna()]
    if own.empty or not own["level"].all():
        return ""
    return f" {own['a'].iloc[0]} is level with a floor in every metric."


def _means(frame: pd.DataFrame, unit: Unit) -> str:
    found = means(frame).to_dict("records")
    parts = []
    for row in found:
        name = f" in {row['scale']}" if len(found) > 1 and row["scale"] != "ranking" else ""
        name = " in the ranking metrics" if len(found) > 1 and not name else name
        parts.append(f"mean gain{name} {unit(row['gain'])} {_ends(row, unit)}")
    return ", ".join(parts)


def _cell(row: Row, unit: Unit) -> str:
    return f"{_gain(row, unit)} ({_names(row)})"


def _names(row: Row) -> str:
    return str(row["a"] if row["b"] == ZERO else f"{row['a']} over {row['b']}")


def _gain(row: Row, unit: Unit) -> str:
    metric = row["metric"].rpartition(":")
    where = [row["at"]] if row.get("at") else []
    where += [metric[0] or metric[2]]
    return f"{', '.join(where)} {unit(row['gain'])} {_ends(row, unit)}"


def _ends(row: Row, unit: Unit) -> str:
    return ends(unit(row["low"]), unit(row["high"]))
