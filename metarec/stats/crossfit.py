"""The best of several methods without a winner's curse: chosen on some users, measured on others."""

from __future__ import annotations

import numpy as np

from metarec.stats.intervals import nan_mean


def crossfit(values: np.ndarray, merit: np.ndarray, position: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The method at a position in the order of merit, chosen for each seed and half of the users elsewhere.

    `values` `[methods, seeds, tasks, metrics]`, `merit` `[metrics]` is 1 where high is good and -1 where low
    is. `position` is 0 for the best, 1 for the worst. For a seed and one half of the users (every other one)
    a method is chosen, metric by metric, by its mean over the *other* seeds and the *other* half. A method
    chosen for its luck does not keep it there. Where there is one seed (or one value a seed), the choice is
    made on the other users (seeds) alone.

    Returns the values of those chosen, `[seeds, tasks, metrics]`, and which they are, `[choices, metrics]`.
    """
    _, seeds, tasks, width = values.shape
    found, picked = np.full(values.shape[1:], np.nan), []
    half = np.arange(tasks) % 2
    for seed in range(seeds):
        others = [s for s in range(seeds) if s != seed or seeds == 1]
        for here in (half == 0, half == 1)[:tasks]:
            elsewhere = ~here if tasks > 1 else here
            means = nan_mean(values[:, others][:, :, elsewhere], (1, 2)) * merit
            last = np.maximum((~np.isnan(means)).sum(0), 1) - 1  # nan comes last
            place = np.ceil(position * last).astype(int)
            rows = np.argsort(-means, axis=0, kind="stable")[place, np.arange(width)]
            for m, row in enumerate(rows):
                found[seed, here, m] = values[row, seed, here, m]
            picked.append(rows)
    return found, np.array(picked, int)
