"""CMML's user setting: users seen in training or not, rated again on items seen in training or not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from metarec.data.ratings import Ratings
from metarec.errors import ProtocolError
from metarec.tasks.episodes import Episodes, Splits

Evaluated = Literal["cold", "warm", "trained"]


def user_setting_episodes(
    ratings: Ratings,
    *,
    evaluated: Evaluated = "cold",
    longest: int = 100,
    n_query: int = 10,
    train_share: float = 0.8,
    valid_share: float = 0.0,
    draws: int = 5,
    seed: int = 0,
) -> Splits:
    """CMML's user setting (section 4.1.1): `train_share` of the users are for training, 4,832 of 6,040.

    A history is shuffled once and cut to `longest` ratings (appendix: 100; main text: 50). Training users
    have `draws` tasks each, one for each epoch in turn: another shuffle, the last `n_query` ratings the query
    (half of a history that is shorter than twice that). The released program shuffles anew at every access,
    cuts a list in a file that it does not ship, and splits the test users anew at each evaluation.

    `evaluated` says who is tested. `"cold"`: the other users, the paper's C-W. `"trained"`: the training
    users, on a fresh split of the ratings they were trained on, which is what the released program reports as
    W-W. `"warm"`: the training users, on `n_query` ratings that stand before the cut and in no training task;
    the support are the ratings they were trained on. Validation users, `valid_share` of the training users,
    are trained on nowhere. Raises `ProtocolError` for an impossible share or size, and for a user with too
    few ratings.
    """
    if evaluated not in ("cold", "warm", "trained"):
        raise ProtocolError(f"evaluated={evaluated!r} is unknown; use 'cold', 'warm' or 'trained'.")
    if not 0 < train_share < 1 or not 0 <= valid_share < 1:
        raise ProtocolError(
            f"train_share={train_share} and valid_share={valid_share} are no shares of users; use numbers "
            "between 0 and 1."
        )
    rng = np.random.default_rng(seed)
    length = np.bincount(ratings.user, minlength=ratings.n_users)
    if length.min() < n_query + 2 or n_query < 1 or longest <= n_query or draws < 1:
        raise ProtocolError(
            f"{ratings.name}: a user has {length.min()} ratings, too few for n_query={n_query} of them, "
            f"longest={longest} and draws={draws}; change these or leave short histories out."
        )
    order = np.lexsort((rng.permutation(len(ratings)), ratings.user))
    histories = np.split(order, np.cumsum(length)[:-1])
    shuffled = rng.permutation(ratings.n_users)
    n_train = round(train_share * ratings.n_users)
    n_valid = round(valid_share * n_train)
    train, valid, cold = (np.sort(u) for u in np.split(shuffled, [n_train - n_valid, n_train]))
    kept = [rows[n_query if evaluated == "warm" else 0 :][:longest] for rows in histories]
    pick = rng.permutation
    drawn = [(u, pick(kept[u])) for u in train for _ in range(draws)]
    fresh = {
        "cold": lambda: [(u, histories[u][:longest]) for u in cold],
        "trained": lambda: [(u, pick(kept[u])) for u in train],
        "warm": lambda: [(u, np.concatenate([kept[u], histories[u][:n_query]])) for u in train],
    }
    held = [(u, histories[u][:longest]) for u in valid]
    return Splits(
        _tasks(ratings, drawn, n_query, "train", turns=draws),
        _tasks(ratings, held, n_query, "valid"),
        _tasks(ratings, fresh[evaluated](), n_query, "test"),
    )


def _tasks(
    ratings: Ratings, own: list[tuple[int, np.ndarray]], n_query: int, split: str, turns: int = 0
) -> Episodes:
    """Tasks of users with their rows in order, the last `n_query` (at most half) the query."""
    lengths = np.array([len(rows) for _, rows in own], np.int64)
    return Episodes(
        ratings,
        task=np.array([u for u, _ in own], np.int64),
        rows=np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in own)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        n_support=lengths - np.minimum(n_query, lengths // 2),
        split=split,
        turns=turns,
    )
