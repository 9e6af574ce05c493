"""What CMML says of its main tables (C01 to C16): words only, nothing is run yet."""

from __future__ import annotations

from metarec.claims.ledger import Claim

SCENARIOS: tuple[Claim, ...] = (
    Claim(
        "C01",
        "Abstract; Sec 4.2; Sec 7.1; Tables 2, 6",
        "On MovieLens-20M, CMML (FiLM and Soft-M) is comparable with s2Meta.",
        "comparison",
        ("cmml/table2-scenarios",),
        (
            "comparable(CMML variant, s2Meta, 2 %) at Recall@10, 20, 50 for both variants = 6 cells. Holds "
            "if all 6; does not hold if any cell is below -2 % with the whole interval; otherwise noise. "
            "State beside it whether gain is - (s2Meta better)."
        ),
        (
            "partly: never better; one run -0.34 to -1.17 % (FiLM) and -0.30 to -0.71 % (Soft-M); five seeds"
            " -0.67 to -1.44 % and -0.37 to -0.67 %, every gap larger than the two half-widths added, e.g. "
            "Recall@20 65.14+-0.04 vs 66.09+-0.04"
        ),
    ),
    Claim(
        "C02",
        "Sec 4.2; Sec 7.1; Tables 2, 7",
        "On Taobao, CMML (FiLM and Soft-M) is better than s2Meta.",
        "comparison",
        ("cmml/table2-scenarios",),
        (
            "All-cells rule on gain of each variant over s2Meta at Recall@20, 50, 100 = 6 cells, scenarios "
            "as resampling unit."
        ),
        (
            "partly: higher in 12 of 12 cells of both tables; with five seeds clear at Recall@50 and "
            "Recall@100 (e.g. 42.07+-0.04 vs 40.98+-0.16), not at Recall@20 (25.24+-0.13 and 25.26+-0.08 vs "
            "24.99+-0.22); in Table 2 the smallest lead is 25.56 vs 25.52"
        ),
    ),
    Claim(
        "C03",
        "Sec 7.1; Table 7",
        "The Taobao advantage over s2Meta is largest at longer lists (Recall@50 and Recall@100).",
        "comparison",
        ("cmml/table2-scenarios",),
        (
            "gain at Recall@50 and at Recall@100 minus gain at Recall@20, per variant. Holds if all 4 "
            "differences are +; does not hold if any is -; otherwise noise."
        ),
        "consistent: five-seed leads 0.25, 0.86, 1.12 (FiLM) and 0.27, 1.09, 1.36 (Soft-M)",
    ),
    Claim(
        "C04",
        "Sec 4.2; Sec 7.1; Tables 2, 8",
        "On the hybrid set, CMML beats s2Meta in every metric.",
        "comparison",
        ("cmml/table2-scenarios",),
        (
            "All-cells rule on gain of each variant over s2Meta at Recall@20, 50, 100 of the hybrid set = 6 "
            "cells."
        ),
        (
            "consistent: five-seed leads 1.17, 1.93, 2.89 (FiLM) and 1.40, 2.01, 3.01 (Soft-M), all beyond "
            "the half-widths; one run 1.38 to 3.66 and 1.11 to 3.57"
        ),
    ),
    Claim(
        "C05",
        "Sec 4.2",
        (
            "A single learned initialisation suits one domain but not several, so the lead over "
            "gradient-based meta-learning is larger on the hybrid set than on its parts."
        ),
        "ablation",
        ("cmml/table2-scenarios",),
        (
            "Relative gain over s2Meta on the hybrid set minus the larger of those on MovieLens-20M and "
            "Taobao, at Recall@20 and Recall@50, both variants = 4 cells. Holds if all +; does not hold if "
            "any -; otherwise noise."
        ),
        (
            "consistent: Recall@20 five seeds +2.97 % and +3.56 % on hybrid against -1.44 % and -0.67 % "
            "(MovieLens-20M) and +1.00 % and +1.08 % (Taobao); Recall@50 +3.33 % and +3.46 % against at most"
            " +2.66 %"
        ),
    ),
    Claim(
        "C06",
        "Sec 4.2; Tables 2, 7",
        "On Taobao, fine-tuning DCN on the support set makes it worse.",
        "comparison",
        ("cmml/table2-scenarios",),
        "All-cells rule on gain(DCN, DCN-F) at Recall@20, 50, 100 of Taobao.",
        (
            "partly: one run 20.69 vs 23.52, 35.56 vs 39.21, 52.26 vs 56.27; with five seeds Recall@20 is a "
            "tie (22.57+-0.23 vs 22.58+-0.14), Recall@50 and Recall@100 still lower (37.67 vs 38.88, 53.77 "
            "vs 55.05)"
        ),
    ),
    Claim(
        "C07",
        "Sec 4.2; Table 2",
        "On Taobao, the other scenario-aware baselines (ItemPop, CoNet) are also below plain DCN.",
        "comparison",
        ("cmml/table2-scenarios",),
        "All-cells rule on gain(DCN, ItemPop) and gain(DCN, CoNet) at Recall@20, 50, 100 of Taobao.",
        (
            "consistent: 21.94, 36.11, 38.19 and 20.27, 31.48, 44.53 against 23.52, 39.21, 56.27 (five seeds"
            " 22.58, 38.88, 55.05); the CoNet row is copied from another paper"
        ),
    ),
    Claim(
        "C08",
        "Sec 4.2",
        (
            "DCN loses from fine-tuning on Taobao because the small support sets there are noisy and are "
            "over-fitted."
        ),
        "ablation",
        ("cmml/table2-scenarios",),
        (
            "DCN-F on Taobao over 0..20 fine-tuning steps: support loss and query Recall@50. Holds if "
            "support loss falls while query recall falls (both slopes with intervals excluding 0) on Taobao "
            "and recall does not fall on MovieLens-20M; does not hold if recall rises on Taobao; otherwise "
            "noise."
        ),
        "not in a table",
    ),
    Claim(
        "C09",
        "Sec 4.2",
        "CMML works for data sets of different sizes.",
        "generality",
        ("cmml/table2-scenarios",),
        (
            "All-cells rule on gain of each CMML variant over the better of DCN and ItemPop on "
            "MovieLens-20M, Taobao and hybrid, three cut-offs each = 18 cells."
        ),
        (
            "consistent: higher in 18 of 18 cells of Table 2 and of Tables 6-8; smallest lead Recall@100 on "
            "the hybrid set, 73.76 vs 72.05"
        ),
    ),
    Claim(
        "C10",
        "Sec 4.1.2",
        "The method works for different losses (hinge ranking and squared error).",
        "generality",
        ("cmml/table2-scenarios", "cmml/table3-users"),
        (
            "Holds if CMML gains over DCN are + at every cut-off of the three scenario sets (hinge) and in "
            "MAE and NDCG@3 of both user settings (squared error); does not hold if any cell is -; otherwise"
            " noise."
        ),
        (
            "consistent: above DCN in 18 of 18 cells of Table 2 and 4 of 4 of Table 3 (e.g. MAE 0.727 vs "
            "0.869, 0.745 vs 0.907)"
        ),
    ),
    Claim(
        "C11",
        "Sec 1; Sec 3.5; Tables 2, 6-8",
        "Gradient-based meta-learning (s2Meta) clearly improves on conventional recommenders.",
        "comparison",
        ("cmml/table2-scenarios",),
        (
            "All-cells rule on gain of s2Meta over the best of DCN, DCN-F, ItemPop, CoNet on the three "
            "scenario sets, three cut-offs each = 9 cells."
        ),
        (
            "partly: yes in all cells of MovieLens-20M and Taobao; on the hybrid set plain DCN is ahead at "
            "Recall@50 (57.13 vs 56.84) and Recall@100 (72.05 vs 70.19), with five seeds still at Recall@100"
            " (71.77+-0.32 vs 70.88+-0.18)"
        ),
    ),
    Claim(
        "C12",
        "Sec 4.2",
        "Gradient-descent adaptation raises performance even without any meta-training.",
        "ablation",
        ("cmml/table2-scenarios", "cmml/table3-users"),
        (
            "All-cells rule on gain(DCN-F, DCN) on the three scenario sets (9 cells) and the two user "
            "settings (4 cells)."
        ),
        (
            "contradicted: DCN-F is below DCN in all 3 Taobao cells (20.69, 35.56, 52.26 vs 23.52, 39.21, "
            "56.27), at Recall@50 and Recall@100 of the hybrid set (55.85 vs 57.13, 69.75 vs 72.05) and in "
            "W-W NDCG@3 (0.683 vs 0.693)"
        ),
    ),
    Claim(
        "C13",
        "Sec 4.2; Table 3",
        "In the user setting, fine-tuning improves DCN.",
        "comparison",
        ("cmml/table3-users",),
        "All-cells rule on gain(DCN-F, DCN) for MAE and NDCG@3 in both user settings = 4 cells.",
        (
            "partly: MAE 0.831 vs 0.869 and 0.847 vs 0.907 and C-W NDCG@3 0.679 vs 0.665 agree; W-W NDCG@3 "
            "is worse, 0.683 vs 0.693"
        ),
    ),
    Claim(
        "C14",
        "Abstract; Sec 4.2; Table 3",
        "In the user setting the three meta-learning methods (MetaCS-DNN, MeLU, CMML) are about equal.",
        "comparison",
        ("cmml/table3-users",),
        (
            "comparable(CMML-FiLM, better of MeLU and MetaCS-DNN, 2 %) for MAE and NDCG@3, both settings, "
            "held-out users for C-W. Holds if all 4; does not hold if any lies outside 2 % with the whole "
            "interval; otherwise noise."
        ),
        (
            "partly: W-W 0.727 vs 0.725 MAE and 0.771 vs 0.772 NDCG@3; C-W 0.745 vs 0.733 MAE (1.64 % worse)"
            " and 0.760 vs 0.765; CMML is never the best of the three"
        ),
    ),
    Claim(
        "C15",
        "Sec 4.2; Table 3",
        "In the user setting the meta-learning methods beat both DCN baselines.",
        "comparison",
        ("cmml/table3-users",),
        (
            "All-cells rule on gain of MetaCS-DNN, MeLU and CMML-FiLM over the better of DCN and DCN-F, MAE "
            "and NDCG@3, both settings = 12 cells."
        ),
        "consistent: 12 of 12; smallest margins MAE 0.745 vs 0.847 and NDCG@3 0.771 vs 0.693",
    ),
    Claim(
        "C16",
        "Sec 7.2.2",
        "With learning rate 3e-4, MeLU and MetaCS-DNN do better than with their original settings.",
        "sensitivity",
        ("cmml/table3-users",),
        (
            "All-cells rule on gain of lr 3e-4 over lr 5e-6 (the released MeLU value) for both methods, MAE "
            "and NDCG@3 on held-out users = 4 cells, all else equal."
        ),
        "not in a table",
    ),
)
