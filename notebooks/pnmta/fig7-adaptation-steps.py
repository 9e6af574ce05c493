# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # PNMTA Figure 7: adaptation steps
#
# Figure 7 of PNMTA {cite:p}`pang2022pnmta` varies the number of gradient steps on the support. All other experiments have five steps.

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "sound"  # sound, the one track of this figure
seeds: int = 5  # at most this many seeds of each point
device: str = "auto"  # auto | cpu | cuda; where a full or quick profile trains

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import courses
from metarec.papers.pnmta.tables import BIAS, ITEM_MEAN, PNMTA

page = open_page(
    "pnmta/fig7-adaptation-steps",
    "pnmta.fig7",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    "The number of steps matters for PNMTA: with few steps its error is clearly larger.",
    f"On MovieLens-1M PNMTA's MAE is {courses.mean(page, PNMTA, 1, 'MovieLens-1M')} after one "
    f"step of adaptation and {courses.mean(page, PNMTA, 5, 'MovieLens-1M')} after the paper's five.",
)

# %% [markdown]
# ## What the paper shows and claims
#
# MAE of PNMTA and its ablations against the number of adaptation steps. In our words:
#
# - PNMTA is ahead of its ablations for most numbers of steps (P35);
# - it is not very sensitive to the number (P37), so
# - one may take fewer steps to save computation (P38, together with [Figure 6](fig6-embedding-size.ipynb)).
#
# ## Run
#
# One to five steps, in training and at test, everything else as in [Table 2](table2-comparison.ipynb) ([D37](#d37)). On the command line:
# `metarec run pnmta.fig7`. There are five seeds.

# %%
page.conditions("sound")

# %% [markdown]
# ## The figure
#
# The paper prints no numbers for this figure. The open orange marks on MovieLens-1M are its values of Table 2, at the default setting. Our
# Book-Crossing is a part of theirs ([D25](#d25)), so nothing is compared there. The lower panels show
# differences, paired over the same users. Filled marks are clear differences: p is below 5 %, with Holm's adjustment over the figure.

# %% mystnb={"figure": {"caption": "MAE against the number of adaptation steps, sound track: means, 95 % intervals over seeds and single seeds; below, gains of PNMTA, paired over users.", "name": "fig-pnmta-adaptation-steps"}, "image": {"alt": "Two rows of panels, one column for each data set. Above, MAE against the number of adaptation steps, one line for each method with intervals over seeds and a dot for each seed, and lines for the mean of an item and the damped bias; open orange marks on MovieLens-1M are the values of the paper's Table 2 at the default. Below, the gains of PNMTA over MAML-PT and over PNMTA without pretraining, paired over users, with intervals; filled marks are clearly apart from zero."}}
courses.figure(
    page,
    levels=(
        ITEM_MEAN,
        BIAS,
    ),
)

# %%
courses.table(page)

# %% [markdown]
# A line that falls from one step to five shows what a method gains from the support. As in [Figure 6](fig6-embedding-size.ipynb), the rule sets
# the border of flatness at two per cent of the error.
#
# **PNMTA is sensitive to the number of steps.** On both sets its error falls from one step to four by far more than the border of the
# rule (see P37), and then stays level. MAML-PT has smaller steps and changes less. Two steps instead of five make training much
# faster and the error larger. P38 has the numbers; its times are those of [Tables 4 and 5](table45-modulator-costs.ipynb).
#
# **Which method is better depends on the number.** With one step MAML-PT looks better than PNMTA, but not clearly. With three steps or more
# PNMTA is clearly better on Book-Crossing; on MovieLens-1M its lead is small and not clear. Pretraining helps clearly from three steps on
# on MovieLens-1M, and at no number on Book-Crossing. At every number the means of all methods stay above the damped bias, which takes no
# gradient step at all.
#
# ## Verdict on each claim

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **The size of a step.** Fewer steps of the same size move less far. The search chose number and size together at the default. The paper does
#   not say whether it kept the size.
# - **Which ablations the paper draws.** The text says "its ablation models"; we take MAML-PT and PNMTA without pretraining from Table 2.
#
# ## Provenance

# %%
page.stamp()
