"""What TaNP says of Figures 3 and 4 (T12 to T20) and of its costs (T28 to T32): words only, not run yet."""

from __future__ import annotations

from metarec.claims.ledger import Claim

WAITING: tuple[Claim, ...] = (
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
