"""The rules of PNMTA's claims, one entry a claim; their words stand in `reference/claims.csv`."""

from __future__ import annotations

from collections.abc import Mapping

from metarec.methods.maml_pt import MAMLPTOptions
from metarec.methods.mamo import MAMOOptions
from metarec.methods.melu import MeLUOptions
from metarec.methods.pnmta import PNMTAOptions
from metarec.papers.pnmta.tables import EPOCHS, STREAMS
from metarec.report.cellrules import (
    AboutEqual,
    AtLeast,
    NoGain,
    OnMean,
    Signs,
    along,
    each,
    first_refutes,
    over,
)
from metarec.report.contrasts import (
    Combination,
    Curve,
    OfCurve,
    Setting,
    Zero,
    log_jitter,
    settled,
    slope_of,
)
from metarec.report.evidence import Method
from metarec.report.gridrules import Flat
from metarec.report.pnmta_names import (
    ALL24,
    EIGHT,
    FULL,
    MAML_PT,
    NO_PT,
    PLACES,
    PNMTA,
    SHARE,
    SIZE,
    STEP,
    SUPPORT,
)
from metarec.report.rankrules import (
    Average,
    Champion,
    Gap,
    HasRank,
    NoneToTune,
    Overfit,
    Ranked,
    SettlesEarly,
    tunable,
)
from metarec.report.rules import AllCells, Comparable, Magnitude, Majority, Rule
from metarec.report.sensitivity import Sweep
from metarec.report.timerules import Cheaper

MAE = ("MAE",)
FOUR = ("MAE", "RMSE", "NDCG@3", "NDCG@5")
AT = {page: tuple(place.name for place in places) for page, places in PLACES.items()}
SOURCES = PLACES["table2"]
BEST = Ranked(EIGHT, 0, "the best baseline")
WORST = Ranked(EIGHT, 1, "the worst baseline")
SHUFFLED, BY_USER, *_ = STREAMS
KINDS = ("attention", "film", "none")


def _name(encoder: str, predictor: str) -> str:
    return f"PNMTA {encoder} {predictor}"


def _better(a: str, b: str, page: str, metrics: tuple[str, ...] = FOUR) -> AllCells:
    return AllCells(a=Method(a), b=Method(b), metrics=metrics, places=AT[page])


def _encoders(title: str, better: tuple[str, ...], worse: tuple[str, ...]) -> Rule:
    """All-cells rule in MAE of encoder modulators over others, at each predictor setting."""
    pairs = [(x, y, k) for x in better for y in worse for k in KINDS]
    return over(title, *(_better(_name(x, k), _name(y, k), "table3", MAE) for x, y, k in pairs))


def _attention(place: str) -> Rule:
    """Mean over the encoder settings of the gain of attention over no predictor modulator, on one set."""
    parts = [
        OnMean(a=Method(_name(e, "attention")), b=Method(_name(e, "none")), metrics=MAE, places=(place,))
        for e in dict.fromkeys(name.split()[1] for name in ALL24)
    ]
    return over("Attention over no predictor modulator", *parts, every=True)


def _falls(title: str, labels: tuple[str, ...], setting: Setting, page: str) -> Rule:
    """MAE falls along a setting: minus its slope, user by user, is + for every method."""
    slopes = [Combination(label, setting, setting.slope(), label) for label in labels]
    return over(title, *(Signs(a=s, b=Zero(s), metrics=MAE, places=AT[page]) for s in slopes), every=True)


def _rise(label: str) -> Combination:
    weights = {SUPPORT.values[0]: 1.0, SUPPORT.values[-1]: -1.0}
    return Combination(label, SUPPORT, weights, label)


def _lead_grows() -> Rule:
    """Gain of Full-PT over PNMTA: at the least share less at the largest, and at the least share itself."""
    least, most = SHARE.values[0], SHARE.values[-1]
    change = [
        Combination(m, SHARE, {least: 1.0, most: -1.0}, f"{m}, least share less most") for m in (FULL, PNMTA)
    ]
    first = [Combination(m, SHARE, {least: 1.0}, f"{m}, {SHARE.word(least)}") for m in (FULL, PNMTA)]
    parts = [Signs(a=a, b=b, metrics=MAE, places=AT["fig5"]) for a, b in (change, first)]
    return first_refutes("The lead of Full-PT", *parts)


