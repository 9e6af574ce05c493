"""What the rows of one user are worth: copies are worth one row, unrelated rows as many as there are."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.data import Field, Ratings, Schema
from metarec.methods import initialised
from metarec.methods.maml_pt import MAMLPT
from metarec.papers.pnmta import fig1 as stream
from metarec.tasks.episodes import Episodes, ragged

ROWS = 20


def episodes(user: np.ndarray, item: np.ndarray, label: np.ndarray) -> Episodes:
    """Users in blocks of `ROWS` rows; no field tells one user from another."""
    n_users, n_items = int(user.max()) + 1, int(item.max()) + 1
    ratings = Ratings(
        name="made",
        kind="explicit",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        label=label.astype(np.float32),
        users=np.arange(n_users),
        items=np.arange(n_items),
        user_fields=(Field("one", np.zeros(n_users, np.int64), np.array(["all"])),),
        item_fields=(Field("id", np.arange(n_items, dtype=np.int64), np.arange(n_items)),),
    )
    tasks = [(u, np.flatnonzero(user == u)) for u in range(n_users)]
    return ragged(ratings, tasks, np.full(n_users, ROWS - 10, np.int64), "train")


def worth(data: Episodes, users: int, seed: int = 0) -> dict[str, float]:
    with initialised(seed):
        method = MAMLPT(Schema.of(data.ratings), d=3, hidden=(4,), epochs=0)
    return stream.gradient_worth(method, data, users=users, seed=seed)


def test_copies_are_worth_one_row() -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(12), ROWS)
    item, label = (np.repeat(rng.integers(0, 9, 12), ROWS), np.repeat(rng.normal(3, 1, 12), ROWS))
    found = worth(episodes(user, item, label), 12)
    assert found["rows of a user"] == ROWS
    assert [found[f"worth: {part}"] for part in stream.PARTS] == pytest.approx([1, 1, 1], rel=1e-4)


def test_rows_dealt_out_at_random_are_worth_their_number() -> None:
    rng = np.random.default_rng(1)
    n = 300 * ROWS
    user = np.repeat(np.arange(300), ROWS)
    found = worth(episodes(user, rng.integers(0, 9, n), rng.normal(3, 1, n)), 300)
    for part in stream.PARTS:
        assert found[f"worth: {part}"] == pytest.approx(ROWS, rel=0.15), part


def test_streams_are_runs_of_users_and_their_rows_shuffled() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(40), ROWS)
    data = episodes(user, rng.integers(0, 9, len(user)), rng.normal(3, 1, len(user)))
    found = {name: np.array(place) for name, place in stream.first_rows(data).items()}
    changes = {name: int((np.diff(place) != 0).sum()) for name, place in found.items()}
    assert changes["tasks"] == stream.SHOWN // ROWS - 1
    assert changes["shuffled"] > 0.9 * stream.SHOWN
    for start in range(0, stream.SHOWN, 50):
        assert len(np.unique(found["images"][start : start + 50])) == 5


def test_a_step_counts_rows_and_distinct_users() -> None:
    rng = np.random.default_rng(3)
    user = np.repeat(np.arange(40), ROWS)
    data = episodes(user, rng.integers(0, 9, len(user)), rng.normal(3, 1, len(user)))
    found = stream.batches(data, 0)
    assert found["rows in 32 tasks"] == 32 * ROWS
    assert found["users shuffled"] == 40  # all 800 rows fit into one batch
    assert found["rows shuffled"] == 800
