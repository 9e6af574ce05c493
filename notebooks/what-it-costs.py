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
# Five seeds of everything, every ablation, every point of every curve: that is some thousand trainings, and this book can afford them
# because one costs little. This page measures how little, against what, and where the time goes that is left.
#
# ## What is compared
#
# The released programs of this field train one user at a time. An interaction is a row of zeros and ones, thousands wide, which meets
# a dense matrix; a batch is thirty-two passes through the network, one after another. Ours looks rows of tables up by index, pads
# thirty-two users to one batch, and can stack many seeds into one program.
#
# A comparison is only as good as its other side, so there are two loops.
#
# - **As released**: written anew in the style of the released TaNP {cite:p}`lin2021tanp` and MeLU {cite:p}`lee2019melu`. Rows are stored as
#   integers and made floats wherever they are used; TaNP embeds context and target apart; MeLU embeds all rows again in every
#   inner step and takes the gradient of every weight, of which it uses those of the head.
# - **Lean**: none of that, and draws made beforehand and a fused optimiser besides. It is what a careful author would have written
#   without batching over users. For PNMTA, which was never released, it is the only loop.
#
# All programs compute in single precision, and both loops begin with our weights. Before anything is timed, their losses on the same users
# and the same draws are compared with ours, and the benchmark stops if they differ: what is compared is equal work. Then the programs take
# turns, round after round, each with one thread or with all, whichever suits it better.
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
# On the command line this is `make bench`. The profile `full` measures on your machine, in a few minutes, and adds the result to those
# shown here; leave the machine alone meanwhile. `quick` goes through the motions on tiny data: its times mean nothing.

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
# A step is what training is made of: 32 users, their losses, one gradient, one move of Adam. *Padding* is the share of a batch that
# no user fills. If batches are cut from a plain shuffle, the longest history in each sets its width. If several batches at a time, four of
# TaNP's and eight of the others', are sorted by length first, less is wasted; which users meet in a batch then depends on their length
# ([deviations](../book/deviations.md)), so the published track of TaNP does without. Memory that a step frees is kept for the next one,
# in all programs; handed back to the system, it would have to be cleared anew at every step.

# %%
costs_shown.against(measured)

# %% mystnb={"figure": {"caption": "How many times faster a seed of ours is than the loop over users. Whiskers: range over rounds.", "name": "fig-costs-faster"}, "image": {"alt": "Rows: TaNP, MeLU and PNMTA with 1, 5 and 20 seeds stacked. Horizontal, log scale: times faster than the loop, for each seed. Filled marks, against the loop as released, stand further right than hollow ones, against the lean loop. Squares, batches sorted by length, mostly stand right of circles, shuffled batches. For TaNP the marks move right with the number of seeds; for MeLU and PNMTA they hardly do."}}
costs_shown.faster(measured)

# %% [markdown]
# Stacking pays where a step is many small kernels with little in each: TaNP, whose widest layer is 32. A second-order step of MeLU is large
# enough to fill the machine on its own, so there a stacked seed costs about what a lone one does, and neither stacking nor sorting brings much
# (for PNMTA sorting does); twenty of them are no cheaper a seed than five, for together they leave the processor's cache.
#
# ## How far from the machine's own speed?
#
# Most of a step's arithmetic is matrix products. We list those of a step, by shape, and run the very same products on
# random numbers, with nothing between them. If a step took as long as its bare products, all else would be free.

# %% mystnb={"figure": {"caption": "Floating-point rate of a whole training step, as a share of that of its bare matrix products. Whiskers: range over rounds.", "name": "fig-costs-rates"}, "image": {"alt": "Share of the bare products' rate, from 0 to 1, against 1, 5 and 20 seeds stacked. TaNP's line starts lowest and rises with the number of seeds. The lines of MeLU and PNMTA lie near one half throughout."}}
costs_shown.rates(measured)

# %% [markdown]
# What stands in the way differs, and a profile of the step shows it.

# %% mystnb={"figure": {"caption": "Where the time of a training step goes, on one thread.", "name": "fig-costs-anatomy"}, "image": {"alt": "Stacked bars, one for each method with one seed and with five: shares of a step's time by kind of call. Matrix products take the largest share for MeLU and PNMTA. For one seed of TaNP, calls themselves and elementwise work take most of it; with five seeds the share of the products grows."}}
costs_shown.anatomy(measured)