def _ahead(others: tuple[str, ...], name: str, setting: Setting, page: str) -> Rule:
    """Majority rule on the gain of PNMTA over the best of others at every value of a setting."""
    best = Ranked(others, 0, name)
    return along(setting, Majority(a=Method(PNMTA), b=best, metrics=MAE, places=AT[page]))


def _flat(setting: Setting, page: str) -> Rule:
    option = setting.path.rpartition(".")[2]
    sweep = Sweep(option, setting.values, setting.label, {PNMTA: {}}, {PNMTA: setting.default})
    return Flat(
        sweeps=(sweep,), beside="pnmta.table2", bound=0.02, relative=True, metrics=MAE, places=AT[page]
    )


def _smaller(setting: Setting, value: float, page: str) -> Rule:
    at = [
        Combination(PNMTA, setting, {v: 1.0}, f"PNMTA, {setting.word(v)}") for v in (value, setting.default)
    ]
    return Comparable(a=at[0], b=at[1], metrics=MAE, places=AT[page], tolerance=0.02)


def _cheaper() -> Rule:
    """Half the embedding, and two steps: accuracy as at the default, and less than 0.8 of its time."""
    parts = (_smaller(SIZE, 16, "fig6"), _smaller(STEP, 2, "fig7"))
    return Cheaper(
        metrics=MAE,
        places=(*AT["fig6"], *AT["fig7"]),
        parts=parts,
        title="Smaller settings over the default",
        every=True,
        small=("PNMTA, d = 16", "PNMTA, 2 steps"),
        base=PNMTA,
        limit=0.8,
    )


def _capacity() -> Rule:
    """Gap between test and training error, and test error itself, of C and Cb against E and Eb."""
    light, heavy = ([_name(e, k) for e in pair for k in KINDS] for pair in (("C", "Cb"), ("E", "Eb")))
    gaps, errors = (
        [Average(tuple(role(m) for m in group), name) for group, name in ((light, "C, Cb"), (heavy, "E, Eb"))]
        for role in (Gap, Method)
    )
    parts = [Signs(a=a, b=b, metrics=MAE, places=AT["table3"]) for a, b in (gaps, errors)]
    return first_refutes("Train-test gap and test error", *parts)


def _curve(label: str, epochs: int = EPOCHS, split: str = "test") -> Curve:
    return Curve(label, tuple(range(1, epochs + 1)), split)


def _settles(label: str) -> OfCurve:
    return OfCurve(_curve(label, split="valid"), settled, "epochs to settle")


ML2, BX2 = AT["table2"]
ML3, BX3 = AT["table3"]
ML9 = AT["fig9"][:1]

