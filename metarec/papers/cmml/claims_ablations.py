"""What CMML says of its ablations (C33 to C48): words only, nothing is run yet."""

from __future__ import annotations

from metarec.claims.ledger import Claim

ABLATIONS: tuple[Claim, ...] = (
    Claim(
        "C33",
        "Sec 4.4; Tables 4, 9",
        "Dropping negatives from the support hurts: pooling with negatives beats pooling without.",
        "ablation",
        ("cmml/table49-context",),
        "All-cells rule on gain(PE, Non-negative-PE) at Recall@10, 20, 50, MovieLens-20M.",
        (
            "consistent: 40.05, 61.24, 87.78 vs 31.67, 52.69, 86.20; five seeds 37.35+-0.57 vs 32.83+-0.98 "
            "at Recall@10"
        ),
    ),
    Claim(
        "C34",
        "Sec 4.4; Sec 3.2.2; Tables 4, 9",
        "The sequential encoder is better than pooling.",
        "ablation",
        ("cmml/table49-context",),
        "All-cells rule on gain(SE, PE) at Recall@10, 20, 50, MovieLens-20M.",
        (
            "consistent: 44.30, 63.82, 88.10 vs 40.05, 61.24, 87.78; five seeds 41.24+-0.66 vs 37.35+-0.57 "
            "at Recall@10"
        ),
    ),
    Claim(
        "C35",
        "Sec 4.4; Tables 4, 9",
        "Mixing the context with the user-item features (hybrid context) improves on context alone.",
        "ablation",
        ("cmml/table49-context",),
        "All-cells rule on gain(SE-MLP, SE) at Recall@10, 20, 50, MovieLens-20M.",
        (
            "consistent: 46.37, 65.18, 88.61 vs 44.30, 63.82, 88.10; five seeds 46.62+-0.07 vs 41.24+-0.66 "
            "at Recall@10"
        ),
    ),
    Claim(
        "C36",
        "Sec 4.4; Tables 4, 9",
        "The parameter-free product form of hybrid context is better than the MLP form.",
        "ablation",
        ("cmml/table49-context",),
        (
            "All-cells rule on gain(SE-dot, SE-MLP) at Recall@10, 20, 50, MovieLens-20M; parameter counts of"
            " both printed."
        ),
        (
            "partly: 47.29, 65.50, 88.62 vs 46.37, 65.18, 88.61; five seeds 47.20+-0.07 vs 46.62+-0.07 and "
            "65.52 vs 65.25 agree, Recall@50 is reversed within noise (88.66+-0.02 vs 88.68+-0.04)"
        ),
    ),
    Claim(
        "C37",
        "Sec 3.2.2",
        "Shuffling the support during training makes the recurrent encoder indifferent to its order.",
        "robustness",
        ("cmml/table49-context",),
        (
            "Train SE-dot with and without shuffling; per scenario 20 support permutations at test. Holds if"
            " the sd of Recall@20 over permutations with shuffling is below the across-seed sd and lower "
            "than without shuffling (interval excluding 0); does not hold if it is not lower (interval above"
            " 0); otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C38",
        "Sec 4.4; Table 5",
        "On MovieLens-20M all modulation types are about equal except the sigmoid one, which is worse.",
        "ablation",
        ("cmml/table5-modulation",),
        (
            "X in {Linear, FiLM, Soft-M} at Recall@10 and Recall@20. Holds if the X are pairwise comparable "
            "within 0.5 % and all 6 gain(X, Sigmoid) are +; does not hold if any gain(X, Sigmoid) is -, or "
            "Sigmoid is comparable within 0.5 % with every X, or two X differ by more than 0.5 % with the "
            "whole interval; otherwise noise."
        ),
        (
            "contradicted: Sigmoid Recall@20 65.39 is above FiLM 65.32, and Recall@10 47.21 is within 0.15 "
            "of the best 47.36; with five seeds Sigmoid (47.16, 65.49, 88.55) is above FiLM (47.06, 65.14, "
            "88.48) in all three"
        ),
    ),
    Claim(
        "C39",
        "Sec 4.4; Sec 7.1; Tables 5, 7",
        "On Taobao, FiLM and Soft-M beat linear weight modulation.",
        "ablation",
        ("cmml/table5-modulation",),
        "All-cells rule on gain of FiLM and Soft-M over Linear at Recall@20, 50, 100 of Taobao = 6 cells.",
        (
            "consistent: Table 5 25.77 and 25.56 vs 24.63, 42.30 and 42.19 vs 41.30; five seeds 25.24 and "
            "25.26 vs 24.77+-0.15, 41.84 and 42.07 vs 41.49+-0.18, 58.42 and 58.66 vs 58.09+-0.14"
        ),
    ),
    Claim(
        "C40",
        "Sec 4.4; Tables 5, 7",
        "On Taobao, FiLM and Soft-M beat sigmoid layer modulation.",
        "ablation",
        ("cmml/table5-modulation",),
        "All-cells rule on gain of FiLM and Soft-M over Sigmoid at Recall@20, 50, 100 of Taobao = 6 cells.",
        (
            "contradicted by the five-seed table: Sigmoid 25.29, 42.05, 58.38 vs FiLM 25.24, 41.84, 58.42 "
            "and Soft-M 25.26, 42.07, 58.66; only the single run of Table 5 agrees (24.68 and 41.39 vs "
            "25.77, 42.30 and 25.56, 42.19); the appendix notes the change"
        ),
    ),
    Claim(
        "C41",
        "Sec 4.4; Sec 7.1",
        (
            "Linear modulation suffices for the simpler MovieLens-20M but not for Taobao, which needs more "
            "capacity."
        ),
        "ablation",
        ("cmml/table5-modulation",),
        (
            "Relative shortfall of Linear to the best other modulation at Recall@20. Holds if comparable "
            "within 0.5 % on MovieLens-20M and the shortfall on Taobao exceeds it with the interval of the "
            "difference excluding 0; does not hold if the shortfall is not larger on Taobao (interval below "
            "0); otherwise noise."
        ),
        (
            "consistent: five-seed shortfall 65.52 vs 65.65 (0.20 %) on MovieLens-20M and 24.77 vs 25.29 "
            "(2.06 %) on Taobao; one run 0.18 % and 4.42 %"
        ),
    ),
    Claim(
        "C42",
        "Sec 3.4.3; Tables 5-8",
        "Soft modularisation gives up some accuracy compared with layer modulation.",
        "ablation",
        ("cmml/table5-modulation", "cmml/table2-scenarios"),
        "All-cells rule on gain(FiLM, Soft-M) on the three scenario sets, three cut-offs each = 9 cells.",
        (
            "contradicted by the five-seed tables: Soft-M is above FiLM in 9 of 9 cells (e.g. 65.65 vs "
            "65.14, 42.07 vs 41.84, 60.02 vs 59.94); in the single run of Table 2 FiLM leads in 6 of 9"
        ),
    ),
    Claim(
        "C43",
        "Sec 7.1; Tables 6-8",
        "FiLM, the least constrained modulation, is more sensitive to the random seed than Soft-M.",
        "robustness",
        ("cmml/table2-scenarios", "cmml/table5-modulation"),
        (
            "log ratio of seed sd, FiLM over Soft-M, averaged over three cut-offs of the three sets (9 "
            "cells), interval by the jackknife over seeds. Holds if above 0; does not hold if below 0; "
            "otherwise noise. Print Sigmoid and Linear beside it."
        ),
        (
            "partly: half-width larger than that of Soft-M in 6 of 9 cells (e.g. 0.17 vs 0.09, 0.25 vs "
            "0.08), equal in 2, smaller in 1 (0.08 vs 0.10); five-seed FiLM means are below Table 2 in 6 of "
            "6 cells of MovieLens-20M and Taobao (by 0.18 to 0.53); Linear, not named as sensitive, has "
            "half-widths like FiLM (0.07, 0.05, 0.02 and 0.15, 0.18, 0.14 against 0.07, 0.04, 0.02 and 0.13,"
            " 0.14, 0.17)"
        ),
    ),
    Claim(
        "C44",
        "Sec 7.1; Tables 6-8",
        "Soft-M is stable over seeds and agrees with the single-run table.",
        "robustness",
        ("cmml/table2-scenarios", "cmml/table5-modulation"),
        (
            "Coefficient of variation over 5 seeds of Soft-M at every cut-off of the three sets. Holds if "
            "below 1 % in all 9 cells; does not hold if above 1 % in >= 3; otherwise noise."
        ),
        (
            "partly: half-widths at most 0.10; shift from Table 2 at most 0.13 in 7 of 9 cells, but 25.26 vs"
            " 25.56 (Taobao Recall@20) and 40.75 vs 40.47 (hybrid Recall@20)"
        ),
    ),
    Claim(
        "C45",
        "Sec 7.1; Tables 6-7",
        "Sigmoid modulation is more stable over seeds than FiLM.",
        "robustness",
        ("cmml/table5-modulation",),
        (
            "log ratio of seed sd, Sigmoid over FiLM, averaged over 6 cells, interval by the jackknife over "
            "seeds. Holds if below 0; does not hold if above 0; otherwise noise."
        ),
        (
            "partly: half-widths are smaller in 3 of 6 cells (0.05 vs 0.07, 0.13 vs 0.14, 0.11 vs 0.17) and "
            "larger in 3 (0.08 vs 0.04, 0.03 vs 0.02, 0.14 vs 0.13)"
        ),
    ),
    Claim(
        "C46",
        "Sec 7.1; Tables 6-7",
        "With five seeds sigmoid modulation is comparable with Soft-M.",
        "ablation",
        ("cmml/table5-modulation",),
        (
            "comparable(Sigmoid, Soft-M, 1 %) at three cut-offs of MovieLens-20M and Taobao = 6 cells. Holds"
            " if all; does not hold if any lies outside 1 % with the whole interval; otherwise noise."
        ),
        (
            "consistent within 1 %: 47.16 vs 47.31, 65.49 vs 65.65, 88.55 vs 88.75; 25.29 vs 25.26, 42.05 vs"
            " 42.07, 58.38 vs 58.66 (largest gap 0.48 %)"
        ),
    ),
    Claim(
        "C47",
        "Sec 7.1; Tables 2, 6, 7",
        "s2Meta is stable over seeds on MovieLens-20M but not on Taobao.",
        "robustness",
        ("cmml/table2-scenarios",),
        (
            "Coefficient of variation of s2Meta over 5 seeds, Taobao over MovieLens-20M at matching cut-offs"
            " (20 and 50). Holds if the log ratio is above 0 with its interval; does not hold if below 0; "
            "otherwise noise."
        ),
        (
            "consistent: shifts from Table 2 +0.04, 0.00, 0.00 on MovieLens-20M and -0.53, -1.05, -0.82 on "
            "Taobao; half-widths 0.02, 0.04, 0.02 and 0.22, 0.16, 0.14"
        ),
    ),
    Claim(
        "C48",
        "Sec 7.2.1",
        "Initialising biases with a small constant makes Sigmoid and FiLM more stable.",
        "sensitivity",
        ("cmml/table5-modulation",),
        (
            "Seed sd at three cut-offs of MovieLens-20M with bias 0.1 and with default bias, Sigmoid and "
            "FiLM. Holds if the mean log ratio is below 0 with its interval for both; does not hold if above"
            " 0 for either; otherwise noise."
        ),
        "not in a table",
    ),
)
