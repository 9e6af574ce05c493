"""What PNMTA says of its user vectors (Figure 8, P39 to P44), decided on vectors, never on the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from metarec.claims.cells import Finder, Found, parts, rows
from metarec.claims.evidence import told
from metarec.claims.ground import Ground
from metarec.claims.ledger import Claim
from metarec.claims.rules import by_seed, each, every, inside
from metarec.papers.pnmta.fig8 import probed
from metarec.papers.pnmta.places import CLUSTERS, FIG8
from metarec.papers.pnmta.vectors import (
    CONTROL,
    EARLY,
    LATE,
    PRETRAINED,
    TRAINED,
    panels,
    values_of,
)
from metarec.runs.records import Record
from metarec.show.html import number, signed
from metarec.stats.intervals import estimate, interval

LEAST, ALPHA = 0.05, 0.05  # of the rules: silhouette, p


def overlaps(s: np.ndarray, p: np.ndarray) -> list[str]:
    """P39, seed by seed: - where the silhouette exceeds 0.05 with p below 0.05, else +."""
    return ["-" if apart else "+" for apart in (s > LEAST) & (p < ALPHA)]


def separates(s: np.ndarray, p: np.ndarray) -> list[str]:
    """P41, seed by seed: + where the silhouette exceeds 0.05 with p < 0.05; - where p >= 0.05 or s <= 0."""
    none = (p >= ALPHA) | (s <= 0)
    return ["+" if a else "-" if n else "0" for a, n in zip((s > LEAST) & (p < ALPHA), none, strict=True)]


def seedwise(panel: str, signs: Callable[[np.ndarray, np.ndarray], list[str]]) -> Finder:
    """A row a seed of a panel: its silhouette, and the sign that a claim gives it."""

    def found(ground: Ground) -> Found:
        s, p = (values_of(ground.own, panel, m) for m in ("silhouette", "p"))
        about = {"a": panel, "metric": "silhouette", "seeds": len(s), "text": by_hand(ground.own, panel)}
        made = [{**about, "gain": v, "sign": sign} for v, sign in zip(s, signs(s, p), strict=True)]
        return Found(rows(ground, made), () if made else (panel,))

    return found


def difference(records: Sequence[Record], a: str, b: str, metric: str) -> dict[str, Any]:
    """A row: the metric of one panel less that of another, paired by seed; Student's t."""
    sides = [{r.seed: r.metrics[metric] for r in records if r.label == panel} for panel in (a, b)]
    gaps = np.array([sides[0][s] - sides[1][s] for s in sorted(set(sides[0]) & set(sides[1]))])
    one = estimate(gaps)
    gain, low, high = one.interval()
    about = {"a": a, "b": b, "metric": metric, "seeds": len(gaps), "p": one.p}
    return {**about, "gain": gain, "low": low, "high": high}


def longer(ground: Ground) -> Found:
    """P40: silhouette of MeLU after 30 epochs less that after one."""
    row = difference(ground.own, LATE, EARLY, "silhouette")
    text = f"After 30 epochs less after 1: {ends(row)}; {sliced(ground.own, LATE, EARLY)}."
    return Found(rows(ground, [{**row, "text": text}]))


def over_control(ground: Ground) -> Found:
    """P41, the control: silhouette of the pretrained encoder less that of one never trained."""
    if CONTROL not in panels(ground.own):
        return Found(rows(ground, []), (CONTROL,))
    row = difference(ground.own, PRETRAINED, CONTROL, "silhouette")
    there = interval(values_of(ground.own, CONTROL, "silhouette"))._asdict()
    text = (
        f"An encoder as drawn, never trained: {ends(there, 'mean')}; pretrained less untrained: {ends(row)}."
    )
    return Found(rows(ground, [{**row, "text": text}]))


def kept(ground: Ground) -> Found:
    """P42: silhouette after ten meta-epochs less that before, also as a share of the pretrained value."""
    row = difference(ground.own, TRAINED, PRETRAINED, "silhouette")
    size = abs(float(values_of(ground.own, PRETRAINED, "silhouette").mean())) or float("nan")
    shares = {
        f"relative{end}": row[k] / size for k, end in (("gain", ""), ("low", "_low"), ("high", "_high"))
    }
    text = (
        f"After ten meta-epochs less before: {ends(row)}, allowed {signed(-0.2 * size, 3)}; "
        f"{sliced(ground.own, TRAINED, PRETRAINED)}."
    )
    return Found(rows(ground, [{**row, **shares, "text": text}]))


def better(ground: Ground) -> Found:
    """P43: silhouette and mean accuracy of the probes, PNMTA's less MeLU's."""
    fields, records = probed(ground.own)
    silhouette, probes = (difference(records, TRAINED, LATE, m) for m in ("silhouette", "probes"))
    text = (
        f"PNMTA less MeLU: silhouette {ends(silhouette)}; accuracy of the probes ({', '.join(fields)}; mean) "
        f"{ends(probes)}."
    )
    return Found(rows(ground, [{**row, "text": text} for row in (silhouette, probes)]))


def grouped(ground: Ground) -> Found:
    """P44: for each seed and kind of data, whether the best silhouette exceeds that of permuted data."""
    made = []
    for panel in panels(ground.own):
        best, null, k, largest = (
            values_of(ground.own, panel, m) for m in ("silhouette", "null", "k", "largest cluster")
        )
        text = (
            f"{panel}: best silhouette {listing(best)} by seed, at k = {listing(k, 0)} with "
            f"{listing(100 * largest, 0)} % of the users in one; by chance (95th percentile) {listing(null)}."
        )
        about = {"a": panel, "metric": "silhouette", "seeds": len(best), "text": text}
        made += [
            {**about, "gain": s - n, "sign": "+" if s > n else "-"} for s, n in zip(best, null, strict=True)
        ]
    return Found(rows(ground, made))


