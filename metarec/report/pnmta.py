"""PNMTA's tables and claims, declared."""

from __future__ import annotations

from collections.abc import Mapping

from metarec.report.claims import Ledger
from metarec.report.pnmta_names import (
    ALL24,
    EIGHT,
    FLOORS,
    FULL,
    MAML_PT,
    NO_PT,
    PAPER_SETS,
    PLACES,
    PNMTA,
    PRINTED,
    WHOLE,
    names_of,
    on_set,
)
from metarec.report.pnmta_rules import RULES
from metarec.report.tables import Block, Layout

__all__ = ["DEVIATIONS", "FOUR", "LEDGER", "PAIRS", "READINGS", "TABLE2", "TABLE3", "on_set"]

FOUR = ("MAE", "RMSE", "NDCG@3", "NDCG@5")
OTHER_READINGS: Mapping[str, str] = {"pooled:RMSE": "RMSE", "NDCG-exp@3": "NDCG@3", "NDCG-exp@5": "NDCG@5"}

# Which deviations part the two tracks of this paper, see the deviations page.
DEVIATIONS = ("D22",)

PAIRS = (
    (PNMTA, MAML_PT),
    (PNMTA, NO_PT),
    (FULL, PNMTA),
    (PNMTA, "MeLU"),
    (PNMTA, "PAML"),
    (PNMTA, "TaNP"),
    (PNMTA, "Damped user + item bias"),
    (PNMTA, "Item mean"),
    ("MeLU", "Damped user + item bias"),
)


def _block(dataset: str, metrics: tuple[str, ...]) -> Block:
    where = {"dataset": names_of(dataset)}
    return Block(dataset, None, PAPER_SETS[dataset], metrics, where, WHOLE[dataset])


def table2(dataset: str, metrics: tuple[str, ...] = FOUR) -> Layout:
    """Table 2 on one data set; with `OTHER_READINGS`, the lost formulas read in the other way."""
    other = ", other readings of RMSE and NDCG" if metrics != FOUR else ""
    return Layout(
        title=f"Table 2 of PNMTA, {dataset}{other}",
        reference="pnmta_table2",
        blocks=(_block(dataset, metrics),),
        sections={
            "Floors": FLOORS,
            "Baselines of the paper": EIGHT,
            "PNMTA and its ablations": (MAML_PT, NO_PT, PNMTA, FULL),
            "Ceiling": ("Oracle",),
        },
        reads=OTHER_READINGS,
        percent=False,
        decimals=4,
    )


TABLE2: Mapping[str, Layout] = {name: table2(name) for name in PAPER_SETS}
READINGS: Mapping[str, Layout] = {name: table2(name, tuple(OTHER_READINGS)) for name in PAPER_SETS}

TABLE3 = Layout(
    title="Table 3 of PNMTA, MAE",
    reference="pnmta_table3",
    blocks=tuple(_block(name, ("MAE",)) for name in PAPER_SETS),
    sections={"Modulators": ALL24},
    printed=PRINTED,
    percent=False,
    decimals=4,
)

LEDGER = Ledger(
    paper="pnmta",
    places=tuple(place for pair in PLACES.values() for place in pair),
    rules=RULES,
    prefixes={"published": "", "sound": ""},
    floors=("Random ranker", "Popularity", "Global mean", "Item mean"),
    percent=False,
)
