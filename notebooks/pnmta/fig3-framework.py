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
# # PNMTA Figure 3: the framework
#
# ## What the paper shows and claims
#
# Figure 3 of PNMTA {cite:p}`pang2022pnmta` shows the parts of the model and the three steps of its training: pretraining, which takes
# interactions, and meta-adaptation and meta-update, which take tasks. It is a plan, not a result. We draw it again from the program:
# each step is run once on planted ratings, and a box is coloured by what happened to its parameters.
#
# ## Parameters

# %% tags=["parameters"]
profile: str = "recorded"  # recorded | quick | full: the same, nothing is long

# %% [markdown]
# ## Run
#
# A group of parameters *takes part* in a step if shifting it changes the step's loss, and *moves* if it is different after the step.

# %%
from metarec.derivations import stages, unrolled
from metarec.papers.pnmta import fig3
from metarec.show import style

style.use_style()
roles = stages.roles(unrolled.planted())
roles

# %% [markdown]
# ## The framework

# %% mystnb={"figure": {"caption": "The three steps of PNMTA, as the program was seen to do them.", "name": "fig-pnmta-steps"}, "image": {"alt": "Three diagrams, one below the other. Pretraining: shuffled interactions pass the encoder and a predictor to a loss on all interactions; both are marked as moving, the two modulators as taking no part. Meta-adaptation: one task passes the encoder, changed by its modulator, and the predictor, changed by the generators that read the task vector; only the predictor moves. Meta-update: the same parts with a loss on the query of 32 tasks; the modulator, the generators and the predictor move and the encoder is held."}}
fig3.framework(roles)

# %% [markdown]
# The plan and the program agree: the encoder moves in the first step only, the predictor's copy alone in the second, and the predictor's
# start and both modulators in the third. The *first predictor*, that of pretraining, is never used again. What the drawing does not
# say is that the third step's gradient runs through all five rounds of the second; that is the subject of [Two loops](bilevel.ipynb).
#
# ## Verdict on each claim
#
# No claim of our ledger is decided by a plan. Who moves where is checked in [Two loops](bilevel.ipynb), and what each part is worth in
# [Table 3](table3-modulators.ipynb).
#
# ## What could differ
#
# - **Without pretraining**, the encoder moves in the third step ([D34](#d34)); so it does in the rows *w/o EM*
#   and MAML-PT, which have no encoder modulator.
# - **Meta-adaptation at test** is the same, with the labels of the new user's support.
#
# ## Provenance
#
# No stored run stands behind this page: the table and the colours are found when the notebook runs, by `metarec.derivations.stages`.
