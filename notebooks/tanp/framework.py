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
# # TaNP Figures 1 and 2: the framework
#
# The first two figures of TaNP {cite:p}`lin2021tanp` are drawings. Here programs draw them again from real objects:
# three users of planted data, whose tastes are known, and a training pass through the model.
#
# ## What the paper shows and claims
#
# Figure 1 introduces three users. The purchases of *a* and *c* are alike and those of *b* are different. So what is learnt about
# *a* should help with *c*: some tasks are closely related and some are not. Figure 2 shows the model in
# training: encoder, customisation module and decoder, with what flows between them. No claim rests on
# either figure. The pool of clusters is meant to capture how tasks are related. [Figure 5](fig5-sensitivity.ipynb) shows what it
# captures on Last.FM.
#
# ## Parameters

# %% tags=["parameters"]
profile: str = "recorded"  # recorded | quick | full
variant: str = "gating"  # gating | film

# %% [markdown]
# ## Run
#
# Nothing is trained: `recorded` and `quick` are the same, and `full` takes the episodes of Last.FM for Figure 2.

# %%
import torch

from metarec.data import Schema, load
from metarec.methods import initialised, make
from metarec.papers.tanp import framework
from metarec.papers.tanp.tables import LASTFM
from metarec.show import style
from metarec.tasks import EpisodeTensors, make_episodes

style.use_style()
planted = load("synthetic-implicit", n_items=150)
train = make_episodes(planted, "tanp").train

# %% [markdown]
# ## Figure 1: related tasks
#
# Every grey dot is an item, placed by the two directions in which items differ most. Filled marks are items that a user liked in the
# support, rings are items that the user liked in the query.

# %% mystnb={"figure": {"caption": "Three users and the items they like. Users a and c belong to one planted group, b to the group whose taste is least like theirs.", "name": "fig-tanp-example"}, "image": {"alt": "Three scatter plots of the same cloud of grey items. The liked items of user a and of user c, filled for the support and ringed for the query, lie in the same part of the cloud; those of user b lie in another part."}}
people = dict(
    zip(("user a", "user b", "user c"), framework.three(train), strict=True)
)
framework.tastes(train, people)

# %%
framework.alike(train, people)

# %% [markdown]
# A model sees only the support of each user, a few likes. The true tastes show clearly that *a* and *c* are related. The filled marks
# show it much less clearly. This makes the task difficult.
#
# ## Figure 2: the framework
#
# A batch of 32 tasks goes through the model as in training. Beside an arrow stands the shape of what it carries,
# `[tasks, interactions, width]` or `[tasks, width]`. In a box that all users share stands the number of its parameters. Amber boxes exist
# once for each user.

# %% mystnb={"figure": {"caption": "TaNP in the training phase, with the shapes of one pass. Blue: shared by all users. Amber: one for each user. Grey: the terms of the loss.", "name": "fig-tanp-training"}, "image": {"alt": "Flow chart. Target and context of a user enter the embedding, whose outputs v and u go to the encoder h and to the identity network m. The encoder leads to two Gaussians, one given the target and one given the context, joined by the divergence term of the loss; z is drawn from the first and goes to the decoder. The identity network gives t, which is compared with the pool A to give the assignment c and the task embedding o, and o modulates the decoder. The decoder gives the predictions and with them the error term; the assignments of all tasks give the clustering term."}}
ratings = planted
if profile == "full":
    rules = LASTFM.protocol("published", "full")
    ratings = rules.ratings()
    train = rules.splits(ratings, 0).train
with initialised(0):
    model = make("tanp", Schema.of(ratings), variant=variant)
batch = EpisodeTensors(train).batch(torch.arange(32))
shapes = framework.trace(model, batch, torch.Generator().manual_seed(0))
counts = framework.sizes(model)
framework.framework(shapes, counts)

# %% [markdown]
# Three details are easy to miss.
#
# - **The context is inside the target.** In the released program the two sets on the left are drawn so that the target contains
#   the context and may equal it ([D13](#d13)).
# - **The user's part of the input has one row.** $\mathbf u$ is `[tasks, 1, 16]`: an embedding of the user's identity, the same for all of
#   their interactions. For a test user it was never trained.
# - **Most parameters are identities.** The first embedding layer has one row for each user and item. The table sets the model above
#   beside the one for Last.FM, with the numbers of users and items of [Table 2](table2-datasets.ipynb).

# %%
with initialised(0):
    released = framework.sizes(
        make("tanp", framework.lastfm(), variant=variant)
    )
framework.compared({"This page": counts, "Last.FM": released})

# %% [markdown]
# ## Verdict on each claim
#
# None is decided here.
#
# ## What could differ
#
# The paper's Figure 2 draws three layers in every module and prints no sizes. The sizes above are those of the released run script
# ([D14](#d14)). The parameter `variant` sets the variant of the decoder.
#
# ## Provenance
#
# Everything on this page is computed when it runs, from seeded generators. Weights are initial ones: shapes and counts do not depend on
# training.
