"""What TaNP says: the claims of its tables (T01 to T11, T33), and the list of all of them."""

from __future__ import annotations

from functools import partial

from metarec.claims.cells import largest, pairs
from metarec.claims.evidence import listed, ranks, relative, scatters, sizes
from metarec.claims.ledger import Claim, Paper
from metarec.claims.roles import Method
from metarec.claims.rules import every, inside, mean, most, ranked, reaches
from metarec.claims.scatter import steadier
from metarec.papers.tanp.claims_figures import FIGURES
from metarec.papers.tanp.claims_waiting import WAITING
from metarec.papers.tanp.places import (
    BEST,
    BEST_MAML,
    BEST_META,
    CHOSEN,
    FILM,
    GATING,
    GOWALLA,
    LASTFM,
    MOVIELENS,
    NINE,
    NO_POOL,
    PLAIN,
    POPULARITY,
    RANDOM,
    TABLES,
    THREE,
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "T01",
        "Abstract; Sec 5.3; Sec 6; Tables 3-5",
        (
            "TaNP ranks above every compared recommender on MovieLens-1M, Last.FM and Gowalla for all nine "
            "metrics."
        ),
        "comparison",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "A = the TaNP variant (FiLM or Gating) with the better validation mean; B = the best baseline on "
            "that metric and set, chosen on other users and seeds than it is measured on. All-cells rule on "
            "gain(A,B), 9 metrics x 3 sets = 27 cells; verdict per set as well."
        ),
        (
            "consistent: the better TaNP variant is above the best baseline in 27 of 27 cells, by 1.38-4.21 "
            "% (MovieLens-1M), 1.17-3.69 % (Last.FM), 1.97-5.37 % (Gowalla); single run, no variance printed"
        ),
        TABLES,
        pairs((CHOSEN, BEST), metrics=NINE),
        every,
    ),
    Claim(
        "T02",
        "Sec 5.3; Table 3",
        "On MovieLens-1M, TaNP raises P@5 over the best meta-learning baseline by 4.2 % in relative terms.",
        "comparison",
        ("tanp/table3-movielens",),
        (
            "Ratio of 5-seed means P@5(better TaNP variant by validation) / P@5(best meta-learning baseline)"
            " - 1, with its 95 % paired interval. Magnitude rule with stated value 0.042."
        ),
        "consistent: 60.12 / 57.69 (Gating over MAMO) = +4.21 %",
        (MOVIELENS,),
        pairs((CHOSEN, BEST_META), metrics=["P@5"]),
        partial(reaches, stated=0.042),
        partial(sizes, stated=(0.042,)),
    ),
    Claim(
        "T03",
        "Sec 5.3; Table 4",
        "On Last.FM, TaNP raises P@5 over the best meta-learning baseline by 3.6 % in relative terms.",
        "comparison",
        ("tanp/table4-lastfm",),
        (
            "Ratio of 5-seed means P@5(better TaNP variant by validation) / P@5(best meta-learning baseline)"
            " - 1, with its 95 % paired interval. Magnitude rule with stated value 0.036."
        ),
        (
            "partly: 76.36 / 73.64 (Gating over MAMO) = +3.69 %, which rounds to 3.7; 3.6 is the truncated "
            "figure"
        ),
        (LASTFM,),
        pairs((CHOSEN, BEST_META), metrics=["P@5"]),
        partial(reaches, stated=0.036),
        partial(sizes, stated=(0.036,)),
    ),
    Claim(
        "T04",
        "Sec 5.3; Table 5",
        "On Gowalla, TaNP raises MAP@5 over the best meta-learning baseline by 5.4 % in relative terms.",
        "comparison",
        ("tanp/table5-gowalla",),
        (
            "Ratio of 5-seed means MAP@5(better TaNP variant by validation) / MAP@5(best meta-learning "
            "baseline) - 1, with its 95 % paired interval. Magnitude rule with stated value 0.054."
        ),
        (
            "consistent: 64.35 / 61.07 (FiLM over MAMO) = +5.37 %; the Gating variant gives 64.29 / 61.07 = "
            "+5.27 %"
        ),
        (GOWALLA,),
        pairs((CHOSEN, BEST_META), metrics=["MAP@5"]),
        partial(reaches, stated=0.054),
        partial(sizes, stated=(0.054,)),
    ),
    Claim(
        "T05",
        "Sec 5.3; Tables 3-5",
        (
            "The three quoted gains (P@5, P@5, MAP@5) are the largest relative gains over the best "
            "meta-learning baseline among the nine metrics of each set."
        ),
        "comparison",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "Per set: the relative gain over the best meta-learning baseline in the named metric, less that "
            "in each of the other eight. Holds if the named metric ranks first by mean on all three sets and"
            " in >= 4 of 5 seeds; does not hold if the gain in another metric is clearly larger on any set; "
            "otherwise noise."
        ),
        (
            "consistent: largest are P@5 +4.21 % (next P@7 +3.03 %), P@5 +3.69 % (next MAP@5 +2.87 %), MAP@5"
            " +5.37 % (next P@5 +5.09 %)"
        ),
        TABLES,
        largest(CHOSEN, BEST_META, NINE, {MOVIELENS.name: "P@5", LASTFM.name: "P@5", GOWALLA.name: "MAP@5"}),
        partial(ranked, rank=1, seeds=0.8),
        ranks,
    ),
    Claim(
        "T06",
        "Sec 5.3; Tables 3-5",
        (
            "Even without the task-adaptive mechanism, the plain neural-process model keeps up with the "
            "MAML-based recommenders."
        ),
        "comparison",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "B = best of MeLU, MetaCS, MetaHIN (MovieLens-1M only), MAMO per metric and set. Holds if "
            "comparable(w/o tm, B, 2 %) or better in all 27 cells; does not hold if w/o tm is below B by "
            "more than 2 % with the whole interval in >= 3 cells; otherwise noise."
        ),
        (
            "consistent: above the best MAML-based baseline in 12 of 27 cells; largest deficit MAP@7 on "
            "MovieLens-1M, 48.37 vs 49.62 (-2.52 %); largest lead P@5 on Last.FM, 75.45 vs 73.64 (+2.46 %)"
        ),
        TABLES,
        pairs((Method(PLAIN), BEST_MAML), metrics=NINE),
        partial(inside, low=-0.02, of="relative", failing=3),
        partial(relative, tolerance=0.02),
    ),
    Claim(
        "T07",
        "Sec 5.3; Tables 3-5",
        "Adding the task-adaptive mechanism with FiLM improves significantly over the model without it.",
        "ablation",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        "All-cells rule on gain(TaNP-FiLM, TaNP w/o tm), 9 metrics x 3 sets.",
        (
            "partly: the difference is positive in 27 of 27 cells (0.45 to 3.06 points), but no variance is "
            "printed; on Last.FM P@5 it is 76.06 vs 75.45, i.e. 2 hits out of 330"
        ),
        TABLES,
        pairs((Method(FILM), Method(PLAIN)), metrics=NINE),
        every,
    ),
    Claim(
        "T08",
        "Sec 5.3; Tables 3-5",
        (
            "Adding the task-adaptive mechanism with Gating-FiLM improves significantly over the model "
            "without it."
        ),
        "ablation",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        "All-cells rule on gain(TaNP-Gating, TaNP w/o tm), 9 metrics x 3 sets.",
        (
            "partly: the difference is positive in 27 of 27 cells (0.91 to 3.18 points), but no variance is "
            "printed; on Last.FM P@5 it is 76.36 vs 75.45, i.e. 3 hits out of 330"
        ),
        TABLES,
        pairs((Method(GATING), Method(PLAIN)), metrics=NINE),
        every,
    ),
    Claim(
        "T09",
        "Sec 5.3; Sec 4.5.2; Tables 3-5",
        "Gating-FiLM is slightly better than plain FiLM.",
        "ablation",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "Majority rule on gain(TaNP-Gating, TaNP-FiLM), 9 metrics x 3 sets, and the interval of the mean"
            " gain over the 27 cells lies on the same side of 0."
        ),
        (
            "partly: Gating is higher in 21 of 27 cells; FiLM is higher for P@7 (60.45 vs 60.29) and P@10 "
            "(62.78 vs 62.66) on MovieLens-1M, MAP@5 (70.73 vs 70.12) and MAP@7 (74.87 vs 73.92) on Last.FM,"
            " MAP@5 (64.35 vs 64.29) and NDCG@7 (72.18 vs 71.99) on Gowalla"
        ),
        TABLES,
        pairs((Method(GATING), Method(FILM)), metrics=NINE),
        partial(most, mean_too=True),
    ),
    Claim(
        "T10",
        "Sec 5.3; Sec 5.5",
        (
            "What brings the improvement is learning how tasks relate (the shared pool and its clustering), "
            "not merely conditioning the decoder on the support set."
        ),
        "ablation",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "Train TaNP-Gating with the pool and clustering loss removed (o = task embedding t, lambda = 0, "
            "equal decoder). All-cells rule on gain(full TaNP-Gating, this ablation) for P@5, NDCG@5, MAP@5 "
            "on the three sets."
        ),
        "not in a table: the only ablation printed removes the whole mechanism at once",
        TABLES,
        pairs((Method(GATING), Method(NO_POOL)), metrics=THREE),
        every,
    ),
    Claim(
        "T11",
        "Sec 5.3",
        (
            "TaNP runs and works on both explicit and implicit data, with or without side information, "
            "whereas MetaLWA, MetaNLBA and MetaHIN are each restricted to some data types."
        ),
        "generality",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "Holds if gain over a random ranker and over non-personalised popularity is + for P@5, NDCG@5 "
            "and MAP@5 on every set; does not hold if any of the 9 cells against popularity is clearly -; "
            "otherwise noise. That TaNP runs unchanged on all three sets, and what other methods are "
            "restricted to, is recorded and not tested."
        ),
        (
            "consistent in coverage: MetaLWA and MetaNLBA have no row in Table 3, MetaHIN none in Tables 4 "
            "and 5; no popularity or random row is printed"
        ),
        TABLES,
        pairs((CHOSEN, Method(RANDOM)), (CHOSEN, Method(POPULARITY)), metrics=THREE),
        partial(every, refuted_by={"b": POPULARITY}),
        listed,
    ),
    Claim(
        "T33",
        "Abstract; Sec 1",
        "Amortised inference avoids training trouble of MAML-based models such as instability.",
        "robustness",
        ("tanp/table3-movielens", "tanp/table4-lastfm", "tanp/table5-gowalla"),
        (
            "Seed standard deviation of each metric; statistic = mean over 9 metrics x 3 sets of log "
            "sd(TaNP-Gating) - log sd(M) for MeLU, MetaCS, MAMO, interval by the jackknife over seeds. Holds "
            "if below 0 for all three M; does not hold if above 0 for any, after correction for the three; "
            "otherwise noise."
        ),
        "not in a table: single runs only",
        TABLES,
        steadier(Method(GATING), ("MeLU", "MetaCS", "MAMO"), NINE),
        partial(mean, by="b"),
        scatters,
    ),
)

PAPER = Paper(
    name="tanp",
    title="TaNP",
    claims=tuple(sorted((*CLAIMS, *FIGURES, *WAITING), key=lambda claim: claim.id)),
    prefixes={"published": "", "sound": "std:"},
    floors=(RANDOM, POPULARITY),
    percent=True,
)
