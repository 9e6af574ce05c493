"""What PNMTA's reports share: names of methods and data sets, pages, and the settings that figures vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from metarec.claims.courses import Setting
from metarec.papers.pnmta.tables import ENCODERS, PREDICTORS, SHARES, SIZES, STEPS, SUPPORTS
from metarec.report.layout import select
from metarec.runs.records import Record

PAPER_SETS: Mapping[str, str] = {"MovieLens-1M": "ml-1m", "Book-Crossing": "book-crossing"}
ML, BX = PAPER_SETS
# Explicit ratings of the official Book-Crossing dump; the copy in circulation holds about half of them.
WHOLE: Mapping[str, int | None] = {ML: None, BX: 433_671}

FLOORS = ("Random ranker", "Popularity", "Global mean", "Item mean", "Damped user + item bias")
EIGHT = ("MeLU", "MetaCS-DNN", "s2Meta", "MetaEmb", "MetaHIN", "MAMO", "TaNP", "PAML")
PNMTA, FULL, NO_PT, MAML_PT = "PNMTA", "PNMTA (Full-PT)", "PNMTA (w/o PT)", "MAML-PT"


def names_of(dataset: str) -> tuple[str, ...]:
    """The rating tables that answer a data set of the paper: its own; for the first, planted ratings too."""
    return (PAPER_SETS[dataset], "synthetic") if dataset == ML else (PAPER_SETS[dataset],)


def spelt(dataset: str) -> str:
    """A rating table in words: the paper's name for it, and its own name if the paper does not know it."""
    known = {source: name for name, source in PAPER_SETS.items()}
    return known.get(dataset, "planted ratings" if dataset == "synthetic" else dataset)


def on_set(records: Sequence[Record], dataset: str) -> list[Record]:
    """The records of one data set of the paper."""
    return select(records, {"dataset": names_of(dataset)})


# Table 3: records are labelled by the options, the paper by suffixes.
COLUMNS = {e: {"none": "w/o EM"}.get(e, f"-{e}") for e in ENCODERS}
ROWS = dict(zip(PREDICTORS, ("-SA", "-FiLM", "w/o PM"), strict=True))
_SUFFIX = {"none": " (w/o EM)"} | {e: f"-{e}" for e in ENCODERS if e != "none"}
PRINTED = {
    f"PNMTA {e} {p}": f"PNMTA{_SUFFIX[e]}{' (w/o PM)' if p == 'none' else ROWS[p]}"
    for e, p in product(ENCODERS, PREDICTORS)
}
ALL24 = tuple(PRINTED)

SUPPORT = Setting(
    "protocol.rule_options.max_support",
    SUPPORTS,
    90,
    "largest support size",
    "N_S ≤",
    unit="ratings",
    log=True,
)
SHARE = Setting("protocol.rule_options.train_share", SHARES, 1.0, "share of the training users", "share")
SIZE = Setting("options.d", SIZES, 32, "embedding size of a field", "d =", log=True)
STEP = Setting("options.steps", STEPS, 5, "adaptation steps", "steps =")
