"""What training costs: measurements read, and set against the loop over tasks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.show import html

PROGRAMS: Mapping[str, str] = {"released": "Loop, as released", "lean": "Loop, lean"}
ORDERS = ("shuffled", "sorted by length")


@dataclass(frozen=True)
class Measured:
    """One run of the benchmark on one machine."""

    machine: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def name(self) -> str:
        """The device, in a few words."""
        threads = self.machine["threads"]
        cores = f"{threads} CPU core{'s' if threads > 1 else ''}"
        return str(self.machine["gpu"] or cores).removeprefix("NVIDIA ")

    @property
    def on_gpu(self) -> bool:
        """Whether the device was a GPU."""
        return self.machine["gpu"] is not None

    def select(self, what: str, **equal: Any) -> list[Mapping[str, Any]]:
        """The rows of one kind with these entries."""
        return [r for r in self.rows if r["what"] == what and equal.items() <= r.items()]


class Spread(NamedTuple):
    """A median and the range over rounds."""

    median: float
    low: float
    high: float


def read(folder: Path) -> list[Measured]:
    """Every finished measurement in a folder, CPUs before GPUs; `RecordError` if there is none."""
    found = []
    for path in sorted(p for p in folder.glob("*.json") if not p.stem.endswith("-unfinished")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.append(Measured(content["machine"], content["rows"], content["seconds"]))
    if not found:
        raise RecordError(f"{folder} holds no measurement; run `make bench` first.")
    return sorted(found, key=lambda m: (m.on_gpu, m.name))


def spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Median, least and most."""
    return Spread(float(np.median(values)), float(np.min(values)), float(np.max(values)))


def speedups(measured: Measured) -> pd.DataFrame:
    """How many times faster a seed of ours is than a loop: ratios within rounds, over rounds.

    Columns `case, against, replicas, order, median, low, high`.
    """
    rows = []
    for loop in measured.select("speed"):
        if loop["program"] == "ours":
            continue
        for ours in measured.select("speed", case=loop["case"], program="ours"):
            both = zip(loop["step_seconds"], ours["step_seconds"], strict=False)
            ratios = [slow / (fast / ours["replicas"]) for slow, fast in both]
            about = {"case": loop["case"], "against": loop["program"], "replicas": ours["replicas"]}
            rows.append({**about, "order": order(ours), **spread(ratios)._asdict()})
    return pd.DataFrame(rows)


def shares(measured: Measured) -> pd.DataFrame:
    """A step's floating-point rate (GFLOP/s) and its share of that of the step's bare products.

    Columns `case, replicas, gflops, median, low, high`.
    """
    rows = []
    for r in measured.select("rate"):
        ratios = [p / s for p, s in zip(r["products_seconds"], r["step_seconds"], strict=False)]
        rate = r["gflop"] / np.median(r["step_seconds"])
        rows.append(
            {"case": r["case"], "replicas": r["replicas"], "gflops": rate, **spread(ratios)._asdict()}
        )
    return pd.DataFrame(rows)


def machines(measured: Sequence[Measured]) -> html.Html:
    """Where and when each run was made."""
    parts = []
    for m in measured:
        about = m.machine
        facts = {
            "Device": m.name,
            "Processor": f"{about['processor']}, {about['threads']} of {about['cores']} cores used",
            "Memory": f"{about['memory_gib']} GiB",
            "Load before": f"{about['load_before']} processes running or waiting",
            "Versions": f"Python {about['python']}, torch {about['torch']}, numpy {about['numpy']}",
            "Finished": f"{about['finished'][:10]}, after {m.seconds:.0f} s",
        }
        parts.append(html.pairs({k: escape(v) for k, v in facts.items()}, title=f"Measured on {m.name}"))
    return html.Html("".join(parts), ", ".join(m.name for m in measured))


