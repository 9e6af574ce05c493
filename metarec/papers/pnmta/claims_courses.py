"""What PNMTA says of courses along a setting: Figures 4 to 7, P28 to P38."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from metarec.claims.cells import Found, best, pairs, parts, spread
from metarec.claims.courses import Combination, Setting, Zero, point
from metarec.claims.evidence import listed, relative, summary, together, told, widths
from metarec.claims.ground import Ground
from metarec.claims.ledger import Claim
from metarec.claims.roles import Method, Role
from metarec.claims.rules import each, every, inside, most
from metarec.papers.pnmta.counted import times_of
from metarec.papers.pnmta.places import FIG4, FIG5, FIG6, FIG7, MAE, SHARE, SIZE, STEP, SUPPORT
from metarec.papers.pnmta.tables import FULL, MAML_PT, NO_PT, PNMTA

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
    setting, value = (SIZE, 16.0) if ground.place.experiment.name.endswith("fig6") else (STEP, 2.0)
    short = f"{PNMTA}, d = 16" if setting is SIZE else f"{PNMTA}, 2 steps"
    roles = (point(PNMTA, setting, value), point(PNMTA, setting, setting.default))
    return parts(pairs(roles, metrics=MAE), times_of(short, base=PNMTA))(ground)


COURSES: tuple[Claim, ...] = (
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
            "Relative range of 5-seed mean MAE over the size grid with its interval, per set. Holds "
            "if below 2 % on both sets; does not hold if the interval lies above 2 % on any; otherwise "
            "noise."
        ),
        "not in a table",
        FIG6,
        spread(SIZE, {PNMTA: {}}, "MAE", share=True),
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
            "Relative range of 5-seed mean MAE over steps 1..5 with its interval, per set. Holds if "
            "below 2 % on both sets; does not hold if the interval lies above 2 % on any; otherwise noise."
        ),
        "not in a table",
        FIG7,
        spread(STEP, {PNMTA: {}}, "MAE", share=True),
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
)
