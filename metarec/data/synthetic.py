"""Planted data: small, seeded, with its own ground truth. The quick profile of every notebook runs on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metarec.data.frames import pack_field
from metarec.data.ratings import Field, Kind, Ratings, Truth
from metarec.errors import DataError

N_FACTORS = 6
N_GENRES = 12
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class _World:
    """Everything that is drawn before a rating is: who the users and items are."""

    group: np.ndarray  # [users]
    user: np.ndarray  # [users, factors]
    user_bias: np.ndarray  # [users]
    item: np.ndarray  # [items, factors]
    item_bias: np.ndarray  # [items]
    popularity: np.ndarray  # [items], log scale
    genres: np.ndarray  # [items, N_GENRES], bool
    genre_vectors: np.ndarray  # [N_GENRES, factors]
    studio: np.ndarray  # [items]

    @property
    def affinity(self) -> np.ndarray:
        """`[users, items]`: how well user and item match, standard deviation near 1."""
        return self.user @ self.item.T / np.sqrt(N_FACTORS)


def synthetic(
    seed: int = 0,
    n_users: int = 400,
    n_items: int = 300,
    kind: Kind = "explicit",
    ratings_per_user: tuple[int, int] = (30, 60),
    n_groups: int = 6,
    n_scenarios: int = 40,
    noise: float = 0.5,
) -> Ratings:
    """Ratings with planted structure: user groups share tastes, items load on factors, fields tell of both.

    Explicit labels (`1..5`): user `u` of group `g(u)` rates item `i` as

        round(clip(3.4 + b_u + b_i + 0.75 a_ui + noise * e)),    a_ui = <t_g(u) + d_u, q_i> / sqrt(factors),

    with `e` standard normal, and a popular item is rated more often. Implicit labels: items are taken without
    replacement with odds proportional to `exp(popularity_i + 1.5 a_ui)` and carry label 1; as many others,
    drawn uniformly, carry label 0 (one negative a positive, as MKR does), so a user's rows are even.

    Informative fields: user occupation (of the group), age (weakly), interests (multi-valued, of the taste);
    item genre (multi-valued, of the factors), studio (of the factors, weakly). Uninformative: user region.
    `truth.expected[u, i]` is the noise-free rating in `[1, 5]`, or the chance that a listed pair is positive.
    Every row belongs to one scenario, a corner of the factor space; `time` (seconds) orders a user's rows.

    Raises `DataError` for sizes that cannot be drawn.
    """
    low, high = ratings_per_user
    if kind not in ("explicit", "implicit"):
        raise DataError(f"synthetic: kind={kind!r} is unknown; use 'explicit' or 'implicit'.")
    if not 2 <= low <= high < n_items or min(n_users, n_groups, n_scenarios) < 1:
        raise DataError(
            f"synthetic: ratings_per_user={ratings_per_user} must rise from 2 or more and stay below "
            f"n_items={n_items}, and users, groups and scenarios be 1 or more; change the sizes."
        )
    rng = np.random.default_rng([seed, n_users, n_items])
    world = _draw_world(rng, n_users, n_items, n_groups)
    lengths = rng.integers(low, high + 1, n_users)
    if kind == "explicit":
        user, item, label, expected = _explicit(rng, world, lengths, noise)
    else:
        user, item, label, expected = _implicit(rng, world, np.maximum(lengths // 2, 1))
    time = _times(rng, user, n_users)
    order = np.lexsort((item, time, user))
    user, item, label, time = user[order], item[order], label[order], time[order]
    return Ratings(
        name="synthetic" if kind == "explicit" else "synthetic-implicit",
        kind=kind,
        user=user,
        item=item,
        label=label,
        users=np.arange(n_users),
        items=np.arange(n_items),
        time=time,
        user_fields=_user_fields(rng, world, n_groups),
        item_fields=_item_fields(world),
        scenario=_scenarios(rng, world, item, n_scenarios),
        scenarios=np.array([f"scenario {s:02d}" for s in range(n_scenarios)]),
        truth=Truth(expected.astype(np.float32), world.group, world.item.astype(np.float32)),
        notes=(f"Planted data, seed {seed}: {n_groups} user groups, {N_FACTORS} item factors.",),
    )


def planted_scenarios(seed: int = 0) -> Ratings:
    """Planted positives in 24 scenarios, for tasks that draw their own negatives."""
    both = synthetic(
        seed, n_users=240, n_items=240, kind="implicit", ratings_per_user=(80, 140), n_scenarios=24
    )
    liked = both.label > 0
    rows = {name: getattr(both, name)[liked] for name in ("user", "item", "label", "time", "scenario")}
    return replace(both, name="synthetic-scenarios", **rows)


def _draw_world(rng: np.random.Generator, n_users: int, n_items: int, n_groups: int) -> _World:
    tastes = rng.normal(size=(n_groups, N_FACTORS))
    tastes *= np.sqrt(N_FACTORS) / np.linalg.norm(tastes, axis=1, keepdims=True)
    group = rng.permutation(np.arange(n_users) % n_groups)
    user = tastes[group] + 0.6 * rng.normal(size=(n_users, N_FACTORS))
    genre_vectors = rng.normal(size=(N_GENRES, N_FACTORS))
    rank = rng.random((n_items, N_GENRES)).argsort(1).argsort(1)
    genres = rank < rng.integers(1, 4, n_items)[:, None]
    studios = rng.normal(size=(15, N_FACTORS))
    studio = rng.integers(0, len(studios), n_items)
    centre = genres @ genre_vectors / np.sqrt(genres.sum(1, keepdims=True))
    item = 0.85 * centre + 0.35 * studios[studio] + 0.35 * rng.normal(size=(n_items, N_FACTORS))
    item_bias = 0.35 * rng.normal(size=n_items)
    popularity = 0.5 * item_bias - 0.7 * np.log1p(rng.permutation(n_items))
    user_bias = 0.3 * rng.normal(size=n_users)
    return _World(group, user, user_bias, item, item_bias, popularity, genres, genre_vectors, studio)


def _take(rng: np.random.Generator, log_weight: np.ndarray, n: np.ndarray) -> np.ndarray:
    """`[users, items]` bool: `n[u]` items without replacement, odds `exp(log_weight)` (Gumbel top-n)."""
    rank = np.argsort(np.argsort(-(log_weight + rng.gumbel(size=log_weight.shape)), axis=1), axis=1)
    return rank < n[:, None]


def _explicit(
    rng: np.random.Generator, world: _World, lengths: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    shape = world.affinity.shape
    score = 3.4 + world.user_bias[:, None] + world.item_bias + 0.75 * world.affinity
    user, item = np.nonzero(_take(rng, np.broadcast_to(world.popularity, shape), lengths))
    observed = np.rint(score[user, item] + noise * rng.normal(size=len(user)))
    return user, item, observed.clip(1, 5).astype(np.float32), score.clip(1, 5)


def _implicit(
    rng: np.random.Generator, world: _World, n_positive: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    log_weight = world.popularity + 1.5 * world.affinity
    taken = _take(rng, log_weight, n_positive)
    passed = _take(rng, np.where(taken, -np.inf, 0.0), n_positive)
    user, item = np.nonzero(taken | passed)
    chance = _inclusion(log_weight, n_positive)
    others = (1 - chance) * n_positive[:, None] / (log_weight.shape[1] - n_positive[:, None])
    return user, item, taken[user, item].astype(np.float32), chance / (chance + others)


def _inclusion(log_weight: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Chance that an item is among the `n[u]` taken: `1 - exp(-c_u w_ui)`, `c_u` such that it sums to `n[u]`.

    Gumbel keys are exponential races, so at the time the n-th item is in, each is in with that chance; fixing
    the time instead of the count is exact as the number of items grows.
    """
    weight = np.exp(log_weight - log_weight.max(1, keepdims=True))
    low, high = np.full(len(n), -30.0), np.full(len(n), 60.0)
    for _ in range(60):
        middle = (low + high) / 2
        many = -np.expm1(-np.exp(middle)[:, None] * weight).sum(1) > n
        low, high = np.where(many, low, middle), np.where(many, middle, high)
    return np.asarray(-np.expm1(-np.exp(middle)[:, None] * weight))


