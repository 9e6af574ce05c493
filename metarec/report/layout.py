"""How a table of a paper is laid out, and which of our records answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarec.runs.records import Record
from metarec.stats.runs import select

__all__ = ["Block", "Layout", "score", "select"]


@dataclass(frozen=True)
class Block:
    """A group of columns: a data set and setting of the paper's table, and the records that answer it.

    `dataset` and `setting` are the paper's words (`None`: any setting), `source` the name of the rating
    table on which a number of ours compares with the paper's. `where` keeps some of the records, see
    `select`. `whole` counts the ratings of that table where copies of a part of it are in use: on a part,
    nothing compares. `spelt` is the paper's spelling of `dataset`, where it is another. `stand_in` says what
    the records are on where the paper's own rows are not to be had, so that nothing compares either.
    """

    dataset: str
    setting: str | None
    source: str
    metrics: tuple[str, ...]
    where: Mapping[str, Any] = field(default_factory=dict)
    whole: int | None = None
    spelt: str = ""
    stand_in: str = ""

    @property
    def heading(self) -> str:
        """The block in words."""
        return f"{self.dataset}, {self.setting}" if self.setting else self.dataset

    def compares(self, record: Record) -> bool:
        """Whether a record is on the paper's own data."""
        complete = self.whole is None or record.counts.get("ratings") == self.whole
        return record.dataset == self.source and complete and not self.stand_in


@dataclass(frozen=True)
class Layout:
    """How one table is laid out.

    `sections` maps a heading to row names, which are labels of records; `printed` gives the paper's name of
    a row where it is another, and `reads` its name of a metric where it is another. `same` names pairs that
    rank alike by construction, with the reason. `percent` says that the paper prints per cent.
    """

    title: str
    reference: str
    blocks: tuple[Block, ...]
    sections: Mapping[str, tuple[str, ...]]
    printed: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    percent: bool = True
    decimals: int = 2
    same: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """Every row name, from top to bottom."""
        return tuple(name for names in self.sections.values() for name in names)


def score(record: Record, metric: str) -> float:
    """A mean metric of a record, nan if it has none. `pooled:RMSE` is the root of the mean squared error over
    all query ratings, which all tasks having equally many makes the root of the mean of `MSE`.
    """
    if metric == "pooled:RMSE":
        return float(np.sqrt(record.metrics.get("MSE", np.nan)))
    return record.metrics.get(metric, np.nan)
