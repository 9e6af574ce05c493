"""Records of what is measured outside the runner: where they come from is filled in for all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from metarec.data import Ratings
from metarec.experiments import provenance
from metarec.records import Record, digest, finite


@dataclass(frozen=True)
class Measurement:
    """One experiment's measuring: `module` is the one whose code its records depend on."""

    paper: str
    experiment: str
    module: str
    profile: str
    track: str = "published"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def record(
        self,
        method: str,
        ratings: Ratings,
        options: Mapping[str, Any],
        metrics: Mapping[str, float],
        *,
        seed: int = 0,
        started: float | None = None,
        epochs: int = 0,
        extra: Mapping[str, Any] | None = None,
    ) -> Record:
        """A record of `metrics`; `started` is the `time.perf_counter()` at which the work began."""
        seconds = 0.0 if started is None else time.perf_counter() - started
        return Record(
            paper=self.paper,
            experiment=self.experiment,
            track=self.track,
            dataset=ratings.name,
            method=method,
            options=dict(options),
            seed=seed,
            metrics=finite(metrics),
            counts=ratings.counts(),
            selection="last" if epochs else "",
            epochs=epochs,
            config_hash=digest([method, ratings.name, dict(options), self.profile]),
            data_sha256=ratings.sha256,
            **provenance.origin(self.module, self.device, self.profile, seconds),
            extra=dict(extra or {}),
        )
