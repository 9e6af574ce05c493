"""CMML's Tables 2 to 9, each as one spec: scenarios on stand-ins, on the official sets, and users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from metarec.methods.base import STABLE
from metarec.papers.cmml.protocol import scenario_protocol, user_protocol
from metarec.runs.plan import Block, Row, Search, TableSpec

EPOCHS = 26  # of about 380 steps: at most 10,000, a tenth of the released program's
USER_EPOCHS = 30
DRAWS = 5  # tasks of a training user

RANDOM, POPULARITY, ORACLE = "Random ranker", "Popularity in training", "Oracle"
GLOBAL_MEAN, ITEM_MEAN, BIAS = "Global mean", "Item mean", "Damped user + item bias"
DCN, DCN_F, ITEM_POP, CONET, S2META = "DCN", "DCN-F", "ItemPop", "CoNet", "s2Meta"
METACS, MELU = "MetaCS-DNN", "MeLU"
FILM, SOFT_M, LINEAR, SIGMOID = "CMML-FiLM", "CMML-Soft-M", "CMML-Linear", "CMML-Sigmoid"
BASELINES, OURS = "Baselines of the paper", "CMML"
TEN, HUNDRED = ("Recall@10", "Recall@20", "Recall@50"), ("Recall@20", "Recall@50", "Recall@100")
PREFIX = {"published": "", "sound": "std:"}
BASE: Mapping[str, Mapping[str, Any]] = {track: {"epochs": EPOCHS} for track in PREFIX}
# Small networks and few inner steps, for seconds on a CPU.
QUICK: Mapping[str, Any] = {
    "epochs": 2,
    "gru": 16,
    "encoder_sizes": (16,),
    "backbone": (16, 16, 16),
    "hyper": (16, 16, 16),
    "module_sizes": (8, 8, 8),
    "lstm": 4,
    "steps": 5,
}
# Ten times fewer steps than the paper's ask for other step sizes.
_ROUNDS = (EPOCHS // 4, EPOCHS)


def _search(own: float, low: float, high: float, **more: tuple[float, float, float]) -> Search:
    """Of the step size and of other numbers, each with the paper's value and a range around it."""
    found = {"lr": (own, low, high), **more}
    return Search(
        space={name: ends for name, (_, *ends) in found.items()},  # type: ignore[misc]
        own={name: point for name, (point, *_) in found.items()},
        epochs=_ROUNDS,
        n=6,
        finalists=2,
        seeds=(0,),
    )


def _floors(*labels: str) -> tuple[Row, ...]:
    models = {
        RANDOM: "random",
        POPULARITY: "popularity",
        GLOBAL_MEAN: "global-mean",
        ITEM_MEAN: "item-mean",
        BIAS: "damped-bias",
    }
    return tuple(Row(label, models[label], section="Floors") for label in labels)


def _baselines() -> tuple[Row, ...]:
    """The order of Table 2. ItemPop counts in the support: what it says is a floor too."""
    section = BASELINES
    return (
        Row(DCN, "dcn", search=_search(4e-7, 1e-7, 1e-2), section=section),
        Row(DCN_F, "dcn-f", search=_search(4e-7, 1e-7, 1e-2, tune_lr=(1e-3, 1e-5, 1e-2)), section=section),
        Row(ITEM_POP, "itempop", {"scope": "support"}, section=section),
        Row(CONET, "conet", section=section),
        Row(S2META, "s2meta", {"plateau": True}, search=_search(1e-4, 2e-5, 5e-3), section=section),
    )


def _cmml(label: str, options: Mapping[str, Any], **more: Any) -> Row:
    """A row of CMML in the scenario setting; all take their step size from one search, that of FiLM."""
    shared = {"searched_as": FILM} if label != FILM else {"search": _search(1e-4, 2e-5, 5e-3)}
    return Row(label, "cmml", {"plateau": True, **options}, section=OURS, **shared, **more)


def _ours() -> tuple[Row, ...]:
    """The released configurations for MovieLens-20M."""
    return (
        _cmml(FILM, {"modulation": "film", "bias": 0.1}),
        _cmml(SOFT_M, {"modulation": "softm", "gru": 128, "encoder_sizes": (128,)}),
        _cmml(LINEAR, {"modulation": "linear", "gru": 192, "encoder_sizes": (192,)}),
        _cmml(SIGMOID, {"modulation": "sigmoid", "bias": 0.1}),
    )


