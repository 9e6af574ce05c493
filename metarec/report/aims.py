"""What the costs were to be, what was measured, and whether it was reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import product

import numpy as np
import pandas as pd

from metarec.report.timings import ORDERS, Measured, order, seeds, shares, short, speedups
from metarec.show import html
from metarec.show.words import MISSED, REACHED

# Below so many interactions an epoch is mostly set-up; exponents of growth are fitted from there on.
GROWN_FROM = 10**5


def reach(measured: Sequence[Measured]) -> html.Html:
    """What was aimed at, what was measured, and whether it was reached."""
    sections, values = {}, []
    for m in measured:
        rows = []
        for what, aim, found, reached in _aims(m):
            badge = html.badge(REACHED if reached else MISSED)
            rows.append((what, [escape(aim), escape(found), badge]))
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
    for r in m.select("speed", program="ours", replicas=1):
        if order(r) == ORDERS[0]:
            continue
        what = f"{r['case'].split(',')[0]}, padding when sorted by length"
        yield what, "< 20 %", f"{r['padding']:.0%}", r["padding"] < 0.2


def _speed_aims(m: Measured) -> Iterator[tuple[str, str, str, bool]]:
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
        yield what, "≤ 1.1", f"{power:.3f}", power <= 1.1
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
