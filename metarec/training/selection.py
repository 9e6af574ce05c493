"""Which epoch's weights are kept: the last, or each replica's best on validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from metarec.errors import MetarecError, ProtocolError
from metarec.metrics import higher_is_better


@dataclass(frozen=True)
class Selection:
    """Which epoch's weights are kept: the last, or the best on validation by `metric`.

    `maximise` follows from the metric unless it is given. `patience` counts evaluations without improvement
    before a replica stops; `every` is the number of epochs between evaluations. `watch_test` also scores the
    test set at every evaluation, as released codes do; the numbers go to the history and are never used to
    choose.
    """

    rule: str = "last"
    metric: str = ""
    maximise: bool | None = None
    every: int = 1
    patience: int | None = None
    watch_test: bool = False

    def __post_init__(self) -> None:
        if self.rule not in ("last", "valid"):
            raise ProtocolError(f"selection rule {self.rule!r} is unknown; use 'last' or 'valid'.")
        if self.rule == "valid" and not self.metric:
            raise ProtocolError("selection on validation needs the name of a metric.")
        if self.every < 1 or (self.patience is not None and self.patience < 1):
            raise ProtocolError("selection: `every` and `patience` count evaluations from 1 on.")
        if self.maximise is None:
            object.__setattr__(self, "maximise", not self.metric or _rises(self.metric))


def _rises(metric: str) -> bool:
    try:
        return higher_is_better(metric.rpartition(":")[2])
    except MetarecError:
        raise ProtocolError(
            f"selection: {metric!r} is no metric known here; say with `maximise` which way is better."
        ) from None


@dataclass
class Best:
    """Of each replica the best validation value, its epoch (0: none yet), evaluations since, and weights."""

    selection: Selection
    value: list[float]
    epoch: list[int]
    since: list[int]
    params: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, selection: Selection, replicas: int) -> Best:
        """Nothing seen yet."""
        return cls(selection, [math.nan] * replicas, [0] * replicas, [0] * replicas)

    def see(self, k: int, epoch: int, scores: Mapping[str, float], params: Mapping[str, Tensor]) -> None:
        """Keep the parameters `[K, ...]` of replica `k` if it has improved and still has patience."""
        metric = self.selection.metric
        if metric not in scores:
            raise ProtocolError(f"no metric {metric!r} to select by; use {', '.join(scores)}.")
        value = scores[metric] if self.selection.maximise else -scores[metric]
        if self.done(k):
            return
        if value > self.value[k] or (math.isnan(self.value[k]) and not math.isnan(value)):
            self.value[k], self.epoch[k], self.since[k] = value, epoch, 0
            for name, p in params.items():
                if name not in self.params:
                    self.params[name] = p.detach().clone()
                self.params[name][k] = p.detach()[k]
        else:
            self.since[k] += 1

    def done(self, k: int) -> bool:
        """Whether replica `k` has run out of patience."""
        return self.selection.patience is not None and self.since[k] >= self.selection.patience

    def chosen(self, last: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The best parameters of each replica; those of its last epoch where validation said nothing."""
        found = {name: p.detach().clone() for name, p in last.items()}
        for name, best in self.params.items():
            for k, epoch in enumerate(self.epoch):
                if epoch:
                    found[name][k] = best[k]
        return found

    def epochs(self, history: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
        """The epochs of those parameters."""
        last = [own[-1]["epoch"] if own else 0 for own in history]
        return [epoch or end for epoch, end in zip(self.epoch, last, strict=True)]
