"""The episode rules: how each paper turns a rating table into training, validation and test tasks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from metarec.data.ratings import Ratings
from metarec.errors import ProtocolError
from metarec.tasks.candidates import scenario_episodes
from metarec.tasks.episodes import Episodes, Splits, ragged
from metarec.tasks.users import user_setting_episodes


def tanp_episodes(
    ratings: Ratings,
    *,
    n_support: int = 20,
    min_query: int = 10,
    max_length: int = 200,
    seed: int = 2020,
    user_order: np.ndarray | None = None,
) -> Splits:
    """TaNP's released rule, reproduced draw for draw with Python's own generator.

    Users are shuffled once and cut 70 / 10 / 20 before any filter. Items that no training user has (all 70 %,
    not only those who yield an episode) leave the test histories; validation is not cleaned. A user is kept
    when `n_support + min_query <= length <= max_length`; one shuffle of the history makes the first
    `n_support` rows the support and all the others the query. `user_order` is the list the shuffle starts
    from (the order shipped with the authors' data; ascending ids by default).

    Paper, section 5.1, says 40..200 ratings and negatives in query sets only; the released data uses 30..200
    and pools negatives into support and query alike (facts of the protocol: deviations page).
    """
    _refuse_repeats(ratings)
    rng = random.Random(seed)
    users = [int(u) for u in (np.arange(ratings.n_users) if user_order is None else user_order)]
    if sorted(users) != list(range(ratings.n_users)):
        raise ProtocolError("user_order must list every user once; pass a permutation of 0..n_users-1.")
    rng.shuffle(users)
    first, second = int(0.7 * len(users)), int(0.7 * len(users)) + int(0.1 * len(users))
    parts = {"train": users[:first], "valid": users[first:second], "test": users[second:]}
    history = _histories(ratings)
    known = np.zeros(ratings.n_items, bool)
    known[ratings.item[np.isin(ratings.user, parts["train"])]] = True
    made = {}
    for split, members in parts.items():
        tasks: list[tuple[int, np.ndarray]] = []
        for user in members:
            rows = history(user)
            if split == "test":
                rows = rows[known[ratings.item[rows]]]
            if n_support + min_query <= len(rows) <= max_length:
                order = list(range(len(rows)))
                rng.shuffle(order)
                tasks.append((user, rows[order]))
        if not tasks:
            raise ProtocolError(
                f"{ratings.name}: none of the {len(members)} {split} users has {n_support + min_query}.."
                f"{max_length} ratings; lower n_support or min_query, or use a larger set."
            )
        made[split] = ragged(ratings, tasks, np.full(len(tasks), n_support, np.int64), split)
    return Splits(**made).check_disjoint()


def cold_start_episodes(
    ratings: Ratings,
    *,
    shortest: int = 13,
    longest: int = 100,
    n_query: int = 10,
    order: str = "time",
    test_share: float = 0.2,
    valid_share: float = 0.1,
    train_share: float = 1.0,
    max_support: int | None = None,
    search_share: float = 0.0,
    searching: bool = False,
    seed: int = 0,
) -> Splits:
    """PNMTA's cold-start rule: users with `shortest..longest` ratings; the last `n_query` are the query.

    `order="time"` sorts a history by time, ties by item id; `order="shuffle"` by a seeded draw (MeLU's way,
    and the only one where no time is known). Users are split at random, `test_share` for test and
    `valid_share` of the others for validation; `train_share` of what remains is kept. The paper (section 4.1,
    appendix C) states neither the split nor the order. `search_share` of the users serve the search of
    settings and nothing else, the same ones whatever the seed: they are in no split, unless it is made for
    `searching`; they are then the validation users, and the validation users stand in for the test users, of
    whom a search sees none. Ratings of users outside the limits are the `outside`
    of the training episodes. Vectorised: nothing loops over users. Raises `ProtocolError` for fewer than ten
    users, for a share that is none or leaves nobody to train on, and for an unknown or impossible order.
    """
    if searching and not 0 < search_share < 1:
        raise ProtocolError(f"search_share={search_share} holds nobody back to search on; use 0.08, say.")
    if order not in ("time", "shuffle"):
        raise ProtocolError(f"order {order!r} is unknown; use 'time' or 'shuffle'.")
    if order == "time" and ratings.time is None:
        raise ProtocolError(f"{ratings.name} has no times; use order='shuffle'.")
    _refuse_repeats(ratings)
    if shortest <= n_query:
        raise ProtocolError(f"shortest={shortest} leaves no support beside n_query={n_query}; raise it.")
    rng = np.random.default_rng(seed)
    key = ratings.time if order == "time" else rng.permutation(len(ratings))
    assert key is not None
    rows = np.lexsort((ratings.item, key, ratings.user))
    length = np.bincount(ratings.user, minlength=ratings.n_users)
    kept = np.flatnonzero((length >= shortest) & (length <= longest))
    if len(kept) < 10:
        raise ProtocolError(
            f"{ratings.name}: only {len(kept)} users have {shortest}..{longest} ratings, and 10 are needed; "
            "lower shortest (and n_query), raise longest, or use a larger set."
        )
    start = np.concatenate([[0], np.cumsum(length)])[:-1]
    every = Episodes(
        ratings,
        task=kept,
        rows=rows[_ranges(start[kept], length[kept])],
        offsets=np.concatenate([[0], np.cumsum(length[kept])]).astype(np.int64),
        n_support=(length[kept] - n_query).astype(np.int64),
    )
    if max_support is not None:
        every = every.cap_support(max_support)
    shuffled, held = rng.permutation(len(kept)), _held(len(kept), search_share)
    train, valid, test = _parts(shuffled[~np.isin(shuffled, held)], train_share, valid_share, test_share)
    if searching:
        valid, test = held, valid
    outside = np.flatnonzero(((length < shortest) | (length > longest))[ratings.user])
    return Splits(
        replace(every.select(np.sort(train), "train"), outside=outside),
        every.select(np.sort(valid), "valid"),
        every.select(np.sort(test), "test"),
    ).check_disjoint()


def _held(users: int, share: float) -> np.ndarray:
    """The users held back for a search of settings: the same whatever the seed of the split."""
    return np.sort(np.random.default_rng(8).permutation(users)[: round(share * users)])


def _parts(
    shuffled: np.ndarray, train_share: float, valid_share: float, test_share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test users: the test first, then validation, then a share of the others."""
    for name, share in (("test_share", test_share), ("valid_share", valid_share)):
        if not 0 <= share < 1:
            raise ProtocolError(f"{name}={share} is no share to hold out; use a number from 0 to below 1.")
    if not 0 < train_share <= 1:
        raise ProtocolError(f"train_share={train_share} is no share to keep; use a number above 0, up to 1.")
    n_test = round(test_share * len(shuffled))
    n_valid = round(valid_share * (len(shuffled) - n_test))
    test, valid, train = np.split(shuffled, [n_test, n_test + n_valid])
    if not len(train):
        raise ProtocolError(
            f"test_share={test_share} and valid_share={valid_share} leave none of {len(shuffled)} users to "
            "train on; lower them."
        )
    return train[: max(1, round(train_share * len(train)))], valid, test


EPISODE_RULES: dict[str, Callable[..., Splits]] = {
    "tanp": tanp_episodes,
    "cold-start": cold_start_episodes,
    "scenario": scenario_episodes,
    "user-setting": user_setting_episodes,
}


def make_episodes(ratings: Ratings, rule: str, **options: Any) -> Splits:
    """Episodes by the name of their rule; unknown names and options raise `ProtocolError`."""
    if rule not in EPISODE_RULES:
        raise ProtocolError(f"episode rule {rule!r} is unknown; choose from {', '.join(EPISODE_RULES)}.")
    try:
        return EPISODE_RULES[rule](ratings, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise ProtocolError(f"episode rule {rule!r}: {error}; see its docstring.") from None
        raise


def _refuse_repeats(ratings: Ratings) -> None:
    """A task is a user: an item rated in two scenarios would stand in its support and its query alike."""
    if ratings.scenario is None:
        return
    pairs = np.sort(ratings.user * ratings.n_items + ratings.item)
    if again := int((np.diff(pairs) == 0).sum()):
        raise ProtocolError(
            f"{ratings.name}: {again} ratings repeat user and item in another scenario, and a task takes "
            "all scenarios of its user; keep one rating of each pair, or one scenario."
        )


def _histories(ratings: Ratings) -> Callable[[int], np.ndarray]:
    """Rows of each user in file order, from one stable sort."""
    rows = np.argsort(ratings.user, kind="stable")
    start = np.searchsorted(ratings.user[rows], np.arange(ratings.n_users + 1))
    return lambda user: rows[start[user] : start[user + 1]]


def _ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """`[start_0, start_0 + 1, ..., start_1, ...]`: the concatenated ranges, without a loop."""
    ends = np.cumsum(length)
    return np.arange(ends[-1]) - np.repeat(ends - length, length) + np.repeat(start, length)
