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
    "In a toy world of three groups, a model that knows the group of a user before adaptation does "
    "better. It makes no visible difference whether a modulator or an input tells it the group.",
    fig2.said(page.records),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Figure 2 of PNMTA {cite:p}`pang2022pnmta` is a drawing ("an intuitive toy display"). Users lie in groups. On the left, a
# common meta-model stands in the middle, and long arrows lead from it to every user. On the right, modulation first moves the model
# towards the user's group, and short arrows do the rest. The text adds that one meta-model "close to all of them" makes
# learning unsteady and adaptation hard.
#
# This page builds what the drawing shows: users in three groups, a small PNMTA, and the
# points where each user's adaptation begins and ends. It also asks a new question: do *common
# parameters* mean a *common starting point*?
#
# ## The toy
#
# An item has one trait $x \in [0, 1]$, and a user's rating is a line in it, so that a user is a point in the plane of level and
# slope. There are three groups: users who like the one end, users who like the other, and users who like everything. A field of the
# user, the *segment*, names the right group for nine users in ten. Nothing else is known; a user has a support of three to six
# ratings, and takes five gradient steps.
#
# The segment can reach the model in two ways: as part of the interaction vector, where MeLU and PNMTA put all of a user's fields,
# and through the task vector $v_u$ into the modulator, {eq}`eq-pnmta-2` to {eq}`eq-pnmta-6`. That gives four settings.
#
# ## Run
#
# On the command line: `metarec run pnmta.fig2`.
#
# ## The drawing, computed
#
# Every panel shows the same sixty test users. An open mark is the line that the model predicts before it sees any rating of the user,
# a filled mark is the line after five steps, and a cross is the truth.

# %% mystnb={"figure": {"caption": "Where adaptation begins (open) and ends (filled), user by user, and the truth (crosses).", "name": "fig-pnmta-groups"}, "image": {"alt": "Four panels in the plane of level and slope, with three clouds of crosses for the users' true lines. Segment to nobody: all users start in one point between the clouds and long lines lead outwards to filled marks near the clouds. In the other three panels, segment to the modulator, to the input and to both, the starting points lie in three places, one in or near each cloud, and the lines to the filled marks are short, but for some users who start in the wrong cloud."}}
fig2.plane(page.records, list(CENTRES))

# %% [markdown]
# The first panel is the left side of the drawing: one starting point, in nobody's group, and long ways to go. The second panel is its right
# side: the segment reaches only the modulator. Users start near their group, and the ways are short, except for users whose segment is
# wrong. Starting points scatter a little, because the items are part of $v_u$ too.
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
# A starting point that knows the group helps a lot, before the steps and after five of them, and a modulator can provide it. So far
# the drawing is right. But the methods that it criticises have such starting points already. In a recommender the
# user's fields are inputs of the predictor, so a network with common parameters can start at different points for
# different users. Here the modulator adds nothing visible to that.
#
# PNMTA's task vector contains no rating, {eq}`eq-pnmta-2`. It is made of the user's fields, which the predictor sees too, and of the
# chosen items, which the predictor does not see. So on real data the modulator can help through the items, or because a product
# with the hidden units is easier to learn than a sum in the first layer. [Table 3](table3-modulators.ipynb) shows whether it does.
#
# ## Verdict on each claim
#
# This page decides no claim. Claim P44 says that user preferences fall into implicit groups; it is on the page of
# [Figure 8](fig8-user-tsne.ipynb).
#
# ## What could differ
#
# - **The world.** In another world no field of the user may tell the group; then only the choice of items could.
#   Here items are chosen at random, so only the segment tells the group.
# - **The size.** The networks have 16 hidden units and embeddings of eight numbers.
# - **Pretraining and the encoder modulator** are left out, because the drawing is about the predictor.
# - **The blind predictor** of the first two settings is ours: it has zeros in place of the user's part of the interaction vector. PNMTA
#   as printed is the fourth setting.
#
# ## Provenance

# %%
page.stamp()
