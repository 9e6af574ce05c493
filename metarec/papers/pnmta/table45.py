"""PNMTA's Tables 4 and 5, and section 3.5: parameters counted, multiply-adds counted, steps timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any, get_args

import torch
from torch import Generator

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.derivations import costs
from metarec.layers.modulators import EncoderKind, printed_encoder_count, printed_predictor_count
from metarec.methods import initialised, make, n_parameters
from metarec.methods.pnmta import PNMTA
from metarec.papers.pnmta.protocol import WINDOW, protocol
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.tasks import Splits
from metarec.training.feed import Feed, Inputs, Key
from metarec.training.stack import Stack
from metarec.training.step import Stepper

WIDTHS = (16, 32, 64, 128, 256)
ENCODERS: tuple[EncoderKind, ...] = get_args(EncoderKind)
WARM_UP, ROUNDS = 12, 150
# What is timed: MAML-PT, the default, and the default with one thing changed.
TIMED: dict[str, tuple[str, dict[str, Any]]] = {
    "MAML-PT": ("maml-pt", {}),
    "PNMTA": ("pnmta", {}),
    **{f"PNMTA, encoder {k}": ("pnmta", {"encoder_modulator": k}) for k in ("E", "SS", "Fix")},
    "PNMTA, attention": ("pnmta", {"predictor_modulator": "attention"}),
    "PNMTA, no predictor modulator": ("pnmta", {"predictor_modulator": "none"}),
    "PNMTA, first order": ("pnmta", {"order": "first"}),
    "PNMTA, d = 16": ("pnmta", {"d": 16}),
    "PNMTA, 2 steps": ("pnmta", {"steps": 2}),
}


def measure_table45(request: Request) -> Iterator[Record]:
    """Tables 4 and 5: counts and times, on the fields of both data sets; nothing is trained to an end."""
    quick = request.profile == "quick"
    place = Measurement("pnmta", "table45", request, models=("maml-pt", "pnmta"))
    for dataset in ("ml-1m",) if quick else ("ml-1m", "book-crossing"):
        rules = protocol("published", request.profile, dataset)
        ratings = rules.ratings()
        yield from encoder_counts(place, ratings) + predictor_counts(place, ratings)
        yield from timings(place, ratings, rules.splits(ratings, 0), quick=quick)
        if ratings.time is not None:
            yield from multiply_adds(place, ratings, WIDTHS[:3] if quick else WIDTHS)


def encoder_counts(place: Measurement, ratings: Ratings) -> list[Record]:
    """Trained numbers of each encoder modulator, as Table 4 prints them and as the module holds them."""
    records = []
    for kind in ENCODERS:
        for shape in ("category", "dimension") if kind == "C" else ("category",):
            method = _pnmta(ratings, encoder_modulator=kind, bias_shape=shape)
            tables = method.encoder.tables()
            categories = sum(len(t) for t in tables.values())
            found = {
                "counted": n_parameters(method, "encoder_modulator."),
                "printed": printed_encoder_count(kind, categories, method.encoder.d_out),
                "encoder": n_parameters(method, "encoder."),
                "categories": categories,
                "fields": len(tables),
                "d_pair": method.encoder.d_out,
            }
            options = {"kind": kind, "bias_shape": shape}
            records.append(place.record(f"encoder {kind}", ratings, options, found))
    return records


def predictor_counts(place: Measurement, ratings: Ratings) -> list[Record]:
    """The same for each block of the predictor modulators, and Table 5."""
    records = []
    for kind in ("film", "attention"):
        method = _pnmta(ratings, predictor_modulator=kind)
        hidden, generator = method.options.hidden, method.options.generator
        for layer, n in enumerate(hidden):
            found = {
                "counted": n_parameters(method, f"predictor_modulator.generators.{layer}."),
                "printed": printed_predictor_count(kind, method.encoder.d_out, n, generator),
                "predictor": n_parameters(method, "head."),
            }
            options = {"kind": kind, "layer": layer + 1}
            records.append(place.record(f"predictor {kind}", ratings, options, found))
    return records


def multiply_adds(place: Measurement, ratings: Ratings, widths: tuple[int, ...]) -> list[Record]:
    """One meta-step on one user of this set, by the width of the predictor's hidden layers."""
    d, generator = (32, (64,))
    found = costs.costs(widths, ratings, d=d, generator=generator)
    metrics = {name: {f"n = {n}": v for n, v in zip(widths, own, strict=True)} for name, own in found.items()}
    return [
        place.record(f"multiply-adds, {name}", ratings, {"d": d, "widths": list(widths)}, own)
        for name, own in metrics.items()
    ]


def timings(place: Measurement, ratings: Ratings, splits: Splits, *, quick: bool) -> list[Record]:
    """Milliseconds of a training step of 32 tasks, the methods in turn on the same tasks, round after round.

    `extra["ms"]` holds every round after the warm-up.
    """
    warm, rounds = (1, 5) if quick else (WARM_UP, ROUNDS)
    given = {"window": WINDOW} | ({"d": 8} if quick else {})
    running = {
        name: _steps(model, {**given, **own}, ratings, splits, place.request.device)
        for name, (model, own) in TIMED.items()
    }
    ms: dict[str, list[float]] = {name: [] for name in TIMED}
    for turn in range(warm + rounds):
        for name, steps in running.items():
            elapsed = next(steps)
            if turn >= warm:
                ms[name].append(round(1000 * elapsed, 4))
    kind = place.request.device.type
    return [
        place.record(
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


def _pnmta(ratings: Ratings, **options: Any) -> PNMTA:
    with initialised(0):
        return PNMTA(Schema.of(ratings), **options)


SPEC = Measured("pnmta.table45", "Tables 4 and 5 of PNMTA: sizes and times of modulators", measure_table45)
