"""What PNMTA says: the claims of its Table 2 (P01 to P11), and the list of all of them."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

from metarec.claims.cells import Found, best, pairs, parts, rows
from metarec.claims.evidence import listed, sizes, summary, told
from metarec.claims.ground import Ground
from metarec.claims.ledger import Claim, Paper
from metarec.claims.roles import Gap, Method, Ranked
from metarec.claims.rules import each, every, inside, no_gain, reaches
from metarec.papers.pnmta.claims_costs import COSTS
from metarec.papers.pnmta.claims_courses import COURSES
from metarec.papers.pnmta.claims_epochs import EPOCH_CLAIMS
from metarec.papers.pnmta.claims_modulators import MODULATORS
from metarec.papers.pnmta.claims_vectors import VECTORS
from metarec.papers.pnmta.places import FOUR, MAE, STREAM_PLACES, TABLE2
from metarec.papers.pnmta.tables import EIGHT, FULL, MAML_PT, NO_PT, PNMTA, STREAMS, TABLE3

BEST = best(EIGHT, "the best baseline")
WORST = Ranked(EIGHT, 1, "the worst baseline")
SHUFFLED, BY_USER, *_ = (row.label for row in STREAMS.rows)


def without(name: str) -> tuple[str, ...]:
    """The other seven baselines."""
    return tuple(m for m in EIGHT if m != name)


def tunable(options: type[Any], shared: type[Any]) -> tuple[str, ...]:
    """Numbers to choose in `options` beyond those of `shared`; switches between variants are not counted."""
    known = {f.name for f in fields(shared)}
    return tuple(
        f.name
        for f in fields(options)
        if f.name not in known
        and isinstance(f.default, (int, float, tuple))
        and not isinstance(f.default, bool)
    )


def hyper_parameters(ground: Ground) -> Found:
    """How many numbers PNMTA has of its own (part 0), and how many more MAMO has (part 1)."""
    from metarec.methods.maml_pt import MAMLPTOptions
    from metarec.methods.mamo import MAMOOptions
    from metarec.methods.melu import MeLUOptions
    from metarec.methods.pnmta import PNMTAOptions

    own, other = tunable(PNMTAOptions, MAMLPTOptions), tunable(MAMOOptions, MeLUOptions)
    told = "; ".join(
        f"{n}: {len(names)} ({', '.join(names)})" for n, names in ((PNMTA, own), ("MAMO", other))
    )
    text = f"Numbers to choose beyond the common ones: {told}."
    about = {"a": PNMTA, "metric": "hyper-parameters", "text": text}
    more = {"b": "MAMO", "gain": len(other) - len(own), "part": 1}
    return Found(rows(ground, [{**about, "gain": len(own)}, {**about, **more}]))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "P01",
        "Abstract; Sec 4.3; Sec 5; Table 2",
        (
            "PNMTA beats the eight compared methods significantly on MovieLens-1M and Book-Crossing in MAE, "
            "RMSE, NDCG@3 and NDCG@5."
        ),
        "comparison",
        ("pnmta/table2-comparison",),
        (
            "B = best of MeLU, MetaCS-DNN, s2Meta, MetaEmb, MetaHIN, MAMO, TaNP, PAML per metric and set. "
            "All-cells rule on gain(PNMTA, B), 4 metrics x 2 sets; verdict per set as well."
        ),
        (
            "consistent: best in 8 of 8 cells (smallest lead NDCG@5 on MovieLens-1M 0.9042 vs 0.8991, +0.57 "
            "%; largest RMSE on Book-Crossing 1.8722 vs 1.9570, 4.33 %); no variance printed"
        ),
        TABLE2,
        pairs((Method(PNMTA), BEST), metrics=FOUR),
        every,
    ),
    Claim(
        "P02",
        "Sec 4.3; Table 2",
        "The MAE improvement over the compared methods on MovieLens-1M spans 4.01 % to 13.30 %.",
        "comparison",
        ("pnmta/table2-comparison",),
        (
            "Relative MAE gain (share of the baseline value) against the best and the worst of the eight "
            "baselines with 95 % paired intervals. Magnitude rule at both ends (0.0401 and 0.1330); holds "
            "only if both ends hold."
        ),
        (
            "contradicted: against PAML (0.7199 vs 0.6921) the gain is 3.86 % of the baseline (4.02 % of "
            "PNMTA), against MetaEmb (0.7983) 13.30 % of the baseline (15.34 % of PNMTA); no single formula "
            "gives 4.01-13.30"
        ),
        TABLE2[:1],
        parts(pairs((Method(PNMTA), BEST), metrics=MAE), pairs((Method(PNMTA), WORST), metrics=MAE)),
        each(partial(reaches, stated=0.0401, final=True), partial(reaches, stated=0.1330)),
        partial(sizes, stated=(0.0401, 0.1330)),
    ),
    Claim(
        "P03",
        "Sec 4.3; Table 2",
        "The MAE improvement over the compared methods on Book-Crossing spans 1.62 % to 5.71 %.",
        "comparison",
        ("pnmta/table2-comparison",),
        (
            "Relative MAE gain (share of the baseline value) against the best and the worst of the eight "
            "baselines with 95 % paired intervals. Magnitude rule at both ends (0.0162 and 0.0571); holds "
            "only if both ends hold."
        ),
        (
            "contradicted: against PAML (1.6223 vs 1.6058) 1.02 %, against MetaEmb (1.7131) 6.26 % (as share"
            " of PNMTA 1.03 % and 6.68 %); no baseline gives 1.62 % or 5.71 %"
        ),
        TABLE2[1:],
        parts(pairs((Method(PNMTA), BEST), metrics=MAE), pairs((Method(PNMTA), WORST), metrics=MAE)),
        each(partial(reaches, stated=0.0162, final=True), partial(reaches, stated=0.0571)),
        partial(sizes, stated=(0.0162, 0.0571)),
    ),
    Claim(
        "P04",
        "Sec 4.3; Table 2",
        "MetaEmb is the weakest of the compared methods.",
        "comparison",
        ("pnmta/table2-comparison",),
        (
            "All-cells rule on gain(next-worst baseline, MetaEmb), 4 metrics x 2 sets, next-worst chosen on "
            "other users and seeds."
        ),
        (
            "partly: worst in 6 of 8 cells; on Book-Crossing MetaHIN is worse for NDCG@3 (0.8091 vs 0.8177) "
            "and NDCG@5 (0.8111 vs 0.8255)"
        ),
        TABLE2,
        pairs((Ranked(without("MetaEmb"), 1, "the next-worst baseline"), Method("MetaEmb")), metrics=FOUR),
        every,
    ),
    Claim(
        "P05",
        "Sec 4.3; Table 2",
        "MetaHIN does poorly on Book-Crossing.",
        "comparison",
        ("pnmta/table2-comparison",),
        (
            "gain(median of the seven other baselines, MetaHIN) on Book-Crossing, the median taken per "
            "metric on other users and seeds. Holds if + in all four metrics; does not hold if clearly - in "
            "any; otherwise noise."
        ),
        (
            "consistent: rank 7 of 8 in MAE (1.6855) and RMSE (2.0328), 8 of 8 in NDCG@3 (0.8091) and NDCG@5"
            " (0.8111); on MovieLens-1M it ranks 2 or 3"
        ),
        TABLE2[1:],
        pairs((Ranked(without("MetaHIN"), 0.5, "the median baseline"), Method("MetaHIN")), metrics=FOUR),
        every,
        listed,
    ),
    Claim(
        "P06",
        "Sec 4.3; Table 2",
        "Taking both modulators away (pretrained MAML) makes results worse, so modulators are needed.",
        "ablation",
        ("pnmta/table2-comparison",),
        "All-cells rule on gain(PNMTA, MAML-PT), 4 metrics x 2 sets.",
        (
            "consistent: MAML-PT is worse in 8 of 8 cells, e.g. MAE 0.7233 vs 0.6921 and 1.6460 vs 1.6058; "
            "smallest gap NDCG@5 on MovieLens-1M 0.9021 vs 0.9042"
        ),
        TABLE2,
        pairs((Method(PNMTA), Method(MAML_PT)), metrics=FOUR),
        every,
    ),
    Claim(
        "P07",
        "Sec 4.3; Table 2",
        "Skipping pretraining makes results worse, so pretraining is needed.",
        "ablation",
        ("pnmta/table2-comparison",),
        "All-cells rule on gain(PNMTA, PNMTA w/o PT), 4 metrics x 2 sets.",
        "consistent: w/o PT is worse in 8 of 8 cells, e.g. MAE 0.7364 vs 0.6921 and 1.6544 vs 1.6058",
        TABLE2,
        pairs((Method(PNMTA), Method(NO_PT)), metrics=FOUR),
        every,
    ),
    Claim(
        "P08",
        "Sec 4.3; Table 2",
        "Pretraining also on non-cold-start users brings no significant gain over ordinary PNMTA.",
        "ablation",
        ("pnmta/table2-comparison",),
        (
            "gain(Full-PT, PNMTA), 4 metrics x 2 sets. Holds if no cell is +; does not hold if >= 2 cells "
            "are clearly +; otherwise noise."
        ),
        (
            "consistent: Full-PT is better in 2 of 8 cells (NDCG@3 0.9007 vs 0.8993 on MovieLens-1M, MAE "
            "1.6005 vs 1.6058 on Book-Crossing) and worse in 6"
        ),
        TABLE2,
        pairs((Method(FULL), Method(PNMTA)), metrics=FOUR),
        partial(no_gain, allowed=0, failing=2),
    ),
    Claim(
        "P09",
        "Abstract; Sec 1; Sec 3.4.1",
        "Data of non-cold-start users, used in pretraining, improve the learned representations further.",
        "ablation",
        ("pnmta/table2-comparison", "pnmta/fig8-user-tsne"),
        (
            "All-cells rule on gain(Full-PT, PNMTA) in the 8 cells of Table 2; beside it the age-silhouette "
            "difference of Fig 8 (not part of the verdict)."
        ),
        (
            "contradicted in accuracy: Full-PT is worse in 6 of 8 cells, e.g. MAE 0.6963 vs 0.6921 "
            "(MovieLens-1M), RMSE 1.8947 vs 1.8722 and NDCG@3 0.8411 vs 0.8568 (Book-Crossing)"
        ),
        TABLE2,
        pairs((Method(FULL), Method(PNMTA)), metrics=FOUR),
        every,
    ),
    Claim(
        "P10",
        "Sec 4.3",
        "PNMTA adapts to users without the extra hyper-parameters MAMO needs.",
        "cost",
        ("pnmta/table2-comparison",),
        (
            "Count tunable hyper-parameters in the two configurations beyond the shared MAML and network "
            "settings. Holds if PNMTA has none for its modulators and MAMO has more; does not hold "
            "otherwise."
        ),
        "not in a table",
        TABLE2[:1],
        hyper_parameters,
        each(partial(inside, high=0), every),
        told,
        anywhere=True,
    ),
    Claim(
        "P11",
        "Sec 1",
        (
            "Feeding a model one user at a time, as plain MAML does, weakens representation and "
            "generalisation compared with randomly ordered interactions."
        ),
        "robustness",
        ("pnmta/fig9-training-curves", "pnmta/fig8-user-tsne"),
        (
            "Same encoder and predictor trained without meta-learning on (a) shuffled interactions and (b) "
            "batches of a single user, equal steps; then test MAE and test MAE less training MAE. Holds if "
            "both favour (a) with intervals excluding 0 on both sets; does not hold if either clearly "
            "favours (b); otherwise noise."
        ),
        "not in a table",
        STREAM_PLACES,
        parts(
            pairs((Method(SHUFFLED), Method(BY_USER)), metrics=MAE),
            pairs((Gap(SHUFFLED, "MAE", "train MAE"), Gap(BY_USER, "MAE", "train MAE")), metrics=MAE),
        ),
        every,
        partial(summary, title="Shuffled interactions over one user at a time", every=True),
    ),
)

PAPER = Paper(
    name="pnmta",
    title="PNMTA",
    claims=tuple(
        sorted((*CLAIMS, *MODULATORS, *COSTS, *COURSES, *VECTORS, *EPOCH_CLAIMS), key=lambda claim: claim.id)
    ),
    floors=("Random ranker", "Popularity", "Global mean", "Item mean"),
    words={**TABLE3.printed},
    remarks=(
        'Book-Crossing is <a href="book:deviations#d25">a part of the data set</a>: its verdicts are of that '
        "part.",
    ),
)
