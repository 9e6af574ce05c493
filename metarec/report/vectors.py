"""PNMTA's Fig 8 from its records: user vectors drawn, their separation by age in numbers, the claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.report.claims import PENDING, SEEDS, UNTESTABLE, Finding, more_seeds
from metarec.report.groups import difference, interval, over_seeds
from metarec.report.rules import FAILS, HOLDS, NOISE
from metarec.report.statistics import Interval
from metarec.report.verdicts import by_ledger
from metarec.runs.records import Record, Store
from metarec.show import html, style

EARLY, LATE = "MeLU, 1 epoch", "MeLU, 30 epochs"
PRETRAINED, TRAINED = "PNMTA, pretrained only", "PNMTA, 10 meta-epochs"
CONTROL = "Untrained encoder"
PROBES = ("age", "gender", "occupation")
COLOURS, MARKERS = (*style.PALETTE, style.MUTED), (*style.MARKERS, "X")
# MovieLens codes an age by where its range begins.
AGES = {
    "1": "under 18",
    "18": "18–24",
    "25": "25–34",
    "35": "35–44",
    "45": "45–49",
    "50": "50–55",
    "56": "56+",
}
LEAST, ALPHA, SHARE = 0.05, 0.05, 0.8  # of the rules: silhouette, p, seeds that must agree


def panels(records: Sequence[Record]) -> list[str]:
    """The panels that were run, in their order."""
    return list(dict.fromkeys(r.method for r in records))


def separation(records: Sequence[Record]) -> html.Html:
    """Silhouette of the age groups with all fields and without the age slice, and seeds with p < 0.05.

    `frame` has a row a panel and metric: `panel, metric, mean, low, high`.
    """
    rows, values = [], []
    for panel in panels(records):
        cells = []
        for which in ("", " without age"):
            metric = f"silhouette{which}"
            found = over_seeds(records, panel, metric)
            p = by_seed(records, panel, f"p{which}")
            cells += [interval(found, 3), f"{int((p < ALPHA).sum())} of {len(p)}"]
            values.append({"panel": panel, "metric": metric, **found._asdict()})
        rows.append((panel, cells))
    caption = "Do user vectors separate users by age?"
    columns = ["Silhouette", "Seeds with p < 0.05"] * 2
    groups = (("All fields", 2), ("Without the age slice", 2))
    notes = [
        f"Means over {_seeds(records)} seeds; below, half the width of the 95 % interval. The silhouette "
        "runs from −1 to 1; p is from permutations of the ages over users.",
    ]
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner="Vectors of", groups=groups, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def probes(records: Sequence[Record]) -> html.Html:
    """Five-fold accuracy of linear probes that read a field off the vectors, beside the largest class."""
    there = _probes(records)
    rows = []
    for panel in panels(records):
        found = [over_seeds(records, panel, f"probe {f}") for f in there]
        rows.append((panel, [interval(Interval(*(100 * v for v in i)), 1) for i in found]))
    shares = [100 * np.mean([r.metrics[f"majority {f}"] for r in records]) for f in there]
    rows.append(("Largest class", [html.number(float(s), 1) for s in shares]))
    caption = "What a linear probe reads off the user vectors"
    notes = ["Accuracy in per cent; logistic regression, five folds over the test users."]
    columns = [f.capitalize() for f in there]
    return html.Html(
        html.table(columns, {"": rows}, caption=caption, corner="Vectors of", notes=notes, kind="results"),
        caption,
    )


def pictures(records: Sequence[Record], *, control: bool = False) -> Figure:
    """The t-SNE of every panel (or of the control alone), one colour and marker for each age."""
    drawn = [r for r in records if r.extra.get("tsne") and (r.method == CONTROL) == control]
    if not drawn:
        raise RecordError("no record of Fig 8 keeps its points; run `metarec run pnmta.fig8` again.")
    ages = sorted({a for r in drawn for a in r.extra["age"]}, key=_number)
    columns = min(2, len(drawn))
    rows = -(-len(drawn) // columns)
    width = "full" if columns == 2 else "half"
    fig, axes = style.panels(rows, columns, width=width, height=3.1 if columns == 2 else 3.4)  # type: ignore[arg-type]
    for ax, record in zip(axes.flat, drawn, strict=True):
        points, age = np.array(record.extra["tsne"]), np.array(record.extra["age"])
        for name, colour, marker in zip(ages, COLOURS, MARKERS, strict=False):
            look = {"color": colour, "marker": marker, "label": AGES.get(name, name)}
            ax.plot(*points[age == name].T, linestyle="", ms=3.2, mew=0, alpha=0.8, **look)
        style.label_axes(ax, x="t-SNE, first axis", y="t-SNE, second axis", title=record.method)
        ax.set(xticks=[], yticks=[])
        ax.label_outer()
    keys = style.handles(fig)
    fig.legend(
        list(keys.values()),
        list(keys),
        loc="outside lower center",
        ncols=4,
        title="age",
        markerscale=1.8,
        handletextpad=0.1,
        columnspacing=1.0,
    )
    return style.done(fig)


def groups(records: Sequence[Record]) -> html.Html:
    """Clusters of vectors and of ratings: the best silhouette, how many there are, and what chance gives."""
    columns = {"silhouette": 3, "null": 3, "null mean": 3, "k": 1, "largest cluster": 3}
    rows = [
        (name, [interval(over_seeds(records, name, m), places) for m, places in columns.items()])
        for name in panels(records)
    ]
    rounds = {r.options["rounds"] for r in records}
    caption = "Do users come in groups?"
    notes = [
        f"Means over {_seeds(records)} seeds; below, half the width of the 95 % interval. By chance: "
        f"{' or '.join(map(str, sorted(rounds)))} copies of the data with every column permuted over users."
    ]
    heads = ["Best silhouette", "95th percentile", "Mean", "Clusters", "Share of the largest"]
    over = (("", 1), ("By chance", 2), ("", 2))
    rendered = html.table(
        heads, {"": rows}, caption=caption, corner="Clusters of", groups=over, notes=notes, kind="results"
    )
    return html.Html(rendered, caption)


def findings(records: Sequence[Record], store: Store) -> dict[str, Finding]:
    """P39 to P44, decided on the vectors and never on the picture.

    P09 and P11 compare errors of ratings; they are decided by the paper's ledger.
    """
    rules: dict[str, Callable[[Sequence[Record]], tuple[str, str]]] = {
        "P39": _overlap,
        "P40": _no_change,
        "P41": _separates,
        "P42": _keeps,
        "P43": _better,
    }
    found = {name: _weigh(rule, records) for name, rule in rules.items()}
    found |= {name: by_ledger(name, "pnmta", "published", store) for name in ("P09", "P11")}
    clusters = store.read("pnmta", "clusters")
    found["P44"] = _weigh(_grouped, clusters) if clusters else Finding(PENDING, "", ("every run",))
    return found


def _weigh(rule: Callable[[Sequence[Record]], tuple[str, str]], records: Sequence[Record]) -> Finding:
    """The rule's word; not final with fewer seeds than the rules ask for, and none on planted ratings."""
    word, evidence = rule(records)
    if any(r.dataset != "ml-1m" for r in records):
        return Finding(UNTESTABLE, evidence, ("the paper's data (these ratings are planted)",))
    short = SEEDS - _seeds(records)
    if short > 0:
        return Finding(PENDING, evidence, (more_seeds(short),), so_far=word)
    return Finding(word, evidence)


