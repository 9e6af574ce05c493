"""Learn from one table of ratings, then rank its catalogue for somebody who is not in it.

model = learn(ratings, "tanp", user_identity="shared")
model.recommend({"item a": 1, "item b": 0, ...}, k=10)
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from metarec import metrics
from metarec.data import Ratings
from metarec.errors import MetarecError, ProtocolError
from metarec.methods import Method, initialised, make, schema_for
from metarec.tasks import Episodes, EpisodeTensors, Query, Splits, Support, make_episodes
from metarec.training.device import pick_device
from metarec.training.selection import Selection
from metarec.training.trainer import Progress, train


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained method and the catalogue it ranks; `history` holds each epoch's terms, `splits` its tasks.

    The query of a prediction is the whole catalogue but for the support. PNMTA's task vector and MetaHIN's
    contexts pool over the query, which in training and in the experiments is a few items that the person did
    rate; here all scores of these two hang on the catalogue. With `task_members="support"` or `pool="item"`
    they read the support alone, or each item by itself.
    """

    method: Method
    ratings: Ratings
    splits: Splits
    history: list[dict[str, Any]]
    device: torch.device
    dtype: torch.dtype
    strangers: bool = False

    def recommend(self, plays: Mapping[Any, float], k: int = 10, *, user: Any = None) -> pd.DataFrame:
        """The `k` best items (raw ids, best first) that are not among `plays`, with their scores.

        `plays` maps raw item ids to labels, as they stand in the table. Identity and fields are those of
        `user`, a raw id; by default of a stranger, of whom nothing else is known. A model learned without
        strangers (`hide=0`) takes the first person who is in no training task, whose embedding is as
        untrained as any newcomer's. Raises `MetarecError` for an item, label or user that the table does
        not know, for a `k` below 1, and if training has diverged.
        """
        if not isinstance(k, (int, np.integer)) or k < 1:
            raise MetarecError(f"k={k!r} is no length of a list; pass a whole number, 1 or more.")
        support = self._support(plays, self._user(user))
        scores, unseen = self._rank(support)
        order = torch.argsort(scores[0].masked_fill(~unseen[0], -torch.inf), descending=True, stable=True)
        top = order[: min(k, int(unseen[0].sum()))].cpu()
        return pd.DataFrame(
            {"item": self.ratings.items[top.numpy()], "score": scores[0].cpu()[top].double().numpy()},
            index=pd.RangeIndex(1, len(top) + 1, name="rank"),
        )

    def scores(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Scores of the whole catalogue given each task's support, and which items are not in the support.

        Both are `[tasks, n_items]`.
        """
        data = EpisodeTensors(episodes, self.device, self.dtype)
        return self._rank(data.all().support)

    def _rank(self, support: Support) -> tuple[Tensor, Tensor]:
        n = len(support.item)
        items = torch.arange(self.ratings.n_items, device=self.device).expand(n, -1)
        seen = torch.zeros(n, self.ratings.n_items, dtype=torch.long, device=self.device)
        unseen = seen.scatter_add(1, support.item, support.mask.long()) == 0
        with torch.no_grad():
            scores = self.method.predict(support, Query(support.user[:, :1], items, unseen))
        if not scores.isfinite().all():
            raise MetarecError("scores are no numbers: training has diverged; learn again with a smaller lr.")
        return scores, unseen

    def _support(self, plays: Mapping[Any, float], user: int) -> Support:
        if not plays:
            raise MetarecError("there are no plays to recommend from; pass a few items with their labels.")
        item = pd.Index(self.ratings.items).get_indexer(pd.Index(list(plays)))
        if (item < 0).any():
            raise MetarecError(
                f"item {list(plays)[int(np.argmax(item < 0))]!r} is not in the catalogue of "
                f"{self.ratings.name!r}; pass items of the table the model was trained on."
            )
        label = np.array(pd.to_numeric(pd.Series(list(plays.values())), errors="coerce"), np.float64)
        low, high = float(self.ratings.label.min()), float(self.ratings.label.max())
        known = (label >= low) & (label <= high)
        labels = f"run from {low:g} to {high:g}"
        if self.ratings.kind == "implicit":
            known &= np.isin(label, (0, 1))
            labels = "are 0 or 1"
        if not known.all():
            wrong = list(plays)[int(np.argmin(known))]
            raise MetarecError(f"item {wrong!r} has label {plays[wrong]!r}, but labels here {labels}.")
        return Support(
            torch.tensor([[user]], device=self.device),
            torch.as_tensor(item, device=self.device)[None],
            torch.ones(1, len(item), dtype=torch.bool, device=self.device),
            torch.as_tensor(label, dtype=self.dtype, device=self.device)[None],
        )

    def _user(self, user: Any) -> int:
        if user is None and self.strangers:
            return int(self.ratings.n_users)
        if user is None:
            free = np.setdiff1d(np.arange(self.ratings.n_users), self.splits.train.task)
            if not len(free):
                raise MetarecError("every user is in a training task; name one whose identity to borrow.")
            return int(free[0])
        found = int(pd.Index(self.ratings.users).get_indexer(pd.Index([user]))[0])
        if found < 0:
            raise MetarecError(f"user {user!r} is not in {self.ratings.name!r}; leave it out for a newcomer.")
        return found


def learn(
    ratings: Ratings,
    model: str = "tanp",
    *,
    splits: Splits | None = None,
    seed: int = 0,
    hide: float = 0.02,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
    **options: Any,
) -> Recommender:
    """Train one method on one table and keep its last epoch.

    `splits` defaults to TaNP's rule with supports of 20. `hide` is the share of users and items in whose
    place training sees a stranger: a newcomer is one (`metarec.data.Schema.knowing`). `options` are the
    method's. `device="auto"` is the GPU when there is one. Warns where the method's scores hang on which
    items are asked for (`Recommender`). Raises `ProtocolError` for an unknown model, option or device, for
    the oracle, and for a table too small to be split.
    """
    if model == "oracle":
        raise ProtocolError(
            "the oracle only looks up labels of the table, so it has none for newcomers; use another method."
        )
    place = pick_device(device)
    splits = splits if splits is not None else make_episodes(ratings, "tanp")
    schema = schema_for(model, splits, hide, **options)
    with initialised(seed):
        method = make(model, schema, **options)
    if mend := method.pools_query():
        warnings.warn(
            f"{model} pools over all items it is asked for, so its scores hang on the catalogue; pass "
            f"{mend} for scores that do not.",
            stacklevel=2,
        )
    hide = hide if method.stages() else 0.0
    trained = train(
        [method], splits, [seed], Selection("last"), device=place, dtype=dtype, hide=hide, progress=progress
    )
    return Recommender(trained.stack.method(0), ratings, splits, trained.history[0], place, dtype, hide > 0)


def taste_hits(
    model: Recommender, episodes: Episodes, k: int = 10, *, known: int | None = None
) -> np.ndarray:
    """On planted data: the share of each user's `k` truly best new items among `k` recommended, `[tasks]`.

    New are the items outside the support; with `known` the model sees only so many of the support, and the
    new items stay the same. Equal scores count by expectation, so that the random ranker has `k` / new
    items. Raises `MetarecError` where the table knows no truth.
    """
    truth = model.ratings.truth
    if truth is None:
        raise MetarecError(f"{model.ratings.name!r} is no planted table: the true taste is not known.")
    scores, new = model.scores(episodes)
    if known is not None:
        scores, _ = model.scores(episodes.cap_support(known))
    expected = torch.as_tensor(truth.expected[episodes.task], device=model.device)
    best = expected.masked_fill(~new, -torch.inf).topk(k).indices
    wanted = torch.zeros_like(expected).scatter(1, best, 1.0)
    metric = metrics.Metric("hits", "recall", k)
    return metrics.evaluate(scores, wanted, new, (metric,))["hits"].cpu().numpy()
