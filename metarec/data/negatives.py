"""Negatives that become part of a data set: as many as a user has positives, drawn once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metarec.errors import DataError


def with_negatives(
    user: np.ndarray, item: np.ndarray, n_items: int, seed: int, origin: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Behind each user's items as many others, evenly from all `n_items`: user, item and label `[2 * rows]`.

    `user` is ascending and gapless. As MKR's preprocessing does it: numpy's legacy generator, without
    replacement, user by user, because one draw follows another. Raises `DataError`, naming the file `origin`,
    for a user with more than half of the items.
    """
    if 2 * (most := int(np.bincount(user).max())) > n_items:
        raise DataError(
            f"{origin}: a user has {most} of {n_items} items, so there are not as many others to draw as "
            "negatives; keep more items, or read with negatives=False."
        )
    rng = np.random.RandomState(seed)
    rows = []
    for own in np.split(item, np.flatnonzero(np.diff(user)) + 1):
        others = np.setdiff1d(np.arange(n_items), own, assume_unique=True)
        rows += [own, rng.choice(others, size=len(own), replace=False)]
    counts = np.repeat(np.bincount(user), 2)
    label = np.repeat(np.tile([1.0, 0.0], len(counts) // 2), counts)
    return np.repeat(np.arange(len(counts)) // 2, counts), np.concatenate(rows), label.astype(np.float32)