def by_seed(records: Sequence[Record], panel: str, metric: str) -> np.ndarray:
    """A metric of one panel, seed by seed."""
    return np.array([r.metrics[metric] for r in sorted(records, key=lambda r: r.seed) if r.method == panel])


def _overlap(records: Sequence[Record]) -> tuple[str, str]:
    """P39: silhouette below 0.05, or p at least 0.05, in four seeds of five."""
    s, p = by_seed(records, LATE, "silhouette"), by_seed(records, LATE, "p")
    apart = (s > LEAST) & (p < ALPHA)
    word = HOLDS if np.mean(~apart) >= SHARE else FAILS if np.mean(apart) >= SHARE else NOISE
    return word, _told(records, LATE)


def _no_change(records: Sequence[Record]) -> tuple[str, str]:
    """P40: silhouette after 30 epochs less that after 1 lies within 0.05 of zero."""
    found = difference(records, LATE, EARLY, "silhouette")
    inside = -LEAST < found.low and found.high < LEAST
    outside = found.low > LEAST or found.high < -LEAST
    text = f"After 30 epochs less after 1: {_signed(found)}; {_without(records, LATE, EARLY)}."
    return HOLDS if inside else FAILS if outside else NOISE, text


def _separates(records: Sequence[Record]) -> tuple[str, str]:
    """P41: silhouette above 0.05 with p below 0.05 in four seeds of five."""
    s, p = by_seed(records, PRETRAINED, "silhouette"), by_seed(records, PRETRAINED, "p")
    apart, not_at_all = (s > LEAST) & (p < ALPHA), (p >= ALPHA) | (s <= 0)
    word = HOLDS if np.mean(apart) >= SHARE else FAILS if np.mean(not_at_all) >= SHARE else NOISE
    control = ""
    if CONTROL in panels(records):
        control = (
            f" An encoder as drawn, never trained: {_signed(over_seeds(records, CONTROL, 'silhouette'))}."
        )
    return word, _told(records, PRETRAINED) + control


