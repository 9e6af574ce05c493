"""Where a number comes from: code, commit, machine, versions."""

from __future__ import annotations

import ast
import datetime
import hashlib
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
_ALWAYS = ("metarec.training", "metarec.experiments.scoring")
# They keep numbers or say where they come from, and make none. What a protocol decides stands in the record
# itself: its options, and the digests of the ratings and the split.
_ASIDE = ("metarec.records", *(f"metarec.experiments.{m}" for m in ("provenance", "sameness", "protocol")))


@cache
def code_hash(module: str) -> str:
    """Digest of the source a method's numbers depend on: its module, the trainer, the scoring, and all that
    they import of us.

    Docstrings and comments do not count, so prose can improve without making results stale.
    """
    seen: set[str] = set()
    waiting = [module, *_ALWAYS]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if path is None or name in seen or name in _ASIDE:
            continue
        seen.add(name)
        waiting += _imports(path)
    total = hashlib.sha256()
    for name in sorted(seen):
        path = _source(name)
        assert path is not None
        total.update(name.encode() + _normalised(path).encode())
    return total.hexdigest()[:16]


def _source(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if module.startswith("metarec.") and candidate.is_file():
            return candidate
    return None


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("metarec"):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            # A package stands for its modules only where more than those is taken from it.
            names += inside if all(map(_source, inside)) else [node.module, *inside]
    return names


def _normalised(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    # Python 3.12 gave functions and classes a field that 3.11 does not know: one source, one digest.
    return ast.dump(tree).replace(", type_params=[]", "")


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


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries numbers depend on."""
    return {
        "metarec": metarec.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }


def origin(module: str, device: torch.device, profile: str, seconds: float = 0.0) -> dict[str, Any]:
    """The fields of a `Record` that say where it comes from; its numbers depend on the code of `module`."""
    return {
        "code_hash": code_hash(module),
        "git_commit": git_commit(),
        "device": device_name(device),
        "wall_seconds": round(seconds, 3),
        "peak_memory_mb": round(peak_memory_mb(device), 1),
        "profile": profile,
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
