"""What training costs: measurements read, set against the loop over tasks, and held to what was aimed at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.report import html

PROGRAMS: Mapping[str, str] = {"released": "Loop, as released", "lean": "Loop, lean"}
ORDER: Mapping[int, str] = {1: "shuffled", 8: "sorted by length"}
# Below so many interactions an epoch is mostly set-up; exponents of growth are fitted from there on.
GROWN_FROM = 10**5


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
    """Every measurement in a folder, CPUs before GPUs; `RecordError` if there is none."""
    found = []
    for path in sorted(folder.glob("*.json")):
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

    Columns `case, against, replicas, window, median, low, high`.
    """
    rows = []
    for loop in measured.select("speed"):
        if loop["program"] == "ours":
            continue
        for ours in measured.select("speed", case=loop["case"], program="ours"):
            both = zip(loop["step_seconds"], ours["step_seconds"], strict=False)
            ratios = [slow / (fast / ours["replicas"]) for slow, fast in both]
            about = {"case": loop["case"], "against": loop["program"]}
            rows.append({**about, **{k: ours[k] for k in ("replicas", "window")}, **spread(ratios)._asdict()})
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
    columns = ["ms a step and seed", "against released", "against lean", "padding", "memory, MiB"]
    tables = []
    for m in measured:
        ratios = speedups(m)
        sections = {
            case: [(_program(r), _cells(r, ratios)) for r in m.select("speed", case=case)]
            for case in dict.fromkeys(r["case"] for r in m.select("speed"))
        }
        notes = [
            "A step is a batch of 32 tasks, with its draws, gradients and Adam. Medians over rounds; small: "
            "range. Padding and memory are those of all seeds together.",
        ]
        caption = f"Steps on {m.name}"
        tables.append(
            html.table(columns, sections, caption=caption, corner="Program", kind="results", notes=notes)
        )
    return html.Html("".join(tables), f"steps on {len(measured)} machines")


def _program(row: Mapping[str, Any]) -> str:
    if row["program"] != "ours":
        return PROGRAMS[row["program"]]
    return f"Ours, {seeds(row['replicas'])}, {ORDER[row['window']]}"


def seeds(n: int) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{n} seed{'s' if n > 1 else ''}"


def _cells(row: Mapping[str, Any], ratios: pd.DataFrame) -> list[str]:
    if row["program"] != "ours":
        return [_ranged(spread(1e3 * np.array(row["step_seconds"]))), "", "", "", ""]
    own = ratios[(ratios["case"] == row["case"]) & (ratios["replicas"] == row["replicas"])]
    own = own[own["window"] == row["window"]].set_index("against")
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
    return f"{_short(s.median)}{unit}<br><small>{_short(s.low)} to {_short(s.high)}</small>"


