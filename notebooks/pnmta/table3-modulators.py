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
# # PNMTA Table 3: modulators
#
# Table 3 of PNMTA {cite:p}`pang2022pnmta` compares eight treatments of the pretrained encoder with three of the
# predictor. It has the MAE on two data sets, one run for each cell. From this table the paper argues for its default, channel-wise
# with FiLM.

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "both"  # both | published | sound
seeds: int = 5  # at most this many seeds of each cell
device: str = "auto"  # auto | cpu | cuda; where a full or quick profile trains

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import table3

page = open_page(
    "pnmta/table3-modulators",
    "pnmta.table3",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    "The predictor's modulator matters more than the encoder's. With searched step sizes (the sound "
    "track) the cells come close to each other.",
    table3.spans(page, "published"),
    table3.spans(page, "sound"),
)

# %% [markdown]
# ## What the paper shows and claims
#
# What the names mean stands in [the chapter on the encoder modulator](../../book/pnmta.md#the-encoder-modulator). In our words:
#
# - channel-wise with FiLM is the best of the 24 on both sets (P12); next come Cb-FiLM on MovieLens-1M (P13) and Cb-SA on Book-Crossing (P14);
# - element-wise modulators are worse than channel-wise ones (P15), because they have too many parameters (P16);
# - modulating the encoded vectors, S and SS, brings no significant gain (P17);
# - a free encoder (w/o EM) is better than a frozen one without modulation (P18), and channel-wise modulation of a frozen one is better
#   than a free one (P19);
# - softmax attention improves on having no predictor modulator on MovieLens-1M (P20) and Book-Crossing (P21), and FiLM improves on it (P22).
#
# The printed table itself contradicts P20: attention is better with four of the eight encoder treatments and worse on average.

# %% tags=["hide-input"]
page.say(table3.printed_leads())

# %% [markdown]
# ## Run
#
# Every cell is trained for this page, on the splits of [Table 2](table2-comparison.ipynb); all cells of a seed have the same users. On
# the sound track each treatment of the predictor has step sizes of its own. On the command line: `metarec run pnmta.table3`. The quick
# profile trains two encoder treatments only.
#
# ## The paper and ours: as published
#
# This track has the paper's step sizes and the last epoch ([D22](#d22)).

# %%
page.conditions("published")

# %%
table3.grid(page, "published")

# %% mystnb={"figure": {"caption": "Table 3 as heat maps: the paper's numbers and ours, published track. Colour is the distance from the median of a grid in per cent, on one scale; the best cell of a grid is framed.", "name": "fig-pnmta-table3-published"}, "image": {"alt": "Heat maps of three rows, attention, FiLM and no predictor modulator, by eight encoder treatments: the paper's numbers and ours on MovieLens-1M and on Book-Crossing. In the paper's grids the cell channel-wise with FiLM is the lowest and the columns differ most. In ours the rows differ most: without a predictor modulator errors are largest in every column, on Book-Crossing by far. There FiLM is lowest throughout, and attention lies in between but for its channel-wise cell. The framed best cells of ours are scale and shift with attention on MovieLens-1M and the frozen encoder with FiLM on Book-Crossing."}}
table3.heatmaps(page, "published")

# %% [markdown]
# The two grids differ. In the paper's grid the encoder treatments differ most; in ours the predictor treatments do. Without a predictor
# modulator the mean error is larger with every encoder treatment, on Book-Crossing by far. On MovieLens-1M every cell of ours is above
# the paper's.
#
# A likely reason is the course of training, not groups of users. FiLM and attention both shrink what a hidden layer passes on when training
# begins. This makes the inner steps of a user smaller. MAML-PT has no such shrinking and overshoots at the paper's step sizes, as
# the curves of [Figure 9](fig9-training-curves.ipynb) show. With step sizes chosen for each method, [Table 2](table2-comparison.ipynb)
# finds no difference between PNMTA and MAML-PT on MovieLens-1M. But with the paper's step sizes both modulators have trouble too:
#
# - with FiLM, and only there, some seeds diverge (the notes under the tables name them; they are left out of every mean);
# - with attention one seed of Book-Crossing learns very slowly, under every encoder but the channel-wise one. At the paper's
#   last epoch its training error is still high and still falling. With the other seeds attention is level with FiLM. This seed makes the
#   wide intervals of attention.
#
# With FiLM we see some of the paper's order, by the means of both sets: the channel-wise modulators come before the element-wise
# ones and before the free encoder. But the default is the best cell of neither set. The paper's worst treatment is a
# pretrained encoder that is frozen and not modulated at all. With FiLM it is the best cell of our Book-Crossing and close to the best of
# our MovieLens-1M. So this table does not show that an encoder modulator adds anything.
#
# ## The paper and ours: sound
#
# The step sizes are searched for each treatment of the predictor, on its channel-wise cell and on validation users alone ([D36](#d36)). Each cell reports its best
# epoch on these users.

