"""Scenario tasks: positives with drawn negatives to train on, and lists of candidates to rank."""

from __future__ import annotations

from typing import Literal

import numpy as np

from metarec.data.ratings import Ratings
from metarec.errors import ProtocolError
from metarec.tasks.episodes import Episodes, Splits
from metarec.tasks.scenarios import Scenarios, divided, grouped

Negatives = Literal["released", "text"]
ROUNDS = 20  # of drawing again what a user has; after them the rest is looked up


def scenario_episodes(
    ratings: Ratings,
    *,
    n_support: int = 64,
    n_query: int = 128,
    negatives: Negatives = "text",
    draws: int = 20,
    turns: int = 10,
    test_share: float = 0.24,
    valid_share: float = 0.05,
    pool: int = 512,
    most_lists: int | None = 100,
    fewest: int = 100,
    seed: int = 0,
) -> Splits:
    r"""CMML's scenario setting (section 4.1.1), which is s2Meta's: a scenario is a task.

    Training: `draws` episodes a scenario of `n_support` positives and `n_query` others, each positive of the
    query followed by a negative: an item of the scenario that its user does not have (any item, if the user
    has them all). A scenario of no more than `n_support` positives gives half of them to either side, and
    draws with replacement. Epoch `e` sees the draws `d` with `d % turns == e % turns`; the released program
    draws anew at every step, without end.

    Support negatives: `"text"` is one for each positive, of the same user and drawn like those of the query;
    `"released"` is two, for positives drawn with replacement, any item but that positive's own (it may be
    another positive of that user). They follow the positives.

    Evaluation: users of a scenario are shuffled; the first half give interactions until there are `pool`, of
    which `n_support` are the support. Each other user with a positive and another candidate has a list: the
    user's positives first, then all other items of the scenario. At most `most_lists` of a scenario are
    kept, by chance (None: all, as released). Supports, negatives and lists are frozen; the released program
    draws negatives anew at every evaluation.

    `test_share` of the scenarios with `fewest` positives or more are for test, `valid_share` of the others
    for validation. An item may lie in many scenarios: a pair of user and item that is a positive in a list
    of validation or test is taken from every training scenario, and may be drawn as a negative there, for
    training knows nothing of it. Raises `ProtocolError` for a table without scenarios, an impossible size or
    share, and too few scenarios.
    """
    for name, size in (("n_support", n_support), ("n_query", n_query), ("draws", draws), ("turns", turns)):
        if size < 1:
            raise ProtocolError(f"{name}={size} is no size; use 1 or more.")
    if negatives not in ("released", "text"):
        raise ProtocolError(f"negatives={negatives!r} is unknown; use 'released' or 'text'.")
    if draws % turns:
        raise ProtocolError(f"draws={draws} do not share out over turns={turns}; use a multiple.")
    rng = np.random.default_rng(seed)
    every = Scenarios.of(ratings)
    kept = np.flatnonzero([len(own) >= fewest for own in every.rows])
    train, valid, test = divided(kept, test_share, valid_share, rng)
    chosen = {s: _divide(ratings, every, s, pool, n_support, most_lists, rng) for s in [*test, *valid]}
    lists = [row for _, own in chosen.values() for row in own]
    lost = _same_pairs(ratings, np.concatenate(lists) if lists else np.zeros(0, np.int64))
    source = _Source(ratings, every.items, ~lost, negatives, np.random.default_rng([seed, 1]))
    training = every.without(lost)
    train = train[[len(training.rows[s]) > 1 for s in train]]
    made = [_evaluation(source, chosen, own, split) for split, own in (("valid", valid), ("test", test))]
    drawn = _training(source, training, train, n_support, n_query, draws, turns)
    return Splits(drawn, *made).check_disjoint()


def held_out(splits: Splits) -> np.ndarray:
    """Bool over the rating table: rows whose user and item are a positive in a validation or test list."""
    parts = [splits.valid, splits.test]
    rows = np.concatenate([p.rows[p.is_query & (p.rows >= 0)] for p in parts])
    return _same_pairs(splits.train.ratings, rows)


