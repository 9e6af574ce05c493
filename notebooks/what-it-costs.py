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
# # What it costs
#
# This book trains five seeds of every method, every ablation and every point of every curve. It can do so because one training costs
# little. This page measures how much one costs, compares it with loops over users, and shows where the time goes.
#
# ## What is compared
#
# The released programs of this field train one user at a time. An interaction is a row of zeros and ones, thousands wide, that is
# multiplied with a dense matrix; a batch is thirty-two passes through the network, one after another. Ours looks up rows of tables by index,
# pads thirty-two users to one batch, and can stack many seeds into one program.
#
# To be fair, we compare with two loops.
#
# - **As released**: written anew in the style of the released TaNP {cite:p}`lin2021tanp` and MeLU {cite:p}`lee2019melu`. Rows are stored as
#   integers and made floats wherever they are used; TaNP embeds context and target apart; MeLU embeds all rows again in every
#   inner step and takes the gradient of every weight, of which it uses those of the head.
# - **Lean**: it does none of that, makes its draws beforehand and has a fused optimiser. A careful author would write it so
#   without batching over users. For PNMTA, which was never released, it is the only loop.
#
# All programs compute in single precision, and both loops begin with our weights. Before the timing starts, their losses on the same users
# and the same draws are compared with ours, and the benchmark stops if they differ. So all do equal work. Then the programs take
# turns, round after round, each with one thread or with all, whichever is faster for it.
#
# ## Parameters

# %% tags=["parameters"]
profile: str = "recorded"  # recorded | quick | full
device: str = (
    "auto"  # auto | cpu | cuda; where a full or quick profile measures
)

# %% [markdown]
# ## Run
#
# On the command line this is `make bench`. The profile `full` measures on your machine and adds the result to those
# shown here; do not use the machine meanwhile. `quick` runs the same steps on tiny data: its times mean nothing.

# %%
from metarec.papers import costs, costs_shown
from metarec.papers.pnmta import devices
from metarec.show import style

style.use_style()
measured = costs.read(costs.measurements(profile, device))
costs_shown.machines(measured)

# %% [markdown]
# ## Steps
#
# A step of training has 32 users, their losses, one gradient and one update by Adam. *Padding* is the share of a batch that
# no user fills. In a plain shuffle the longest history of a batch sets its width. If several batches at a time, four of
# TaNP's and eight of the others', are sorted by length first, there is less padding. Then the length of a history decides which users come
# into the same batch ([D32](#d32)), so the published track of TaNP does not sort. All programs keep the memory that a step frees for
# the next one.

# %%
costs_shown.against(measured)

# %% mystnb={"figure": {"caption": "How many times faster a seed of ours is than the loop over users. Whiskers: range over rounds.", "name": "fig-costs-faster"}, "image": {"alt": "Rows: TaNP, MeLU and PNMTA with 1, 5 and 20 seeds stacked. Horizontal, log scale: times faster than the loop, for each seed. Filled marks, against the loop as released, stand further right than hollow ones, against the lean loop. Squares, batches sorted by length, mostly stand right of circles, shuffled batches. For TaNP the marks move right with the number of seeds; for MeLU and PNMTA they hardly do."}}
costs_shown.faster(measured)

# %% [markdown]
# Stacking pays where a step consists of many small kernels, as for TaNP, whose widest layer is 32. A second-order step of MeLU is large
# enough to fill the machine on its own. There a stacked seed costs about as much as a single one, and neither stacking nor sorting brings
# much (for PNMTA sorting does). For these methods twenty stacked seeds are no cheaper for each seed than five, because together they do not
# fit into the processor's cache.
#
# ## How far from the machine's own speed?
#
# Most of a step's arithmetic is matrix products. We list those of a step, by shape, and run the same products on
# random numbers, with nothing between them. A share of one would mean that everything else in a step takes no time.

# %% mystnb={"figure": {"caption": "Floating-point rate of a whole training step, as a share of that of its bare matrix products. Whiskers: range over rounds.", "name": "fig-costs-rates"}, "image": {"alt": "Share of the bare products' rate, from 0 to 1, against 1, 5 and 20 seeds stacked. TaNP's line starts lowest and rises with the number of seeds. The lines of MeLU and PNMTA hardly change."}}
costs_shown.rates(measured)

# %% [markdown]
# A profile of the step shows where the rest of the time goes.

