"""What is asked of an experiment, and how a setting is chosen from validation records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from metarec.errors import RecordError
from metarec.experiments import sameness
from metarec.experiments.protocol import Run
from metarec.records import Record, Store


@dataclass(frozen=True)
class Request:
    """Profile (`quick` or `full`), tracks, number of seeds, and the store earlier results are read from.

    `device` and `redo` are for what an experiment measures by itself; of a run the runner sees to them.
    """

    profile: str
    tracks: tuple[str, ...]
    seeds: int
    store: Store
    device: torch.device = torch.device("cpu")
    redo: bool = False

    def recorded(self, paper: str, experiment: str, key: str, module: str) -> Record | None:
        """The record of that key, if there is one; with `redo`, only if the code of `module` is still its."""
        found = next((r for r in self.store.read(paper, experiment) if r.key == key), None)
        return found if found and sameness.kept(found, module, redo=self.redo) else None


@dataclass(frozen=True)
class Experiment:
    """A named grid of runs. `needs` are experiments whose records its runs depend on (a search, say).

    `measure` stands in for runs where the runner cannot train or score them (counts of data, a look inside a
    network): it makes the records itself, one after another, and each is kept as it comes.
    """

    paper: str
    name: str
    runs: Callable[[Request], list[Run]]
    tracks: tuple[str, ...] = ("published", "sound")
    needs: tuple[str, ...] = ()
    measure: Callable[[Request], Iterator[Record]] | None = None

    @property
    def about(self) -> str:
        """One line for a list: the first of the docstring of what plans the runs, or measures."""
        source = self.measure if self.measure is not None and self.runs is no_runs else self.runs
        return (source.__doc__ or "").partition("\n")[0]


def no_runs(request: Request) -> list[Run]:
    """The grid of an experiment that trains none: its `measure` makes the records."""
    return []


def best_on_validation(
    records: Sequence[Record], label: str, options: Sequence[str], *, maximise: bool = True
) -> dict[str, Any]:
    """The values of `options` whose records of `label` have the best mean validation score at the kept epoch.

    Test scores play no part, and a setting that diverged loses. Raises `RecordError` when the search has no
    record for `label`, or none that did not diverge.
    """
    scores: dict[tuple[Any, ...], list[float]] = {}
    for record in records:
        if record.method == label:
            point = tuple(record.options[name] for name in options)
            scores.setdefault(point, []).append(record.extra["valid"])
    if not scores:
        raise RecordError(f"no search record for {label!r}; run the experiment's tuning first.")
    sign = 1.0 if maximise else -1.0

    def merit(point: tuple[Any, ...]) -> float:
        value = sign * float(np.mean(scores[point]))
        return -np.inf if np.isnan(value) else value

    best: tuple[Any, ...] = max(scores, key=merit)
    if merit(best) == -np.inf:
        raise RecordError(
            f"every setting tried for {label!r} diverged; widen its search over {', '.join(options)}."
        )
    return dict(zip(options, best, strict=True))
