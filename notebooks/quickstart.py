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
# Somebody new has played twenty songs. What should they hear next? This page trains a model for this question,
# while you wait, and asks it. It needs no data and no GPU. A program invents the listeners and the songs. It knows what
# everybody truly likes, so at the end we can check the answers.
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
# listener liked a song (1) or did not (0). The profile `full` has five times as many people; otherwise all profiles
# are the same here, because training takes only seconds.

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
# Every listener is a small learning problem, a *task*. Twenty rows are the *support*: the model may see them. The
# other rows are held back. Listeners are split too: those of the test split are the newcomers, and training sees none of their rows.

# %%
splits = make_episodes(ratings, "tanp", n_support=20)
{name: len(part) for name, part in splits._asdict().items()}

# %% [markdown]
# ## Train the model
#
# The model is a small TaNP {cite:p}`lin2021tanp`. An encoder reads a person's plays, and the result changes the network that
# scores songs ([how](../book/tanp.md)). The model sees every training listener forty times, each time with other plays as context.
# With double precision the list is the same on almost any machine.

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

# %% mystnb={"figure": {"caption": "The training error falls in two phases.", "name": "fig-quickstart-training"}, "image": {"alt": "Squared error in training against epochs. It falls steeply at first to a dashed line, the error of the best guess that knows songs but not listeners, stays there for many epochs, and then drops well below it."}}
taste.learning(model)

# %% [markdown]
# The dashed line is the error of a guess that knows the song and not the listener. The model soon reaches it: *popularity is easy*. For a
# while the model knows only that. Then the curve falls again: in this second phase the model learns to tell people apart.
#
# ## A newcomer
#
# Here is somebody from the test split, with twenty plays. Songs and genres are numbers, because invented ones have no names.

# %%
plays = taste.support_of(splits.test, 0)
taste.plays(ratings, plays)

# %% [markdown]
# One call ranks every song that is not among the plays. Nothing is trained for the newcomer.

# %%
recommended = model.recommend(plays, k=10)
taste.ranked(ratings, recommended)

# %% [markdown]
# `plays` is a dictionary from songs to 1 or 0. The model was told nothing else. Change one of them and call again: the list changes.
#
# ## Is the list good?
#
# The program knows what everybody likes, so we can check. The figure shows two newcomers with different tastes, and for each the ten songs
# of two lists: ours, and the ten most popular. Further right is better; right of the dashed line are the ten best songs that the person
# had not played.

# %% mystnb={"figure": {"caption": "Ten recommended songs for each of two newcomers, by rank and by the planted chance that they like them.", "name": "fig-quickstart-lists"}, "image": {"alt": "Two panels, one a newcomer. Vertical: rank in the list, one to ten. Horizontal: true chance of liking the song. Filled blue dots, the songs recommended by TaNP, lie mostly on the right, many beyond the dashed line; hollow grey squares, the most popular songs, scatter further to the left."}}
popularity = learn(ratings, "popularity", splits=splits)
lists = {"TaNP": model, "popularity": popularity}
other = taste.someone_else(splits.test, 0)
pair = {"One newcomer": 0, "Another newcomer": other}
taste.lists(lists, splits.test, pair)

# %% [markdown]
# Two people prove nothing. So we ask of *every* newcomer: how many of the ten best new songs are among the ten recommended ones?
# Popularity does well too. Therefore every table of this book has rows like it, and a row for a random list.

# %%
models = {**lists, "a random list": learn(ratings, "random", splits=splits)}
taste.scoreboard(taste.newcomers(models, splits.test))

# %% [markdown]
# How much is one play worth? The newcomers and the songs to be found are the same, and the model sees fewer plays:

# %% mystnb={"figure": {"caption": "How many of a newcomer's ten best new songs are found, by the number of plays that the model may see. Bars: 95 % intervals over newcomers.", "name": "fig-quickstart-plays"}, "image": {"alt": "Share of the ten best songs found against the number of plays known, 1 to 20. The blue curve of TaNP starts near the flat grey line of popularity with one play and rises steadily, steeply at first, to stand well above it at twenty. A dotted line for a random list lies far below both."}}
taste.by_plays(models, splits.test, (1, 2, 3, 5, 10, 15, 20))

# %% [markdown]
# With a single play the model recommends little more than what is popular. With every further play its list gets better. This curve is the
# idea of the book, and on planted data it works as it should. On the data sets of the papers it is harder:
# [Table 4](tanp/table4-lastfm.ipynb) finds no gain of TaNP over popularity that can be told from noise.
#
# :::{admonition} What was chosen, and why
# :class: note
# The options above are ours, found on this invented data, and not the paper's. Two matter. `user_identity="shared"`: in the paper each
# listener also has an embedding. With it, training can learn people by their identity instead of by what
# they played, and the embedding of a newcomer is untrained. `decoder_sizes=(32,)`: with the three modulated layers of the released program
# the second phase of training begins later, and for some seeds not within forty epochs. Try both.
# :::
#
# ## With your own data
#
# A data frame with a user, an item and a label in each row is enough. Rows that cannot be right are refused, with their number. Here
# the frame comes from the invented service, to show the form:

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
# The next three calls are the same: `make_episodes`, `learn`, `recommend`. Star ratings work alike, with `kind="explicit"`;
# tables of user and item fields go in as `user_fields` and `item_fields` ([more](../book/data.md)).
#
# ## On a GPU
#
# `device="auto"` takes a GPU if there is one. Everything is batched over tasks, so nothing else changes. Several seeds, or several settings,
# train as one program. The experiments of this book run in this way, from a notebook or from the command line.
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
# - **Your turn:** change `seed`, `n_support` or the number of people, and see when the second phase does not come.
