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
# # PNMTA Tables 4 and 5: what modulators cost

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "both"  # both | published; there is no sound track
seeds: int = 1  # counts have no seed, and times are of one
device: str = "auto"  # a full or quick profile times on the GPU if there is one

# %% tags=["hide-input"]
from metarec.derivations import check, folding, unrolled
from metarec.papers import open_page
from metarec.papers.pnmta import step_times, table45

page = open_page(
    "pnmta/table45-modulator-costs",
    "pnmta.table45",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    "The formulas of the predictor modulators count their parameters rightly; those of the two "
    "element-wise encoder modulators count too many.",
    step_times.said(page.records),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Tables 4 and 5 of PNMTA {cite:p}`pang2022pnmta`, in its appendix, list six encoder modulators and two predictor modulators, each with its
# equation and the number of its parameters. Section 3.5 estimates what training costs. In our words:
#
# - every modulator has as many parameters as the formula beside it (P23, P24);
# - the element-wise ones fail *because* they have too many (P16);
# - back-propagation in meta-training costs about $l\,n^3$ for $l$ layers of width $n$ (P25);
# - updating the encoder and the modulators in the outer loop only adds little (P26).
#
# The paper prints formulas here and no numbers. We compare the formulas with programs. The
# equations are in the [chapter](../../book/pnmta.md#the-encoder-modulator).
#
# ## Run
#
# We build the modulators for the fields of both data sets, as everywhere in this book ([D26](#d26)), and count their
# trained numbers. `metarec run pnmta.table45` counts and times again.
#
# ## Table 4: counted and printed

# %%
table45.encoder(page.records)

# %% [markdown]
# The printed formulas of the two element-wise rows are too large by the number of fields. They multiply the categories of *all* fields by the
# size of the whole interaction vector, as if every category had an embedding in every field. But the encoder has one matrix for each
# field, with rows of $d_{emb}$ numbers. So ‑E has twice the parameters of the encoder that it modulates, and not many times more.
#
# For ‑C the paper contradicts itself. {eq}`eq-pnmta-4` gives the bias the shape $\mathbb R^{d_{emb}}$, one vector for all categories of a
# field; the table counts a number for each category. We take the table's ([D30](#d30)).
#
# ## Table 5: counted and printed

# %%
table45.predictor(page.records)

# %% [markdown]
# All agree. The last row gives the scale: the two generators, with hidden layers of 64 units
# ([D29](#d29)), have more parameters than the network that they modulate.
#
# ## What each can express
#
# A count of parameters does not say which functions a modulator can express. Before the inner steps, the interaction vector goes straight into
# a linear layer, and
#
# $$
# W (v_x \odot \phi^w + \phi^b) + b = \big( W \operatorname{diag}\phi^w \big)\, v_x + \big( W \phi^b + b \big) ,
# $$
#
# so another first layer could do without them what ‑S, ‑SS and the bias of {eq}`eq-pnmta-4` do.
#
# **Check.** PNMTA on planted ratings, its modulators at random values, against the same network with the modulator taken out and the
# first layer folded: largest difference of a score.

# %%
ratings = unrolled.planted()
pairs = {k: folding.folded(ratings, k) for k in ("S", "SS", "bias")}
check.equal(
    {
        f"{folding.NAMES[k]}: largest difference | 0": (
            (modulated - alone).detach().abs().max(),
            0.0,
        )
        for k, (modulated, alone) in pairs.items()
    },
    heading="scores before adaptation",
)

# %%
modulated, alone = folding.folded(ratings, "C")
gap = (modulated - alone).detach().abs().max()
check.values(
    {"-C, weights: largest difference": gap}, heading="scores before adaptation"
)

# %% [markdown]
# The weights of the channel-wise modulator do not fold: no first layer gives one occupation more weight than another. At the other
# end, the bias of ‑E turns the frozen matrix into any matrix. So the six modulators form three groups: none (‑S,
# ‑SS), one or two numbers for each category (‑Cb, ‑C), and a free encoder in other coordinates (‑E, and nearly so ‑Eb). In training they are
# not equal: a modulator changes the task vector, the inner steps and the path of the optimiser. [Table
# 3](table3-modulators.ipynb) shows what that is worth.
#
# ## Section 3.5: multiply-adds
#
# The table counts one meta-step for one user of MovieLens-1M, for PNMTA as published with other widths $n$ of its two hidden layers. The
# derivation is in [Two loops](bilevel.ipynb).

# %%
table45.exponents(page.records)

# %% [markdown]
# ## Section 3.5: time
#
# Multiply-adds are not time. So we time the training step of this book, on batches of 32 tasks. The methods take turns
# on the same tasks, round after round.

# %%
step_times.times(page.records)

# %% mystnb={"figure": {"caption": "Time of a step of PNMTA over that of MAML-PT in the same round.", "name": "fig-pnmta-rounds"}, "image": {"alt": "Two panels, one for each data set: the ratio of PNMTA's to MAML-PT's step time against the number of the round. Points scatter around a solid median line a little above one; a dashed line at 1.25 marks the limit of the rule, with a few points beyond it."}}
step_times.rounds(page.records)

# %% [markdown]
# MAML-PT is the fair comparison: it takes the same inner steps and trains its whole encoder in the outer loop. PNMTA leaves the encoder
# alone and trains two generators instead. Most of the time goes into the inner loop and the gradient through it, as the rows *first
# order* and *2 steps* show.
#
# ## Verdict on each claim

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **The fields.** Other fields have other numbers of categories; the ratios of Table 4 are always the number of fields.
# - **The device.** The times are those of a processor, with the number of threads that the table names. On a GPU a step is launched as one
#   graph, and small products cost nearly nothing: the ratios would be closer to one.
# - **How it is computed.** We never build the Hessian and keep no copy of the first layer for each user. A program that does
#   would be slower for both methods.
# - **The generators** are as deep as we made them; the paper does not say.
#
# ## Provenance

# %%
page.stamp()
