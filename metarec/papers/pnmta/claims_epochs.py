"""What PNMTA says of training epoch by epoch: section 3.5 and Figure 9, P27 and P45 to P49."""

from __future__ import annotations

from functools import partial

import numpy as np

from metarec.claims.cells import Finder, Found, pairs, parts, rows
from metarec.claims.courses import Curve, OfCurve, log_jitter, settled, slope_of
from metarec.claims.evidence import listed, relative, told
from metarec.claims.ground import Ground
from metarec.claims.ledger import Claim
from metarec.claims.rules import by_seed, each, every, inside, most
from metarec.papers.pnmta.places import FIG9, MAE
from metarec.papers.pnmta.tables import EPOCHS, MAML_PT, NO_PT, PNMTA
from metarec.show.html import signed

EPOCH = tuple(range(1, EPOCHS + 1))


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
        told = []
        for r in frame.to_dict("records"):
            gain, low, high = (signed(r[k], 1) for k in ("gain", "low", "high"))
            told.append(f"{r['a']}: {gain} epochs [{low}, {high}] ahead of {r['b']}.")
        return Found(frame.assign(text=told) if len(frame) else frame, missing)

    return found


def jitter(label: str) -> OfCurve:
    """How much the curve jumps from epoch to epoch; less is a gain."""
    return OfCurve(Curve(label, EPOCH), log_jitter, "log of the jitter (less is a gain)")


def trend(label: str) -> OfCurve:
    """The slope of the curve."""
    return OfCurve(Curve(label, EPOCH), slope_of, "slope by epoch")


EPOCH_CLAIMS: tuple[Claim, ...] = (
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
