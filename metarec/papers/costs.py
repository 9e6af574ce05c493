"""What training costs: the measurements behind the book's page, taken by `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from metarec.errors import MetarecError, ProtocolError
from metarec.runs.execute import results_root
from metarec.runs.protocol import PROFILES


def measurements(profile: str, device: str = "auto") -> Path:
    """The folder of measurements, one JSON file a machine.

    `recorded`: those of the repository. `full`: measured now and added to them. `quick`: measured now, on
    sizes of a test, in a folder of their own; the times then mean nothing. Raises `MetarecError` where the
    repository's `benchmarks` are not there or fail.
    """
    if profile not in PROFILES:
        raise ProtocolError(f"profile {profile!r} is unknown; use {', '.join(PROFILES)}.")
    kept = results_root() / "benchmarks"
    if profile == "recorded":
        return kept
    root = Path(__file__).parents[2]
    if not (root / "benchmarks" / "__main__.py").exists():
        raise MetarecError(f"{root} has no benchmarks; measure in a checkout of the project.")
    out = kept if profile == "full" else Path(tempfile.mkdtemp(prefix="metarec-benchmarks-"))
    command = [sys.executable, "-m", "benchmarks", "--out", str(out)]
    command += ["--device", device]
    command += ["--tiny"] if profile == "quick" else []
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8")
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise MetarecError(f"the benchmark failed: {said[-1]}")
    return out