def _keeps(records: Sequence[Record]) -> tuple[str, str]:
    """P42: after ten meta-epochs, no less than four fifths of the pretrained silhouette."""
    found = difference(records, TRAINED, PRETRAINED, "silhouette")
    allowed = -0.2 * abs(over_seeds(records, PRETRAINED, "silhouette").mean)
    word = HOLDS if found.low > allowed else FAILS if found.high < allowed else NOISE
    text = (
        f"After ten meta-epochs less before: {_signed(found)}, allowed {html.signed(allowed, 3)}; "
        f"{_without(records, TRAINED, PRETRAINED)}."
    )
    return word, text


def _better(records: Sequence[Record]) -> tuple[str, str]:
    """P43: silhouette and mean probe accuracy of PNMTA above MeLU's."""
    there = _probes(records)
    with_mean = [
        _adding(r, "probes", float(np.mean([r.metrics[f"probe {f}"] for f in there]))) for r in records
    ]
    gains = [difference(with_mean, TRAINED, LATE, m) for m in ("silhouette", "probes")]
    word = HOLDS if all(g.low > 0 for g in gains) else FAILS if any(g.high < 0 for g in gains) else NOISE
    text = (
        f"PNMTA less MeLU: silhouette {_signed(gains[0])}; accuracy of the probes "
        f"({', '.join(there)}; mean) {_signed(gains[1])}."
    )
    return word, text


def _grouped(records: Sequence[Record]) -> tuple[str, str]:
    """P44: best silhouette above the null's 95th percentile in four seeds of five, for both kinds of data."""
    shares, parts = [], []
    for name in panels(records):
        value, null, k, largest = (
            by_seed(records, name, m) for m in ("silhouette", "null", "k", "largest cluster")
        )
        shares.append(float(np.mean(value > null)))
        parts.append(
            f"{name}: best silhouette {_each(value)} by seed, at k = {_each(k, 0)} with "
            f"{_each(100 * largest, 0)} % of the users in one; by chance (95th percentile) {_each(null)}"
        )
    word = HOLDS if min(shares) >= SHARE else FAILS if max(shares) <= 1 - SHARE else NOISE
    return word, f"{'. '.join(parts)}."


def _each(values: np.ndarray, decimals: int = 3) -> str:
    return ", ".join(html.number(float(v), decimals) for v in values)


def _adding(record: Record, name: str, value: float) -> Record:
    return replace(record, metrics={**record.metrics, name: value})


def _told(records: Sequence[Record], panel: str) -> str:
    parts = []
    for which in ("", " without age"):
        s, p = by_seed(records, panel, f"silhouette{which}"), by_seed(records, panel, f"p{which}")
        values = ", ".join(html.number(float(v), 3) for v in s)
        parts.append(f"{values} by seed, p < 0.05 in {int((p < ALPHA).sum())} of {len(p)}")
    return f"{panel}: silhouette {parts[0]}; without the age slice {parts[1]}."


def _without(records: Sequence[Record], a: str, b: str) -> str:
    return f"without the age slice {_signed(difference(records, a, b, 'silhouette without age'))}"


def _signed(found: Interval) -> str:
    ends = f" [{html.signed(found.low, 3)}, {html.signed(found.high, 3)}]" if found.low == found.low else ""
    return html.signed(found.mean, 3) + ends


def _probes(records: Sequence[Record]) -> list[str]:
    return [f for f in PROBES if f"probe {f}" in records[0].metrics]


def _seeds(records: Sequence[Record]) -> int:
    return len({r.seed for r in records})


def _number(age: str) -> int:
    return int("".join(c for c in age if c.isdigit()) or 0)
