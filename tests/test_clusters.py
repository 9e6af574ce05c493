"""Groups of users: found where they were planted, and not where every column goes its own way."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import tiny_ratings

from metarec.papers.pnmta import clusters

ROUNDS = 20


def grouped(rng: np.random.Generator, apart: float) -> np.ndarray:
    """Ninety users in three groups; their centres lie `apart` standard deviations from the origin."""
    centres = rng.normal(size=(3, 6))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return apart * np.repeat(centres, 30, 0) + rng.normal(size=(90, 6))


def test_planted_groups_stand_out_of_the_null() -> None:
    found = clusters.tendency(grouped(np.random.default_rng(0), 12.0), np.random.default_rng(1), ROUNDS)
    assert found["k"] == 3 and found["largest cluster"] == pytest.approx(1 / 3)
    assert found["silhouette"] > found["null"] > found["null mean"]


def test_columns_on_their_own_look_like_the_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "K", (2, 3))
    above = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = clusters.tendency(grouped(rng, 0.0), rng, ROUNDS)
        above += found["silhouette"] > found["null"]
    assert above <= 2


def test_residuals_have_no_mean_by_item() -> None:
    ratings = tiny_ratings()
    everyone = clusters.residuals(ratings, np.arange(ratings.n_users))
    np.testing.assert_allclose(everyone.sum(0), 0.0, atol=1e-4)
    some = clusters.residuals(ratings, np.array([5, 2]))
    assert len(some) == 2
    assert np.count_nonzero(some[0]) <= (ratings.user == 5).sum()