RULES: Mapping[str, Rule] = {
    "P01": AllCells(a=Method(PNMTA), b=BEST, metrics=FOUR, places=AT["table2"]),
    "P02": each(
        "Relative gain over the best and the worst baseline",
        AtLeast(a=Method(PNMTA), b=BEST, metrics=MAE, places=(ML2,), stated=0.0401),
        Magnitude(a=Method(PNMTA), b=WORST, metrics=MAE, places=(ML2,), stated=0.1330),
    ),
    "P03": each(
        "Relative gain over the best and the worst baseline",
        AtLeast(a=Method(PNMTA), b=BEST, metrics=MAE, places=(BX2,), stated=0.0162),
        Magnitude(a=Method(PNMTA), b=WORST, metrics=MAE, places=(BX2,), stated=0.0571),
    ),
    "P04": AllCells(
        a=Ranked(tuple(m for m in EIGHT if m != "MetaEmb"), 1, "the next-worst baseline"),
        b=Method("MetaEmb"),
        metrics=FOUR,
        places=AT["table2"],
    ),
    "P05": Signs(
        a=Ranked(EIGHT, 0.5, "the median baseline"), b=Method("MetaHIN"), metrics=FOUR, places=(BX2,)
    ),
    "P06": _better(PNMTA, MAML_PT, "table2"),
    "P07": _better(PNMTA, NO_PT, "table2"),
    "P08": NoGain(a=Method(FULL), b=Method(PNMTA), metrics=FOUR, places=AT["table2"], allowed=0, failing=2),
    "P09": _better(FULL, PNMTA, "table2"),
    "P10": NoneToTune(
        metrics=(),
        places=(ML2,),
        counts={
            PNMTA: tunable(PNMTAOptions, MAMLPTOptions),
            "MAMO": tunable(MAMOOptions, MeLUOptions),
        },
    ),
    "P11": over(
        "Shuffled interactions over one user at a time",
        *(
            Signs(a=role(SHUFFLED), b=role(BY_USER), metrics=MAE, places=AT["streams"])
            for role in (Method, Overfit)
        ),
        every=True,
    ),
    "P12": Champion(
        label=_name("C", "film"),
        others=tuple(m for m in ALL24 if m != _name("C", "film")),
        metrics=MAE,
        places=AT["table3"],
    ),
    "P13": HasRank(label=_name("Cb", "film"), labels=ALL24, rank=2, metrics=MAE, places=(ML3,)),
    "P14": HasRank(label=_name("Cb", "attention"), labels=ALL24, rank=2, metrics=MAE, places=(BX3,)),
    "P15": _encoders("C and Cb over E and Eb", ("C", "Cb"), ("E", "Eb")),
    "P16": _capacity(),
    "P17": over(
        "S and SS over the free encoder",
        *(
            NoGain(
                a=Method(_name(e, k)),
                b=Method(_name("none", k)),
                metrics=MAE,
                places=AT["table3"],
                allowed=1,
            )
            for e in ("S", "SS")
            for k in KINDS
        ),
    ),
    "P18": _encoders("The free encoder over the frozen one", ("none",), ("Fix",)),
    "P19": _encoders("C over the free encoder", ("C",), ("none",)),
    "P20": _attention(ML3),
    "P21": _attention(BX3),
    "P22": over(
        "FiLM over attention",
        *(
            _better(_name(e, "film"), _name(e, "attention"), "table3", MAE)
            for e in dict.fromkeys(name.split()[1] for name in ALL24)
        ),
    ),
    "P27": SettlesEarly(a=_settles(PNMTA), b=_settles(NO_PT), metrics=MAE, places=AT["fig9"]),
    "P28": _falls("Fall of MAE for each unit of log N_S", ("MeLU", MAML_PT, NO_PT, PNMTA), SUPPORT, "fig4"),
    "P29": over(
        "Rise of MAE from the largest to the smallest support",
        *(
            AllCells(a=_rise(x), b=_rise(y), metrics=MAE, places=AT["fig4"])
            for x in (PNMTA, MAML_PT)
            for y in ("MeLU", NO_PT)
        ),
        every=True,
    ),
    "P30": _ahead(("MeLU", MAML_PT, NO_PT), "the best of the others", SUPPORT, "fig4"),
    "P31": _falls(
        "Fall of MAE from no to all training users, by the slope", ("MeLU", PNMTA, FULL), SHARE, "fig5"
    ),
    "P32": over(
        "PNMTA and Full-PT over MeLU",
        *(along(SHARE, _better(m, "MeLU", "fig5", MAE)) for m in (PNMTA, FULL)),
        every=True,
    ),
    "P33": _lead_grows(),
    "P34": _ahead((MAML_PT, NO_PT), "the best ablation", SIZE, "fig6"),
    "P35": _ahead((MAML_PT, NO_PT), "the best ablation", STEP, "fig7"),
    "P36": _flat(SIZE, "fig6"),
    "P37": _flat(STEP, "fig7"),
    "P38": _cheaper(),
    "P45": AllCells(a=_curve(PNMTA), b=_curve("MeLU"), metrics=MAE, places=ML9),
    "P46": Majority(a=_curve(MAML_PT), b=_curve("MeLU"), metrics=MAE, places=ML9),
    "P47": Signs(
        a=OfCurve(_curve(PNMTA), log_jitter, "log of the jitter (less is a gain)"),
        b=OfCurve(_curve(MAML_PT), log_jitter, "log of the jitter (less is a gain)"),
        metrics=MAE,
        places=ML9,
    ),
    "P48": AboutEqual(a=_curve(PNMTA, 3), b=_curve(MAML_PT, 3), metrics=MAE, places=ML9, tolerance=0.02),
    "P49": Signs(
        a=OfCurve(_curve(PNMTA), slope_of, "slope by epoch"),
        b=OfCurve(_curve(MAML_PT), slope_of, "slope by epoch"),
        metrics=MAE,
        places=ML9,
    ),
}
