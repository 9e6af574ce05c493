"""What training costs: what `python -m benchmarks` measured, what follows from it, and what was aimed at."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metarec.errors import MetarecError, ProtocolError, RecordError
from metarec.runs.execute import results_root
from metarec.runs.protocol import PROFILES
from metarec.show import html
from metarec.show.words import MISSED, NOT_RUN, REACHED

ORDERS = ("shuffled", "sorted by length")
# Below so many interactions an epoch is mostly set-up; exponents of growth are fitted from there on.
GROWN_FROM = 10**5


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


@dataclass(frozen=True)
class Benchmark:
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


def read(folder: Path) -> list[Benchmark]:
    """Every finished measurement in a folder, CPUs before GPUs; `RecordError` if there is none."""
    found = []
    for path in sorted(p for p in folder.glob("*.json") if not p.stem.endswith("-unfinished")):
        content = json.loads(path.read_text(encoding="utf-8"))
        found.append(Benchmark(content["machine"], content["rows"], content["seconds"]))
    if not found:
        raise RecordError(f"{folder} holds no measurement; run `make bench` first.")
    return sorted(found, key=lambda m: (m.on_gpu, m.name))


def spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Median, least and most."""
    return Spread(float(np.median(values)), float(np.min(values)), float(np.max(values)))


def speedups(measured: Benchmark) -> pd.DataFrame:
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


def shares(measured: Benchmark) -> pd.DataFrame:
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


def order(row: Mapping[str, Any]) -> str:
    """How the tasks of a program's batches are drawn, one of `ORDERS`."""
    return ORDERS[row["window"] > 1]


def seeds(n: int) -> str:
    """`1 seed`, `5 seeds`."""
    return f"{n} seed{'s' if n > 1 else ''}"


def short(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def reach(measured: Sequence[Benchmark]) -> html.Html:
    """What was aimed at, what was measured, and whether it was reached."""
    sections, values = {}, []
    for m in measured:
        rows = []
        for what, aim, found, reached in aims(m):
            badge = html.badge(REACHED if reached else MISSED)
            rows.append((what, [escape(aim), escape(found), badge]))
            values.append(
                {"machine": m.name, "what": what, "aim": aim, "found": found, "reached": bool(reached)}
            )
        sections[m.name] = rows
    if not any(m.on_gpu for m in measured):
        missing = [f"{case}, a seed against the loop as released" for case in ("TaNP", "MeLU")]
        sections["A data-centre GPU"] = [(what, ["≥ 50×", "–", html.badge(NOT_RUN)]) for what in missing]
    caption = "Aims and measurements"
    rendered = html.table(
        ["Aim", "Measured", "Reached"], sections, caption=caption, corner="What", kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def aims(m: Benchmark) -> Iterator[tuple[str, str, str, bool]]:
    """Name, aim, measurement and verdict of everything that this machine's rows decide."""
    yield from _speed_aims(m)
    if not m.on_gpu:
        yield from _rate_aims(m)
        yield from _growth_aims(m)
    for r in m.select("speed", program="ours", replicas=1):
        if order(r) == ORDERS[0]:
            continue
        what = f"{r['case'].split(',')[0]}, padding when sorted by length"
        yield what, "< 20 %", f"{r['padding']:.0%}", r["padding"] < 0.2


def _speed_aims(m: Benchmark) -> Iterator[tuple[str, str, str, bool]]:
    ratios = speedups(m)
    ratios = ratios[ratios["against"] == "released"]
    tanp = (50, 50) if m.on_gpu else (20, 60)
    aims = {"TaNP": tanp, "MeLU": (50, 50) if m.on_gpu else (15, None)}
    for (case, (alone, stacked)), how in product(aims.items(), ORDERS):
        rows = ratios[ratios["case"].str.startswith(case) & (ratios["order"] == how)]
        own = rows.set_index("replicas")["median"]
        one, best = float(own[1]), float(own[own.index > 1].max())
        what = f"{case}, one seed, {how}, against the loop as released"
        yield what, f"≥ {alone}×", f"{short(one)}×", one >= alone
        if stacked:
            what = f"{case}, a seed of a stack, {how}, likewise"
            yield what, f"≥ {stacked}×", f"{short(best)}×", best >= stacked
    shuffled = ratios[ratios["order"] == ORDERS[0]].set_index(["case", "replicas"])["median"]
    for r in m.select("compiled"):
        # It took turns with the plain step and not with the loop, so only the ratio of the two carries over.
        faster = np.median(r["plain_seconds"]) / np.median(r["compiled_seconds"])
        found = float(shuffled[r["case"], r["replicas"]] * faster)
        aim = tanp[r["replicas"] > 1]
        what = f"TaNP, {seeds(r['replicas'])}, shuffled, if steps were compiled, likewise"
        yield what, f"≥ {aim}×", f"{short(found)}×", found >= aim


def _rate_aims(m: Benchmark) -> Iterator[tuple[str, str, str, bool]]:
    found = shares(m)
    for case, least, word in (("TaNP", 1 / 3, "1/3"), ("MeLU", 1 / 2, "1/2")):
        own = found[found["case"].str.startswith(case)].set_index("replicas")["median"]
        for replicas in (own.index[0], own.index[-1]):
            what = f"{case}, share of the bare products' rate, {seeds(replicas)}"
            yield what, f"≥ {word}", f"{own[replicas]:.2f}", own[replicas] >= least


def _growth_aims(m: Benchmark) -> Iterator[tuple[str, str, str, bool]]:
    for program in dict.fromkeys(r["program"] for r in m.select("epoch")):
        power = exponent(m, program)
        what = f"{program.split(',')[0]}, seconds an epoch grow with interactions to the power"
        yield what, "≤ 1.1", f"{power:.3f}", power <= 1.1
    most = m.select("episodes")[-1]
    rows, taken, memory = (
        f"{most['interactions']:,} rows to episodes",
        most["seconds"],
        most["peak_mib"] / 1024,
    )
    yield f"{rows}, time", "< 60 s", f"{taken:.1f} s", taken < 60
    yield f"{rows}, memory", "< 4 GiB", f"{memory:.2f} GiB", memory < 4


def exponent(m: Benchmark, program: str, least: int = GROWN_FROM) -> float:
    """Slope of log seconds an epoch against log interactions, from `least` on (all, if one is that large)."""
    rows = m.select("epoch", program=program)
    large = [r for r in rows if r["interactions"] >= least]
    rows = large if len(large) > 1 else rows
    x, y = np.log([[r["interactions"], np.median(r["epoch_seconds"])] for r in rows]).T
    return float(np.polyfit(x, y, 1)[0])