# %% mystnb={"figure": {"caption": "Where the time of a training step goes, on one thread.", "name": "fig-costs-anatomy"}, "image": {"alt": "Stacked bars, one for each method with one seed and with five: shares of a step's time by kind of call. Matrix products take the largest share for MeLU and PNMTA. For one seed of TaNP, calls themselves and elementwise work take most of it; with five seeds the share of the products grows."}}
costs_shown.anatomy(measured)

# %% [markdown]
# A step of one seed of TaNP makes very many small calls into the library, and each call takes some time, whatever its
# size. Stacking shares the calls among seeds. The remaining work is elementwise operations, forward and backward; rows of
# embedding tables, which are looked up and which Adam updates even if a batch did not touch them; and the draw of context and target, which
# sorts. In the second-order methods it is mostly sums: the backward pass through the inner steps adds up one gradient of the same layers for
# each step.
#
# A compiler could merge the small calls. We tried `torch.compile` on this step:

# %%
costs_shown.compiled(measured)

# %% [markdown]
# It does merge calls, and passes over memory too. But it compiles each shape of batch anew, and this pays only after thousands of
# steps of that shape. A training on Last.FM has fewer steps than that, so the trainer does not compile, although it would come
# closer to the aims at the end of this page.
# On a GPU calls cost most. There the trainer captures a step as a graph and replays it; the plain step in the table is then that replay.
#
# ## Growth
#
# Rows become episodes, and an epoch visits all of them. Both should grow in proportion to the number of interactions, the dotted line.

# %% mystnb={"figure": {"caption": "Time and peak memory against the number of interactions, fifty a user.", "name": "fig-costs-growth"}, "image": {"alt": "Two log-log panels against interactions from ten thousand to ten million. Left, seconds: making episodes of rows, and one epoch of TaNP on identities, of TaNP on content and of MeLU on content. The curves run along the dotted line of proportionality; for many interactions that of TaNP on identities lies above that on content. Right, peak memory in MiB, which is flat at first and then rises."}}
costs_shown.growth(measured)

# %% [markdown]
# A step of TaNP on identities costs more where its table is large. The table has a row for every user, and Adam moves all rows at every step,
# also those of absent users, because of their momentum. In the limit an epoch would grow with the square of the number of users. Up to a
# million interactions little of this is visible; at ten million a step takes clearly longer than on content, where tables do not grow. (A
# sparse optimiser would be another method, with other results.)

# %% mystnb={"figure": {"caption": "Time and peak memory of a step of 32 users against the size of their support, with a query of ten.", "name": "fig-costs-support"}, "image": {"alt": "Two log-log panels against 10, 20, 40, 80 and 160 interactions in the support. Left, milliseconds a step: both TaNP lines rise slowly; MeLU's, above them, is flat at first and in the end as steep as the dotted line of proportionality. Right, peak memory in MiB, in the same order."}}
costs_shown.support(measured)

# %% [markdown]
# MeLU's inner loop works with products of support entries with each other while those are fewer than the columns of its first layer, so
# its cost has a part that grows with the square of the support.
#
# ## The same numbers on another device
#
# A GPU adds up in another order, and over thousands of steps a small difference can grow. Do conclusions depend on this? The largest
# support of [Figure 4](pnmta/fig4-support-size.ipynb) is the setting of [Table 2](pnmta/table2-comparison.ipynb). The users, settings
# and seeds are the same. The runs of Figure 4 were trained on a CPU, those of Table 2 mostly on a GPU.

# %%
devices.agreement(*devices.trained_twice())

# %% [markdown]
# MeLU has small step sizes, and its numbers agree. PNMTA has a much larger inner step. There rounding errors grow from step to step,
# validation picks other epochs, and a seed ends with another error. On MovieLens-1M its runs on two devices differ about as much as two seeds
# do; on Book-Crossing they differ by more than its seeds scatter. So a mean over a few seeds is less certain than the seeds alone suggest.
#
# ## What the tables took
#
# A stack of seeds does not fill a GPU, so up to eight programs shared one. The table has those trainings of two tables of PNMTA, and of
# the search for their step sizes, that ran on a GPU:

# %%
devices.elapsed()

# %% [markdown]
# The other trainings ran on two CPU cores: the fourth and fifth seed of these tables, the sound track of Table 3, TaNP, MetaHIN (its graph
# differs from seed to seed, so its seeds cannot be stacked), and pretrained seeds whose splits need another number of steps than
# the rest of their stack.
#
# ## Aims and measurements
#
# The aims are for two CPU cores and for one data-centre GPU. In the quick profile they are reached or missed by chance.

# %%
costs.reach(measured)
