"""What a training step of PNMTA costs (section 3.5): steps timed in turn, and their ratio to MAML-PT's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch import Generator

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.methods import initialised, make
from metarec.papers.pnmta.protocol import WINDOW
from metarec.papers.pnmta.tables import MAML_PT, PNMTA, spelt
from metarec.runs.measured import Measurement
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import LEVEL, Interval
from metarec.tasks import Splits

if TYPE_CHECKING:
    from metarec.training.feed import Feed, Inputs, Key

WARM_UP, ROUNDS = 12, 150
LIMIT = 1.25  # of the rule that decides the claim
# What is timed: MAML-PT, the default, and the default with one thing changed.
TIMED: dict[str, tuple[str, dict[str, Any]]] = {
    MAML_PT: ("maml-pt", {}),
    PNMTA: ("pnmta", {}),
    **{f"PNMTA, encoder {k}": ("pnmta", {"encoder_modulator": k}) for k in ("E", "SS", "Fix")},
    "PNMTA, attention": ("pnmta", {"predictor_modulator": "attention"}),
    "PNMTA, no predictor modulator": ("pnmta", {"predictor_modulator": "none"}),
    "PNMTA, first order": ("pnmta", {"order": "first"}),
    "PNMTA, d = 16": ("pnmta", {"d": 16}),
    "PNMTA, 2 steps": ("pnmta", {"steps": 2}),
}


def timings(measurement: Measurement, ratings: Ratings, splits: Splits, *, quick: bool) -> list[Record]:
    """Milliseconds of a training step of 32 tasks, the methods in turn on the same tasks, round after round.

    `extra["ms"]` holds every round after the warm-up.
    """
    warm, rounds = (1, 5) if quick else (WARM_UP, ROUNDS)
    given = {"window": WINDOW} | ({"d": 8} if quick else {})
    running = {
        name: _steps(model, {**given, **own}, ratings, splits, measurement.request.device)
        for name, (model, own) in TIMED.items()
    }
    ms: dict[str, list[float]] = {name: [] for name in TIMED}
    for turn in range(warm + rounds):
        for name, steps in running.items():
            elapsed = next(steps)
            if turn >= warm:
                ms[name].append(round(1000 * elapsed, 4))
    kind = measurement.request.device.type
    return [
        measurement.record(
            f"step, {name}",
            ratings,
            {"method": TIMED[name][0], **given, **TIMED[name][1], "device": kind, "rounds": rounds},
            {"median ms": float(torch.tensor(own).median())},
            extra={"ms": own},
        )
        for name, own in ms.items()
    ]


def _steps(
    model: str, given: dict[str, Any], ratings: Ratings, splits: Splits, device: torch.device
) -> Iterator[float]:
    """Seconds of one step of meta-training after another, for ever; the batches are those of seed 0."""
    from metarec.training.feed import Feed
    from metarec.training.stack import Stack
    from metarec.training.step import Stepper

    with initialised(0):
        method = make(model, Schema.of(ratings), **given)
    stack = Stack([method], device)
    streams = [Generator().manual_seed(0)]
    round_to = 16 if device.type == "cuda" else 1  # as the trainer does
    feed = Feed([splits], stack, streams, device, torch.float32, full=False, round_to=round_to)
    stage = method.stages()[-1]
    stepper = Stepper(stack, feed, stage, device)
    for key, inputs in _endless(feed, stage):
        _settle(device)
        started = time.perf_counter()
        stepper(key, inputs)
        _settle(device)
        yield time.perf_counter() - started


def _endless(feed: Feed, stage: Any) -> Iterator[tuple[Key, Inputs]]:
    for epoch in count():
        yield from feed.epoch(stage, 0, epoch)


def _settle(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def times(records: Sequence[Record]) -> html.Html:
    """Median time of a training step, and its ratio to that of MAML-PT with a 95 % interval.

    `frame` has a row for each data set, device and method: `dataset, device, method, ms, mean, low, high`.
    """
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    for dataset, device in devices(records):
        heading = f"{spelt(dataset)}, {device}"
        here = timed(records, dataset, device)
        for name, ms in here.items():
            found = ratio(ms, here[MAML_PT])
            cells = [html.number(float(np.median(ms)), 1)]
            cells += ["1"] if name == MAML_PT else [f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"]
            sections.setdefault(heading, []).append((name, cells))
            values.append(
                {"dataset": dataset, "device": device, "method": name, "ms": np.median(ms), **found._asdict()}
            )
    rounds = {r.options["rounds"] for r in records if r.label.startswith("step, ")}
    notes = [
        f"{' or '.join(str(n) for n in sorted(rounds))} rounds; in each, every method takes one step of 32 "
        "tasks, the same for all. Ratio: median over rounds of the ratio within a round; interval by "
        "the sign test."
    ]
    caption = "Time of a step of meta-training"
    columns = ["Median (ms)", "Times MAML-PT"]
    rendered = html.table(columns, sections, caption=caption, corner="Method", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))


def said(records: Sequence[Record]) -> str:
    """How long a step of PNMTA takes beside one of MAML-PT, in a sentence."""
    frame = times(records).frame
    own = frame[frame["method"] == PNMTA].to_dict("records")
    told = [
        f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}] on {spelt(row['dataset'])}" for row in own
    ]
    return f"The time of a training step of PNMTA, divided by that of MAML-PT, is {' and '.join(told)}."


def rounds(records: Sequence[Record]) -> Figure:
    """Ratio of PNMTA's step time to MAML-PT's, round by round; one panel for each data set and device."""
    shown = devices(records)
    fig, axes = style.panels(1, len(shown), height=2.8, sharey=True)
    for ax, (dataset, device) in zip(axes[0], shown, strict=True):
        here = timed(records, dataset, device)
        pairs = here[PNMTA] / here[MAML_PT]
        ax.plot(pairs, ".", color=style.look(PNMTA)["color"], markersize=4, alpha=0.7)
        ax.axhline(float(np.median(pairs)), color=style.INK, linewidth=1.4, label="median")
        ax.axhline(LIMIT, color=style.MUTED, linestyle="--", linewidth=1.4, label="limit of the rule")
        style.label_axes(ax, x="round", y="", title=spelt(dataset))
    axes[0, 0].set_ylabel("PNMTA / MAML-PT")
    keys = style.handles(fig)
    fig.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=2)
    return style.done(fig)


def ratio(a: np.ndarray, b: np.ndarray) -> Interval:
    """Median over rounds of `a / b` and its 95 % interval between two order statistics (the sign test's)."""
    pairs = a / b
    middle = float(np.median(pairs))
    return Interval(middle, *stats.quantile_test(pairs, q=middle, p=0.5).confidence_interval(LEVEL))


def timed(records: Sequence[Record], dataset: str, device: str) -> dict[str, np.ndarray]:
    """Milliseconds of a step of each method, round by round."""
    return {
        r.label.removeprefix("step, "): np.array(r.extra["ms"])
        for r in records
        if r.label.startswith("step, ") and r.dataset == dataset and r.device == device
    }


def devices(records: Sequence[Record]) -> list[tuple[str, str]]:
    """The data sets and devices on which steps were timed."""
    return list(dict.fromkeys((r.dataset, r.device) for r in records if r.label.startswith("step, ")))