# %%
page.conditions("sound")

# %%
table3.grid(page, "sound")

# %% mystnb={"figure": {"caption": "Table 3 as heat maps, sound track; colours as above.", "name": "fig-pnmta-table3-sound"}, "image": {"alt": "Heat maps as above for the sound track. Our grid of MovieLens-1M is nearly white: all cells lie close to each other, and the framed best one is channel-wise with FiLM, as in the paper. Our grid of Book-Crossing is striped by rows: FiLM lowest, attention in the middle, no predictor modulator highest, with hardly any difference between columns; the framed best cell is bias-free element-wise with FiLM."}}
table3.heatmaps(page, "sound")

# %% [markdown]
# With step sizes of their own the predictor treatments come close to each other, and no seed diverges. On MovieLens-1M all cells are close
# together, also those without a predictor modulator. On our part of Book-Crossing an order remains: FiLM is best, then attention, then no
# modulator. But they are much closer than on the published track, and the encoder treatments hardly differ.
#
# So above, a predictor modulator mostly helped training to bear the paper's step sizes. The search agrees (see *Tuning*): it gives FiLM and
# attention a much larger inner step than the predictor without modulator, which diverges at such steps. The remaining gain of FiLM on
# Book-Crossing is small but clear.
#
# The encoder's modulator matters even less. The paper rules out the element-wise ones for their many parameters. Here they do as well
# as the channel-wise ones on both sets; on Book-Crossing the frozen encoder does too.
#
# ## The default against each other cell
#
# Pairs of cells are compared user by user. The figures show how much better the default is than each other cell. Filled marks are clear
# differences: p is below 5 %, with Holm's adjustment over the panel.
# First the published track:

# %% mystnb={"figure": {"caption": "Gain in MAE of channel-wise with FiLM over every other cell, published track, paired over users, with 95 % intervals. To the right of the line the default is better.", "name": "fig-pnmta-table3-pairs-published"}, "image": {"alt": "Forest plot with one row for each of the 23 other cells and two panels, MovieLens-1M and Book-Crossing. On both, the gains over cells without a predictor modulator are for the most part the largest, on Book-Crossing by far. On MovieLens-1M gains over the others are small and nearly all their intervals hold zero. On Book-Crossing gains over cells with attention have very wide intervals, and those over cells with FiLM lie at zero. No mark to the left of zero is filled."}}
table3.forest(page, "published")

# %% [markdown]
# Then the sound track:

# %% mystnb={"figure": {"caption": "The same on the sound track.", "name": "fig-pnmta-table3-pairs-sound"}, "image": {"alt": "Forest plot as above for the sound track. On MovieLens-1M all gains are small and positive, and most marks are filled. On Book-Crossing gains over cells with attention are larger, and those over cells without a predictor modulator largest, all filled; those over cells with FiLM lie at zero. No mark to the left of zero is filled."}}
table3.forest(page, "sound")

# %% [markdown]
# At the paper's step sizes seeds scatter. The default is clearly better than two cells that lack a predictor modulator on Book-Crossing, and
# than none on MovieLens-1M. It cannot be told from the cells that have one, and it is clearly worse than none. A seed at which one of a pair diverges
# is left out of that pair.
#
# At searched step sizes the claim of the best cell does better. On MovieLens-1M the default has the best mean. Its intervals exclude zero
# for most cells, after Holm's adjustment for some, and it is the cell on which FiLM was tuned. On Book-Crossing it is clearly better than
# most cells without FiLM and level with those that have it.
#
# ## Verdict on each claim

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **What a softmax does to a layer.** The attention weights of a layer of 64 units sum to one, so each unit passes on about 1/64. The paper
#   says nothing about undoing this, and we do not ([the chapter](../../book/pnmta.md#the-predictor-modulator)).
# - **Where a generator starts.** A FiLM generator that starts at random starts with $\omega_w$ near zero. Starting at one is an option.
# - **The step sizes.** The published track has one pair for all 24 cells, as in the paper; the sound track has one for each treatment of the predictor.
#   A search for every cell might change the order, because the cells lie close together.
# - **Floors.** This table has none. [Table 2](table2-comparison.ipynb) has them, for the same users and the same measure.
#
# ## Provenance

# %%
page.stamp()