def _same_pairs(ratings: Ratings, rows: np.ndarray) -> np.ndarray:
    """Every row of the table, in whatever scenario, with the user and item of one of `rows`."""
    key = ratings.user * ratings.n_items + ratings.item
    return np.isin(key, key[rows])


class _Source:
    """Where negatives come from: the items of each scenario, and what training knows of each user."""

    def __init__(
        self,
        ratings: Ratings,
        items: list[np.ndarray],
        known: np.ndarray,
        negatives: Negatives,
        rng: np.random.Generator,
    ):
        self.ratings, self.items, self.negatives, self.rng = ratings, items, negatives, rng
        known = known & (ratings.label > 0)
        self.known = np.unique(ratings.user[known] * ratings.n_items + ratings.item[known])
        self.size = np.array([len(own) for own in items])
        self.first = np.concatenate([[0], np.cumsum(self.size)[:-1]])
        self.flat = np.concatenate(items)

    def any(self, scenario: np.ndarray) -> np.ndarray:
        """An item of each scenario `[n]`, evenly."""
        place = (self.rng.random(len(scenario)) * self.size[scenario]).astype(np.int64)
        return self.flat[self.first[scenario] + place]

    def has(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether training knows of each pair."""
        key = user * self.ratings.n_items + item
        place = np.minimum(np.searchsorted(self.known, key), len(self.known) - 1)
        return self.known[place] == key

    def unknown(self, user: np.ndarray, scenario: np.ndarray) -> np.ndarray:
        """For each user an item of the scenario, evenly among those that the user does not have."""
        item = self.any(scenario)
        again = np.flatnonzero(self.has(user, item))
        for _ in range(ROUNDS):
            if not len(again):
                return item
            item[again] = self.any(scenario[again])
            again = again[self.has(user[again], item[again])]
        for k in again:  # somebody who has nearly all
            own = self.items[scenario[k]]
            left = own[~self.has(np.full(len(own), user[k]), own)]
            item[k] = self.rng.choice(left if len(left) else own)
        return item

    def support(self, rows: np.ndarray, scenario: np.ndarray) -> np.ndarray:
        """Negatives `[tasks, n, 2]` of supports of positives `rows` `[tasks, n_support]`."""
        count = rows.shape[1]
        if self.negatives == "released":
            place = self.rng.integers(0, count, (len(rows), 2 * count))
            rows = np.take_along_axis(rows, place, 1)
        where = np.repeat(scenario, rows.shape[1])
        user, own = self.ratings.user[rows].ravel(), self.ratings.item[rows].ravel()
        if self.negatives == "text":
            item = self.unknown(user, where)
        else:
            item = self.any(where)
            for _ in range(ROUNDS * 50):
                again = np.flatnonzero(item == own)
                if not len(again):
                    break
                item[again] = self.any(where[again])
        return np.stack([user, item], 1).reshape(*rows.shape, 2)


def _divide(
    ratings: Ratings,
    scenarios: Scenarios,
    s: int,
    pool: int,
    n_support: int,
    most_lists: int | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The positives of the support of a scenario, and those of each of its lists."""
    rows = scenarios.rows[s]
    users, code = np.unique(ratings.user[rows], return_inverse=True)
    own = grouped(rows, code, len(users))
    order = rng.permutation(len(users))
    length = np.array([len(own[u]) for u in order])
    before = np.cumsum(length) - length
    giving = (np.arange(len(users)) < len(users) // 2) & (before < pool)
    support = np.concatenate([np.zeros(0, np.int64), *(own[u] for u in order[giving])])
    lists = [own[u] for u in order[~giving] if len(own[u]) < len(scenarios.items[s])]
    lists = lists if most_lists is None else lists[:most_lists]  # the order is by chance already
    return rng.permutation(support)[:n_support], lists


def _evaluation(
    source: _Source, chosen: dict[int, tuple[np.ndarray, list[np.ndarray]]], of: np.ndarray, split: str
) -> Episodes:
    """The lists of some scenarios; the first of a scenario holds the support that serves them all."""
    ratings = source.ratings
    task: list[int] = []
    lender: list[int] = []
    n_support, lengths, parts, drawn = [], [], [], []
    pairs = 0
    for s in of:
        support, lists = chosen[s]
        if not len(support) or not lists:
            continue
        negative = source.support(support[None], np.array([s]))[0]
        rows, other = _lists(ratings, source.items[s], lists)
        parts += [support, -1 - (pairs + np.arange(len(negative)))]
        pairs += len(negative)
        parts.append(np.where(rows < 0, rows - pairs, rows).ravel())
        pairs += len(other)
        drawn += [negative, other]
        own = np.zeros(len(lists), np.int64)
        own[0] = len(support) + len(negative)
        lender += [len(task)] * len(lists)
        task += [int(s)] * len(lists)
        n_support.append(own)
        lengths.append(own + rows.shape[1])
    if not parts:
        raise ProtocolError(
            f"{ratings.name}: no {split} scenario has users on both sides; use a larger set or another seed."
        )
    return Episodes(
        ratings,
        task=np.array(task, np.int64),
        rows=np.concatenate(parts),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
        n_support=np.concatenate(n_support),
        split=split,
        by="scenario",
        drawn=np.concatenate(drawn),
        lender=np.array(lender, np.int64),
    )


def _lists(ratings: Ratings, items: np.ndarray, lists: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows `[lists, n_items]`, each list's positives first, and the pairs `[pairs, 2]` of all the others.

    The others are numbered -1, -2, ... from list to list.
    """
    owner = np.repeat(np.arange(len(lists)), [len(own) for own in lists])
    flat = np.concatenate(lists)
    found = np.full((len(lists), len(items)), -1, np.int64)
    found[owner, np.searchsorted(items, ratings.item[flat])] = flat
    order = np.argsort(found < 0, axis=1, kind="stable")
    found, item = np.take_along_axis(found, order, 1), items[order]
    other = found < 0
    user = np.broadcast_to(np.array([ratings.user[own[0]] for own in lists])[:, None], found.shape)
    found[other] = -1 - np.arange(other.sum())
    return found, np.stack([user[other], item[other]], 1)


def _training(
    source: _Source,
    scenarios: Scenarios,
    of: np.ndarray,
    n_support: int,
    n_query: int,
    draws: int,
    turns: int,
) -> Episodes:
    """`draws` tasks of each scenario, one after another, all of one shape."""
    sides = [_draw(scenarios.rows[s], n_support, n_query, source.rng) for s in of for _ in range(draws)]
    support, query = (np.stack(side) for side in zip(*sides, strict=True))
    scenario, tasks = np.repeat(of, draws), len(sides)
    user = source.ratings.user[query].ravel()
    against = np.stack([user, source.unknown(user, np.repeat(scenario, n_query))], 1).reshape(tasks, -1, 2)
    beside = source.support(support, scenario)
    drawn = np.concatenate([beside, against], 1)
    place = -1 - np.arange(drawn.shape[0] * drawn.shape[1]).reshape(drawn.shape[:2])
    beside_at, against_at = np.split(place, [beside.shape[1]], 1)
    pairs = np.stack([query, against_at], 2).reshape(tasks, -1)
    rows = np.concatenate([support, beside_at, pairs], 1)
    return Episodes(
        source.ratings,
        task=scenario,
        rows=rows.ravel(),
        offsets=np.arange(tasks + 1) * rows.shape[1],
        n_support=np.full(tasks, n_support + beside.shape[1]),
        split="train",
        by="scenario",
        drawn=drawn.reshape(-1, 2),
        turns=turns,
    )


def _draw(
    rows: np.ndarray, n_support: int, n_query: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Support and query positives of one episode; no row stands in both."""
    drawn = rows[rng.choice(len(rows), min(len(rows), n_support + n_query), replace=False)]
    if len(rows) > n_support:
        support, rest = drawn[:n_support], drawn[n_support:]
    else:
        support, rest = np.split(drawn, [len(drawn) // 2])
        support = np.concatenate([support, rng.choice(support, n_support - len(support))])
    return support, rest if len(rest) == n_query else rng.choice(rest, n_query)
