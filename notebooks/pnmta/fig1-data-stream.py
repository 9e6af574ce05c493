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
# holds random images of random classes, in random order. In a recommender a task is a user, so all that arrives together belongs to
# one person: the model "only receives the feature vector of user $u_k$ in task $\tau_k$". From this the paper concludes that representation and
# generalisation suffer (claim P11), and takes it as the reason for pretraining on shuffled interactions.
#
# Here we draw the streams as they are, measure how much a gradient is worth when its rows come from one user, and then train the same
# network on both streams, to see whether it matters in the end.
#
# ## Run
#
# `metarec run pnmta.fig1` measures the gradients again, in some minutes.
#
# ## The streams, drawn from the data
#
# Each point is one row as it flows into the model. Left, tasks of five classes with ten images each, drawn from as many classes as there
# are users in the other panels; in the middle the training users of MovieLens-1M, task by task, as meta-training sees them; right the
# same rows as pretraining sees them.

# %% mystnb={"figure": {"caption": "Three streams: who, or which class, stands at each place. Left invented, middle and right the training users of MovieLens-1M.", "name": "fig-pnmta-streams"}, "image": {"alt": "Three panels with the place in a stream from 0 to 400 across and the class or user upwards. Left: every fifty places, five classes alternate, seen as five dotted rows that change from task to task. Middle: one user at a time, seen as short horizontal bars at different heights. Right: points scattered evenly over all users."}}
fig1.streams(page.records)

# %% [markdown]
# The left panel is not as different from the middle as the drawing has it. Within a task of images, too, only five classes occur, and
# the labels are numbered anew in each task. What does not occur there is a *feature* that is the same for all rows of a task.
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
# **At the start, a user's rows are worth a handful.** For the predictor, fifty rows of MovieLens count as one or two, thirty of Book-Crossing
# as five. All of them pass through the same random user vector, are off by the same amount, and push the same weights the same
# way. Only the item tables, where every row touches entries of its own, see more.
#
# **After pretraining, much of this is gone on MovieLens-1M.** What a user's rows had in common has been learned, and what is left differs
# from film to film. On Book-Crossing they stay alike; a likely reason is that readers differ in their mean rating by more than the
# fields explain.
#
# In a step of meta-training:

# %%
fig1.steps(page.records)

# %% [markdown]
# So the drawing has a point, and appendix C.3 half answers it: with one task a step, as in Algorithm 2, a step learns next to
# nothing about users in general; with 32 tasks it learns 32 times as much, and still far less than from as many shuffled rows.
# That concerns how fast and how steadily the encoder is trained at the start. Whether it leads to a *worse* network in the end is another
# question, since noise averages out over steps.
#
# ## Whether it matters in the end
#
# Encoder and predictor without any meta-learning, trained for ten epochs, and for two, with Adam at 0.001: once on shuffled
# interactions, once on one user a step. A step of the shuffled stream takes as many interactions as a user has on average, so steps and interactions
# are the same in number. Nobody is adapted to, at test either; only the order of the data differs. `metarec run pnmta.streams` trains them.

# %%
streams.trained(page.of("pnmta.streams"))

# %% [markdown]
# **It learns more slowly and overfits less.** After two epochs the stream by users has the larger error on training users and, in the mean, on test
# users as well: the noise that the tables above describe. After ten it still fits its training users less well on MovieLens-1M, and its test
# users better; the gap between the two is smaller on both sets. What the paper fears, worse generalisation, is not what happens:
# the shuffled stream arrives sooner at a network that knows its training users too well, and is past its best on both sets, which a
# choice of the epoch on validation users would notice. Either stream stays behind every method on the sound track of
# [Table 2](table2-comparison.ipynb).
#
# ## Verdict on each claim
#
# P11, that the stream by users weakens what is learned, is decided from the table above; its row, with the rule, is on the page of
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
