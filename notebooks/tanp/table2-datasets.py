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
# A table of data sets is easily skipped. This one is worth a stop: the ratings that it counts for Last.FM, and it seems for Gowalla, are half
# sampled negatives, a filter that the paper states cannot be the one that was used, and what is left after the filters decides
# how much there is to win in every table that follows.

# %% tags=["parameters", "hide-input"]
profile: str = "recorded"  # recorded | quick | full

# %% tags=["hide-input"]
from metarec.papers import open_page
from metarec.papers.tanp import filters, queries, table2

page = open_page("tanp/table2-datasets", "tanp.table2", profile=profile)
page.short(
    queries.said(page.records),
)

# %% [markdown]
# ## What the paper shows and claims
#
# Table 2 of TaNP {cite:p}`lin2021tanp` gives users, items and ratings of MovieLens-1M, Last.FM and a part of Gowalla, and whether
# ratings are explicit and items have content. The text adds that users with 40 to 200 interactions are kept, that users are
# split 7 : 1 : 2, that a support has 20 interactions, and that negatives are generated for the query sets. No claim is tied to the
# table. What follows counts the files again, follows the released program through its filters, and asks of the 66 test users of
# Last.FM what a ranker can score who knows nothing about them.
#
# ## Run
#
# `recorded` reads the committed counts, which hold aggregates only; `quick` counts planted data in their place. `full` reads the
# real files again, as `metarec run tanp.table2` does; where to get them is said on the page [Data](../../book/data.md).
#
# ## The paper and ours

# %%
table2.counts(page.records)

# %% [markdown]
# MovieLens-1M is used whole; its items are the movies that somebody rated. Last.FM comes out to the last row. For Gowalla the paper
# takes "a part of interactions" and does not say which part; what is counted is an extract that stands in for it, see
# [below](#gowalla).
#
# ### How Last.FM became 42,346 rows
#
# The rows that TaNP's authors distribute are those of another project, MKR {cite:p}`wang2019mkr`, which cut HetRec's listening data
# {cite:p}`cantador2011hetrec` to the artists that it found in a knowledge graph. TaNP has no use for the graph; the cut stayed.

# %%
filters.steps(page.records)

# %% [markdown]
# The last step but one is the one to remember. MKR draws one negative for each positive, evenly from all artists whom the user did
# not play, and writes both into one file. The *ratings* of Table 2 are therefore half positives and half draws, and since the
# released program shuffles a user's rows before it cuts them into support and query, **about half of a support is negative too**
# ([D18](#d18)). That is not what the paper describes, and it is why a support of 20 tells about ten artists that were liked.
#
# ### Who is kept

# %% mystnb={"image": {"alt": "Three histograms of the number of interactions a user has. Left, MovieLens-1M on a logarithmic axis from 20 to 2000, with a shaded band from 30 to 200 that holds three users in five. Middle, Last.FM from 2 to 56 with its peak near 22; the shaded part from 30 upwards holds the right tail only. Right, our extract of Gowalla, again on a logarithmic axis, falling from its first bin at 30; the band from 30 to 200 leaves out the far end of the tail."}}
kept = {"ml-1m": (30, 200), "lastfm-tanp": (30, 200), "gowalla": (30, 200)}
table2.lengths(page.records, kept)

# %% [markdown]
# On Last.FM the longest history has 56 rows, positives and negatives together. A lower limit of 40 would leave a few dozen users in
# all, so it cannot have been used; the released program asks for support plus ten, 30 rows, and that gives exactly the users in the
# archive ([D17](#d17)). On MovieLens-1M, where 40 would be possible, the numbers of [Table 3](table3-movielens.ipynb) say 30 as well.
# The program filters *after* the split, so the shares of the three splits are those of all users, and it
# removes from test histories the artists that no training user has ([D21](#d21)).

# %%
queries.episodes(page.records)