# What the released configurations have otherwise on the other two sets.
_WIDE = {"hyper": (128, 128, 128)}
_TAOBAO: Mapping[str, Mapping[str, Any]] = {
    FILM: {"bias": 0.0},
    SOFT_M: _WIDE,
    LINEAR: _WIDE,
    SIGMOID: {**_WIDE, "bias": 0.0},
    S2META: {"hidden": (64, 64, 64), "inner_batch": 64, "replacement": False},
    DCN_F: {"tune_steps": 5},
}
_JOINT = {"gru": 128, "encoder_sizes": (128, 64)}
_HYBRID: Mapping[str, Mapping[str, Any]] = {
    FILM: _JOINT,
    SOFT_M: {**_JOINT, "module_sizes": (32, 32, 32)},
    LINEAR: _JOINT,
    SIGMOID: _JOINT,
    S2META: {"hidden": (64, 64, 64), "lstm": 8},
}


def _scenarios(dataset: str, source: str, metrics: Sequence[str], **more: Any) -> Block:
    place = partial(scenario_protocol, dataset=source)
    return Block(dataset, source, place, tuple(metrics), planted="synthetic-scenarios", **more)


ML20M, TAOBAO, JOINT = "MovieLens-20M", "Taobao", "Hybrid MovieLens-Taobao"
FILMS = _scenarios(
    ML20M,
    "films",
    TEN,
    stand_in="MovieLens-1M ratings; scenarios are MovieLens-10M tags, genres and pairs of genres",
)
SHOPPING = _scenarios(
    TAOBAO,
    "shopping",
    HUNDRED,
    own=_TAOBAO,
    stand_in="Amazon 5-core sports, beauty and toys; scenarios are their attributes",
)
HYBRID = _scenarios(JOINT, "hybrid", HUNDRED, own=_HYBRID, stand_in="the two other stand-ins side by side")
STAND_INS = (FILMS, SHOPPING, HYBRID)
# The paper's own sets. Neither is at hand; `metarec data fetch` says how to get them.
OFFICIAL = (
    _scenarios(ML20M, "ml-20m", TEN),
    _scenarios(TAOBAO, "taobao-themes", HUNDRED, own=_TAOBAO),
)

_MAIN = (*_baselines(), *_ours()[:2])
_ALL = (*_baselines(), *_ours())
_CEILING = Row(ORACLE, "oracle", section="Ceiling")
_PAIRS = (
    (FILM, S2META),
    (SOFT_M, S2META),
    (FILM, DCN),
    (SOFT_M, DCN),
    (DCN_F, DCN),
    (S2META, DCN),
    (FILM, ITEM_POP),
    (FILM, POPULARITY),
    (S2META, POPULARITY),
)

TABLE2 = TableSpec(
    name="cmml.table2",
    title="Table 2 of CMML, on stand-ins",
    reference="cmml_table2",
    blocks=STAND_INS,
    rows=(*_floors(RANDOM, POPULARITY), *_MAIN, _CEILING),
    base=BASE,
    quick=QUICK,
    prefix=PREFIX,
    pairs=_PAIRS,
    shown=("Recall@20",),
    deviations=("D53", "D54", "D55", "D56", "D57", "D58"),
)
TABLE2_OFFICIAL = replace(
    TABLE2, name="cmml.table2-official", title="Table 2 of CMML, on its own data", blocks=OFFICIAL
)


def _seeds(number: int, block: Block) -> TableSpec:
    """Tables 6 to 8: one set, five seeds, and the two other modulations."""
    return replace(
        TABLE2,
        name=f"cmml.table{number}",
        title=f"Table {number} of CMML, on a stand-in",
        reference=f"cmml_table{number}",
        blocks=(block,),
        rows=(*_floors(RANDOM, POPULARITY), *_ALL, _CEILING),
        shown=block.metrics,
    )


TABLE6, TABLE7, TABLE8 = _seeds(6, FILMS), _seeds(7, SHOPPING), _seeds(8, HYBRID)

NON_NEGATIVE, PE, SE, SE_MLP, SE_DOT = "Non-negative-PE", "PE", "SE", "SE-MLP", "SE-dot"
_MEAN = {"encoder": "mean", "encoder_sizes": (128, 128), "hybrid": "none"}
_LINEAR: Mapping[str, Any] = {"modulation": "linear", "gru": 192, "encoder_sizes": (192,)}
# The five rows of the ablation; all weights of the last layer are generated. The last is CMML-Linear.
_CONTEXTS: Mapping[str, Mapping[str, Any]] = {
    NON_NEGATIVE: {**_LINEAR, **_MEAN, "negatives": False},
    PE: {**_LINEAR, **_MEAN},
    SE: {**_LINEAR, "hybrid": "none"},
    SE_MLP: {**_LINEAR, "hybrid": "mlp"},
    SE_DOT: _LINEAR,
}
_FOR_SEARCH = _ours()[:1]  # FiLM, whose search the rows take their step size from
TABLE4 = replace(
    TABLE2,
    name="cmml.table4",
    title="Table 4 of CMML, context encoders, on a stand-in",
    reference="cmml_table4",
    blocks=(FILMS,),
    rows=(*_floors(RANDOM), *(_cmml(k, v) for k, v in _CONTEXTS.items()), *_FOR_SEARCH, _CEILING),
    pairs=((PE, NON_NEGATIVE), (SE, PE), (SE_MLP, SE), (SE_DOT, SE), (SE_DOT, SE_MLP)),
    shown=TEN,
)
TABLE9 = replace(
    TABLE4,
    name="cmml.table9",
    title="Table 9 of CMML, context encoders, five seeds, on a stand-in",
    reference="cmml_table9",
)
_PRINTED = {
    LINEAR: "CMML-Linear",
    SIGMOID: "CMML-Sigmoid (S-LM)",
    FILM: "CMML-FiLM (F-LM)",
    SOFT_M: "CMML-Soft-M",
}
TABLE5 = replace(
    TABLE2,
    name="cmml.table5",
    title="Table 5 of CMML, modulations, on stand-ins",
    reference="cmml_table5",
    blocks=(replace(FILMS, metrics=TEN[:2]), replace(SHOPPING, metrics=HUNDRED[:2])),
    rows=(*_floors(RANDOM), *(replace(r, printed=_PRINTED[r.label]) for r in _ours()), _CEILING),
    pairs=((FILM, LINEAR), (FILM, SIGMOID), (SOFT_M, FILM), (SOFT_M, LINEAR)),
    shown=("Recall@20",),
)


