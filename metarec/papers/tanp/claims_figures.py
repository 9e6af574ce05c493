"""What TaNP says of its Figure 5: T21 to T27."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from metarec.claims.cells import Finder, Found, pairs, parts, rows, spread
from metarec.claims.courses import Setting, WorstPoint, point
from metarec.claims.evidence import listed, together, told, widths
from metarec.claims.ground import Ground
from metarec.claims.ledger import Claim
from metarec.claims.roles import Mean, Role
from metarec.claims.rules import each, every, inside
from metarec.papers.tanp.places import BEST, BEST_K, BEST_LAMBDA, FILM, GATING, GRID, LASTFM, POOL, WEIGHT
from metarec.show.html import number
from metarec.stats.intervals import interval
from metarec.stats.runs import select

P10 = ("P@10",)
# What is held fixed while a setting varies, by the setting's path and by method.
HELD: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    WEIGHT.path: {m: {POOL.path: k} for m, k in BEST_K.items()},
    POOL.path: {m: {WEIGHT.path: BEST_LAMBDA} for m in BEST_K},
}


def tuned(setting: Setting, method: str) -> list[tuple[Role, Role]]:
    """The value that the paper found best against every other value."""
    at = {v: point(method, setting, v, HELD[setting.path][method]) for v in setting.values}
    best = at.pop(BEST_K[method] if setting is POOL else BEST_LAMBDA)
    return [(best, other) for other in at.values()]


def small_and_large(setting: Setting, low: float, high: float) -> tuple[Role, Role]:
    """The mean of both variants over small values, and over large ones."""

    def mean(values: list[float], name: str) -> Mean:
        return Mean(tuple(point(m, setting, v, HELD[setting.path][m]) for m in BEST_K for v in values), name)

    small, large = [v for v in setting.values if v <= low], [v for v in setting.values if v >= high]
    return mean(small, f"{setting.label} ≤ {low:g}"), mean(large, f"{setting.label} ≥ {high:g}")


def weighed(term: str, setting: Setting, held: Mapping[str, Mapping[str, float]]) -> Finder:
    """A weighted term of the loss as a share of the squared error at the last epoch, at each point of a grid.

    A row a method and value: the mean over seeds and its interval.
    """

    def found(ground: Ground) -> Found:
        made = []
        for method, fixed in held.items():
            for value in setting.values:
                own = select(ground.own, {**fixed, setting.path: value, "label": method})
                shares = [abs(r.terms[term]) / r.terms["reconstruction"] for r in own if term in r.terms]
                if shares:
                    gain, low, high = interval(shares)
                    row = {"a": method, "at": setting.word(value), "metric": f"share of {term}"}
                    made.append({**row, "gain": gain, "low": low, "high": high, "seeds": len(shares)})
        frame = rows(ground, made)
        if len(frame):
            least = number(100 * float(frame["gain"].min()), 5)
            frame["text"] = (
                f"Loss that {setting.short.partition(' ')[0]} weighs: {least} % of the squared error or more."
            )
        return Found(frame)

    return found


FIGURES: tuple[Claim, ...] = (
    Claim(
        "T21",
        "Sec 5.6; Fig 5",
        "lambda = 0.1 gives the best Last.FM P@10 for both variants.",
        "sensitivity",
        ("tanp/fig5-sensitivity",),
        (
            "Grid 0.01, 0.05, 0.1, 0.5, 1. Per variant gain in P@10 of lambda = 0.1 over each other value. "
            "Holds if all 8 are +; does not hold if any is clearly -; otherwise noise."
        ),
        "not in a table: Fig 5 prints no numbers",
        (GRID,),
        pairs(*tuned(WEIGHT, FILM), *tuned(WEIGHT, GATING), metrics=P10),
        every,
        listed,
    ),
    Claim(
        "T22",
        "Sec 5.6; Fig 5",
        "TaNP (FiLM) does best with k = 10 clusters.",
        "sensitivity",
        ("tanp/fig5-sensitivity",),
        (
            "Grid k = 10, 20, 30, 40, 50 at lambda = 0.1. Holds if gain in P@10 of k = 10 over each other k "
            "is +; does not hold if any is clearly -; otherwise noise."
        ),
        "not in a table",
        (GRID,),
        pairs(*tuned(POOL, FILM), metrics=P10),
        every,
        listed,
    ),
    Claim(
        "T23",
        "Sec 5.6; Fig 5",
        "TaNP (Gating) does best with k = 20 clusters.",
        "sensitivity",
        ("tanp/fig5-sensitivity",),
        (
            "Grid k = 10, 20, 30, 40, 50 at lambda = 0.1. Holds if gain in P@10 of k = 20 over each other k "
            "is +; does not hold if any is clearly -; otherwise noise."
        ),
        "not in a table",
        (GRID,),
        pairs(*tuned(POOL, GATING), metrics=P10),
        every,
        listed,
    ),
    Claim(
        "T24",
        "Sec 5.6; Fig 5",
        "Smaller values of lambda and k are the sensible choice.",
        "sensitivity",
        ("tanp/fig5-sensitivity",),
        (
            "P@10 averaged over lambda <= 0.1 minus over lambda >= 0.5, and over k <= 20 minus over k >= 30,"
            " each averaged over both variants. Holds if both are +; does not hold if either is clearly -; "
            "otherwise noise."
        ),
        "not in a table",
        (GRID,),
        pairs(small_and_large(WEIGHT, 0.1, 0.5), small_and_large(POOL, 20, 30), metrics=P10),
        every,
        listed,
    ),
    Claim(
        "T25",
        "Sec 5.6; Fig 5",
        "Both variants are insensitive to lambda.",
        "sensitivity",
        ("tanp/fig5-sensitivity",),
        (
            "Range (max - min over the lambda grid) of 5-seed mean P@10 per variant with its "
            "interval. Holds if the interval lies below 1 point for both and, as a control, the loss that "
            "lambda weighs is at least 0.1 % of the squared error at every point (where it is less, lambda "
            "has nothing to change); does not hold if the interval lies above 1 point for either; otherwise "
            "noise."
        ),
        "not in a table",
        (GRID,),
        parts(spread(WEIGHT, HELD[WEIGHT.path], "P@10"), weighed("cluster", WEIGHT, HELD[WEIGHT.path])),
        each(partial(inside, high=0.01), partial(inside, low=0.001), controls=1),
        together(partial(widths, bound=0.01), told),
    ),
    Claim(
        "T26",
        "Sec 5.6; Fig 5",
        "Both variants are insensitive to k.",
        "sensitivity",
        ("tanp/fig5-sensitivity",),
        (
            "Range (max - min over the k grid) of 5-seed mean P@10 per variant with its interval. "
            "Holds if the interval lies below 1 point for both; does not hold if it lies above 1 point for "
            "either; otherwise noise."
        ),
        "not in a table",
        (GRID,),
        spread(POOL, HELD[POOL.path], "P@10"),
        partial(inside, high=0.01),
        partial(widths, bound=0.01),
    ),
    Claim(
        "T27",
        "Sec 5.6; Fig 5; Table 4",
        "The worst setting of lambda or k still beats every baseline on Last.FM.",
        "robustness",
        ("tanp/fig5-sensitivity", "tanp/table4-lastfm"),
        (
            "Worst grid point in P@10 per variant, chosen on other users and seeds than it is measured on. "
            "Holds if gain of both worst points over the best baseline is +; does not hold if either is "
            "clearly -; otherwise noise."
        ),
        (
            "not in a table: the bar to clear is MAMO P@10 = 87.07; only the tuned values 88.33 (FiLM) and "
            "88.64 (Gating) are printed"
        ),
        (LASTFM,),
        pairs(*((WorstPoint(m, GRID.experiment, 9), BEST) for m in (FILM, GATING)), metrics=P10),
        every,
    ),
)
