"""Statistics of user vectors: the silhouette as scikit-learn has it, a slice taken out, separation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances, silhouette_score

from metarec.data import synthetic
from metarec.papers.pnmta.fig8 import _silhouette, permuted_silhouette
from metarec.papers.pnmta.vectors import without

RNG = np.random.default_rng(0)


def test_silhouette_equals_scikit_learn() -> None:
    x, group = RNG.normal(size=(60, 4)), RNG.integers(0, 5, 60)
    group[:1] = 9
    distance = pairwise_distances(x).astype(np.float32)
    assert _silhouette(distance, group) == pytest.approx(silhouette_score(x, group), abs=1e-5)


def test_separated_groups_are_found_and_random_ones_are_not() -> None:
    group = np.repeat([0, 1, 2], 30)
    x = np.eye(3)[group] * 3 + RNG.normal(size=(90, 3))
    value, p = permuted_silhouette(x, group, np.random.default_rng(0), 200)
    assert value > 0.2 and p < 0.01
    _, p = permuted_silhouette(x, RNG.permutation(group), np.random.default_rng(0), 200)
    assert p > 0.01


def test_the_slice_of_a_field_is_taken_out() -> None:
    ratings = synthetic(n_users=40, n_items=30, ratings_per_user=(10, 20))
    names = [f.name for f in (*ratings.item_fields, *ratings.user_fields)]
    vectors = np.repeat(np.arange(len(names)), 3)[None].astype(float)
    left = without(vectors, ratings, "age")[0]
    assert names.index("age") not in left and len(left) == 3 * (len(names) - 1)
