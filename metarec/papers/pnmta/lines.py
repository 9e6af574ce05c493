r"""The planted world of PNMTA's Fig 2: users whose ratings are lines in one trait, in three groups.

An item has one trait $x \in [0, 1]$, shown as one of twelve values; a user's ratings are a line in it,
$y = \mathrm{level}_u + \mathrm{slope}_u (x - \frac12) + \varepsilon$, and lines come in three groups. A field
of the user, the segment, names the group but for some error.
"""

from __future__ import annotations

import numpy as np

from metarec.data.ratings import Field, Ratings, Truth

# What a group likes: level at the middle of the trait, and slope from one end to the other, in stars.
CENTRES = {"one end": (3.0, 3.0), "other end": (3.0, -3.0), "everything": (4.3, 0.0)}
SPREAD, NOISE, TOLD = (0.2, 0.6), 0.3, 0.85
TRAITS = 12  # values of the trait


def planted(seed: int, n_users: int) -> Ratings:
    """Users of three groups and their ratings."""
    rng = np.random.default_rng([seed, 22])
    centres = np.array(list(CENTRES.values()))
    group = rng.permutation(np.arange(n_users) % len(centres))
    line = centres[group] + rng.normal(size=(n_users, 2)) * SPREAD
    told = np.where(rng.random(n_users) < TOLD, group, rng.integers(0, len(centres), n_users))
    trait = np.arange(5 * TRAITS) % TRAITS
    x = trait / (TRAITS - 1) - 0.5
    length = rng.integers(13, 17, n_users)
    chosen = rng.random((n_users, len(trait))).argsort(1).argsort(1) < length[:, None]
    user, item = np.nonzero(chosen)
    expected = line[:, :1] + line[:, 1:] * x
    label = expected[user, item] + NOISE * rng.normal(size=len(user))
    segment = Field("segment", told, np.array([f"segment {g}" for g in range(len(centres))]))
    return Ratings(
        name="three groups",
        kind="explicit",
        user=user,
        item=item,
        label=label.astype(np.float32),
        users=np.arange(n_users),
        items=np.arange(len(trait)),
        time=rng.permutation(len(user)),
        user_fields=(segment,),
        item_fields=(Field("trait", trait, np.arange(TRAITS)),),
        truth=Truth(expected.astype(np.float32), group, x[:, None].astype(np.float32)),
        notes=(f"Planted lines in three groups, seed {seed}; the segment is right for {TOLD:.0%} or more.",),
    )


def lines(curves: np.ndarray) -> np.ndarray:
    """Level and slope of the least-squares line through each curve: `[..., TRAITS] -> [..., 2]`, in stars."""
    x = np.arange(TRAITS) / (TRAITS - 1) - 0.5
    return np.stack([curves.mean(-1), curves @ x / (x @ x)], -1)


def items_by_trait(ratings: Ratings) -> np.ndarray:
    """One item for each value of the trait, `[TRAITS]`."""
    return np.unique(ratings.item_fields[0].values, return_index=True)[1]
