"""What PNMTA says of its costs: Tables 4 and 5 and section 3.5, P23 to P26."""

from __future__ import annotations

from functools import partial

from metarec.claims.evidence import told
from metarec.claims.ledger import Claim
from metarec.claims.rules import inside
from metarec.papers.pnmta.counted import encoder_counts, exponent, predictor_counts, step_times
from metarec.papers.pnmta.places import TABLE45
from metarec.papers.pnmta.step_times import LIMIT

COSTS: tuple[Claim, ...] = (
    Claim(
        "P23",
        "App A; Table 4",
        "Each encoder modulator has the parameter count given by the formula listed for it.",
        "cost",
        ("pnmta/table45-modulator-costs",),
        (
            "Count trained numbers of the six modulators built from the equations. Holds if all six counts "
            "equal the listed formula; does not hold otherwise, the ratio printed per modulator."
        ),
        (
            "contradicted inside the paper: theta_e has d(c_u;c_i) d_emb entries, so E and Eb are listed "
            "d(v_x)/d_emb (number of features) times too large; for C, Eq 4 gives a bias of size d_emb per "
            "feature while Table 4 counts one per category"
        ),
        TABLE45,
        encoder_counts,
        partial(inside, low=1, high=1),
        told,
        anywhere=True,
    ),
    Claim(
        "P24",
        "App A; Table 5",
        (
            "A FiLM block has its generator trunk plus 2 m n + 2 n parameters and an attention block its "
            "trunk plus m n + n."
        ),
        "cost",
        ("pnmta/table45-modulator-costs",),
        (
            "Count trained numbers of the generators for every predictor layer. Holds if both counts match; "
            "does not hold otherwise."
        ),
        (
            "consistent with Eqs 5 and 6 (weights and biases double the output of one vector); no numbers "
            "printed"
        ),
        TABLE45,
        predictor_counts,
        partial(inside, low=1, high=1),
        told,
        anywhere=True,
    ),
    Claim(
        "P25",
        "Sec 3.5",
        "Back-propagation in meta-training costs about l n^3 for l predictor layers of width n.",
        "cost",
        ("pnmta/table45-modulator-costs",),
        (
            "Multiply-adds of one second-order meta-step on a fixed task for n in {16..256}. Holds as stated"
            " if the log-log slope in n is within 2.7-3.3; does not hold otherwise (near 2 = loose upper "
            "bound)."
        ),
        "not in a table",
        TABLE45[:1],
        exponent,
        partial(inside, low=2.7, high=3.3),
        told,
        anywhere=True,
    ),
    Claim(
        "P26",
        "Sec 3.5",
        "Updating the encoder and the modulators only in the outer loop adds little cost.",
        "cost",
        ("pnmta/table45-modulator-costs",),
        (
            "Step-time ratio PNMTA / MAML-PT in meta-training, same device. Holds if its 95 % interval is "
            f"below {LIMIT}; does not hold if above {LIMIT}; otherwise noise."
        ),
        "not in a table",
        TABLE45,
        step_times("PNMTA", base="MAML-PT"),
        partial(inside, high=LIMIT),
        told,
    ),
)