def _users(dataset: str, setting: str, evaluated: str) -> Block:
    return Block(
        dataset,
        "ml-1m",
        partial(user_protocol, evaluated=evaluated),
        ("MAE", "NDCG@3"),
        setting=setting,
        spelt="MovieLens-1M",
        rule={"evaluated": evaluated, "longest": 100},
    )


COLD = _users("Cold users", "C-W", "cold")
TRAINED = _users("Training users", "W-W", "trained")
WARM = _users("Warm users", "ratings never trained on", "warm")
_USER_OPTIONS: Mapping[str, Any] = {
    "encoder": "mean",
    "encoder_sizes": (64,),
    "backbone": (64, 64),
    "hyper": (256, 256),
    "module_sizes": (32, 32),
    "batch": 32,
    "lr": 3e-4,
    "max_value": 10.0,
}
# DCN reads single ratings of all draws of a user: an epoch of it is as long as `DRAWS` of the others.
_ROWS: Mapping[str, Any] = {"lr": 1e-3, "epochs": USER_EPOCHS // DRAWS}
_USER_SEARCH = replace(_search(3e-4, 3e-5, 5e-3), epochs=(8, USER_EPOCHS), maximise=False)
_INNER_SEARCH = replace(
    _search(3e-4, 3e-5, 5e-3, inner_lr=(0.01, 1e-3, 0.1)), epochs=(8, USER_EPOCHS), maximise=False
)
TABLE3 = TableSpec(
    name="cmml.table3",
    title="Table 3 of CMML",
    reference="cmml_table3",
    blocks=(COLD, TRAINED, WARM),
    rows=(
        *_floors(RANDOM, POPULARITY, GLOBAL_MEAN, ITEM_MEAN, BIAS),
        Row(DCN, "dcn", _ROWS, section=BASELINES),
        Row(DCN_F, "dcn-f", {**_ROWS, "tune_steps": 5, "tune_lr": 2e-4}, section=BASELINES),
        Row(METACS, "metacs", search=_INNER_SEARCH, section=BASELINES),
        Row(MELU, "melu", search=_INNER_SEARCH, section=BASELINES),
        Row(FILM, "cmml", _USER_OPTIONS, search=_USER_SEARCH, section=OURS),
        _CEILING,
    ),
    base={
        "published": {"epochs": USER_EPOCHS},
        "sound": {"epochs": USER_EPOCHS, **STABLE},
    },
    quick={"epochs": 2, "d": 8, "steps": 2, "backbone": (16, 16), "hyper": (16, 16)},
    prefix=PREFIX,
    percent=False,
    decimals=3,
    pairs=(
        (FILM, MELU),
        (FILM, METACS),
        (FILM, DCN),
        (DCN_F, DCN),
        (MELU, DCN_F),
        (METACS, DCN_F),
        (FILM, BIAS),
        (MELU, BIAS),
    ),
    shown=("MAE", "NDCG@3"),
    deviations=("D59",),
)
# The 50 ratings of a user that the main text speaks of, where the appendix says 100.
TABLE3_FIFTY = replace(
    TABLE3,
    name="cmml.table3-fifty",
    title="Table 3 of CMML with histories of 50 ratings",
    blocks=tuple(
        replace(b, protocol=partial(b.protocol, longest=50), rule={**b.rule, "longest": 50})
        for b in (COLD, WARM)
    ),
)

SPECS = (
    TABLE2,
    TABLE2_OFFICIAL,
    TABLE3,
    TABLE3_FIFTY,
    TABLE4,
    TABLE5,
    TABLE6,
    TABLE7,
    TABLE8,
    TABLE9,
)
