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
# # PNMTA Figure 2: users in groups

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "both"  # both | sound; the toy has no published track
seeds: int = 5  # at most this many seeds of each setting
device: str = "auto"  # a toy of this size always runs on the CPU

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import fig2
from metarec.papers.pnmta.lines import CENTRES

page = open_page(
    "pnmta/fig2-groups",
    "pnmta.fig2",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    fig2.said(page.records),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Figure 2 of PNMTA {cite:p}`pang2022pnmta` is a drawing, and says so ("an intuitive toy display"). Users lie in groups. On the left, a
# common meta-model stands in the middle, and long arrows lead from it to every user. On the right, the model is first moved
# towards the user's group, by modulation, and short arrows do the rest. The text adds that one meta-model "close to all of them" makes
# learning unsteady and adaptation hard.
#
# A drawing cannot be wrong, but what it shows can be built. This page builds it: users in three groups, a small PNMTA, and the
# places where each user's adaptation begins and ends, computed. It also asks a question that the drawing does not: whether *common
# parameters* mean a *common starting point*.
#
# ## The toy
#
# An item has one trait $x \in [0, 1]$, and a user's rating is a line in it, so that a user is a point in the plane of level and
# slope. Lines come in three groups: those who like the one end, those who like the other, and those who like it all. A field of the
# user, the *segment*, names the group rightly for nine users in ten. Nothing else is known; a user has a support of three to six
# ratings, and takes five gradient steps.
#
# The segment can reach the model by two ways: as part of the interaction vector, where MeLU and PNMTA put all of a user's fields,
# and through the task vector $v_u$ into the modulator, {eq}`eq-pnmta-2` to {eq}`eq-pnmta-6`. That gives four settings.
#
# ## Run
#
# `recorded` reads the committed records; `full` trains everything again, in a few minutes (`metarec run pnmta.fig2`), and `quick` a
# smaller version in seconds.
#
# ## The drawing, computed
#
# Every panel shows the same sixty test users. An open mark is the line that the model predicts before any of the user's ratings is
# looked at, a filled one the line after five steps, and a cross the truth.

# %% mystnb={"figure": {"caption": "Where adaptation begins (open) and ends (filled), user by user, and the truth (crosses).", "name": "fig-pnmta-groups"}, "image": {"alt": "Four panels in the plane of level and slope, with three clouds of crosses for the users' true lines. Segment to nobody: all users start in one point between the clouds and long lines lead outwards to filled marks near the clouds. In the other three panels, segment to the modulator, to the input and to both, the starting points lie in three places, one in or near each cloud, and the lines to the filled marks are short, but for some users who start in the wrong cloud."}}
fig2.plane(page.records, list(CENTRES))

# %% [markdown]
# The first panel is the paper's left side: one starting point, in nobody's group, and long ways to go. The second is its right side,
# the segment reaching nothing but the modulator: users start near their group, and the ways are short, except for those whose segment is
# wrong. That starting points scatter a little is the items' doing, since they are part of $v_u$ too.
#
# The third panel has **no modulator at all**. Its parameters are common to all users, as in MeLU; but the segment is among the inputs, as
# in MeLU, so the same parameters give three different functions to begin with. In numbers:

# %%
fig2.errors(page.records)

# %%
last = "error after 5 steps"
blind, fed = "Segment to nobody", "Segment to the input"
modulated, both = "Segment to the modulator", "Segment to both"
fig2.contrasts(
    page.records,
    {
        "common start − modulated": (blind, modulated),
        "common parameters with inputs − modulated": (fed, modulated),
        "both − input alone": (both, fed),
    },
    last,
)

# %% [markdown]
# ## What this says about the paper's picture
#
# A starting point that knows the group is worth a lot, before the steps and after five of them, and a modulator can provide it. So far
# the drawing is right. What it leaves out is that the methods it criticises have such starting points already. In a recommender the
# user's fields are inputs of the predictor, and a network with common parameters is free to begin at different places for
# different users. Here the modulator adds nothing that can be seen beside it.
#
# PNMTA's task vector carries no rating, {eq}`eq-pnmta-2`: it is made of the user's fields, which the predictor sees too, and of the
# items chosen, which it does not. If the modulator is to help on real data, it has to be through the items, or because a product
# with the hidden units is easier to learn than a sum in the first layer. Whether it does is decided by
# [Table 3](table3-modulators.ipynb) and not by a toy.
#
# ## Verdict on each claim
#
# No claim of our ledger is decided here. That user preferences do fall into implicit groups is claim P44, on the page of
# [Figure 8](fig8-user-tsne.ipynb).
#
# ## What could differ
#
# - **The world.** Groups that no field of the user betrays would be another matter: then only the choice of items could tell them.
#   Here items are chosen at random, so that the segment is all there is.
# - **The size.** The networks have 16 hidden units and embeddings of eight numbers.
# - **Pretraining and the encoder modulator** are left out, since the drawing is about the predictor.
# - **The blind predictor** of the first two settings is ours, made by zeros in place of the user's part of the interaction vector. PNMTA
#   as printed is the fourth setting.
#
# ## Provenance

# %%
page.stamp()