# %% [markdown]
# One seed of TaNP is hundreds of calls into the library with little in each, and the calls themselves take their time, whatever their
# size. Stacking spreads them over seeds. What remains then is elementwise work, on activations and on the way back; the rows of
# embedding tables, looked up, and moved by Adam whether a batch has touched them or not; and the draw of context and target, which sorts.
# For the second-order methods it is sums: going back through the inner steps adds up one gradient of the same layers for each.
#
# Could a compiler merge the small calls? `torch.compile` was tried on the very step:

# %%
costs_shown.compiled(measured)

# %% [markdown]
# It could, and it merges passes over memory besides. But each shape of batch is compiled for itself, and none pays before thousands of
# steps of that shape. A training on Last.FM has fewer, of all its shapes together; so the trainer does not compile, though it would come
# closer to the aims at the foot of this page.
# On a GPU, where calls cost most, it captures a step as a graph and replays it; the plain step above is then that replay.
#
# ## Growth
#
# Rows become episodes, and an epoch visits all of them. Both should grow in proportion to the number of interactions, the dotted line.

# %% mystnb={"figure": {"caption": "Time and peak memory against the number of interactions, fifty a user.", "name": "fig-costs-growth"}, "image": {"alt": "Two log-log panels against interactions from ten thousand to ten million. Left, seconds: making episodes of rows, and one epoch of TaNP on identities, of TaNP on content and of MeLU on content. The curves run along the dotted line of proportionality; for many interactions that of TaNP on identities lies above that on content. Right, peak memory in MiB, which is flat at first and then rises."}}
costs_shown.growth(measured)

# %% [markdown]
# TaNP on identities costs more a step where its table is large. It has a row for every user, and Adam moves all rows at every step, those
# of absent users too, because their momentum does not stop. In the limit an epoch would grow with the square of the number of users. Up to a
# million interactions little of it shows; at ten million a step takes about twice as long as on content, where tables do not grow. (A
# sparse optimiser would be another method, with other results.)

# %% mystnb={"figure": {"caption": "Time and peak memory of a step of 32 users against the size of their support, with a query of ten.", "name": "fig-costs-support"}, "image": {"alt": "Two log-log panels against 10, 20, 40, 80 and 160 interactions in the support. Left, milliseconds a step: both TaNP lines rise slowly; MeLU's, above them, is flat at first and in the end as steep as the dotted line of proportionality. Right, peak memory in MiB, in the same order."}}
costs_shown.support(measured)

# %% [markdown]
# MeLU's inner loop works with products of support entries with each other while those are fewer than the columns of its first layer, so
# its cost has a part that grows with the square of the support.
#
# ## The same numbers on another device
#
# A GPU adds up in another order, and over thousands of steps the last digit can become the first. Do conclusions depend on it? The largest
# support of [Figure 4](pnmta/fig4-support-size.ipynb) is the setting of [Table 2](pnmta/table2-comparison.ipynb): the same users, settings
# and seeds, the one trained on a CPU, the other for the most part on a GPU.

# %%
devices.agreement(*devices.trained_twice())

# %% [markdown]
# MeLU, whose searched step sizes are small, agrees to the fourth decimal and beyond. PNMTA, whose searched inner step is a hundred times
# as large, does not retrace its path: rounding grows from step to step, validation picks other epochs, and a seed ends
# elsewhere, by a hundredth and, without pretraining, by as much as five. On MovieLens-1M its runs on two devices differ about as two seeds
# do; on Book-Crossing by more than its seeds scatter, so that even a mean over three of them is uncertain by about a hundredth.
#
# ## What the tables took
#
# A stack of seeds does not fill a GPU, so up to eight programs shared one. Of the trainings behind two tables of PNMTA and
# behind the search of their step sizes, these are the ones made on a GPU:

# %%
devices.elapsed()

# %% [markdown]
# Not in it are the fourth and fifth seed of the tables and the sound track of Table 3, added later; MetaHIN, whose graph differs from seed to seed so that nothing can
# be stacked; TaNP, whose step has been made faster since; and pretrained seeds whose splits ask for a step more than the others of their
# stack, which are no longer stacked with them. These were trained on two CPU cores.
#
# ## Aims and measurements
#
# What this project aimed at, on two CPU cores and on one data-centre GPU. In the quick profile the aims are met or missed by chance.

# %%
costs.reach(measured)