# %% [markdown]
# The first row is the archive's own: 248, 35 and 66 users. Given the seed, the shuffles of Python's generator can be repeated draw by
# draw, and our episodes equal the distributed ones interaction by interaction (a test holds them to it). The other two rows are
# what the same program makes of smaller supports: more users, because the limit moves along. Figure 3 of the paper compares
# them ([D20](#d20)).
#
# ## Before anything is learnt
#
# A query on Last.FM holds ten to 28 candidates, half of them negatives. For each query the released metrics have a worst and a best
# order, and the expectation over random orders is known exactly ([Foundations](../../book/foundations.md)). The figure
# draws these for the test users, with one row that knows the items and not the user: popularity, how often the training users
# liked an artist.

# %% mystnb={"image": {"alt": "Three panels, precision, NDCG and MAP as released, each with a bar at 5, 7 and 10. A bar runs from the worst order to the perfect one at 100 per cent; its darker part, below a solid line for popularity, is won without knowing the user. A dotted line marks the random order. Open orange circles, the best values printed in Table 4, lie on or just above the popularity lines in all nine columns."}}
queries.room(page.records)

# %% [markdown]
# Everything below the solid lines is available to a program that ranks the same items alike for everybody. The circles, the best
# value of any method in each column of the paper's Table 4, lie on the lines or a little above them.
#
# ### Why precision at ten starts so high
#
# The released precision compares *values* of labels ([D15](#d15)). With $n_1$ liked candidates and $N > n_1$ places,
# the list of the $N$ best labels ends in $N - n_1$ zeros, and each pays for one negative shown:
#
# $$
# P_{\text{value}}@N = \frac{h + \max(0, N - n_1)}{N} \;\ge\; 1 - \frac{n_1}{N} .
# $$
#
# Where the negatives run out before the places do, even the worst order has to show liked items, and starts higher still.

# %%
queries.gifts(page.records)

# %% [markdown]
# In the standard form only a liked item is a hit. The gifts are gone, and with them the ceiling of 100: a user with six liked
# candidates cannot have ten hits. What the form of the metric does not change is that popularity reaches most of what there is.

# %% mystnb={"image": {"alt": "The same three panels for the standard metrics. The bars for precision end below 100 per cent, at 10 lowest, because a query may hold fewer liked items than places; the worst order of precision lies far lower than before. Popularity again covers most of each bar, and the random order lies between a third and two thirds of the way."}}
queries.room(page.records, prefix="std:")

# %% [markdown]
# (gowalla)=
# ## Gowalla
#
# The paper's Gowalla has 2,692 users, a small part of any public version, and twice 67,238 rows. The version in common use among
# recommenders is that of NGCF {cite:p}`wang2019ngcf`. Simple rules on its files come near one or two counts at a time and
# never near all three.

# %%
filters.near_misses(page.records)

# %% [markdown]
# One of them has the exact number of users, another all but 16 of the ratings. Two hits among the many rules that one can try prove
# nothing. What stands in for the paper's extract is the last rule, for it has one number only and a reason for that one: with a
# negative for each positive, 15 places are the 30 rows that the released filter asks of a user. It comes within about a per cent of the
# paper's users and places and has a seventh more rows. Counts and results on it are marked as not comparable ([D19](#d19)).
#
# ## Verdict on each claim
#
# No claim of our ledger is decided by Table 2. Of its nine counts, six are confirmed from the files and three cannot be.
#
# ## What could differ
#
# - **Another copy.** HetRec and MKR have each been mirrored. The checksums below are those of the rating tables that were counted;
#   `metarec data verify` compares files with them.
# - **Another order.** The split depends on the order of a list of users that came out of a Python set. The archive ships one order
#   and we use it; a fresh run of the preprocessing gives another split, with other users.
# - **MovieLens-1M episodes.** The preparation of that set was not released. The window drawn above is the one that fits the paper's
#   numbers, see [Table 3](table3-movielens.ipynb).
#
# ## Provenance

# %%
page.stamp()
