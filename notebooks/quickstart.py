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
# # Quickstart: twenty plays in, a ranked list out
#
# Somebody new has played twenty songs. What should they hear next? This page trains a model that was made for this question,
# while you wait, and asks it. It needs no data and no GPU: the listeners and songs are invented, by a program that writes down what
# everybody truly likes, so at the end we can check.
#
# ## Parameters

# %% tags=["parameters"]
profile: str = "recorded"  # recorded | quick | full
device: str = "auto"  # auto | cpu | cuda
seed: int = 0  # another seed, another course of training

# %% [markdown]
# ## An invented music service
#
# Listeners come in six groups of taste, songs have genres, and some songs are played far more than others. A row says that a
# listener liked a song (1) or passed it over (0). The profile `full` has five times as many people; otherwise all profiles
# are the same here, because the real thing takes seconds.

# %%
import torch

from metarec.data import load
from metarec.papers import quickstart as taste
from metarec.recommend import learn
from metarec.show import progress, style
from metarec.tasks import make_episodes

style.use_style()
people = {"recorded": 1000, "quick": 1000, "full": 5000}[profile]
ratings = load("synthetic-implicit", n_users=people, n_items=150)
ratings.counts()

# %% [markdown]
# Every listener is a small learning problem of its own, a *task*. Twenty rows are the *support*, what we may know about the person; the
# others are held back. Listeners are split too: those of the test split are the newcomers, and training sees none of their rows.

# %%
splits = make_episodes(ratings, "tanp", n_support=20)
{name: len(part) for name, part in splits._asdict().items()}

# %% [markdown]
# ## Learn how to meet people
#
# The model is TaNP {cite:p}`lin2021tanp`, a small one. An encoder reads a person's plays, and what it reads reshapes the network that
# scores songs ([how](../book/tanp.md)). It meets every training listener forty times over, each time with other plays to go by.
# Double precision makes the same list come out on almost any machine.

# %%
torch.set_num_threads(1)  # so small a model is fastest on one
model = learn(
    ratings,
    "tanp",
    splits=splits,
    variant="film",
    user_identity="shared",
    decoder_sizes=(32,),
    context_min=3,
    cluster_target="intended",
    lr=0.01,
    epochs=40,
    seed=seed,
    device=device,
    dtype=torch.float64,
    progress=progress.bar(),
)

# %% mystnb={"figure": {"caption": "Training in two acts.", "name": "fig-quickstart-training"}, "image": {"alt": "Squared error in training against epochs. It falls steeply at first to a dashed line, the error of the best guess that knows songs but not listeners, stays there for many epochs, and then drops well below it."}}
taste.learning(model)

# %% [markdown]
# The dashed line is the error of a guess that looks at the song alone. The model gets there at once: *popularity is easy*. For a while
# that is all it knows. Then the curve falls again, and what it learns in this second act is people.
#
# ## Meet a newcomer
#
# Here is somebody from the test split, with their twenty plays. Songs and genres are numbers; invented ones have no names.

# %%
plays = taste.support_of(splits.test, 0)
taste.plays(ratings, plays)

# %% [markdown]
# One call ranks every song that is not among the plays. Nothing is trained for the newcomer.

# %%
recommended = model.recommend(plays, k=10)
taste.ranked(ratings, recommended)

# %% [markdown]
# `plays` is a dictionary from songs to 1 or 0, and all that the model was told. Change one of them and call again: the list follows.
#
# ## Is it any good?
#
# We wrote down what everybody likes, so we can look it up. Two newcomers with different tastes, and for each the ten songs of two
# lists: ours, and the ten most popular. The further right, the better; right of the dashed line are the ten best songs that the person
# had not played.