def against(measured: Sequence[Measured]) -> html.Html:
    """Each machine's table: milliseconds a step and seed, and how many times faster than either loop."""
    columns = ["ms a seed", "against released", "against lean", "padding", "memory, MiB"]
    tables = []
    for m in measured:
        ratios = speedups(m)
        sections = {
            case: [(_program(r), _cells(r, ratios)) for r in m.select("speed", case=case)]
            for case in dict.fromkeys(r["case"] for r in m.select("speed"))
        }
        notes = [
            "A step is a batch of 32 tasks, with its draws, gradients and Adam; its milliseconds are divided "
            "by the seeds stacked. Medians over rounds; small: range. Padding and memory are those of all "
            "seeds together.",
        ]
        caption = f"Steps on {m.name}"
        tables.append(
            html.table(columns, sections, caption=caption, corner="Program", kind="results", notes=notes)
        )
    return html.Html("".join(tables), f"steps on {len(measured)} machines")


def _program(row: Mapping[str, Any]) -> str:
    if row["program"] != "ours":
        return PROGRAMS[row["program"]]
    return f"Ours, {seeds(row['replicas'])}, {order(row)}"


def order(row: Mapping[str, Any]) -> str:
    """How the tasks of a program's batches are drawn, one of `ORDERS`."""
    return ORDERS[row["window"] > 1]


def seeds(n: int) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{n} seed{'s' if n > 1 else ''}"


def _cells(row: Mapping[str, Any], ratios: pd.DataFrame) -> list[str]:
    if row["program"] != "ours":
        return [_ranged(spread(1e3 * np.array(row["step_seconds"]))), "", "", "", ""]
    own = ratios[(ratios["case"] == row["case"]) & (ratios["replicas"] == row["replicas"])]
    own = own[own["order"] == order(row)].set_index("against")
    times = [
        _ranged(Spread(*own.loc[loop, ["median", "low", "high"]]), "×") if loop in own.index else "–"
        for loop in PROGRAMS
    ]
    each = spread(1e3 * np.array(row["step_seconds"]) / row["replicas"])
    return [_ranged(each), *times, f"{row['padding']:.0%}", _mib(row["peak_mib"])]


def _mib(value: float | None) -> str:
    """Whole MiB; a dash where the system could not tell."""
    return "–" if value is None else f"{value:.0f}"


def _ranged(s: Spread, unit: str = "") -> str:
    return f"{short(s.median)}{unit}<br><small>{short(s.low)} to {short(s.high)}</small>"


def short(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def compiled(measured: Sequence[Measured]) -> html.Html:
    """A step of TaNP as the trainer does it and through `torch.compile`, and after how many steps it pays."""
    sections, values = {}, []
    for m in measured:
        rows = []
        for r in m.select("compiled"):
            plain, other = (spread(1e3 * np.array(r[f"{kind}_seconds"])) for kind in ("plain", "compiled"))
            saved = plain.median - other.median
            pays = round(1e3 * r["compile_seconds"] / saved, -2) if saved > 0 else math.inf
            cells = [f"{r['compile_seconds']:.0f} s", _ranged(plain, " ms"), _ranged(other, " ms")]
            cells += [f"{other.median / plain.median:.2f}", f"{pays:,.0f} steps" if saved > 0 else "never"]
            rows.append((seeds(r["replicas"]), cells))
            about = {"machine": m.name, "replicas": r["replicas"], "pays_after": pays}
            values.append({**about, "plain": plain.median, "compiled": other.median})
        if rows:
            sections[m.name] = rows
    if not sections:
        text = "Compiling was not measured: the quick profile leaves it out."
        return html.Html(f"<p>{text}</p>", text)
    caption = "A step of TaNP, compiled"
    columns = ["first step", "as it is", "compiled", "ratio", "pays after"]
    notes = [
        "First step: that of a shape of batch, compiling included. The others are later steps, medians over "
        "rounds; small: range. Compiling pays after so many steps of the shape.",
    ]
    rendered = html.table(columns, sections, caption=caption, corner="Stacked", kind="results", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))
