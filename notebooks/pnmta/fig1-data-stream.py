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
# # PNMTA Figure 1: the stream of data

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "both"  # both | sound; what is measured has no published track
seeds: int = 5  # at most this many seeds, each with its own split and network
device: str = "auto"  # measured on the CPU whatever is asked for

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import fig1, streams

page = open_page(
    "pnmta/fig1-data-stream",
    "pnmta.fig1",
    "pnmta.streams",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    fig1.said(page.records),
    streams.said(page.of("pnmta.streams")),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Figure 1 of PNMTA {cite:p}`pang2022pnmta` is a drawing of two streams of data. In image classification, a task of meta-learning
# holds random images of random classes, in random order. In a recommender a task is a user, so rows that arrive together belong to
# one person: the model "only receives the feature vector of user $u_k$ in task $\tau_k$". The paper concludes that representation and
# generalisation suffer (claim P11). This is its reason for pretraining on shuffled interactions.
#
# Here we draw the streams from data and measure how much a gradient is worth when its rows come from one user. Then we train the same
# network on both streams, to see whether it matters in the end.
#
# ## Run
#
# `metarec run pnmta.fig1` measures the gradients again; `metarec run pnmta.streams` trains the networks.
#
# ## The streams, drawn from the data
#
# Each point is one row as it flows into the model. Left are tasks of five classes with ten images each, from as many classes as there
# are users in the other panels. In the middle are the training users of MovieLens-1M, task by task, as meta-training sees them. Right are
# the same rows as pretraining sees them.

# %% mystnb={"figure": {"caption": "Three streams: who, or which class, stands at each place. Left invented, middle and right the training users of MovieLens-1M.", "name": "fig-pnmta-streams"}, "image": {"alt": "Three panels with the place in a stream from 0 to 400 across and the class or user upwards. Left: every fifty places, five classes alternate, seen as five dotted rows that change from task to task. Middle: one user at a time, seen as short horizontal bars at different heights. Right: points scattered evenly over all users."}}
fig1.streams(page.records)

# %% [markdown]
# The left and the middle panel differ less than the drawing of the paper suggests. A task of images too has only five classes, and
# its labels are numbered anew. But a task of images has no *feature* that is the same for all its rows.
#
# ## What one user's rows are worth
#
# Take the gradient of the mean squared error over $n$ rows. Drawn one by one from everybody, its variance is $V/n$, with $V$
# the variance of a single row's gradient. Drawn as one user's rows, it varies from user to user by some $B$, and
#
# $$
# n_{\text{worth}} = \frac{V}{B}
# $$
#
# is the number of rows drawn one by one that would be as precise. It is $n$ if rows of one user are no more alike than others, and 1
# if they are copies. Statistics knows $n / n_{\text{worth}}$ as the design effect of a clustered sample. The network is the encoder and
# predictor of MAML-PT, {eq}`eq-pnmta-1` and {eq}`eq-pnmta-3`, once with random weights and once after twenty epochs of pretraining.

# %%
fig1.worth(page.records)

# %% [markdown]
# **At the start, the rows of a user are worth only a few independent rows.** All of them pass through the same random user vector, have
# similar errors, and push the same weights in the same direction. Only for the item tables are they worth more, because every row touches
# entries of its own there.
#
# **After pretraining, much of this is gone on MovieLens-1M.** The network has learned what a user's rows have in common, and the rest differs
# from film to film. On Book-Crossing the rows of a user stay alike. A likely reason is that readers differ in their mean rating by more
# than the fields explain.
#
# The next table shows what one step of training sees:

# %%
fig1.steps(page.records)

# %% [markdown]
# So the drawing is right in part. With one task for each step, as in Algorithm 2, a step learns very little about users in general. With
# 32 tasks, as in appendix C.3, it learns 32 times as much, and still far less than from as many shuffled rows. This affects how fast and
# how steadily the encoder is trained at the start. It need not lead to a *worse* network in the end, because noise averages out over steps.
#
# ## Whether it matters in the end
#
# We train encoder and predictor without any meta-learning, for ten epochs and for two, with Adam at 0.001: once on shuffled
# interactions, once on one user for each step. A step of the shuffled stream takes as many interactions as a user has on average, so both
# streams have as many steps and interactions. Nothing is adapted to a user, also not at test; only the order of the data differs.

# %%
streams.trained(page.of("pnmta.streams"))

# %% [markdown]
# **The stream by users learns more slowly and overfits less.** After two epochs its mean error is larger on training users and on test
# users. After ten epochs on MovieLens-1M it still fits its training users less well, but its test users better. The gap between the two
# errors is smaller on both sets. So generalisation does not become worse, as the paper expects. The shuffled stream overfits earlier: on
# both sets its error on test users is larger after ten epochs than after two. Both streams have larger errors than every method on the
# sound track of [Table 2](table2-comparison.ipynb).
#
# ## Verdict on each claim
#
# The table above decides P11, that the stream by users weakens what is learned. Its verdict and rule stand on the page of
# [Figure 9](fig9-training-curves.ipynb).
#
# ## What could differ
#
# - **The start.** Embeddings begin standard normal here, as in MeLU. With smaller ones, all users begin nearly alike, and their rows
#   are worth more at the start.
# - **Which gradient.** This is the gradient of plain prediction. In meta-training the gradient is that of the query after the inner steps,
#   which remove part of what the rows of a user have in common; its rows are then worth more.
# - **Sampling.** One hundred training users for each seed and data set.
#
# ## Provenance

# %%
page.stamp()