def _short(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def compiled(measured: Sequence[Measured]) -> html.Html:
    """A step of TaNP as the trainer does it and through `torch.compile`."""
    rows, values = [], []
    for m in measured:
        for r in m.select("compiled"):
            plain, other = (spread(1e3 * np.array(r[f"{kind}_seconds"])) for kind in ("plain", "compiled"))
            cells = [f"{r['compile_seconds']:.0f} s", _ranged(plain, " ms"), _ranged(other, " ms")]
            rows.append((m.name, [*cells, f"{other.median / plain.median:.2f}"]))
            values.append({"machine": m.name, "plain": plain.median, "compiled": other.median})
    if not rows:
        text = "Compiling was not measured: the quick profile leaves it out."
        return html.Html(f"<p>{text}</p>", text)
    caption = "A step of TaNP, one seed"
    columns = ["first step, compiled", "later steps, as they are", "later steps, compiled", "ratio"]
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Machine", kind="results")
    return html.Html(rendered, caption, pd.DataFrame(values))


def reach(measured: Sequence[Measured]) -> html.Html:
    """What was aimed at, what was measured, and whether it was reached."""
    sections, values = {}, []
    for m in measured:
        rows = []
        for what, aim, found, reached in _aims(m):
            rows.append(
                (
                    escape(what),
                    [escape(aim), escape(found), html.badge("holds" if reached else "does not hold")],
                )
            )
            values.append(
                {"machine": m.name, "what": what, "aim": aim, "found": found, "reached": bool(reached)}
            )
        sections[m.name] = rows
    if not any(m.on_gpu for m in measured):
        missing = [f"{case}, a seed against the loop as released" for case in ("TaNP", "MeLU")]
        sections["A data-centre GPU"] = [(what, ["≥ 50×", "–", html.badge("not run")]) for what in missing]
    caption = "Aims and measurements"
    rendered = html.table(
        ["Aim", "Measured", "Reached"], sections, caption=caption, corner="What", kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def _aims(m: Measured) -> Iterator[tuple[str, str, str, bool]]:
    """Name, aim, measurement and verdict of everything that this machine's rows decide."""
    yield from _speed_aims(m)
    if not m.on_gpu:
        yield from _rate_aims(m)
        yield from _growth_aims(m)
    for r in m.select("speed", program="ours", replicas=1, window=8):
        what = f"{r['case'].split(',')[0]}, padding when sorted by length"
        yield what, "< 20 %", f"{r['padding']:.0%}", r["padding"] < 0.2


def _speed_aims(m: Measured) -> Iterator[tuple[str, str, str, bool]]:
    ratios = speedups(m)
    ratios = ratios[(ratios["against"] == "released") & (ratios["window"] == 1)]
    aims = {"TaNP": (50, 50) if m.on_gpu else (20, 60), "MeLU": (50, 50) if m.on_gpu else (15, None)}
    for case, (alone, stacked) in aims.items():
        own = ratios[ratios["case"].str.startswith(case)].set_index("replicas")["median"]
        one, best = own[1], own[own.index > 1].max()
        yield (
            f"{case}, one seed, against the loop as released",
            f"≥ {alone}×",
            f"{_short(one)}×",
            one >= alone,
        )
        if stacked:
            yield f"{case}, a seed of a stack, likewise", f"≥ {stacked}×", f"{_short(best)}×", best >= stacked


def _rate_aims(m: Measured) -> Iterator[tuple[str, str, str, bool]]:
    found = shares(m)
    for case, least, word in (("TaNP", 1 / 3, "1/3"), ("MeLU", 1 / 2, "1/2")):
        own = found[found["case"].str.startswith(case)].set_index("replicas")["median"]
        for replicas in (own.index[0], own.index[-1]):
            what = f"{case}, share of the bare products' rate, {seeds(replicas)}"
            yield what, f"≥ {word}", f"{own[replicas]:.2f}", own[replicas] >= least


def _growth_aims(m: Measured) -> Iterator[tuple[str, str, str, bool]]:
    for program in dict.fromkeys(r["program"] for r in m.select("epoch")):
        power = exponent(m, program)
        what = f"{program.split(',')[0]}, seconds an epoch grow with interactions to the power"
        yield what, "≤ 1.1", f"{power:.2f}", power <= 1.1
    most = m.select("episodes")[-1]
    rows, taken, memory = (
        f"{most['interactions']:,} rows to episodes",
        most["seconds"],
        most["peak_mib"] / 1024,
    )
    yield f"{rows}, time", "< 60 s", f"{taken:.1f} s", taken < 60
    yield f"{rows}, memory", "< 4 GiB", f"{memory:.2f} GiB", memory < 4


def exponent(m: Measured, program: str, least: int = GROWN_FROM) -> float:
    """Slope of log seconds an epoch against log interactions, from `least` on (all, if one is that large)."""
    rows = m.select("epoch", program=program)
    large = [r for r in rows if r["interactions"] >= least]
    rows = large if len(large) > 1 else rows
    x, y = np.log([[r["interactions"], np.median(r["epoch_seconds"])] for r in rows]).T
    return float(np.polyfit(x, y, 1)[0])
