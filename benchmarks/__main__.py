"""Measure everything in one process and one run, and write it with the machine's description."""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import anatomy, cases, growth
from benchmarks.cases import TINY, Row, Size
from benchmarks.machine import cold_compiler, describe
from metarec.training.device import pick_device
from metarec.training.memory import keep_freed

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
PARTS: dict[str, Callable[[torch.device, Size], Iterator[Row]]] = {
    "speed": cases.speeds,
    "rate": cases.rates,
    "anatomy": anatomy.anatomy,
    "compiled": anatomy.compiled,
    "interactions": growth.interactions,
    "support": growth.support,
}


def main(arguments: Sequence[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help=f"folder of the JSON files (default: {RESULTS})")
    parser.add_argument("--parts", help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test, nothing compiled: no meaning")
    args = parser.parse_args(arguments)
    parts = args.parts.split(",") if args.parts else [p for p in PARTS if not (args.tiny and p == "compiled")]
    if strange := [p for p in parts if p not in PARTS]:
        parser.error(f"no part is named {strange[0]!r}; choose from {', '.join(PARTS)}")
    torch.set_num_threads(args.threads)
    keep_freed()  # as in a training, for the loops too
    device, started = pick_device(args.device), time.perf_counter()
    about = describe(device)
    path = (args.out or RESULTS) / f"{file_name(about)}.json"
    aside = path.with_stem(f"{path.stem}-unfinished")  # of which the book takes no notice
    if args.out is None and (args.tiny or set(parts) != set(PARTS)):
        path = aside  # some parts, or times without a meaning, are no reason to lose a whole file
    rows: list[Row] = []
    try:
        with cold_compiler():
            for part in parts:
                rows += _measure(part, device, TINY if args.tiny else Size())
    except BaseException:
        if rows:  # what is measured is not lost to a later part, nor does it write over a whole file
            print(f"{part!r} was not finished; the parts before it are kept aside.", file=sys.stderr)
            _write(aside, about, rows, started)
        raise
    _write(path, about, rows, started)
    return path


def _measure(part: str, device: torch.device, size: Size) -> list[Row]:
    """The rows of one part, each printed as it is measured."""
    rows = []
    for row in PARTS[part](device, size):
        rows.append(row)
        print(line(row), file=sys.stderr, flush=True)
    return rows


def _write(path: Path, about: dict[str, Any], rows: Sequence[Row], started: float) -> None:
    """The rows with the machine's description; `started` is the `time.perf_counter()` of the beginning."""
    found = {
        "machine": {**about, "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")},
        "seconds": round(time.perf_counter() - started, 1),
        "rows": [_rounded(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{path}, {found['seconds']} s", file=sys.stderr)


def file_name(about: dict[str, Any]) -> str:
    """One file a kind of machine: `cpu-2-threads`, or the name of the GPU."""
    name = about["gpu"] or f"cpu {about['threads']} threads"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def line(row: Row) -> str:
    """A row to be read while the others are measured: medians in milliseconds or seconds."""
    words = [str(row[key]) for key in ("what", "case", "program") if key in row]
    for key, value in row.items():
        if key.endswith("seconds"):
            words.append(f"{key.removesuffix('_seconds')} {1e3 * float(np.median(value)):.2f} ms")
        elif value is not None and key in (
            "replicas",
            "window",
            "interactions",
            "support",
            "padding",
            "peak_mib",
            "gflop",
        ):
            words.append(f"{key} {value:.4g}")
    return ", ".join(words)


def _rounded(value: Any) -> Any:
    """Five significant digits: more would be noise."""
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
