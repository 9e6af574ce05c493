"""What PNMTA says of courses: along a setting (Figures 4 to 7, P28 to P38) and by epoch (Figure 9, P27, P45 to P49)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from metarec.claims.cells import Finder, Found, best, pairs, parts, rows, spread
from metarec.claims.courses import (
    Combination,
    Curve,
    OfCurve,
    Setting,
    Zero,
    log_jitter,
    point,
    settled,
    slope_of,
)
from metarec.claims.evidence import listed, relative, summary, together, told, widths
from metarec.claims.ground import Ground
from metarec.claims.ledger import Claim
from metarec.claims.roles import Method, Role
from metarec.claims.rules import by_seed, each, every, inside, most
from metarec.experiments.pnmta import EPOCHS
from metarec.papers.pnmta.counted import times_of
from metarec.papers.pnmta.places import FIG4, FIG5, FIG6, FIG7, FIG9, MAE
from metarec.report.html import signed
from metarec.report.pnmta_names import FULL, MAML_PT, NO_PT, PNMTA, SHARE, SIZE, STEP, SUPPORT

EPOCH = tuple(range(1, EPOCHS + 1))
ABLATION = best((MAML_PT, NO_PT), "the best ablation")
LEAST, MOST = SHARE.values[0], SHARE.values[-1]


def falls(setting: Setting, *labels: str) -> list[tuple[Role, Role]]:
    """The least-squares slope of each method along a setting, against zero."""
    slopes = [Combination(m, setting, setting.slope(), m) for m in labels]
    return [(slope, Zero(slope)) for slope in slopes]


def rise(label: str) -> Combination:
    """MAE at the smallest support less that at the largest."""
    return Combination(label, SUPPORT, {SUPPORT.values[0]: 1.0, SUPPORT.values[-1]: -1.0}, label)


def lead(what: str, weights: Mapping[float, float]) -> tuple[Role, Role]:
    """Full-PT against PNMTA in a weighted sum over the shares of training users."""
    full, own = (Combination(m, SHARE, weights, f"{m}, {what}") for m in (FULL, PNMTA))
    return full, own


def smaller(ground: Ground) -> Found:
    """A smaller setting against the default: MAE (part 0) and the time of a step (part 1)."""
    setting, value = (SIZE, 16.0) if ground.place.experiment.endswith("fig6") else (STEP, 2.0)
    short = f"{PNMTA}, d = 16" if setting is SIZE else f"{PNMTA}, 2 steps"
    roles = (point(PNMTA, setting, value), point(PNMTA, setting, setting.default))
    return parts(pairs(roles, metrics=MAE), times_of(short, base=PNMTA))(ground)


def settles(label: str) -> OfCurve:
    """The epoch from which the validation error stays near its minimum."""
    return OfCurve(Curve(label, EPOCH, "valid"), settled, "epochs to settle")


def early(role: OfCurve, limit: int) -> Finder:
    """A row a seed: + if the curve has settled by an epoch, else -."""

    def found(ground: Ground) -> Found:
        sample = role.fill(ground, MAE)
        if sample is None:
            return Found(rows(ground, []), tuple(role.missing(ground)))
        epochs = sample.values[:, 0, 0]
        epochs = epochs[~np.isnan(epochs)]
        share = f"{100 * float(np.mean(epochs <= limit)):.0f} % of the seeds"
        about = {"a": sample.label, "metric": "epochs to settle", "seeds": len(epochs)}
        about["text"] = f"{sample.label}: settled by epoch {limit} in {share}."
        return Found(rows(ground, [{**about, "gain": e, "sign": "+" if e <= limit else "-"} for e in epochs]))

    return found


def ahead(finder: Finder) -> Finder:
    """The rows of a finder with the gain in epochs as a sentence."""

    def found(ground: Ground) -> Found:
        frame, missing = finder(ground)
        told = [
            f"{r['a']}: {signed(r['gain'], 1)} epochs [{signed(r['low'], 1)}, {signed(r['high'], 1)}] ahead of {r['b']}."
            for r in frame.to_dict("records")
        ]
        return Found(frame.assign(text=told) if len(frame) else frame, missing)

    return found


def jitter(label: str) -> OfCurve:
    """How much the curve jumps from epoch to epoch; less is a gain."""
    return OfCurve(Curve(label, EPOCH), log_jitter, "log of the jitter (less is a gain)")


def trend(label: str) -> OfCurve:
    """The slope of the curve."""
    return OfCurve(Curve(label, EPOCH), slope_of, "slope by epoch")


COURSES: tuple[Claim, ...] = (
    Claim(
        "P27",
        "Sec 3.5",
        "After pretraining, a few meta-training epochs are enough to converge.",
        "cost",
        ("pnmta/fig9-training-curves",),
        (
            "First epoch at which validation MAE is within 0.5 % of its 15-epoch minimum, PNMTA and PNMTA "
            "w/o PT, 5 seeds. Holds if PNMTA needs <= 5 epochs in >= 4 seeds and fewer than w/o PT on "
            "average (interval excluding 0); does not hold if it needs > 5 epochs in >= 4 seeds or clearly "
            "more than w/o PT; otherwise noise."
        ),
        "not in a table",
        FIG9,
        parts(early(settles(PNMTA), 5), ahead(pairs((settles(PNMTA), settles(NO_PT)), metrics=MAE))),
        each(by_seed, every),
        told,
    ),
    Claim(
        "P28",
        "Sec 4.5; Fig 4",
        "Every model gets better as the maximum support size grows.",
        "sensitivity",
        ("pnmta/fig4-support-size",),
        (
            "MeLU, MAML-PT, w/o PT, PNMTA on both sets: slope of MAE on log maximum N_s over the grid, same "
            "users and queries. Holds if all 8 slopes are below 0 with intervals excluding 0; does not hold "
            "if any is clearly above 0; otherwise noise."
        ),
        "not in a table",
        FIG4,
        pairs(*falls(SUPPORT, "MeLU", MAML_PT, NO_PT, PNMTA), metrics=MAE),
        every,
        partial(summary, title="Fall of MAE for each unit of log N_S", every=True),
    ),
    Claim(
        "P29",
        "Sec 4.5; Fig 4",
        (
            "Pretrained models (PNMTA, MAML-PT) lose less than the two others (PNMTA w/o PT, MeLU) as the "
            "support set shrinks."
        ),
        "robustness",
        ("pnmta/fig4-support-size",),
        (
            "rise(M) = MAE at smallest minus at largest maximum N_s. All-cells rule on rise(Y) - rise(X), X "
            "in {PNMTA, MAML-PT}, Y in {MeLU, w/o PT}, 2 sets = 8 cells."
        ),
        "not in a table",
        FIG4,
        pairs(*((rise(x), rise(y)) for x in (PNMTA, MAML_PT) for y in ("MeLU", NO_PT)), metrics=MAE),
        every,
        partial(summary, title="Rise of MAE from the largest to the smallest support", every=True),
    ),
    Claim(
        "P30",
        "Sec 4.5; Fig 4",
        "PNMTA is the best of the four models across support sizes.",
        "robustness",
        ("pnmta/fig4-support-size",),
        (
            "Majority rule on gain in MAE of PNMTA over the best of MeLU, MAML-PT, w/o PT at every grid "
            "point of both sets."
        ),
        "not in a table; at the full support Table 2 agrees (0.6921 vs 0.7233 and 1.6058 vs 1.6460)",
        FIG4,
        pairs(
            (Method(PNMTA), best(("MeLU", MAML_PT, NO_PT), "the best of the others")),
            metrics=MAE,
            along=SUPPORT,
        ),
        most,
        partial(listed, counted=True),
    ),
    Claim(
        "P31",
        "Sec 4.5; Fig 5",
        "Every model gets better as more cold-start users are available for training.",
        "sensitivity",
        ("pnmta/fig5-cold-users",),
        (
            "MeLU, PNMTA, Full-PT on both sets: slope of MAE on the share of training users. Holds if all 6 "
            "slopes are below 0 with intervals excluding 0; does not hold if any is clearly above 0; "
            "otherwise noise."
        ),
        "not in a table",
        FIG5,
        pairs(*falls(SHARE, "MeLU", PNMTA, FULL), metrics=MAE),
        every,
        partial(summary, title="Fall of MAE from no to all training users, by the slope", every=True),
    ),
    Claim(
        "P32",
        "Sec 4.5; Fig 5",
        "PNMTA and its fully pretrained version beat MeLU at every share of training users.",
        "robustness",
        ("pnmta/fig5-cold-users",),
        "All-cells rule on gain in MAE of PNMTA and of Full-PT over MeLU at every share, both sets.",
        "not in a table; at 100 % Table 2 agrees (0.6921 and 0.6963 vs 0.7561; 1.6058 and 1.6005 vs 1.6789)",
        FIG5,
        pairs(*((Method(m), Method("MeLU")) for m in (PNMTA, FULL)), metrics=MAE, along=SHARE),
        every,
        partial(summary, title="PNMTA and Full-PT over MeLU", every=True),
    ),
    Claim(
        "P33",
        "Sec 4.5; Fig 5",
        "The lead of Full-PT over PNMTA grows when fewer cold-start users are available.",
        "robustness",
        ("pnmta/fig5-cold-users",),
        (
            "Difference of gain(Full-PT, PNMTA) in MAE between the smallest and the largest share, per set. "
            "Holds if + on both sets and gain is + at the smallest share; does not hold if the difference is"
            " clearly - on any; otherwise noise."
        ),
        (
            "not in a table; at 100 % Full-PT has no lead on MovieLens-1M (0.6963 vs 0.6921) and a small one"
            " on Book-Crossing (1.6005 vs 1.6058)"
        ),
        FIG5,
        pairs(
            lead("least share less most", {LEAST: 1.0, MOST: -1.0}),
            lead(SHARE.word(LEAST), {LEAST: 1.0}),
            metrics=MAE,
        ),
        partial(every, refuted_by={"part": 0}),
        listed,
    ),
    Claim(
        "P34",
        "Sec 4.6; Fig 6",
        "PNMTA beats its ablations for most embedding sizes.",
        "sensitivity",
        ("pnmta/fig6-embedding-size",),
        (
            "Majority rule on gain in MAE of PNMTA over the best ablation (MAML-PT, w/o PT) over the size "
            "grid and both sets."
        ),
        "not in a table",
        FIG6,
        pairs((Method(PNMTA), ABLATION), metrics=MAE, along=SIZE),
        most,
        partial(listed, counted=True),
    ),
    Claim(
        "P35",
        "Sec 4.6; Fig 7",
        "PNMTA beats its ablations for most numbers of adaptation steps.",
        "sensitivity",
        ("pnmta/fig7-adaptation-steps",),
        "Majority rule on gain in MAE of PNMTA over the best ablation over steps 1..5 and both sets.",
        "not in a table",
        FIG7,
        pairs((Method(PNMTA), ABLATION), metrics=MAE, along=STEP),
        most,
        partial(listed, counted=True),
    ),
    Claim(
        "P36",
        "Sec 4.6; Fig 6",
        "PNMTA is not very sensitive to the embedding size.",
        "sensitivity",
        ("pnmta/fig6-embedding-size",),
        (
            "Relative range of 5-seed mean MAE over the size grid with a bootstrap interval, per set. Holds "
            "if below 2 % on both sets; does not hold if the interval lies above 2 % on any; otherwise "
            "noise."
        ),
        "not in a table",
        FIG6,
        spread(SIZE, {PNMTA: {}}, "MAE", relative=True),
        partial(inside, high=0.02),
        partial(widths, bound=0.02, share=True),
    ),
    Claim(
        "P37",
        "Sec 4.6; Fig 7",
        "PNMTA is not very sensitive to the number of adaptation steps.",
        "sensitivity",
        ("pnmta/fig7-adaptation-steps",),
        (
            "Relative range of 5-seed mean MAE over steps 1..5 with a bootstrap interval, per set. Holds if "
            "below 2 % on both sets; does not hold if the interval lies above 2 % on any; otherwise noise."
        ),
        "not in a table",
        FIG7,
        spread(STEP, {PNMTA: {}}, "MAE", relative=True),
        partial(inside, high=0.02),
        partial(widths, bound=0.02, share=True),
    ),
    Claim(
        "P38",
        "Sec 4.6; Figs 6-7",
        "One may shrink embeddings and steps to save computation without hurting accuracy.",
        "cost",
        ("pnmta/fig6-embedding-size", "pnmta/fig7-adaptation-steps"),
        (
            "Compare half the embedding size and 2 steps with the default (32, 5). Holds if "
            "comparable(small, default, 2 %) in MAE on both sets and the interval of each step-time ratio is"
            " below 0.8; does not hold if MAE worsens by more than 2 % with the whole interval; otherwise "
            "noise."
        ),
        "not in a table",
        (*FIG6, *FIG7),
        smaller,
        each(partial(inside, low=-0.02, of="relative"), partial(inside, high=0.8), controls=1),
        together(partial(relative, tolerance=0.02), told),
    ),
    Claim(
        "P45",
        "App D; Fig 9",
        "PNMTA stays significantly ahead of MeLU through the whole of meta-training.",
        "comparison",
        ("pnmta/fig9-training-curves",),
        "All-cells rule on gain in test MAE of PNMTA over MeLU at every epoch 1..15, MovieLens-1M.",
        "not in a table; at the end Table 2 agrees (0.6921 vs 0.7561)",
        FIG9[:1],
        pairs((Curve(PNMTA, EPOCH), Curve("MeLU", EPOCH)), metrics=MAE),
        every,
    ),
    Claim(
        "P46",
        "App D; Fig 9",
        "MAML-PT is better than MeLU during training.",
        "comparison",
        ("pnmta/fig9-training-curves",),
        "Majority rule on gain in test MAE of MAML-PT over MeLU over epochs 1..15, MovieLens-1M.",
        "not in a table; at the end Table 2 agrees (0.7233 vs 0.7561)",
        FIG9[:1],
        pairs((Curve(MAML_PT, EPOCH), Curve("MeLU", EPOCH)), metrics=MAE),
        most,
    ),
    Claim(
        "P47",
        "App D; Fig 9",
        "The MAML-PT curve is unstable while the PNMTA curve is steady.",
        "robustness",
        ("pnmta/fig9-training-curves",),
        (
            "Standard deviation of epoch-to-epoch change of test MAE after removing the trend (running "
            "median of 3), MAML-PT over PNMTA, 5 seeds. Holds if the log ratio is above 0 with its interval;"
            " does not hold if below 0; otherwise noise."
        ),
        "not in a table",
        FIG9[:1],
        pairs((jitter(PNMTA), jitter(MAML_PT)), metrics=MAE),
        every,
        listed,
    ),
    Claim(
        "P48",
        "App D; Fig 9",
        "Early in meta-training PNMTA and MAML-PT are about equal.",
        "comparison",
        ("pnmta/fig9-training-curves",),
        (
            "comparable(PNMTA, MAML-PT, 2 %) in test MAE at epochs 1 to 3. Holds if all three; does not hold"
            " if all three lie outside 2 % with the whole interval; otherwise noise."
        ),
        "not in a table",
        FIG9[:1],
        pairs((Curve(PNMTA, EPOCH[:3]), Curve(MAML_PT, EPOCH[:3])), metrics=MAE),
        partial(inside, low=-0.02, high=0.02, of="relative", failing=None),
        partial(relative, tolerance=0.02),
    ),
    Claim(
        "P49",
        "App D; Fig 9",
        "The lead of PNMTA over MAML-PT widens as training goes on.",
        "comparison",
        ("pnmta/fig9-training-curves",),
        (
            "Slope over epochs 1..15 of gain in test MAE of PNMTA over MAML-PT, 5 seeds. Holds if above 0 "
            "with its interval; does not hold if below 0; otherwise noise."
        ),
        "not in a table; the final gap in Table 2 is 0.7233 - 0.6921 = 0.0312",
        FIG9[:1],
        pairs((trend(PNMTA), trend(MAML_PT)), metrics=MAE),
        every,
        listed,
    ),
)
