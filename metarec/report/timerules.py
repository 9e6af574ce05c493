"""A rule that asks for accuracy and for time: a smaller setting may cost no accuracy and must save time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from metarec.report.cellrules import Over
from metarec.report.evidence import Cells, Ground
from metarec.report.rules import HOLDS, NOISE, Unit
from metarec.report.statistics import Interval
from metarec.report.table45 import devices, ratio, timed


@dataclass(frozen=True, kw_only=True)
class Cheaper(Over):
    """As `Over`; to hold, each of `small` must also take less than `limit` of the step time of `base`.

    Times are those of `pnmta.table45`, ratios within rounds with their 95 % interval.
    """

    small: tuple[str, ...]
    base: str
    limit: float

    def missing(self, ground: Ground) -> list[str]:
        timed_all = {name for name, _, _ in self._ratios(ground)} == set(self.small)
        return super().missing(ground) + ([] if timed_all else ["the time of a step at each setting"])

    def cells(self, ground: Ground) -> Cells | None:
        cells, found = super().cells(ground), list(self._ratios(ground))
        if cells is None:
            return None
        told = "; ".join(f"{name} {r.mean:.2f} [{r.low:.2f}, {r.high:.2f}]" for name, _, r in found)
        worst = max((r.high for _, _, r in found), default=float("inf"))
        frame = cells.frame.assign(time=worst, times=f"{ground.place.source}: {told}")
        return replace(cells, frame=frame)

    def outcome(self, cells: Cells) -> str:
        word = super().outcome(cells)
        return NOISE if word == HOLDS and (cells.frame["time"] >= self.limit).any() else word

    def evidence(self, cells: Cells, unit: Unit) -> str:
        times = ". ".join(dict.fromkeys(cells.frame["times"]))
        return f"{super().evidence(cells, unit)} Time of a step over that of {self.base}, {times}."

    def _ratios(self, ground: Ground) -> Iterator[tuple[str, str, Interval]]:
        """Setting, device and ratio, of every setting timed on this place's data."""
        records = ground.store.read("pnmta", "table45")
        for dataset, device in devices(records):
            here = timed(records, dataset, device)
            if dataset == ground.place.source and self.base in here:
                yield from ((n, device, ratio(here[n], here[self.base])) for n in self.small if n in here)
