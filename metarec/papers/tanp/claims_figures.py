"""What TaNP says of its Figures 3 to 5 (T12 to T27). Figures 3 and 4 have words only: they are not run yet."""

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
from metarec.report.html import number
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
    return mean(small, f"{setting.short} ≤ {low:g}"), mean(large, f"{setting.short} ≥ {high:g}")


def weighed(term: str, setting: Setting, held: Mapping[str, Mapping[str, float]]) -> Finder:
    """A weighted term of the loss as a share of the squared error at the last epoch, at each point of a grid.

    A row a method and value: the mean over seeds and its interval.
    """

    def found(ground: Ground) -> Found:
        made = []
        for method, fixed in held.items():
            for value in setting.values:
                own = select(ground.own, {**fixed, setting.path: value, "method": method})
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
        "T12",
        "Sec 5.4; Fig 3",
        (
            "With support sets cut to 15 or 10 interactions, TaNP (Gating) stays ahead of MetaNLBA, MeLU, "
            "MetaCS, MetaHIN and MAMO on all sets."
        ),
        "robustness",
        ("tanp/fig3-support-size",),
        (
            "Same test users for N_S = 10, 15, 20 and the same query items. All-cells rule on gain in P@10 "
            "of TaNP-Gating over the best of the five baselines, cells = 3 sets x N_S in {10, 15}."
        ),
        (
            "not in a table: Fig 3 prints no numbers (at N_S = 20 P@10 is 62.66 vs 61.51, 88.64 vs 87.07, "
            "73.11 vs 71.43)"
        ),
    ),
    Claim(
        "T13",
        "Sec 5.4; Fig 3",
        "TaNP (Gating) beats TaNP without the mechanism for every support size and set.",
        "ablation",
        ("tanp/fig3-support-size",),
        (
            "All-cells rule on gain in P@10 of TaNP-Gating over TaNP w/o tm, cells = 3 sets x N_S in {10, "
            "15}, same test users and queries."
        ),
        "not in a table for N_S = 10 and 15; at N_S = 20 consistent: +1.37, +1.22 and +2.03 points of P@10",
    ),
    Claim(
        "T14",
        "Sec 5.4; Fig 3",
        "MAMO is clearly better than MeLU and MetaCS, which shows the value of task-specific adaptation.",
        "comparison",
        ("tanp/fig3-support-size",),
        (
            "All-cells rule on gain in P@10 of MAMO over the better of MeLU and MetaCS, cells = 3 sets x N_S"
            " in {10, 15}."
        ),
        (
            "not in a table for N_S = 10 and 15; at N_S = 20 partly: P@10 leads over MeLU and MetaCS are "
            "0.46 and 1.73 (MovieLens-1M), 0.15 and 0.09 (Last.FM), 1.03 and 2.14 (Gowalla), and on Last.FM "
            "MAMO is below the better of the two in 4 of 9 cells, e.g. MAP@5 67.22 vs 68.76"
        ),
    ),
    Claim(
        "T15",
        "Sec 5.4; Fig 3",
        (
            "TaNP loses less than the other meta-learning models when the support set shrinks, with MetaNLBA"
            " and MetaCS among the more sensitive."
        ),
        "robustness",
        ("tanp/fig3-support-size",),
        (
            "drop(M) = P@10 at N_S = 20 minus P@10 at N_S = 10, same users and queries. Holds if drop(M) - "
            "drop(TaNP-Gating) is + for each of MetaNLBA, MeLU, MetaCS, MetaHIN, MAMO where the model "
            "exists, on all three sets; does not hold if any is -; otherwise noise. Print MetaNLBA and "
            "MetaCS separately."
        ),
        "not in a table: Fig 3 prints no numbers",
    ),
    Claim(
        "T16",
        "Sec 5.4",
        (
            "TaNP tolerates small support sets because its training tasks are built from randomly drawn "
            "interactions."
        ),
        "ablation",
        ("tanp/fig3-support-size",),
        (
            "Train TaNP-Gating with random context size and with a fixed support/query split. Holds if "
            "drop(fixed) - drop(random) is + on at least two sets and - on none; does not hold if it is - on"
            " any set; otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "T17",
        "Sec 5.5; Fig 4",
        (
            "Tasks whose soft cluster assignments are alike belong to users who are alike, e.g. of the same "
            "gender."
        ),
        "visual",
        ("tanp/fig4-clusters",),
        (
            "MovieLens-1M, all training tasks, s_ij = 1 - Jensen-Shannon distance of assignments c_i, c_j. "
            "Statistic: mean s over same-gender pairs minus mean s over other pairs; null: 10,000 "
            "permutations of gender over users. Holds if p < 0.05 in >= 4 of 5 seeds; does not hold if p >= "
            "0.05 in >= 4 seeds; otherwise noise. Repeat with gender removed from the inputs."
        ),
        "not in a table: one hand-picked pair (tasks 5 and 7) is shown",
    ),
    Claim(
        "T18",
        "Sec 5.5; Fig 4",
        "Tasks with alike assignments share items in their support sets.",
        "visual",
        ("tanp/fig4-clusters",),
        (
            "Mantel test between s_ij and the Jaccard overlap of support items over all pairs of training "
            "tasks, 10,000 permutations of task labels. Holds if r > 0 with p < 0.05 in >= 4 of 5 seeds; "
            "does not hold if p >= 0.05 in >= 4 seeds; otherwise noise."
        ),
        "not in a table: one pair sharing two items is reported",
    ),
    Claim(
        "T19",
        "Sec 5.5; Fig 4",
        "Different tasks receive clearly different soft assignments, so the heat map separates them.",
        "visual",
        ("tanp/fig4-clusters",),
        (
            "For every task redraw the support 20 times. Ratio of between-task to within-task mean "
            "Jensen-Shannon distance against its null from permuting task labels, and mean normalised "
            "entropy of c_i. Holds if ratio > 1 with p < 0.05 and mean normalised entropy < 0.95 in >= 4 of "
            "5 seeds; does not hold if entropy >= 0.95 or p >= 0.05 in >= 4 seeds; otherwise noise. Run with"
            " the clustering loss as released (target constant 1) and as printed."
        ),
        "not in a table: tasks 1 and 4 are named as an example",
    ),
    Claim(
        "T20",
        "Sec 4.4",
        "The clustering loss makes clusters purer and gives more weight to confidently assigned tasks.",
        "ablation",
        ("tanp/fig4-clusters",),
        (
            "Mean over test tasks of max_j c_ij with lambda = 0.1 minus the same with lambda = 0, 5 seeds. "
            "Holds if + with the loss as printed; does not hold if -; otherwise noise. Report the released "
            "loss beside it."
        ),
        "not in a table",
    ),
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
            "Range (max - min over the lambda grid) of 5-seed mean P@10 per variant with a bootstrap "
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
            "Range (max - min over the k grid) of 5-seed mean P@10 per variant with a bootstrap interval. "
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
            "Worst grid point = lowest 5-seed mean P@10 per variant. Holds if gain of both worst points over"
            " the best baseline is +; does not hold if either is clearly -; otherwise noise."
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
