"""PNMTA's Tables 4 and 5 and section 3.5 from their records: counts, exponents and ratios of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.derivations.costs import slope
from metarec.report.pnmta_names import spelt
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import DRAWS, Interval, interval

PRINTED = ("E", "Eb", "C", "Cb", "S", "SS")  # the rows of Table 4


def encoder(records: Sequence[Record]) -> html.Html:
    """Table 4: trained numbers of each encoder modulator, counted and by the printed formula.

    `frame` has a row a data set and modulator: `dataset, kind, bias, counted, printed`.
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


def times(records: Sequence[Record]) -> html.Html:
    """Median time of a training step, and its ratio to that of MAML-PT with a 95 % interval.

    `frame` has a row a data set, device and method: `dataset, device, method, ms, mean, low, high`.
    """
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    for dataset, device in devices(records):
        heading = f"{spelt(dataset)}, {device}"
        here = timed(records, dataset, device)
        for name, ms in here.items():
            found = ratio(ms, here["MAML-PT"])
            cells = [html.number(float(np.median(ms)), 1)]
            cells += ["1"] if name == "MAML-PT" else [f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"]
            sections.setdefault(heading, []).append((name, cells))
            values.append(
                {"dataset": dataset, "device": device, "method": name, "ms": np.median(ms), **found._asdict()}
            )
    rounds = {r.options["rounds"] for r in records if r.label.startswith("step, ")}
    notes = [
        f"{' or '.join(str(n) for n in sorted(rounds))} rounds; in each, every method takes one step of 32 "
        "tasks, the same for all. Ratio: median over rounds of the ratio within a round; interval by "
        "resampling rounds."
    ]
    caption = "Time of a step of meta-training"
    columns = ["Median (ms)", "Times MAML-PT"]
    rendered = html.table(columns, sections, caption=caption, corner="Method", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))


def rounds(records: Sequence[Record]) -> Figure:
    """Ratio of PNMTA's step time to MAML-PT's, round by round, one panel a data set and device."""
    places = devices(records)
    fig, axes = style.panels(1, len(places), height=2.8, sharey=True)
    for ax, (dataset, device) in zip(axes[0], places, strict=True):
        here = timed(records, dataset, device)
        pairs = here["PNMTA"] / here["MAML-PT"]
        ax.plot(pairs, ".", color=style.PALETTE[0], markersize=4, alpha=0.7)
        ax.axhline(float(np.median(pairs)), color=style.INK, linewidth=1.4, label="median")
        ax.axhline(1.25, color=style.PALETTE[1], linestyle="--", linewidth=1.4, label="limit of the rule")
        style.label_axes(ax, x="round", y="", title=spelt(dataset))
    axes[0, 0].set_ylabel("PNMTA / MAML-PT")
    keys = style.handles(fig)
    fig.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=2)
    return style.done(fig)


def ratio(a: np.ndarray, b: np.ndarray) -> Interval:
    """Median over rounds of `a / b` and its 95 % percentile interval under resampling of rounds."""
    pairs = a / b
    drawn = np.random.default_rng(len(pairs)).integers(len(pairs), size=(DRAWS, len(pairs)))
    return interval(float(np.median(pairs)), drawn=np.median(pairs[drawn], axis=1))


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


def _only(records: Sequence[Record], dataset: str, **options: object) -> Record:
    (found,) = [r for r in records if r.dataset == dataset and options.items() <= r.options.items()]
    return found


def _counts(record: Record) -> list[float]:
    return [record.metrics[f"n = {n}"] for n in record.options["widths"]]


def slope_by_width(record: Record) -> float:
    """Exponent of the width in the multiply-adds of a record."""
    return slope(record.options["widths"], [int(c) for c in _counts(record)])


def share(value: float) -> str:
    """A ratio in text; 1 is agreement to the last number."""
    return "1" if value == 1 else f"{value:.2f}".removesuffix(".00")
