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
    "User vectors group by age, but those of an encoder that was never trained do so at least as much, "
    "because age is an input. Without the numbers of the age field the silhouette is close to zero.",
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
# The paper gives no number with the picture. t-SNE keeps neighbours and nothing else: distances between clusters, their sizes, and even
# whether there are clusters, depend on its settings. So we show the pictures, and the verdicts come from the vectors themselves.
#
# ## Groups without learning
#
# **Age is an input.** A user vector $v_u$, {eq}`eq-pnmta-2`, is the mean of the user's interaction vectors, and each of these contains
# the embedding of the user's age. Two users of the same age have exactly the same 32 numbers of 256, with or without training.
# There are two controls for this: the same statistics without those 32 numbers, and the vectors of an encoder with random weights, before
# any training.
#
# ## Run
#
# For each seed we split the users anew, train the networks and keep the vectors of the test users. MeLU has no user
# vector in the paper's sense, and the paper does not say what it drew. We pool MeLU's interaction vectors in the same way.
# On the command line: `metarec run pnmta.fig8`.
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
# The permutation test tells only whether age and vectors are related. They must be, because age is an input. The silhouette tells
# how much. The columns on the right tell how much remains without the age input.
#
# A linear probe asks a weaker question: can a field be read from the vectors at all? All three fields are inputs as well.

# %%
fig8.probes(page.records)

# %% [markdown]
# ## Groups that nobody named
#
# P44 says that there are groups and does not say which. So k-means looks for two to ten clusters. It looks in the user vectors of PNMTA after
# ten meta-epochs, without the user's own fields (what is left is the mean of the items that a user has rated), and in the ratings, minus each
# item's mean. K-means finds clusters in any data. So we compare with data in which each column was permuted over the users.

# %%
clusters.groups(page.of("pnmta.clusters"))

# %% [markdown]
# Both clusterings are clearer than in permuted data, so by its rule the claim holds. But neither shows the groups that
# [Figure 2](fig2-groups.ipynb) draws. In the ratings the best clustering separates a few unusual users and leaves nearly all others in one
# cluster. In the vectors it is mostly two parts that touch, and such a silhouette is commonly called weak. Also, permuting a column
# removes every correlation with the others, so correlated columns alone are enough to differ from permuted data.
#
# ## Verdict on each claim
#
# The rules were fixed before the runs and take the vectors with all fields. The values without the age field stand beside them. Where a rule
# says that vectors separate by age, the untrained encoder is its control.

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **Which vectors.** The paper does not say what MeLU's user vectors are. The user's part alone would have one
#   value for each combination of fields; hidden units would be different again.
# - **The start of the embeddings.** Ours are standard normal, as MeLU's. The smaller the start, the less the inputs show before
#   training, and the smaller the control.
# - **Users.** We show the test users of each split; the paper does not say whose vectors it shows.
# - **t-SNE.** Perplexity 30, started from principal components; we chose no seed by its picture. Another perplexity shows other clusters.
#
# ## Provenance

# %%
page.stamp()
