"""PNMTA's Tables 4 and 5 and section 3.5: parameters, counted and by formula, and multiply-adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import pandas as pd

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.derivations import costs
from metarec.layers.modulators import EncoderKind, printed_encoder_count, printed_predictor_count
from metarec.methods import initialised, n_parameters
from metarec.methods.pnmta import PNMTA
from metarec.papers.pnmta.step_times import timings
from metarec.papers.pnmta.tables import BLOCKS, spelt
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.show import html

WIDTHS = (16, 32, 64, 128, 256)
ENCODERS: tuple[EncoderKind, ...] = get_args(EncoderKind)
PRINTED = ("E", "Eb", "C", "Cb", "S", "SS")  # the rows of Table 4


def measure_table45(request: Request) -> Iterator[Record]:
    """Tables 4 and 5: counts and times, on the fields of both data sets; nothing is trained to an end."""
    quick = request.profile == "quick"
    measurement = Measurement("pnmta", "table45", request, models=("maml-pt", "pnmta"))
    for block in BLOCKS[:1] if quick else BLOCKS:
        rules = block.protocol("published", request.profile)
        ratings = rules.ratings()
        yield from encoder_counts(measurement, ratings) + predictor_counts(measurement, ratings)
        yield from timings(measurement, ratings, rules.splits(ratings, 0), quick=quick)
        if ratings.time is not None:
            yield from multiply_adds(measurement, ratings, WIDTHS[:3] if quick else WIDTHS)


def encoder_counts(measurement: Measurement, ratings: Ratings) -> list[Record]:
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
            records.append(measurement.record(f"encoder {kind}", ratings, options, found))
    return records


def predictor_counts(measurement: Measurement, ratings: Ratings) -> list[Record]:
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
            records.append(measurement.record(f"predictor {kind}", ratings, options, found))
    return records


def multiply_adds(measurement: Measurement, ratings: Ratings, widths: tuple[int, ...]) -> list[Record]:
    """One meta-step on one user of this set, by the width of the predictor's hidden layers."""
    d, generator = (32, (64,))
    found = costs.costs(widths, ratings, d=d, generator=generator)
    metrics = {name: {f"n = {n}": v for n, v in zip(widths, own, strict=True)} for name, own in found.items()}
    return [
        measurement.record(f"multiply-adds, {name}", ratings, {"d": d, "widths": list(widths)}, own)
        for name, own in metrics.items()
    ]


def _pnmta(ratings: Ratings, **options: Any) -> PNMTA:
    with initialised(0):
        return PNMTA(Schema.of(ratings), **options)


def encoder(records: Sequence[Record]) -> html.Html:
    """Table 4: trained numbers of each encoder modulator, counted and by the printed formula.

    `frame` has a row for each data set and modulator: `dataset, kind, bias, counted, printed`.
    """
    rows, values = [], []
    sets = list(dict.fromkeys(r.dataset for r in records))
    own = [r for r in records if r.label.startswith("encoder ")]
    for kind, bias in dict.fromkeys((r.options["kind"], r.options["bias_shape"]) for r in own):
        if kind not in PRINTED:
            continue
        cells = []
        for dataset in sets:
            m = _only(own, dataset=dataset, kind=kind, bias_shape=bias).metrics
            counted, printed = int(m["counted"]), int(m["printed"])
            cells += [f"{counted:,}", f"{printed:,}", share(printed / counted)]
            values.append(
                {"dataset": dataset, "kind": kind, "bias": bias, "counted": counted, "printed": printed}
            )
        rows.append((f"-{kind}" + (", bias as in Eq 4" if bias == "dimension" else ""), cells))
    sizes = [_only(own, dataset=d, kind="Fix").metrics for d in sets]
    rows.append(("Encoder itself", [c for m in sizes for c in (f"{int(m['encoder']):,}", "–", "–")]))
    notes = [
        f"{spelt(d)}: {int(m['categories']):,} categories in {int(m['fields'])} fields of 32 numbers."
        for d, m in zip(sets, sizes, strict=True)
    ]
    heads = [(spelt(d), 3) for d in sets]
    caption = "Table 4: parameters of the encoder modulators"
    columns = ["Counted", "Printed", "Ratio"] * len(sets)
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Modulator", groups=heads, notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))


def predictor(records: Sequence[Record]) -> html.Html:
    """Table 5: trained numbers of the generator of each modulated layer, counted and by the formula."""
    rows = []
    sets = list(dict.fromkeys(r.dataset for r in records))
    own = [r for r in records if r.label.startswith("predictor ")]
    for kind, layer in dict.fromkeys((r.options["kind"], r.options["layer"]) for r in own):
        cells = []
        for dataset in sets:
            m = _only(own, dataset=dataset, kind=kind, layer=layer).metrics
            cells += [f"{int(m['counted']):,}", f"{int(m['printed']):,}", share(m["printed"] / m["counted"])]
        rows.append((f"{'-FiLM' if kind == 'film' else '-SA'}, hidden layer {layer}", cells))
    sizes = [_only(own, dataset=d, kind="film", layer=1).metrics["predictor"] for d in sets]
    rows.append(("Predictor itself", [c for n in sizes for c in (f"{int(n):,}", "–", "–")]))
    heads = [(spelt(d), 3) for d in sets]
    caption = "Table 5: parameters of the predictor modulators"
    columns = ["Counted", "Printed", "Ratio"] * len(sets)
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Modulator", groups=heads)
    return html.Html(rendered, caption)


def exponents(records: Sequence[Record]) -> html.Html:
    """Multiply-adds of a meta-step by the width of the hidden layers, and the exponent of the width."""
    rows = []
    own = [r for r in records if r.label.startswith("multiply-adds, ")]
    widths = own[0].options["widths"]
    for r in own:
        counts = _counts(r)
        cells = [f"{c / 1e6:,.1f}" for c in counts]
        rows.append(
            (r.label.removeprefix("multiply-adds, ").capitalize(), [*cells, f"{slope_by_width(r):.2f}"])
        )
    caption = "Multiply-adds of one meta-step for one user, in millions"
    columns = [*(f"n = {n}" for n in widths), "Exponent of n"]
    notes = ["Matrix products alone. Exponent: slope of a straight line through the logarithms."]
    return html.Html(html.table(columns, {"": rows}, caption=caption, corner="", notes=notes), caption)


def _only(records: Sequence[Record], dataset: str, **options: object) -> Record:
    (found,) = [r for r in records if r.dataset == dataset and options.items() <= r.options.items()]
    return found


def _counts(record: Record) -> list[float]:
    return [record.metrics[f"n = {n}"] for n in record.options["widths"]]


def slope_by_width(record: Record) -> float:
    """Exponent of the width in the multiply-adds of a record."""
    return costs.slope(record.options["widths"], [int(c) for c in _counts(record)])


def share(value: float) -> str:
    """A ratio in text; 1 is agreement to the last number."""
    return "1" if value == 1 else f"{value:.2f}".removesuffix(".00")


SPEC = Measured("pnmta.table45", "Tables 4 and 5 of PNMTA: sizes and times of modulators", measure_table45)
