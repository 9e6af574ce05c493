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
# # PNMTA Figure 9: training curves
#
# Figure 9 of PNMTA {cite:p}`pang2022pnmta` shows the error on test users during meta-training. With it the paper argues that pretraining
# and modulation make training better and also steadier.

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "both"  # both | published | sound
seeds: int = 5  # at most this many seeds of each method
device: str = "auto"  # auto | cpu | cuda; where a full or quick profile trains

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import fig9

page = open_page(
    "pnmta/fig9-training-curves",
    "pnmta.table2",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    "The pretrained models start better, as the paper says. Then they overfit, and at the last epoch "
    "MeLU has the smallest error.",
    fig9.at_the_end(page, "MovieLens-1M"),
    fig9.at_the_end(page, "Book-Crossing"),
)

# %% [markdown]
# ## What the paper shows and claims
#
# MAE on the test users of MovieLens-1M by epoch, for MeLU, MAML-PT and PNMTA, with bars for the gaps between them. In our words:
#
# - PNMTA is significantly ahead of MeLU at every epoch (P45), and MAML-PT is ahead of MeLU (P46);
# - MAML-PT's curve is unstable and PNMTA's steady (P47);
# - at first PNMTA and MAML-PT are about equal (P48), then PNMTA pulls away (P49);
# - after pretraining a few epochs are enough (P27);
# - feeding a model one user at a time weakens it (P11; the runs are those of [Figure 1](fig1-data-stream.ipynb)).
#
# ## Run
#
# The curves are those of the runs of [Table 2](table2-comparison.ipynb): test errors on the published track, validation errors on the
# sound one. On the command line: `metarec run pnmta.table2`. For each epoch only means over users are recorded, so intervals here are over
# seeds, by Student's t.

# %%
page.conditions("published", "MovieLens-1M")

# %% [markdown]
# ## The figure
#
# PNMTA and MAML-PT have the paper's step sizes. MeLU has those of our search and was trained for 30 epochs; the first 15 are shown.

# %% mystnb={"figure": {"caption": "MAE on test users along meta-training, MovieLens-1M, published track. Thin lines: seeds; thick: mean of the seeds that have not diverged. Right: gaps with 95 % intervals over seeds. MeLU begins above the frame.", "name": "fig-pnmta-fig9"}, "image": {"alt": "Two panels over 15 epochs on MovieLens-1M. Left, MAE on test users: PNMTA starts low, falls for a few epochs and then rises; MAML-PT does the same a little higher and rises faster; MeLU starts above the frame, falls all the way, crosses both and ends lowest. A dashed line, the damped user and item bias, lies below all curves. Right, gaps with intervals: PNMTA's lead over MeLU shrinks to nothing and turns negative; its lead over MAML-PT is small and widens towards the end."}}
fig9.figure(page, "MovieLens-1M")

# %% [markdown]
# The first epochs look as in the paper: PNMTA starts lowest, MAML-PT is close to it, and MeLU is far above. Later the pictures differ. The
# gap between PNMTA and MAML-PT widens, as in the paper, but because both get worse. Both pretrained models are at their best after a few
# epochs. Then they fit their training users better and test users worse, MAML-PT more than PNMTA. MeLU starts without pretraining, with
# smaller steps, and becomes better than both. The sound track of [Table 2](table2-comparison.ipynb) chooses the epoch on validation users,
# and there PNMTA and MAML-PT have smaller mean errors than MeLU.
#
# So the pretrained encoder helps where training is short. At the paper's step sizes a few epochs are enough, and more of them hurt. The
# verdict on that claim (P27) is about validation users and searched step sizes.
#
# ## The same on Book-Crossing
#
# The paper shows MovieLens-1M only. Here is our part of Book-Crossing ([D25](#d25)), for comparison:

# %% mystnb={"figure": {"caption": "The same on a part of Book-Crossing, published track. MeLU begins above the frame, and MAML-PT lies above it throughout.", "name": "fig-pnmta-fig9-books"}, "image": {"alt": "Two panels over 15 epochs on a part of Book-Crossing. PNMTA starts lowest and rises slowly; MeLU falls from above the frame and crosses it late; MAML-PT stays above the frame. The dashed line of the damped user and item bias lies below."}}
fig9.figure(page, "Book-Crossing")

# %% [markdown]
# The whole curve of MAML-PT lies above the frame: it does not recover from its start. PNMTA has no such trouble, as the paper
# says. The reason is the modulator of the predictor, not the frozen encoder: in
# [Table 3](table3-modulators.ipynb) a free encoder with FiLM does about as well as PNMTA, and a frozen and modulated encoder without a
# predictor modulator does no better than MAML-PT.
#
# ## Verdict on each claim

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **Which epochs.** The paper counts epochs of meta-training; pretraining comes before and is not shown.
# - **MeLU's step sizes.** They come from our search ([D36](#d36)). With a smaller outer step its curve starts higher and crosses the others
#   later; its end changes less.
# - **The order of histories.** Here it is the order of time ([D24](#d24)).
#
# ## Provenance

# %%
page.stamp()
