"""Records of what is measured outside the runner: where they come from is filled in for all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metarec.data.ratings import Ratings
from metarec.experiments import provenance
from metarec.experiments.request import Request
from metarec.records import Record, digest, finite, run_key


@dataclass(frozen=True)
class Measurement:
    """One experiment's measuring: `module` is the one whose code its records depend on."""

    paper: str
    experiment: str
    module: str
    request: Request
    track: str = "published"

    def recorded(
        self, method: str, ratings: Ratings, options: Mapping[str, Any], *, seed: int = 0
    ) -> Record | None:
        """The record that an earlier call left of this, if it is to be kept (`Request.recorded`)."""
        config = self._config(method, ratings, options)
        key = run_key(self.paper, self.experiment, self.track, config, seed)
        return self.request.recorded(self.paper, self.experiment, key, self.module)

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
            config_hash=self._config(method, ratings, options),
            data_sha256=ratings.sha256,
            **provenance.origin(self.module, self.request.device, self.request.profile, seconds),
            extra=dict(extra or {}),
        )

    def _config(self, method: str, ratings: Ratings, options: Mapping[str, Any]) -> str:
        return digest([method, ratings.name, dict(options), self.request.profile])
