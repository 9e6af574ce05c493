"""From the published files to the rows of TaNP's Table 2: Last.FM step by step, and what Gowalla may be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from metarec.data import Ratings, load
from metarec.data.gowalla import visits
from metarec.paths import REFERENCE
from metarec.runs.measured import Measurement
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.cells import counted

COUNTED = ("users", "items", "ratings")
# Which of the distributed Gowalla users may be meant: file, fewest and most places of a user.
GOWALLA_RULES = (("train and test", 1, None), ("test", 15, 111), ("test", 15, 75), ("test", 15, None))
STEPS: Mapping[str, str] = {
    "published": "HetRec 2011, as published",
    "artists of the knowledge graph": "MKR: artists found in a knowledge graph",
    "one negative a positive": "MKR: one sampled negative for each positive",
    "rows shipped with TaNP": "The rows shipped with TaNP",
}


def lastfm_steps(measurement: Measurement, home: Path) -> list[Record]:
    """From HetRec's Last.FM to TaNP's rows, one record for each step."""
    hetrec = load("lastfm-hetrec", home=home)
    cut = load("lastfm-mkr", home=home, negatives=False)
    final = load("lastfm-mkr", home=home)
    shipped = load("lastfm-tanp", home=home)
    steps: tuple[tuple[str, Ratings, dict[str, int]], ...] = (
        ("published", hetrec, {}),
        ("artists of the knowledge graph", cut, {}),
        ("one negative a positive", final, {"rows as shipped": int(_pairs(final) == _pairs(shipped))}),
        ("rows shipped with TaNP", shipped, {}),
    )
    made = []
    for number, (what, ratings, more) in enumerate(steps):
        counts = ratings.counts() | {"positives": int((ratings.label > 0).sum())} | more
        made.append(measurement.record("filter", ratings, {"step": number, "what": what}, {}, counts=counts))
    return made


def gowalla_candidates(measurement: Measurement, home: Path) -> list[Record]:
    """Users, places and positives that simple rules leave of Gowalla as NGCF distributes it.

    The paper takes "a part of interactions" and does not say which. Raises `DataError` when a file is absent.
    """
    found = {"train": visits(home, "train"), "test": visits(home, "test")}
    found["train and test"] = np.concatenate([found["train"], found["test"]])
    sha256 = hashlib.sha256(found["train and test"].tobytes()).hexdigest()
    made = []
    for source, low, high in GOWALLA_RULES:
        rows = found[source]
        length = np.bincount(rows[:, 0])
        kept = rows[(length[rows[:, 0]] >= low) & (length[rows[:, 0]] <= (high or length.max()))]
        users, items = (len(np.unique(side)) for side in kept.T)
        counts = {"users": users, "items": items, "ratings": 2 * len(kept), "positives": len(kept)}
        options = {"source": source, "fewest": low, "most": high}
        record = measurement.record("near miss", "gowalla", options, {}, counts=counts, data_sha256=sha256)
        made.append(record)
    return made


def _pairs(ratings: Ratings) -> set[tuple[int, int, float]]:
    return set(zip(ratings.user.tolist(), ratings.item.tolist(), ratings.label.tolist(), strict=True))


def printed() -> dict[str, dict[str, str]]:
    """The paper's Table 2: data set, what is counted, the number as printed."""
    rows = pd.read_csv(REFERENCE / "paper_tables" / "tanp_table2_datasets.csv", dtype=str).itertuples()
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(str(row.dataset), {})[str(row.metric)] = str(row.value)
    return found


def steps(records: Sequence[Record]) -> html.Html:
    """How Last.FM became the rows that the authors distribute, step by step."""
    own = sorted((r for r in records if r.label == "filter"), key=lambda r: r.options["step"])
    rows = [
        (STEPS[r.options["what"]], [f"{r.counts[what]:,}" for what in (*COUNTED, "positives")]) for r in own
    ]
    notes = []
    if any("rows as shipped" in r.counts for r in own):
        same = all(r.counts.get("rows as shipped", 1) for r in own)
        answer = "the very rows" if same else "not the rows"
        notes.append(
            f"Drawing the negatives again, with the seed of MKR's script, gives {answer} shipped with TaNP."
        )
    return counted("Last.FM, step by step", "Step", ["Users", "Items", "Rows", "Positives"], rows, notes)


def near_misses(records: Sequence[Record]) -> html.Html:
    """What simple rules leave of Gowalla, with the difference to the paper's counts."""
    target = {what: int(printed()["Gowalla"][what]) for what in COUNTED}
    rows = [("Paper", [f"{target[what]:,}" for what in COUNTED])]
    for r in (r for r in records if r.label == "near miss"):
        source, low, high = (r.options[k] for k in ("source", "fewest", "most"))
        rule = f"{source}.txt" if source == "test" else "train.txt and test.txt"
        if low > 1:
            rule += f", users with {low} to {high} places" if high else f", users with {low} places or more"
        cells = []
        for what in COUNTED:
            gap = r.counts[what] - target[what]
            apart = "exact" if gap == 0 else f"{gap:+,}".replace("-", "−")
            cells.append(f'{r.counts[what]:,}<br><span class="paper">{apart}</span>')
        rows.append((rule, cells))
    notes = [
        "Ratings count one negative a positive, as on Last.FM. Below each count: ours minus the paper's."
    ]
    return counted("Gowalla as distributed with NGCF", "Rule", ["Users", "Items", "Ratings"], rows, notes)
