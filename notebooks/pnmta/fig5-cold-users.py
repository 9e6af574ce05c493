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
# # PNMTA Figure 5: users to train on
#
# Meta-learning needs many tasks. Figure 5 of PNMTA {cite:p}`pang2022pnmta` takes training users away, and asks whether pretraining on users who
# are not cold makes up for them.

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full
track: str = "sound"  # sound, the one track of this figure
seeds: int = 5  # at most this many seeds of each point
device: str = "auto"  # auto | cpu | cuda; where a full or quick profile trains

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.pnmta import courses
from metarec.papers.pnmta.tables import GLOBAL_MEAN, PNMTA

page = open_page(
    "pnmta/fig5-cold-users",
    "pnmta.fig5",
    profile=profile,
    track=track,
    seeds=seeds,
    device=device,
)
page.short(
    f"With a fifth of the training users PNMTA's MAE on MovieLens-1M is "
    f"{courses.mean(page, PNMTA, 0.2, 'MovieLens-1M')}, with all of them "
    f"{courses.mean(page, PNMTA, 1.0, 'MovieLens-1M')}; MeLU's is "
    f"{courses.mean(page, 'MeLU', 0.2, 'MovieLens-1M')} and "
    f"{courses.mean(page, 'MeLU', 1.0, 'MovieLens-1M')}.",
)

# %% [markdown]
# ## What the paper shows and claims
#
# Three curves of MAE against the share of cold-start users in training. In our words:
#
# - every model gets better with more users (P31);
# - PNMTA, with and without full pretraining, beats MeLU at every share (P32);
# - the fewer cold-start users there are, the larger the lead of full pretraining (P33).
#
# ## Run
#
# The training users are shuffled once, and each share keeps the first of them; validation and test users stay the same ([D37](#d37)). With
# Full-PT, users outside the limits of 13 and 100 ratings are always there for pretraining. A fourth line, which is not in the
# paper, is the damped bias of user and item. On the command line: `metarec run pnmta.fig5`. Five seeds, as the rules
# of the claims ask.

# %%
page.conditions("sound")

# %% [markdown]
# ## The figure
#
# The paper prints no numbers for this figure. Its values of Table 2, at the default setting, are drawn as open orange marks on
# MovieLens-1M; our Book-Crossing is a part of theirs ([D25](#d25)), so there is nothing to compare with. Below the errors stand the
# differences, paired over the same users: filled marks are clear ones, where the test over users (with Holm's adjustment over the figure)
# and the interval over users and seeds agree.

# %% mystnb={"figure": {"caption": "MAE against the share of training users, sound track: means, 95 % intervals over seeds and single seeds; below, gains paired over users.", "name": "fig-pnmta-cold-users"}, "image": {"alt": "Two rows of panels, one column a data set. Above, MAE against the share of training users, one line a method with intervals over seeds and a dot a seed, and a dashed line for the mean of all ratings; open orange marks on MovieLens-1M are the values of the paper's Table 2 at the default. Below, the gains of PNMTA and its fully pretrained version over MeLU, of the latter over the former, and of PNMTA over the damped bias, paired over users, with intervals; filled marks are clearly apart from zero."}}
courses.figure(page, levels=(GLOBAL_MEAN,))

# %%
courses.table(page)

# %% [markdown]
# How to read it. A line that falls to the right is a method that learns from further users. The grey crosses are the damped bias, whose means
# of items get better with every user too; the dashed line is the mean of all ratings. The claim about full pretraining
# is about the third series of the lower panels: it should fall from left to right and start above zero.
#
# **MeLU needs many users, PNMTA gets by with few.** With a fifth of the training users MeLU is worse than the mean of all ratings on
# Book-Crossing and clearly behind PNMTA on both sets; PNMTA is hardly worse on Book-Crossing than with all of them. On MovieLens-1M the
# lead over MeLU is almost gone at 60 and 80 %, and back, small but standing, with all of them. With Full-PT the claim holds on MovieLens-1M
# at the smallest share alone; on Book-Crossing it holds throughout.
#
# **Full pretraining does not make up for missing users.** Where they are fewest, it is level with pretraining on the same users, on both sets. On
# MovieLens-1M, where the further users hold most of the ratings, its seeds scatter more than those of any other line, and from 40 % on
# its mean is the worst. Two runs diverged, one of them by the predictions of a single test user. It runs at the step sizes that
# the search found for PNMTA; a search of its own might have found smaller ones.
#
# **The damped bias needs few users as well.** Its line is the lowest on MovieLens-1M throughout, and PNMTA cannot be told from it on Book-Crossing.
#
# ## Verdict on each claim

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **What full pretraining adds.** On MovieLens-1M the users outside the limits hold more than four fifths of all ratings, on our part of
#   Book-Crossing three fifths; the paper's Book-Crossing is larger.
# - **The step sizes.** Searched once at the default setting ([D36](#d36)) and kept along the axis.
#
# ## Provenance

# %%
page.stamp()
