"""One seed makes many."""

from __future__ import annotations

import numpy as np


def derived(seed: int, salt: int) -> int:
    """A seed of its own for each purpose, so that no two generators share a stream."""
    return int(np.random.SeedSequence([seed, salt]).generate_state(1, np.uint64)[0] >> 1)
