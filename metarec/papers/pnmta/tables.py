"""PNMTA's Tables 2 and 3 and what Figures 4 to 7 vary, each as one spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from metarec.methods.base import STABLE
from metarec.papers.pnmta.protocol import WINDOW, protocol
from metarec.runs.plan import Block, Point, Row, Search, TableSpec

EPOCHS = 15
MOST_EPOCHS = 80
FOUR = ("MAE", "RMSE", "NDCG@3", "NDCG@5")
# The lost formulas read in the other way, and what each stands for.
OTHER_READINGS: Mapping[str, str] = {"pooled:RMSE": "RMSE", "NDCG-exp@3": "NDCG@3", "NDCG-exp@5": "NDCG@5"}

RANDOM, POPULARITY, GLOBAL_MEAN, ITEM_MEAN = "Random ranker", "Popularity", "Global mean", "Item mean"
BIAS, ORACLE = "Damped user + item bias", "Oracle"
BASELINES = "Baselines of the paper"  # the heading of their rows
PNMTA, FULL, NO_PT, MAML_PT = "PNMTA", "PNMTA (Full-PT)", "PNMTA (w/o PT)", "MAML-PT"
EIGHT = ("MeLU", "MetaCS-DNN", "s2Meta", "MetaEmb", "MetaHIN", "MAMO", "TaNP", "PAML")
ENCODERS = ("E", "Eb", "C", "Cb", "S", "SS", "none", "Fix")
PREDICTORS = ("attention", "film", "none")
SUPPORTS, SHARES, SIZES, STEPS = (
    (3, 10, 20, 40, 90),
    (0.2, 0.4, 0.6, 0.8, 1.0),
    (8, 16, 32, 64),
    (1, 2, 3, 4, 5),
)

# The paper's step sizes.
_STEP_SIZES: Mapping[str, Any] = {"window": WINDOW, "lr": 1e-3, "inner_lr": 0.01, "steps": 5}
# On the sound track, the most epochs: a run ends once validation has brought nothing better for a while.
BASE: Mapping[str, Mapping[str, Any]] = {"sound": {**STABLE, "epochs": MOST_EPOCHS}}
# On the published track the paper's own methods have its settings. The baselines, which the paper tuned, have
# those that the search was made with.
_OURS: Mapping[str, Any] = {"published": {"epochs": EPOCHS}}
_THEIRS: Mapping[str, Any] = {"published": {**STABLE, "epochs": EPOCHS}}
QUICK: Mapping[str, Any] = {"epochs": 2, "d": 8}

# Around the paper's grids (appendix C.3), and beyond where their ends were chosen.
_ROUNDS = (EPOCHS // 3, EPOCHS)
SEARCH = Search(
    space={"lr": (5e-5, 2e-2), "inner_lr": (1e-3, 0.5), "steps": (1, 7)},
    own={"lr": 1e-3, "inner_lr": 0.01, "steps": 5},
    epochs=_ROUNDS,
    maximise=False,
)
# TaNP has no inner loop to tune.
_TANP_SEARCH = Search(
    space={"lr": (2e-5, 1e-2), "cluster_weight": (0.003, 3.0)},
    own={"lr": 5e-5, "cluster_weight": 0.1},
    epochs=_ROUNDS,
    maximise=False,
)
BOTH = ("published", "sound")  # a baseline: the paper tuned it and does not print the outcome


def _floors() -> tuple[Row, ...]:
    models = {
        RANDOM: "random",
        POPULARITY: "popularity",
        GLOBAL_MEAN: "global-mean",
        ITEM_MEAN: "item-mean",
        BIAS: "damped-bias",
    }
    return tuple(Row(label, model, section="Floors") for label, model in models.items())


def _baselines() -> tuple[Row, ...]:
    models = {
        "MeLU": "melu",
        "MetaCS-DNN": "metacs",
        "s2Meta": "",
        "MetaEmb": "metaemb",
        "MetaHIN": "metahin",
        "MAMO": "mamo",
        "PAML": "paml",
    }
    section = BASELINES
    rows = {
        k: Row(k, m, _STEP_SIZES, _THEIRS, SEARCH, tuned=BOTH, section=section)
        if m
        else Row(k, section=section)
        for k, m in models.items()
    }
    content = {"embed": "content", "variant": "gating", "context_min": 3}
    rows["TaNP"] = Row("TaNP", "tanp", content, _THEIRS, _TANP_SEARCH, tuned=BOTH, section=section)
    return tuple(rows[label] for label in EIGHT)


def _own(label: str, model: str, options: Mapping[str, Any], search: Search | None, **more: Any) -> Row:
    """A row of the paper's own method."""
    return Row(label, model, {**_STEP_SIZES, **options}, _OURS, search, **more)


