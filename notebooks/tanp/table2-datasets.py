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
# # TaNP Table 2: the data sets
#
# This page counts the data sets of TaNP again. It finds three things. Half of the ratings that the table counts for Last.FM, and it
# seems for Gowalla, are sampled negatives. A filter that the paper states cannot be the one that was used. What is left after the
# filters decides how much a method can win in the tables that follow.

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.tanp import filters, queries, table2

page = open_page("tanp/table2-datasets", "tanp.table2", profile=profile)
page.short(
    "The counts of MovieLens-1M and of Last.FM are those of the paper; the paper's part of Gowalla "
    "cannot be found again.",
    queries.said(page.records),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Table 2 of TaNP {cite:p}`lin2021tanp` gives users, items and ratings of MovieLens-1M, Last.FM and a part of Gowalla, and whether
# ratings are explicit and items have content. The text adds that users with 40 to 200 interactions are kept, that users are
# split 7 : 1 : 2, that a support has 20 interactions, and that negatives are generated for the query sets. No claim is tied to the
# table. Here we count the files again and follow the released program through its filters. Then we ask what a ranker scores on the
# test users of Last.FM if it knows nothing about them.
#
# ## Run
#
# `metarec run tanp.table2` counts the real files again. The page [Data](../../book/data.md) says where to get them.
#
# ## The paper and ours

# %%
table2.counts(page.records)

# %% [markdown]
# MovieLens-1M is used whole; its items are the movies that somebody rated. Every count of Last.FM is the paper's. For Gowalla the paper
# takes "a part of interactions" and does not say which part. We count an extract that stands in for it, see [below](#gowalla).
#
# ### How Last.FM became 42,346 rows
#
# The rows that TaNP's authors distribute are those of another project, MKR {cite:p}`wang2019mkr`, which cut HetRec's listening data
# {cite:p}`cantador2011hetrec` to the artists that it found in a knowledge graph. TaNP has no use for the graph; the cut stayed.

# %%
filters.steps(page.records)

# %% [markdown]
# One step matters for all that follows. MKR draws one negative for each positive, evenly from all artists whom the user did
# not play, and writes both into one file. So the *ratings* of Table 2 are half positives and half draws. The released program shuffles a
# user's rows before it cuts them into support and query. Therefore **about half of a support is negative too** ([D18](#d18)). The paper
# does not describe this. A support of 20 rows tells of only about ten artists that the user liked.
#
# ### Who is kept

# %% mystnb={"image": {"alt": "Three histograms of the number of interactions a user has. Left, MovieLens-1M on a logarithmic axis from 20 to 2000, with a shaded band from 30 to 200 that holds most users. Middle, Last.FM on a short axis with one peak; the shaded part from 30 upwards holds the right tail only. Right, our extract of Gowalla, again on a logarithmic axis, falling from its first bin at 30; the band from 30 to 200 leaves out the far end of the tail."}}
kept = {"ml-1m": (30, 200), "lastfm-tanp": (30, 200), "gowalla": (30, 200)}
table2.lengths(page.records, kept)

# %% [markdown]
# Histories on Last.FM are short, even with positives and negatives together. A lower limit of 40 would leave very few users, so it
# cannot have been used. The released program asks for support plus ten, that is 30 rows, and this gives exactly the users in the
# archive ([D17](#d17)). On MovieLens-1M a limit of 40 would be possible, but the numbers of [Table 3](table3-movielens.ipynb) say 30 as
# well. The program filters *after* the split, so the shares of the three splits are those of all users. It also removes from test
# histories the artists that no training user has ([D21](#d21)).

# %%
queries.episodes(page.records)

# %% [markdown]
# The first row has the users of the archive. With the released seed, the shuffles of Python's generator can be repeated draw by
# draw, and our episodes equal the distributed ones interaction by interaction (a test checks it). The other two rows are
# what the same program makes of smaller supports: more users, because the limit falls with the support. Figure 3 of the paper compares
# them ([D20](#d20)).
#
# ## Before anything is learnt
#
# A query on Last.FM holds ten candidates or a few more, half of them negatives. For each query the released metrics have a worst and a best
# order, and the expectation over random orders is known exactly ([Foundations](../../book/foundations.md)). The figure
# shows these for the test users. It also shows popularity, that is how often the training users liked an artist. Popularity knows the
# items and not the user.

# %% mystnb={"image": {"alt": "Three panels, precision, NDCG and MAP as released, each with a bar at 5, 7 and 10. A bar runs from the worst order to the perfect one at 100 per cent; its darker part, below a solid line for popularity, is won without knowing the user. A dotted line marks the random order. Open orange circles, the best values printed in Table 4, lie on or just above the popularity lines in all nine columns."}}
queries.room(page.records)

# %% [markdown]
# The solid lines show what a program reaches that gives everybody the same order of items. The circles are the best
# value of any method in each column of the paper's Table 4. They lie on the lines or a little above them.
#
# ### Why precision at ten starts so high
#
# The released precision compares *values* of labels ([D15](#d15)). With $n_1$ liked candidates and $N > n_1$ places,
# the list of the $N$ best labels ends in $N - n_1$ zeros. Each of these zeros counts one shown negative as right:
#
# $$
# P_{\text{value}}@N = \frac{h + \max(0, N - n_1)}{N} \;\ge\; 1 - \frac{n_1}{N} .
# $$
#
# Where a query has fewer negatives than places, even the worst order has to show liked items, and its precision is higher still.

# %%
queries.gifts(page.records)

# %% [markdown]
# In the standard form only a liked item is a hit. No point is given away any more. The ceiling is below 100 now, because a user with six liked
# candidates cannot have ten hits. In this form too, popularity reaches most of what can be reached.

# %% mystnb={"image": {"alt": "The same three panels for the standard metrics. The bars for precision end below 100 per cent, at 10 lowest, because a query may hold fewer liked items than places; the worst order of precision lies far lower than before. Popularity again covers most of each bar, and the random order lies in its middle part."}}
queries.room(page.records, prefix="std:")

# %% [markdown]
# (gowalla)=
# ## Gowalla
#
# The paper's Gowalla has 2,692 users and 134,476 rows, a small part of any public version. The version in common use among
# recommenders is that of NGCF {cite:p}`wang2019ngcf`. We tried simple rules on its files. Each comes near one or two of the paper's
# counts, none near all three.

# %%
filters.near_misses(page.records)

# %% [markdown]
# One rule has the exact number of users, another almost the number of ratings. One can try many rules, so two hits prove
# nothing. We take the last rule as a stand-in. It has one number only, and there is a reason for this number: with a
# negative for each positive, 15 places are the 30 rows that the released filter asks of a user. Its users and places are close to the
# paper's in number; its rows are more. Counts and results on it are marked as not comparable ([D19](#d19)).
#
# ## Verdict on each claim
#
# Table 2 decides no claim. The counts of MovieLens-1M and Last.FM are confirmed from the files; those of Gowalla cannot be.
#
# ## What could differ
#
# - **Another copy.** HetRec and MKR have each been mirrored. The checksums below are those of the rating tables that were counted;
#   `metarec data verify` compares files with them.
# - **Another order.** The split depends on the order of a list of users that came out of a Python set. The archive has one order
#   and we use it. A new run of the preprocessing gives another split, with other users.
# - **MovieLens-1M episodes.** The preparation of that set was not released. The range of lengths above is the one that fits the paper's
#   numbers, see [Table 3](table3-movielens.ipynb).
#
# ## Provenance

# %%
page.stamp()
