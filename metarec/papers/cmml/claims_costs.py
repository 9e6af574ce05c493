"""What CMML says of its costs and pictures (C17 to C32): words only, nothing is run yet."""

from __future__ import annotations

from metarec.claims.ledger import Claim

COSTS: tuple[Claim, ...] = (
    Claim(
        "C17",
        "Sec 3.5; Table 1",
        "Serving with k-step MAML costs about 2k times the time of CMML.",
        "cost",
        ("cmml/table1-complexity", "cmml/fig2-time-memory"),
        (
            "Measured inference time of k-step MeLU and of CMML on the same backbone, k in {1, 5, 10, 20}. "
            "Slope of the time ratio on k with a 95 % interval over repeats. Holds if the interval lies "
            "within 1.5-2.5; does not hold if wholly outside; otherwise noise."
        ),
        (
            "partly: Table 1 gives m k (f_t + b_t) against m f_t, which equals 2k only if b_t = f_t, while "
            "the text assumes b_t > f_t; the extra modules of CMML are left out"
        ),
    ),
    Claim(
        "C18",
        "Sec 3.5; Table 1",
        "Training k-step MAML costs about 5k times the time of CMML.",
        "cost",
        ("cmml/table1-complexity", "cmml/fig2-time-memory"),
        (
            "Measured training-step time ratio of second-order k-step MeLU to CMML on the same backbone, k "
            "in {1, 5, 10, 20}. Slope on k with a 95 % interval over repeats. Holds if it lies within 4-6; "
            "does not hold if wholly outside; otherwise noise."
        ),
        "not in a table as a measurement: Table 1 states 5 k m b_t against m b_t",
    ),
    Claim(
        "C19",
        "Sec 3.5; Table 1",
        "Training k-step MAML needs about 2k times the memory of CMML.",
        "cost",
        ("cmml/table1-complexity", "cmml/fig2-time-memory"),
        (
            "Peak memory ratio of second-order k-step MeLU to CMML on the same backbone (fixed parameters "
            "and data subtracted), k in {1, 5, 10, 20}. Slope on k with a 95 % interval over repeats. Holds "
            "if it lies within 1.5-2.5; does not hold if wholly outside; otherwise noise."
        ),
        "not in a table as a measurement: Table 1 states 2 k m b_s against m b_s",
    ),
    Claim(
        "C20",
        "Sec 4.2; Fig 2",
        "Time of s2Meta and MeLU grows with the number of inner steps.",
        "cost",
        ("cmml/fig2-time-memory",),
        (
            "Time per training step at 1, 5, 10, 20 inner steps. Holds if increasing at each grid step for "
            "both methods with intervals excluding 0; does not hold if any decrease has an interval "
            "excluding 0; otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C21",
        "Sec 4.2; Fig 2",
        "Memory of s2Meta and MeLU grows with the number of inner steps.",
        "cost",
        ("cmml/fig2-time-memory",),
        (
            "Peak memory per training step at 1, 5, 10, 20 inner steps. Holds if increasing at each grid "
            "step for both methods; does not hold if it decreases or stays within 1 % anywhere; otherwise "
            "noise."
        ),
        "not in a table",
    ),
    Claim(
        "C22",
        "Abstract; Sec 4.2; Fig 2",
        "In the scenario setting CMML takes less time than s2Meta with even one inner step.",
        "cost",
        ("cmml/fig2-time-memory",),
        (
            "Time ratio CMML (SE, dot, FiLM) / one-step s2Meta, same batch and device, training and "
            "inference apart. Holds if both intervals are below 1; does not hold if either is above 1; "
            "otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C23",
        "Abstract; Sec 4.2; Fig 2",
        "In the scenario setting CMML takes less memory than s2Meta with even one inner step.",
        "cost",
        ("cmml/fig2-time-memory",),
        (
            "Peak memory ratio CMML / one-step s2Meta in training. Holds if below 1 in all 5 repeats; does "
            "not hold if above 1 in all; otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C24",
        "Sec 4.2; Fig 2",
        "In the user setting CMML needs about the time of one-step MeLU.",
        "cost",
        ("cmml/fig2-time-memory",),
        (
            "Training-step time ratio CMML / one-step MeLU. Holds if its interval lies within 0.67-1.5; does"
            " not hold if outside; otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C25",
        "Sec 4.2; Fig 2",
        "In the user setting CMML needs about the memory of one-step MeLU.",
        "cost",
        ("cmml/fig2-time-memory",),
        (
            "Peak memory ratio CMML / one-step MeLU in training. Holds if within 0.67-1.5 in all 5 repeats; "
            "does not hold if outside in all; otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C26",
        "Sec 4.2; Sec 7.2.1",
        "CMML has more parameters than s2Meta and MeLU.",
        "cost",
        ("cmml/fig2-time-memory", "cmml/table1-complexity"),
        (
            "Count trained parameters outside the frozen or shared embeddings. Holds if CMML has more than "
            "s2Meta (scenario) and than MeLU (user); does not hold otherwise."
        ),
        "not in a table",
    ),
    Claim(
        "C27",
        "Abstract; Sec 1; Sec 6",
        "CMML serves with forward operations only, so it fits common industrial serving.",
        "generality",
        ("cmml/table1-complexity",),
        (
            "Proxy: export the full model (support in, scores out) to a static forward graph with gradients "
            "disabled. Holds if the export succeeds and scores agree within 1e-5; does not hold if a "
            "gradient or a per-task update is needed. Industrial use itself is not testable here."
        ),
        "not in a table",
    ),
    Claim(
        "C28",
        "Sec 4.3; Fig 3",
        "Contexts of repeated support draws cluster by genre on MovieLens-20M.",
        "visual",
        ("cmml/fig3-context-clusters",),
        (
            "8 genres, 50 support draws each. Silhouette by genre on the original context vectors (not the "
            "picture) against 10,000 permutations of genre over draws, and nearest-centroid accuracy on "
            "held-out draws. Holds if p < 0.05 and accuracy >= 0.9 in >= 4 of 5 seeds; does not hold if p >="
            " 0.05 or accuracy < 0.5 in >= 4 seeds; otherwise noise. Baseline: mean of support item "
            "embeddings."
        ),
        "not in a table",
    ),
    Claim(
        "C29",
        "Sec 4.3; Fig 3",
        "Genres of similar meaning (horror, suspense, romance, war groups) lie closer together.",
        "visual",
        ("cmml/fig3-context-clusters",),
        (
            "Mean distance between genre centroids within the four groups minus across groups, original "
            "space; exact null over the 105 ways to pair the 8 genres. Holds if the true pairing is within "
            "the lowest 5 % in >= 4 of 5 seeds; does not hold if above the lowest 20 % in >= 4 seeds; "
            "otherwise noise."
        ),
        "not in a table",
    ),
    Claim(
        "C30",
        "Sec 4.3; Fig 3",
        "On the hybrid set contexts form two clusters that match the two source data sets exactly.",
        "visual",
        ("cmml/fig3-context-clusters",),
        (
            "2-means on the original context vectors of all test scenarios, adjusted Rand index with the "
            "source. Holds if it is 1 in >= 4 of 5 seeds; does not hold if below 0.95 in >= 4 seeds; "
            "otherwise noise. Inputs differ by source (duplicated 64-d vectors), so report the same index on"
            " mean support embeddings."
        ),
        "not in a table",
    ),
    Claim(
        "C31",
        "Sec 4.3; Fig 4",
        (
            "Soft modularisation lets one see which modules a task activates, and the routes differ between "
            "tasks."
        ),
        "visual",
        ("cmml/fig4-routes",),
        (
            "Route weights averaged over queries per support draw. Holds if between-task to within-task "
            "distance ratio exceeds the 95th percentile of the task-label permutation null and mean "
            "normalised route entropy < 0.95 in >= 4 of 5 seeds; does not hold if entropy >= 0.95 or p >= "
            "0.05 in >= 4 seeds; otherwise noise."
        ),
        "not in a table: two tasks are drawn",
    ),
    Claim(
        "C32",
        "Abstract; Sec 4.3; Sec 6",
        "CMML is more interpretable than gradient-based methods.",
        "visual",
        ("cmml/fig3-context-clusters", "cmml/fig4-routes"),
        (
            "Proxy: nearest-centroid task accuracy from the CMML context minus that from the adapted weights"
            " (minus initialisation) of s2Meta on the same draws, reduced to the same dimension. Holds if +;"
            " does not hold if -; otherwise noise. Human interpretability is not testable here."
        ),
        "not in a table",
    ),
)
