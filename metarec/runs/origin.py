"""Where a number comes from: commit, machine, libraries."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import metarec

PACKAGE = Path(metarec.__file__).parent


@cache
def git_commit() -> str:
    """The commit of the checkout, with `+` when the package differs from it; `METAREC_COMMIT` overrides."""
    if "METAREC_COMMIT" in os.environ:
        return os.environ["METAREC_COMMIT"]

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", "--", ".") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def device_name(device: torch.device) -> str:
    """What ran it: the GPU's own name, or the kind of processor and the threads used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {platform.machine()}, {torch.get_num_threads()} threads"


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process, in MB: of the device if it has its own, of the process otherwise."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte / 1e6


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries numbers depend on."""
    return {
        "metarec": metarec.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }


def processor() -> str:
    """The processor's own name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def origin(device: torch.device, seconds: float = 0.0) -> dict[str, Any]:
    """The fields of a `Record` that say where it comes from."""
    return {
        "git_commit": git_commit(),
        "device": device_name(device),
        "processor": processor(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "wall_seconds": round(seconds, 3),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "libraries": libraries(),
    }
