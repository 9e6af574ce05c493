"""How time and memory grow: with the number of interactions, and with the size of a support set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch

from benchmarks import planted
from benchmarks.cases import BATCH, Row, Size
from benchmarks.machine import alternate, peak, seconds
from benchmarks.stacks import Training
from metarec.data import Ratings
from metarec.tasks import EpisodeTensors, Splits
from metarec.training.feed import Inputs, Key

# A method on identities has a row of its tables for every user, one on content has not.
GROWING: dict[str, tuple[str, dict[str, Any]]] = {
    "TaNP on identities": ("tanp", {}),
    "TaNP on content": ("tanp", {"embed": "content", "d_field": 16}),
    "MeLU on content, second order, 5 steps": ("melu", {"steps": 5}),
}


def interactions(device: torch.device, size: Size) -> Iterator[Row]:
    """From rows to episodes to the device, and an epoch of training, for more and more interactions."""
    few = planted.episodes(planted.frame(1_000))
    for model, options in GROWING.values():
        epoch(model, options, *few, device, 1)  # what libraries load on first use is nobody's memory
    for n in size.interactions:
        table = planted.frame(n)
        with peak(device) as on_device, peak(torch.device("cpu")) as memory:
            start = time.perf_counter()
            ratings, splits = planted.episodes(table)
            built = time.perf_counter() - start
            EpisodeTensors(splits.train, device)
            loaded = time.perf_counter() - start
        yield {
            "what": "episodes",
            "interactions": n,
            "users": ratings.n_users,
            "seconds": built,
            "to_device_seconds": loaded - built,
            "peak_mib": memory["mib"],
            "device_mib": on_device["mib"],
        }
        del table
        for name, (model, options) in GROWING.items():
            row = epoch(model, options, ratings, splits, device, size.steps)
            yield {"what": "epoch", "program": name, "interactions": n, **row}


def epoch(
    model: str, options: dict[str, Any], ratings: Ratings, splits: Splits, device: torch.device, steps: int
) -> Row:
    """Seconds of one epoch: its preparation, and as many steps as it has, of which `steps` are timed.

    Memory includes the model, its gradients and Adam's state.
    """
    with peak(device) as memory:
        training = Training(model, ratings, splits, device, window=1, **options)
        training.epoch(4)
    parts = np.array([_parts(training, steps, device) for _ in range(3)])
    total = parts[:, 0] + training.steps * parts[:, 1]
    parameters = sum(p.numel() for p in training.stack.params.values())
    return {
        "epoch_seconds": total.tolist(),
        "step_seconds": parts[:, 1].tolist(),
        "steps": training.steps,
        "rows": int(splits.train.lengths.sum()),
        "parameters": parameters,
        "peak_mib": memory["mib"],
    }


def _parts(training: Training, steps: int, device: torch.device) -> tuple[float, float]:
    """Seconds that preparing an epoch takes (order, noise, transfer), and seconds of one of `steps` steps."""
    training.number += 1
    given = training.feed.epoch(training.stage, training.index, training.number)
    drawn: list[tuple[Key, Inputs]] = []
    prepared = seconds(lambda: drawn.append(next(given)), device)
    drawn.extend(islice(given, steps - 1))

    def run() -> None:
        for key, inputs in drawn:
            training.step(key, inputs)

    return prepared, seconds(run, device) / len(drawn)


def support(device: torch.device, size: Size) -> Iterator[Row]:
    """Seconds and memory of a step of 32 tasks for larger and larger support sets, query of ten."""
    runs, memories = {}, {}
    for n in size.supports:
        ratings, splits = planted.equal_tasks(2 * BATCH, n, 10)
        for name, (model, options) in GROWING.items():
            with peak(device) as memory:
                training = Training(model, ratings, splits, device, **options)
                training.epoch()
                training.epoch()
            runs[name, n] = training
            memories[name, n] = memory["mib"]
    calls = {key: training.epoch for key, training in runs.items()}
    for (name, n), turns in alternate(calls, device, size.rounds).items():
        each = [t / runs[name, n].steps for t in turns.seconds]
        yield {
            "what": "support",
            "program": name,
            "support": n,
            "step_seconds": each,
            "peak_mib": memories[name, n],
        }
