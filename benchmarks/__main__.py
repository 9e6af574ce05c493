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
from metarec.memory import keep_freed

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
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--parts", help=f"some of {','.join(PARTS)} (default: all)")
    parser.add_argument("--tiny", action="store_true", help="sizes of a test, nothing compiled: no meaning")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    keep_freed()  # as in a training, for the loops too
    device, started = torch.device(args.device), time.perf_counter()
    about = describe(device)
    rows = []
    parts = args.parts.split(",") if args.parts else [p for p in PARTS if not (args.tiny and p == "compiled")]
    with cold_compiler():
        for part in parts:
            for row in PARTS[part](device, TINY if args.tiny else Size()):
                rows.append(row)
                print(line(row), file=sys.stderr, flush=True)
    found = {
        "machine": {**about, "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")},
        "seconds": round(time.perf_counter() - started, 1),
        "rows": [_rounded(row) for row in rows],
    }
    path = args.out / f"{file_name(about)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{path}, {found['seconds']} s", file=sys.stderr)
    return path


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
