"""The machine: what it is, how long something takes on it, and how much memory it needs meanwhile."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch

CPUINFO, STATUS, RESET = (Path("/proc", name) for name in ("cpuinfo", "self/status", "self/clear_refs"))


def describe(device: torch.device) -> dict[str, Any]:
    """What a reader needs to judge the figures by."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": device.type,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call, to the end of what it launched."""
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


class Turns(NamedTuple):
    """Seconds of each turn of a run, and the number of threads it had."""

    seconds: list[float]
    threads: int


def alternate(
    runs: Mapping[Any, Callable[[], object]],
    device: torch.device,
    rounds: int,
    *,
    probes: Mapping[Any, Callable[[], object]] | None = None,
    most: float = 8.0,
) -> dict[Any, Turns]:
    """Time runs in turns, round by round, so that all see the machine in the same mood.

    Each run has one thread or all, whichever serves it better: small loops lose by a second thread what large
    products gain. That is found, and the run warmed up, by its probe (by default the run itself). A run that
    has had `most` seconds sits out the later rounds.
    """
    every = torch.get_num_threads()
    probes = runs if probes is None else probes
    taken = {name: Turns([], _threads(probes[name], device, every)) for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            if sum(taken[name].seconds) <= most:
                torch.set_num_threads(taken[name].threads)
                taken[name].seconds.append(_turn(run, device))
    torch.set_num_threads(every)
    return taken


def _turn(run: Callable[[], object], device: torch.device, least: float = 0.2) -> float:
    """Seconds of a call, on average over as many as fill `least` seconds."""
    first = seconds(run, device)
    more = math.ceil(least / first) - 1
    if more < 1:
        return first

    def repeat() -> None:
        for _ in range(more):
            run()

    return (first + seconds(repeat, device)) / (1 + more)


def _threads(probe: Callable[[], object], device: torch.device, every: int) -> int:
    if device.type == "cuda" or every == 1:
        probe()
        return every
    found = {}
    for threads in (1, every):
        torch.set_num_threads(threads)
        found[threads] = min(seconds(probe, device) for _ in range(2))
    torch.set_num_threads(every)
    return min(found, key=lambda threads: found[threads])


@contextmanager
def cold_compiler() -> Iterator[None]:
    """Within the block nothing is taken over that `torch.compile` has kept of earlier runs."""
    with (
        TemporaryDirectory(prefix="metarec-bench-") as empty,
        patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=empty),
    ):
        yield


@contextmanager
def peak(device: torch.device) -> Iterator[dict[str, float | None]]:
    """Most memory held in the block above what was held at its start, `mib`, of the GPU or of the process.

    None where the system cannot set its high-water mark back (Linux alone can).
    """
    found: dict[str, float | None] = {}
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        yield found
        torch.cuda.synchronize(device)
        found["mib"] = (torch.cuda.max_memory_allocated(device) - held) / 2**20
        return
    gc.collect()
    _hand_back()
    try:
        RESET.write_text("5")
    except OSError:
        yield found
        found["mib"] = None
        return
    before = _resident("VmRSS")
    yield found
    found["mib"] = (_resident("VmHWM") - before) / 2**10


def _hand_back() -> None:
    """Give free memory back to the system, so that it counts when it is used again; glibc alone can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident(name: str) -> float:
    """Resident memory in KiB: `VmRSS` now, `VmHWM` at its highest."""
    line = next(row for row in STATUS.read_text().splitlines() if row.startswith(name))
    return float(line.split()[1])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _processor() -> str:
    """The processor's own name where the system tells it (Linux), else its kind."""
    for line in CPUINFO.read_text().splitlines() if CPUINFO.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
