"""The quickstart's tables and figures: a newcomer's plays, a ranked list, and the truth beside both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.data import Ratings
from metarec.show import html, style
from metarec.stats.intervals import interval
from metarec.tasks import Episodes

if TYPE_CHECKING:
    from metarec.recommend import Recommender


def support_of(episodes: Episodes, task: int) -> dict[Any, float]:
    """The support of one task as plays: raw item id to label."""
    rows = episodes.rows[episodes.offsets[task] :][: episodes.n_support[task]]
    ratings = episodes.ratings
    return dict(zip(ratings.items[ratings.item[rows]].tolist(), ratings.label[rows].tolist(), strict=True))


def someone_else(episodes: Episodes, task: int) -> int:
    """The first task whose user belongs to another planted group than that of `task`."""
    assert episodes.ratings.truth is not None
    group = episodes.ratings.truth.user_group[episodes.task]
    return int(np.argmax(group != group[task]))


def plays(ratings: Ratings, given: Mapping[Any, float]) -> html.Html:
    """What somebody played: liked items first, with their fields."""
    rows = []
    for liked in (True, False):
        chosen = [item for item, label in given.items() if (label > 0) == liked]
        words = "liked" if liked else "passed over"
        rows.append((f"{words} ({len(chosen)})", [_items(chosen), _common(ratings, chosen)]))
    caption = "Twenty plays" if len(given) == 20 else f"{len(given)} plays"
    columns = ["Songs", "Most frequent genres"]
    return html.Html(html.table(columns, {"": rows}, caption=caption, corner="Play"), caption)


def ranked(ratings: Ratings, found: pd.DataFrame) -> html.Html:
    """A ranked list with the fields of its items."""
    rows = [
        (
            f"{rank}",
            [escape(str(row["item"])), ", ".join(_values(ratings, row["item"])), html.number(row["score"])],
        )
        for rank, row in zip(found.index, found.to_dict("records"), strict=True)
    ]
    caption = "For you"
    rendered = html.table(["Song", "Genres", "Score"], {"": rows}, caption=caption, corner="Rank")
    return html.Html(rendered, caption, found)


def _items(chosen: Sequence[Any]) -> str:
    return escape(", ".join(str(item) for item in chosen))


def _values(ratings: Ratings, item: Any) -> list[str]:
    """The genres of an item, as words."""
    field = next(f for f in ratings.item_fields if f.multi)
    codes = field.values[pd.Index(ratings.items).get_loc(item)]
    return [str(field.vocabulary[v]).removeprefix("genre ") for v in codes[codes >= 0]]


def _common(ratings: Ratings, chosen: Sequence[Any], n: int = 3) -> str:
    counted = pd.Series([g for item in chosen for g in _values(ratings, item)], dtype=str).value_counts()
    order = counted.reset_index().sort_values(["count", "index"], ascending=[False, True])
    return ", ".join(f"{row['index']} ({row['count']})" for row in order.head(n).to_dict("records"))


def learning(model: Recommender, term: str = "reconstruction") -> Figure:
    """The training error by epoch, with the error of the best guess that looks at the item alone."""
    train = model.splits.train
    label = pd.Series(train.ratings.label[train.rows], dtype=float)
    alone = label.groupby(train.ratings.item[train.rows]).var(ddof=0)
    share = pd.Series(train.ratings.item[train.rows]).value_counts()
    blind = float((alone * share).sum() / share.sum())
    fig, axes = style.panels(height=2.8)
    epochs = [line["epoch"] for line in model.history]
    ax = axes[0, 0]
    ax.plot(epochs, [line[term] for line in model.history], color=style.look("TaNP")["color"], label="TaNP")
    ax.axhline(
        blind, color=style.MUTED, linestyle=style.DASHES[1], linewidth=1.4, label="knows songs, not listeners"
    )
    style.label_axes(ax, x="epoch", y="squared error in training")
    ax.legend(loc="upper right")
    return style.done(fig)


def lists(
    models: Mapping[str, Recommender], episodes: Episodes, people: Mapping[str, int], k: int = 10
) -> Figure:
    """For each person (a task): where the items of each list lie on the planted scale of liking.

    The dashed line is the person's own k-th best unseen item: marks to the right of it are hits.
    """
    fig, axes = style.panels(1, len(people), height=3.6, sharey=True)
    for ax, (title, task) in zip(axes[0], people.items(), strict=True):
        given = support_of(episodes, task)
        user = episodes.ratings.users[episodes.task[task]]
        truth = _truth(episodes.ratings, user)
        for n, (name, model) in enumerate(models.items()):
            found = model.recommend(given, k=k, user=user)
            look = _look(n, name) | {"linestyle": "none"}
            ax.plot(truth[found["item"]], found.index + 0.2 * n, **look, label=name)
        last = truth.drop(list(given)).nlargest(k).iloc[-1]
        ax.axvline(last, color=style.MUTED, linewidth=1.3, linestyle=style.DASHES[1])
        ax.set_xlim(-0.03, 1.03)
        style.label_axes(ax, x="true chance of liking the song", y="", title=title)
    axes[0, 0].set_ylabel("rank in the list")
    axes[0, 0].set_yticks(range(1, k + 1))
    axes[0, 0].invert_yaxis()
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
    return style.done(fig)


def _look(n: int, name: str) -> dict[str, Any]:
    """The first model in the colour of its method, what it is compared with in grey and hollow."""
    if n == 0:
        return {**style.series(n), "color": style.look(name)["color"]}
    return {**style.series(n), "color": style.MUTED, "mfc": style.CARD, "linewidth": 1.4}


def _truth(ratings: Ratings, user: Any) -> pd.Series:
    """The planted chances of one user by raw item id."""
    assert ratings.truth is not None
    row = pd.Index(ratings.users).get_loc(user)
    return pd.Series(ratings.truth.expected[row], index=ratings.items)


def newcomers(
    models: Mapping[str, Recommender], episodes: Episodes, k: int = 10, known: int | None = None
) -> pd.DataFrame:
    """Hits among `k` for everybody in `episodes`, mean and 95 % interval over people, in per cent.

    With `known`, the models see that many plays only; the songs to be found stay the same.
    """
    from metarec.recommend import taste_hits  # it trains; what only reads results does not

    rows = []
    for name, model in models.items():
        found = interval(100 * taste_hits(model, episodes, k, known=known))
        rows.append({"method": name, "hits": found.mean, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def by_plays(
    models: Mapping[str, Recommender], episodes: Episodes, sizes: Sequence[int], k: int = 10
) -> Figure:
    """Hits against the number of plays that a newcomer gives; people and songs stay the same throughout."""
    fig, axes = style.panels(height=3.4)
    ax = axes[0, 0]
    for n, (name, model) in enumerate(models.items()):
        found = [newcomers({name: model}, episodes, k, size).iloc[0] for size in sizes]
        mean = np.array([row["hits"] for row in found])
        half = np.array([row["high"] - row["hits"] for row in found])
        ax.errorbar(sizes, mean, yerr=half if half.any() else None, **_look(n, name), label=name)
    ax.set_ylim(0, None)
    ax.set_xticks(list(sizes))
    style.label_axes(ax, x="plays known", y=f"of their {k} best songs, found", y_unit="%")
    fig.legend(loc="outside lower center", ncols=len(models))
    return style.done(fig)


def scoreboard(found: pd.DataFrame, k: int = 10) -> html.Html:
    """The frame of `newcomers` as a table."""
    rows = []
    for row in found.to_dict("records"):
        between = f"{row['low']:.0f} to {row['high']:.0f} %" if row["high"] > row["low"] else "exact"
        rows.append((row["method"], [f"{row['hits']:.0f} %", between]))
    caption = f"Share of a newcomer's {k} best new songs among the {k} recommended"
    columns = ["Found", "95 % interval over newcomers"]
    return html.Html(html.table(columns, {"": rows}, caption=caption, corner="Ranked by"), caption, found)
