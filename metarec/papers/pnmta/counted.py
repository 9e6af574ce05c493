"""Counts and times of PNMTA's Tables 4 and 5 as rows of a claim's frame."""

from __future__ import annotations

from typing import Any

from metarec.claims.cells import Finder, Found, rows
from metarec.claims.ground import Ground
from metarec.papers.pnmta.step_times import devices, ratio, timed
from metarec.papers.pnmta.table45 import PRINTED, SPEC, share, slope_by_width
from metarec.papers.pnmta.tables import spelt
from metarec.stats.runs import read


def encoder_counts(ground: Ground) -> Found:
    """A row an encoder modulator: numbers by the printed formula over numbers counted; 1 is agreement."""
    own = [r for r in ground.own if r.label.startswith("encoder ") and r.options["kind"] in PRINTED]
    ratios = {
        (r.options["kind"], r.options["bias_shape"]): r.metrics["printed"] / r.metrics["counted"] for r in own
    }
    here = {kind: v for (kind, bias), v in ratios.items() if bias == "category"}
    named = ", ".join(f"{kind} {share(v)}" for kind, v in here.items())
    other = ", ".join(f"{kind}: {share(v)}" for (kind, bias), v in ratios.items() if bias == "dimension")
    text = f"{_set(ground)}: printed over counted {named}; with the bias of Eq 4, {other}."
    return Found(rows(ground, [_count(kind, v, text) for kind, v in here.items()]))


def predictor_counts(ground: Ground) -> Found:
    """A row a generator block: numbers by the printed formula over numbers counted."""
    own = [r for r in ground.own if r.label.startswith("predictor ")]
    same = sum(r.metrics["counted"] == r.metrics["printed"] for r in own)
    text = f"{_set(ground)}: {same} of {len(own)} blocks agree to the last parameter."
    made = [_count(r.label, r.metrics["printed"] / r.metrics["counted"], text) for r in own]
    return Found(rows(ground, made))


def exponent(ground: Ground) -> Found:
    """The exponent of the width in the multiply-adds of a second-order meta-step."""
    named = "multiply-adds, "
    found = {r.label.removeprefix(named): slope_by_width(r) for r in ground.own if r.label.startswith(named)}
    if "second order" not in found:
        return Found(rows(ground, []), ("the multiply-adds by width",))
    others = "; ".join(f"{name} {s:.2f}" for name, s in found.items() if name != "second order")
    text = f"Exponent {found['second order']:.2f} ({others}): the cube is a loose upper bound."
    return Found(rows(ground, [_count("second order", found["second order"], text)]))


def step_times(name: str, *, base: str) -> Finder:
    """A row a device: the time of a step over that of `base`, with its interval over rounds."""

    def found(ground: Ground) -> Found:
        made = []
        for dataset, device in devices(ground.own):
            here = timed(ground.own, dataset, device)
            if name in here and base in here:
                r = ratio(here[name], here[base])
                told = f"{name} {r.mean:.2f} [{r.low:.2f}, {r.high:.2f}] times {base}"
                text = f"{spelt(dataset)}, {device}: {told}."
                about = {"a": name, "b": base, "metric": "time of a step", "at": device, "text": text}
                made.append({**about, "gain": r.mean, "low": r.low, "high": r.high})
        return Found(rows(ground, made), () if made else ("the time of a step",))

    return found


def times_of(name: str, *, base: str) -> Finder:
    """`step_times` from the records of Tables 4 and 5, on the data of another page."""

    def found(ground: Ground) -> Found:
        there = [r for r in read(ground.store, SPEC) if r.dataset == ground.place.source]
        given = Ground(ground.place, "published", "", there, ground.store)
        return step_times(name, base=base)(given.hold({}))

    return found


def _count(name: str, value: float, text: str) -> dict[str, Any]:
    return {"a": name, "metric": "count", "gain": value, "text": text}


def _set(ground: Ground) -> str:
    return ground.place.name.partition(",")[0]
