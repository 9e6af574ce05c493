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
# Meta-learning needs many tasks. Figure 5 of PNMTA {cite:p}`pang2022pnmta` takes training users away. It asks whether pretraining on users who
# are not cold can replace them.

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
    "MeLU needs many training users, PNMTA only few. Pretraining on further users does not replace "
    "missing ones.",
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
# paper, is the damped bias of user and item. There are five seeds. On the command line: `metarec run pnmta.fig5`.

# %%
page.conditions("sound")

# %% [markdown]
# ## The figure
#
# The paper prints no numbers for this figure. The open orange marks on MovieLens-1M are its values of Table 2, at the default setting. Our
# Book-Crossing is a part of theirs ([D25](#d25)), so nothing is compared there. The lower panels show
# differences, paired over the same users. Filled marks are clear differences: p is below 5 %, with Holm's adjustment over the figure.

# %% mystnb={"figure": {"caption": "MAE against the share of training users, sound track: means, 95 % intervals over seeds and single seeds; below, gains paired over users.", "name": "fig-pnmta-cold-users"}, "image": {"alt": "Two rows of panels, one column for each data set. Above, MAE against the share of training users, one line for each method with intervals over seeds and a dot for each seed, and a dashed line for the mean of all ratings; open orange marks on MovieLens-1M are the values of the paper's Table 2 at the default. Below, the gains of PNMTA and its fully pretrained version over MeLU, of the latter over the former, and of PNMTA over the damped bias, paired over users, with intervals; filled marks are clearly apart from zero."}}
courses.figure(page, levels=(GLOBAL_MEAN,))

# %%
courses.table(page)

# %% [markdown]
# A line that falls to the right belongs to a method that learns from further users. The means of items in the damped bias get better with
# further users too. The horizontal line is the mean of all ratings. The claim about full pretraining (P33) is about the gain of Full-PT over
# PNMTA in the lower panels: it should start above zero and fall from left to right.
#
# **MeLU needs many users, PNMTA only few.** With a fifth of the training users MeLU is worse than PNMTA on both sets, and on
# Book-Crossing clearly so and worse than the mean of all ratings too. On Book-Crossing PNMTA is hardly worse with this fifth than with all users, and
# PNMTA and Full-PT beat MeLU at every share. On MovieLens-1M PNMTA cannot be told from MeLU at shares of 60 and 80 %, and leads a little with
# all users; Full-PT beats MeLU there only at the smallest share.
#
# **Full pretraining does not replace missing users.** With the fewest users it cannot be told from pretraining on the same users, on both sets.
# On MovieLens-1M, where the further users have most of the ratings, its seeds scatter more than those of the other lines, and from 40 % on
# its mean error is the largest. Some of its runs diverged and are left out; the note under the table counts them. It has the step sizes that
# the search found for PNMTA; a search of its own might find smaller ones.
#
# **The damped bias needs few users as well.** On MovieLens-1M it has the smallest error at every share. On Book-Crossing PNMTA cannot be told
# from it.
#
# ## Verdict on each claim

# %%
page.claims()

# %% [markdown]
# ## What could differ
#
# - **What full pretraining adds.** The users outside the limits have most of the ratings, on MovieLens-1M more so than on our part of
#   Book-Crossing. The paper's Book-Crossing is larger.
# - **The step sizes.** They were searched once, at the default setting ([D36](#d36)), and are the same along the axis.
#
# ## Provenance

# %%
page.stamp()