# %% mystnb={"figure": {"caption": "Ten recommended songs for each of two newcomers, by rank and by the planted chance that they like them.", "name": "fig-quickstart-lists"}, "image": {"alt": "Two panels, one a newcomer. Vertical: rank in the list, one to ten. Horizontal: true chance of liking the song. Filled blue dots, the songs recommended by TaNP, lie mostly on the right, many beyond the dashed line; hollow grey squares, the most popular songs, scatter further to the left."}}
popularity = learn(ratings, "popularity", splits=splits)
lists = {"TaNP": model, "popularity": popularity}
other = taste.someone_else(splits.test, 0)
pair = {"One newcomer": 0, "Another newcomer": other}
taste.lists(lists, splits.test, pair)

# %% [markdown]
# Two people prove nothing. Of the ten best new songs of *every* newcomer, how many are among the ten recommended? Popularity is not to be
# despised, which is why every table of this book carries it as a row; a random list is worth its row as well.

# %%
models = {**lists, "a random list": learn(ratings, "random", splits=splits)}
taste.scoreboard(taste.newcomers(models, splits.test))

# %% [markdown]
# And what is a play worth? The same newcomers, the same songs to be found, fewer plays to go by:

# %% mystnb={"figure": {"caption": "How many of a newcomer's ten best new songs are found, by the number of plays that the model may see. Bars: 95 % intervals over newcomers.", "name": "fig-quickstart-plays"}, "image": {"alt": "Share of the ten best songs found against the number of plays known, 1 to 20. The blue curve of TaNP starts near the flat grey line of popularity with one play and rises steadily, steeply at first, to stand well above it at twenty. A dotted line for a random list lies far below both."}}
taste.by_plays(models, splits.test, (1, 2, 3, 5, 10, 15, 20))

# %% [markdown]
# With a single play the model does about what a shopkeeper does with a stranger, and offers what sells. With every further play it
# knows better. That is the whole idea of this book in one curve, and on planted data it works as it should. On the data sets of the papers
# the curves are harder won: [Table 4](tanp/table4-lastfm.ipynb) finds no gain of TaNP over popularity that could be told from noise.
#
# :::{admonition} What was chosen, and why
# :class: note
# The options above are ours, found on this invented data, and not the paper's. Two matter. `user_identity="shared"`: in the paper each
# listener also has an embedding of their own, which lets training explain people by who they are instead of by what
# they played; a newcomer's was never trained. `decoder_sizes=(32,)`: with the released three modulated layers the second act
# of training begins later, and for some seeds not in forty epochs. Try both.
# :::
#
# ## With your own data
#
# A data frame with a user, an item and a label in each row is enough. Rows that cannot be right are refused by their number. Here
# the frame is made from the invented service, to show the form:

# %%
import pandas as pd

from metarec.data import from_frame

frame = pd.DataFrame(
    {
        "listener": ratings.users[ratings.user],
        "song": ratings.items[ratings.item],
        "liked": ratings.label.astype(int),
    }
)
frame.head(3)

# %%
mine = from_frame(
    frame, user="listener", item="song", label="liked", kind="implicit"
)
mine.counts()

# %% [markdown]
# From here on it is the same three calls: `make_episodes`, `learn`, `recommend`. Star ratings work alike, with `kind="explicit"`;
# tables of user and item fields go in as `user_fields` and `item_fields` ([more](../book/data.md)).
#
# ## On a GPU
#
# `device="auto"` takes one if it is there. Everything is batched over tasks, so nothing else changes; `profile="full"` above gives it
# something to do. Several seeds, or several settings, train as one program: that is how the experiments of this book are run, from
# a notebook or from the command line.
#
# ```bash
# metarec run                      # lists the experiments
# metarec run tanp.table4 --profile quick
# ```
#
# ## Where to go next
#
# - **What is being learnt:** [Foundations](../book/foundations.md) puts the task, the two ways to adapt, and what metrics give away
#   on two pages.
# - **Why the loss looks as it does:** [From evidence to loss](tanp/elbo.ipynb), a derivation that checks itself.
# - **Real data:** [Table 2](tanp/table2-datasets.ipynb) counts it, [Table 4](tanp/table4-lastfm.ipynb) compares the paper with ours, row by
#   row and with intervals.
# - **Your turn:** change `seed`, `n_support` or the size of the world, and see when the second act does not come.