def _ours() -> tuple[Row, ...]:
    section = "PNMTA and its ablations"
    no_pt = {"pretraining": "none", "train_encoder": True}
    return (
        _own(MAML_PT, "maml-pt", {}, SEARCH, section=section),
        _own(NO_PT, "pnmta", no_pt, SEARCH, section=section),
        _own(PNMTA, "pnmta", {}, SEARCH, section=section),
        _own(FULL, "pnmta", {"pretraining": "full"}, SEARCH, section=section),
    )


def _block(dataset: str, source: str, **more: Any) -> Block:
    return Block(dataset, source, partial(protocol, dataset=source), FOUR, **more)


MOVIELENS = _block("MovieLens-1M", "ml-1m")
# Explicit ratings of the official dump; the copy in circulation holds about half of them.
BOOKS = _block("Book-Crossing", "book-crossing", whole=433_671, spelt="Bookcrossing", planted="")
BLOCKS = (MOVIELENS, BOOKS)


def spelt(source: str) -> str:
    """A rating table in words: the paper's name for it, or its own if the paper does not know it."""
    known = {b.source: b.dataset for b in BLOCKS} | {MOVIELENS.planted: "planted ratings"}
    return known.get(source, source)


TABLE2 = TableSpec(
    name="pnmta.table2",
    title="Table 2 of PNMTA",
    reference="pnmta_table2",
    blocks=BLOCKS,
    rows=(*_floors(), *_baselines(), *_ours(), Row(ORACLE, "oracle", section="Ceiling")),
    base=BASE,
    quick=QUICK,
    reads=OTHER_READINGS,
    percent=False,
    decimals=4,
    pairs=(
        (PNMTA, MAML_PT),
        (PNMTA, NO_PT),
        (FULL, PNMTA),
        (PNMTA, "MeLU"),
        (PNMTA, "PAML"),
        (PNMTA, "TaNP"),
        (PNMTA, BIAS),
        (PNMTA, ITEM_MEAN),
        ("MeLU", BIAS),
    ),
    shown=("MAE", "RMSE", "NDCG@3"),
    deviations=("D22", "D38", "D39", "D41"),
)

ENCODER_WORDS = {e: "w/o EM" if e == "none" else f"-{e}" for e in ENCODERS}
PREDICTOR_WORDS = dict(zip(PREDICTORS, ("-SA", "-FiLM", "w/o PM"), strict=True))


def cell(encoder: str, predictor: str) -> str:
    """The label of a cell of Table 3."""
    return f"PNMTA {encoder} {predictor}"


def _cells() -> tuple[Row, ...]:
    """Eight encoder settings by three predictor settings; the cells of a row share one search."""
    rows = []
    for encoder, predictor in product(ENCODERS, PREDICTORS):
        given = {"encoder_modulator": encoder, "predictor_modulator": predictor}
        first = " (w/o EM)" if encoder == "none" else f"-{encoder}"
        second = " (w/o PM)" if predictor == "none" else PREDICTOR_WORDS[predictor]
        own = SEARCH if encoder == "C" else None
        shared = "" if own else cell("C", predictor)
        label = cell(encoder, predictor)
        printed = f"PNMTA{first}{second}"
        rows.append(
            _own(label, "pnmta", given, own, searched_as=shared, printed=printed, section="Modulators")
        )
    return tuple(rows)


TABLE3 = TableSpec(
    name="pnmta.table3",
    title="Table 3 of PNMTA, MAE",
    reference="pnmta_table3",
    blocks=tuple(replace(block, metrics=("MAE",)) for block in BLOCKS),
    rows=_cells(),
    base=BASE,
    quick=QUICK,
    quick_rows=tuple(cell(e, p) for e, p in product(ENCODERS[2::3], PREDICTORS)),
    percent=False,
    decimals=4,
    deviations=("D22", "D38", "D39", "D41"),
)
ALL24 = tuple(row.label for row in TABLE3.rows)

# MovieLens-1M with shuffled histories in place of time order: how much of Table 2 is the order?
ORDER = replace(
    TABLE2,
    name="pnmta.order",
    title="MovieLens-1M with shuffled histories",
    blocks=(MOVIELENS,),
    rows=tuple(TABLE2.row(label) for label in (ITEM_MEAN, BIAS, "MeLU", MAML_PT, PNMTA)),
    points=lambda row: (Point({"order": "shuffle"}, rule={"order": "shuffle"}),),
    tracks=("published",),
)

