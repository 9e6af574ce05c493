"""Records of what a figure measures by itself, outside the runner."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from metarec.data.ratings import Ratings
from metarec.runs import origin, versions
from metarec.runs.records import Record, digest, finite
from metarec.runs.store import Store


@dataclass(frozen=True)
class Request:
    """What is asked for: profile (`quick` or `full`), tracks, seeds, the store, the device; with `redo`,
    records of an older version are made again.
    """

    profile: str
    tracks: tuple[str, ...]
    seeds: int
    store: Store
    device: torch.device = torch.device("cpu")
    redo: bool = False


class Measure(Protocol):
    """What makes the records of a figure, one after another; each is kept as it comes."""

    def __call__(self, request: Request) -> Iterator[Record]:
        """The records, in the order in which they are made."""


@dataclass(frozen=True)
class Measurement:
    """What one figure measures. `models` are the methods it trains: their versions stand in its records."""

    paper: str
    name: str
    request: Request
    track: str = "published"
    models: tuple[str, ...] = ()

    def recorded(
        self, method: str, ratings: Ratings | str, options: Mapping[str, Any], *, seed: int = 0
    ) -> Record | None:
        """The record that an earlier call left of this, if it is to be kept."""
        config = self._config(method, ratings, options)
        there = self.request.store.read(self.paper, self.name)
        found = next((r for r in there if (r.config, r.seed) == (config, seed)), None)
        return None if found and self.request.redo and versions.older(found.versions) else found

    def record(
        self,
        method: str,
        ratings: Ratings | str,
        options: Mapping[str, Any],
        metrics: Mapping[str, float],
        *,
        seed: int = 0,
        started: float | None = None,
        **more: Any,
    ) -> Record:
        """A record of `metrics`; `started` is the `time.perf_counter()` at which the work began.

        `ratings` is a table, or the name of one that is only counted. `more` are other fields.
        """
        seconds = 0.0 if started is None else time.perf_counter() - started
        known = (
            {} if isinstance(ratings, str) else {"counts": ratings.counts(), "data_sha256": ratings.sha256}
        )
        given = {"selection": "last" if more.get("epochs") else "", **known, **more}
        return Record(
            paper=self.paper,
            track=self.track,
            dataset=_name(ratings),
            method=method,
            options=dict(options),
            seed=seed,
            metrics=finite(metrics),
            config=self._config(method, ratings, options),
            versions=versions.of_measurement(f"{self.paper}.{self.name}", self.models),
            measure=self.name,
            **given,
            profile=self.request.profile,
            **origin.origin(self.request.device, seconds),
            label=method,
        )

    def _config(self, method: str, ratings: Ratings | str, options: Mapping[str, Any]) -> str:
        return digest(
            [self.paper, self.name, self.track, method, _name(ratings), dict(options), self.request.profile]
        )


def _name(ratings: Ratings | str) -> str:
    return ratings if isinstance(ratings, str) else ratings.name


@dataclass(frozen=True)
class Measured:
    """A figure or table that measures by itself what the runner cannot train or score."""

    name: str
    title: str
    measure: Measure
    tracks: tuple[str, ...] = ("published",)

    @property
    def paper(self) -> str:
        """The paper whose figure it is."""
        return self.name.partition(".")[0]

    def records(self, request: Request) -> list[Record]:
        """The Records there are."""
        there = request.store.read(self.paper, self.name.partition(".")[2])
        own = [r for r in there if r.track in request.tracks and r.seed < request.seeds]
        return [replace(r, label=r.method) for r in own if r.profile == request.profile]
