"""What TaNP says of its costs (T28 to T32): words only, these pages are not run yet."""

from __future__ import annotations

from metarec.claims.ledger import Claim

COSTS: tuple[Claim, ...] = (
    Claim(
        "T28",
        "Sec 4.7; Sec 1",
        "Serving a new user is fast, because it needs only forward passes.",
        "cost",
        ("tanp/complexity",),
        (
            "Median wall time from support to scored queries for one test user, same device. Holds if "
            "time(TaNP-Gating) / time(M) < 1 with its 95 % interval over 5 seeds for each of MeLU, MetaCS, "
            "MAMO at their own number of inner steps; does not hold if the interval is above 1 for any; "
            "otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "T29",
        "Sec 4.7",
        "Training is efficient as well, since all parts are small fully connected networks.",
        "cost",
        ("tanp/complexity",),
        (
            "Wall time per epoch over the same training tasks and batch of 32. Holds if time(TaNP-Gating) / "
            "time(MeLU, second order, own steps) has its interval below 1; does not hold if above 1; "
            "otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "T30",
        "Sec 4.7",
        (
            "The cost of the encoder, the identity network and the decoder is about l d^3 for l layers of "
            "width d."
        ),
        "cost",
        ("tanp/complexity",),
        (
            "Count multiply-adds per task for d in {16, 32, 64, 128, 256} and l in {2, 3, 4}. Holds as "
            "stated if the log-log slope in d is within 2.7-3.3 and in l within 0.9-1.1; does not hold "
            "otherwise (a slope near 2 means the stated figure is only a loose upper bound)."
        ),
        "not in a table",
    ),
    Claim(
        "T31",
        "Sec 4.7",
        "Computing the final task embedding costs about k d^2.",
        "cost",
        ("tanp/complexity",),
        (
            "Count multiply-adds of pool lookup plus output map for k in {10..50} and d in {16..256}. Holds "
            "as stated if slopes are within 0.9-1.1 in k and 1.8-2.2 in d; does not hold otherwise."
        ),
        "not in a table",
    ),
    Claim(
        "T32",
        "Sec 4.7",
        (
            "Both modulation types are cheap: FiLM adds two and Gating-FiLM four weight matrices per decoder"
            " layer."
        ),
        "cost",
        ("tanp/complexity",),
        (
            "Count added matrices per layer, and step-time ratio of FiLM and of Gating to w/o tm. Holds if "
            "the counts are 2 and 4 and both ratios have intervals below 1.5; does not hold if a count "
            "differs or a ratio interval is above 1.5; otherwise noise."
        ),
        "not in a table",
    ),
)