def _times(rng: np.random.Generator, user: np.ndarray, n_users: int) -> np.ndarray:
    arrival = rng.integers(0, 1000 * SECONDS_A_DAY, n_users)
    return arrival[user] + rng.integers(0, 30 * SECONDS_A_DAY, len(user))


def _scenarios(rng: np.random.Generator, world: _World, item: np.ndarray, n_scenarios: int) -> np.ndarray:
    """One of the two corners nearest to the item, by a fair draw a row; corners are where some items are."""
    corners = world.item[rng.permutation(len(world.item))[np.arange(n_scenarios) % len(world.item)]]
    distance = ((world.item[:, None, :] - corners) ** 2).sum(-1)
    nearest = np.argsort(distance, axis=1)[:, : min(2, n_scenarios)]
    return nearest[item, rng.integers(0, nearest.shape[1], len(item))]


def _user_fields(rng: np.random.Generator, world: _World, n_groups: int) -> tuple[Field, ...]:
    n = len(world.group)
    occupation = np.where(
        rng.random(n) < 0.7, 2 * world.group + rng.integers(0, 2, n), rng.integers(0, 2 * n_groups, n)
    )
    age = np.where(rng.random(n) < 0.4, world.group % 7, rng.integers(0, 7, n))
    region = rng.integers(0, 10, n)
    liking = world.user @ world.genre_vectors.T + rng.normal(size=(n, N_GENRES))
    rank = np.argsort(np.argsort(-liking, axis=1), axis=1)
    interests = rank < rng.integers(2, 5, n)[:, None]
    return (
        Field("occupation", occupation, np.array([f"occupation {v:02d}" for v in range(2 * n_groups)])),
        Field("age", age, np.array(["1", "18", "25", "35", "45", "50", "56"])),
        Field("region", region, np.array([f"region {v}" for v in range(10)])),
        pack_field("interests", np.nonzero(interests)[1], interests.sum(1), _genre_names()),
    )


def _item_fields(world: _World) -> tuple[Field, ...]:
    return (
        pack_field("genre", np.nonzero(world.genres)[1], world.genres.sum(1), _genre_names()),
        Field("studio", world.studio, np.array([f"studio {v:02d}" for v in range(15)])),
    )


def _genre_names() -> np.ndarray:
    return np.array([f"genre {v:02d}" for v in range(N_GENRES)])
