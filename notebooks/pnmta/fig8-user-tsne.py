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
# # PNMTA Figure 8: user vectors by age

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "both"  # both | published; there is no sound track
seeds: int = 5  # at most this many seeds of each panel
device: str = "auto"  # auto | cpu | cuda; where a full or quick profile trains

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import clusters, fig8

page = open_page(
    "pnmta/fig8-user-tsne",
    "pnmta.fig8",
    "pnmta.clusters",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    fig8.said(page.records),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Figure 8 of PNMTA {cite:p}`pang2022pnmta` shows the user vectors of MovieLens-1M in two dimensions, by t-SNE, with a colour for each
# age: of MeLU after one epoch and after thirty, and of PNMTA after pretraining and after ten epochs of meta-training. In our words:
#
# - MeLU's vectors overlap and do not separate users by age (P39), and training longer does not change that (P40);
# - pretraining alone separates them (P41), and meta-training keeps it so (P42);
# - PNMTA therefore represents users better than existing methods (P43), and the picture proves that users come in implicit groups
#   (P44), which one user at a time cannot teach a model as well as shuffled interactions can (P11; see
#   [Figure 1](fig1-data-stream.ipynb)).
#
# No number goes with the picture. t-SNE keeps neighbours and nothing else: distances between clusters, their sizes, and even
# whether there are any, depend on its settings. So the pictures are below, and the verdicts come from the vectors themselves.
#
# ## A way to do well without learning anything
#
# **Age is an input.** A user vector $v_u$, {eq}`eq-pnmta-2`, is the mean of the user's interaction vectors, and each of those contains
# the embedding of the user's age. Two users of the same age have 32 numbers of their 256 in common, exactly, whatever was trained.
# Two controls keep this apart: the same statistics with those 32 numbers cut out, and the vectors of an encoder as it was drawn, before
# any training.
#
# ## Run
#
# For each seed, users are split anew, the networks trained, and the vectors of the test users kept for what follows. MeLU has no user
# vector in the paper's sense, and the paper does not say what it drew; we pool MeLU's interaction vectors in the same way.
# `metarec run pnmta.fig8` does all of it.
#
# ## The pictures
#
# The four panels of the paper, from one seed.

# %% mystnb={"figure": {"caption": "t-SNE of the test users\u2019 vectors, one seed, by age. Distances between patches mean nothing.", "name": "fig-pnmta-tsne"}, "image": {"alt": "Four panels of points in two dimensions without axes: MeLU after one epoch, MeLU after thirty epochs, PNMTA pretrained only, and PNMTA after ten meta-epochs. Seven ages have a colour and marker each. How far points of one age keep together is given in numbers in the table below."}}
fig8.pictures(page.records)

# %% [markdown]
# And the vectors of an encoder that has never seen a rating:

# %% mystnb={"figure": {"caption": "The same for an encoder as drawn.", "name": "fig-pnmta-tsne-control"}, "image": {"alt": "One panel of the same kind for the untrained encoder. Points of one age already lie together in patches, since the random embedding of the age is part of every vector."}}
fig8.pictures(page.records, control=True)

# %% [markdown]
# ## In numbers
#
# The silhouette of a user compares the mean distance to users of the same age with that to the nearest other age: 1 is
# perfect separation, 0 none. It is computed in the original space, and tested against 10,000 permutations of the ages.

# %%
fig8.separation(page.records)

# %% [markdown]
# Permutations answer whether age and vectors have anything to do with each other; with age among the inputs they must. The
# value answers how much, and its right-hand twin how much of it is more than the input itself.
#
# A linear probe asks a weaker question: can the field be read off at all? All three fields are inputs as well.

# %%
fig8.probes(page.records)

# %% [markdown]
# ## Groups that nobody named
#
# P44 asks for groups without saying which. So k-means looks for two to ten, in the user vectors of PNMTA after ten meta-epochs without the
# slices of the user's own fields (what is left is the mean of the items that a user has rated), and in the ratings themselves, less each item's
# mean. Any data can be cut into clusters; the question is whether they stand out further than in data whose columns have each been permuted
# over the users.

# %%
clusters.groups(page.of("pnmta.clusters"))

# %% [markdown]
# Both stand out of the null, and the rule says that the claim holds. What stands out is another matter. In the ratings it is a few unusual users:
# the best clustering leaves nearly all others together in one. In the vectors it is mostly two parts that touch (a silhouette of a quarter is
# commonly read as weak). And a permuted column has lost every relation to the others, so the null denies more than groups: any correlation among
# the columns is enough to stand out of it. Neither finding shows the groups that [Figure 2](fig2-groups.ipynb) draws.
#
# ## Verdict on each claim
#
# The rules, fixed before the runs, take the vectors with all fields; the values without the age slice stand beside them.

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **Which vectors.** The paper does not say what MeLU's user vectors are. If they were the user's part alone, they would take one
#   value for each combination of fields; if hidden units, they would be others again.
# - **The start of the embeddings.** Ours are standard normal, as MeLU's. The smaller the start, the less the inputs show before
#   training, and the smaller the control.
# - **Users.** We draw the test users of each split; the paper does not say whose vectors it draws.
# - **t-SNE.** Perplexity 30, started from principal components, no seed chosen. Another perplexity draws other clusters.
#
# ## Provenance

# %%
page.stamp()