def by_hand(records: Sequence[Record], panel: str) -> str:
    """The silhouettes of a panel seed by seed, with and without the age slice."""
    told_ = []
    for which in ("", " without age"):
        s, p = values_of(records, panel, f"silhouette{which}"), values_of(records, panel, f"p{which}")
        told_.append(f"{listing(s)} by seed, p < 0.05 in {int((p < ALPHA).sum())} of {len(p)}")
    return f"{panel}: silhouette {told_[0]}; without the age slice {told_[1]}."


def sliced(records: Sequence[Record], a: str, b: str) -> str:
    """The same difference without the age slice, in words."""
    return f"without the age slice {ends(difference(records, a, b, 'silhouette without age'))}"


def ends(row: Mapping[str, Any], middle: str = "gain") -> str:
    """A number with its interval."""
    text = signed(row[middle], 3)
    return text if np.isnan(row["low"]) else f"{text} [{signed(row['low'], 3)}, {signed(row['high'], 3)}]"


def listing(values: np.ndarray, decimals: int = 3) -> str:
    """Numbers one after the other."""
    return ", ".join(number(float(v), decimals) for v in values)


VECTORS: tuple[Claim, ...] = (
    Claim(
        "P39",
        "Sec 4.7; Fig 8",
        "User vectors of MeLU overlap and are not separated by age.",
        "visual",
        ("pnmta/fig8-user-tsne",),
        (
            "Silhouette of age groups on the original user vectors (not the picture) of MeLU after 30 "
            "epochs, and with the age slice removed; null: 10,000 permutations of age over users. Holds if "
            "the silhouette is below 0.05 or p >= 0.05 in >= 4 of 5 seeds; does not hold if above 0.05 with "
            "p < 0.05 in >= 4 seeds; otherwise noise."
        ),
        "not in a table",
        FIG8,
        seedwise(LATE, overlaps),
        by_seed,
        told,
    ),
    Claim(
        "P40",
        "Sec 4.7; Fig 8",
        "Training MeLU longer does not change that overlap.",
        "visual",
        ("pnmta/fig8-user-tsne",),
        (
            "Age silhouette after 30 epochs minus after 1 epoch, 5 seeds, original vectors. Holds if the "
            "interval lies within +-0.05; does not hold if it lies outside; otherwise noise."
        ),
        "not in a table",
        FIG8,
        longer,
        partial(inside, low=-LEAST, high=LEAST),
        told,
    ),
    Claim(
        "P41",
        "Sec 4.7; Fig 8",
        "Pretraining alone already gives user vectors that separate by age.",
        "visual",
        ("pnmta/fig8-user-tsne",),
        (
            "Age silhouette on the original user vectors of the pretrained encoder against 10,000 age "
            "permutations, seed by seed. Holds if above 0.05 with p < 0.05 in >= 4 of 5 seeds and, as a "
            "control, above that of an encoder never trained (interval excluding 0); does not hold if p >= "
            "0.05 or silhouette <= 0 in >= 4 seeds; otherwise noise. Age is an input, so the value without "
            "the age slice is printed too."
        ),
        "not in a table",
        FIG8,
        parts(seedwise(PRETRAINED, separates), over_control),
        each(by_seed, every, controls=1),
        told,
    ),
    Claim(
        "P42",
        "Sec 4.7; Fig 8",
        "Ten epochs of meta-training keep this separation (no over-fitting or forgetting).",
        "visual",
        ("pnmta/fig8-user-tsne",),
        (
            "Age silhouette after 10 meta-epochs minus after pretraining, 5 seeds. Holds if the lower end of"
            " the interval is above -20 % of the pretrained value; does not hold if the upper end is below "
            "that; otherwise noise."
        ),
        "not in a table",
        FIG8,
        kept,
        partial(inside, low=-0.2, of="relative"),
        told,
    ),
    Claim(
        "P43",
        "Sec 4.7; Fig 8",
        "PNMTA represents users better than existing methods do.",
        "visual",
        ("pnmta/fig8-user-tsne",),
        (
            "Age silhouette, and mean 5-fold accuracy of linear probes for age, gender and occupation, on "
            "the original vectors: PNMTA (10 meta-epochs) minus MeLU (30 epochs), paired by seed. Holds if "
            "both differences are +; does not hold if either is clearly -; otherwise noise. Only MeLU can be"
            " compared as printed."
        ),
        "not in a table",
        FIG8,
        better,
        every,
        told,
    ),
    Claim(
        "P44",
        "Sec 1; Sec 4.7",
        "User preferences fall into implicit groups, as the visualisation is said to prove.",
        "visual",
        ("pnmta/fig8-user-tsne",),
        (
            "Cluster the user vectors with the demographic slices removed and, separately, ratings after "
            "removing item means; silhouette of the best k in 2..10 against column-permuted data. Holds if "
            "above the 95th percentile of the null in >= 4 of 5 seeds for both; does not hold if below it in"
            " >= 4 seeds for both; otherwise noise."
        ),
        "not in a table: age groups follow from an input feature",
        CLUSTERS,
        grouped,
        partial(by_seed, needs=all),
        told,
    ),
)