# What the paper leaves open, each in another way than ours; at PNMTA's searched settings, on one data set.
_OTHERWISE: dict[str, dict[str, Any]] = {
    "Task vector from the support alone (D28)": {"task_members": "support"},
    "Generators that start near the identity (D29)": {"gamma_start": "one"},
    "First-order gradients (D31)": {"order": "first"},
    "Half the epochs of pretraining (D33)": {"pretrain_epochs": 10},
    "The pretrained predictor goes on (D33)": {"reinit_head": False},
    "Without pretraining, encoder as drawn (D34)": {"pretraining": "none"},
    "Without pretraining, encoder trains (D34)": {"pretraining": "none", "train_encoder": True},
    "Tables that start a tenth as large (D40)": {"start": 0.1},
}
NO_UNKNOWN = "No rows for the unknown (D41)"


def _without_unknown(row: Row) -> Sequence[Point]:
    return (Point(rule={"hide": 0.0} if row.label == NO_UNKNOWN else {}),)


OPEN = replace(
    TABLE2,
    name="pnmta.open",
    title="What the paper leaves open",
    reference="",
    blocks=(MOVIELENS,),
    rows=(
        TABLE2.row(BIAS),
        TABLE2.row(PNMTA),
        *(
            Row(k, "pnmta", {**_STEP_SIZES, **v}, searched_as=PNMTA, section="The same in another way")
            for k, v in (*_OTHERWISE.items(), (NO_UNKNOWN, {}))
        ),
    ),
    points=_without_unknown,
    tracks=("sound",),
    pairs=tuple((label, PNMTA) for label in (*_OTHERWISE, NO_UNKNOWN)),
    deviations=(),
)

# Section 1: a network without meta-learning, fed shuffled interactions or one user at a time. The claim is
# decided on the first pair, ten epochs long.
_STREAMS: dict[str, dict[str, Any]] = {
    "Shuffled interactions": {"stream": "shuffled"},
    "One user at a time": {"stream": "users"},
    "Shuffled interactions, 2 epochs": {"stream": "shuffled", "epochs": 2},
    "One user at a time, 2 epochs": {"stream": "users", "epochs": 2},
}
STREAMS = TableSpec(
    name="pnmta.streams",
    title="One network, two streams",
    blocks=BLOCKS,
    rows=tuple(Row(label, "plain", given) for label, given in _STREAMS.items()),
    tracks=("published",),
    quick=QUICK,
    quick_rows=tuple(_STREAMS)[:2],
    percent=False,
    decimals=4,
    deviations=("D22", "D38", "D39", "D41"),
)


def _figure(number: int, title: str, labels: Sequence[str], points: Sequence[Point]) -> TableSpec:
    """A figure that varies one setting of some rows of Table 2."""
    return replace(
        TABLE2,
        name=f"pnmta.fig{number}",
        title=f"Figure {number} of PNMTA, MAE by {title}",
        blocks=tuple(replace(block, metrics=("MAE",)) for block in BLOCKS),
        rows=tuple(TABLE2.row(label) for label in labels),
        tracks=("sound",),
        points=lambda row: points,
        quick_points=2,
        pairs=(),
    )


def _of_rule(name: str, values: Sequence[float], at_default: float) -> list[Point]:
    return [Point({name: v}, rule={} if v == at_default else {name: v}) for v in values]


def _of_method(name: str, values: Sequence[float]) -> list[Point]:
    return [Point({name: v}, options={name: v}) for v in values]


FIG4 = _figure(
    4, "support size", ("MeLU", MAML_PT, NO_PT, PNMTA, BIAS), _of_rule("max_support", SUPPORTS, 90)
)
FIG5 = _figure(
    5, "share of training users", ("MeLU", PNMTA, FULL, BIAS), _of_rule("train_share", SHARES, 1.0)
)
FIG6 = _figure(6, "embedding size", (MAML_PT, NO_PT, PNMTA), _of_method("d", SIZES))
FIG7 = _figure(7, "adaptation steps", (MAML_PT, NO_PT, PNMTA), _of_method("steps", STEPS))

SPECS = (TABLE2, ORDER, OPEN, TABLE3, STREAMS, FIG4, FIG5, FIG6, FIG7)
