"""Episodes: which rows of a rating table are the support and which the query of each task."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metarec.data.ratings import Ratings
from metarec.errors import ProtocolError


@dataclass(frozen=True, eq=False)
class Episodes:
    """Ragged tasks as row indices, frozen.

    Task `t` owns `rows[offsets[t]:offsets[t+1]]` of `ratings`; the first `n_support[t]` of them are its
    support set, the others its query set. `task[t]` is the user (or scenario) the task belongs to. `outside`
    holds rows of users whom the filter left out of every split; full pretraining may read them.

    Raises `ProtocolError` when a row belongs to two tasks or to support and query at once, when a task has no
    query, or when the indices do not fit the table.
    """

    ratings: Ratings
    task: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray
    n_support: np.ndarray
    split: str = "all"
    by: str = "user"
    outside: np.ndarray | None = None

    def __post_init__(self) -> None:
        name = f"{self.ratings.name}/{self.split}"
        if (
            len(self.offsets) != len(self.task) + 1
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.rows)
        ):
            raise ProtocolError(
                f"{name}: offsets do not delimit {len(self.task)} tasks; rebuild the episodes."
            )
        if len(self.rows) and (self.rows.min() < 0 or self.rows.max() >= len(self.ratings)):
            raise ProtocolError(f"{name}: a row index lies outside the rating table; rebuild the episodes.")
        if len(np.unique(self.task)) != len(self.task):
            raise ProtocolError(f"{name}: a {self.by} owns two tasks; give each {self.by} one.")
        used = np.zeros(len(self.ratings), bool)
        used[self.rows] = True
        if used.sum() != len(self.rows):
            raise ProtocolError(f"{name}: a rating is used twice, so support and query are not disjoint.")
        if (self.n_query < 1).any() or (self.n_support < 0).any():
            raise ProtocolError(
                f"{name}: every task needs at least one query rating; filter shorter histories."
            )

    def __len__(self) -> int:
        return len(self.task)

    @property
    def lengths(self) -> np.ndarray:
        """Ratings per task, `[tasks]`."""
        return np.diff(self.offsets)

    @property
    def n_query(self) -> np.ndarray:
        """Query ratings per task, `[tasks]`."""
        return self.lengths - self.n_support

    @property
    def is_query(self) -> np.ndarray:
        """For each entry of `rows`, whether it is a query rating."""
        position = np.arange(len(self.rows)) - np.repeat(self.offsets[:-1], self.lengths)
        return position >= np.repeat(self.n_support, self.lengths)

    @property
    def split_id(self) -> str:
        """Short digest: equal for equal episodes over equal ratings, whatever the machine."""
        digest = hashlib.sha256(self.ratings.sha256.encode())
        for array in (self.task, self.rows, self.offsets, self.n_support):
            digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
        return digest.hexdigest()[:16]

    def select(self, keep: np.ndarray, split: str | None = None) -> Episodes:
        """The tasks named by `keep` (indices), in that order."""
        keep = np.asarray(keep, np.int64)
        lengths = self.lengths[keep]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        start = np.repeat(self.offsets[keep] - offsets[:-1], lengths)
        rows = self.rows[np.arange(offsets[-1]) + start]
        return Episodes(
            self.ratings,
            self.task[keep],
            rows,
            offsets,
            self.n_support[keep],
            split or self.split,
            self.by,
            self.outside,
        )

    def cap_support(self, n_max: int) -> Episodes:
        """The same tasks and queries with at most `n_max` support ratings: the last ones before the query."""
        keep = np.minimum(self.n_support, n_max)
        position = np.arange(len(self.rows)) - np.repeat(self.offsets[:-1], self.lengths)
        chosen = position >= np.repeat(self.n_support - keep, self.lengths)
        lengths = keep + self.n_query
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Episodes(
            self.ratings, self.task, self.rows[chosen], offsets, keep, self.split, self.by, self.outside
        )


class Splits(NamedTuple):
    """Training, validation and test episodes of one protocol and seed."""

    train: Episodes
    valid: Episodes
    test: Episodes

    @property
    def split_id(self) -> str:
        """One digest for the three parts."""
        return hashlib.sha256("".join(part.split_id for part in self).encode()).hexdigest()[:16]

    def histories(self) -> Episodes:
        """Whole histories of the training users and of those the filter left out, as query alone.

        What a method may pretrain on if not held to the training episodes. Where the rule does not say who
        was left out: everyone outside validation and test.
        """
        if self.train.by != "user":
            raise ProtocolError("whole histories are of users; these tasks are of another kind.")
        ratings = self.train.ratings
        if self.train.outside is None:
            kept = ~np.isin(ratings.user, np.concatenate([self.valid.task, self.test.task]))
        else:
            kept = np.isin(ratings.user, self.train.task)
            kept[self.train.outside] = True
        rows = np.flatnonzero(kept)[np.argsort(ratings.user[kept], kind="stable")]
        task, length = np.unique(ratings.user[rows], return_counts=True)
        offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        return Episodes(ratings, task, rows, offsets, np.zeros(len(task), np.int64), "full")

    def check_disjoint(self) -> Splits:
        """Return self; raise `ProtocolError` when one user (or scenario) sits in two splits."""
        seen = np.concatenate([part.task for part in self])
        if len(np.unique(seen)) != len(seen):
            raise ProtocolError("a user sits in two splits; rebuild the episodes from one user list.")
        return self


def ragged(
    ratings: Ratings, tasks: list[tuple[int, np.ndarray]], n_support: np.ndarray, split: str
) -> Episodes:
    """Episodes from a list of (task, rows) pairs, support rows first."""
    lengths = np.array([len(rows) for _, rows in tasks], np.int64)
    return Episodes(
        ratings,
        task=np.array([task for task, _ in tasks], np.int64),
        rows=np.concatenate([rows for _, rows in tasks]).astype(np.int64) if tasks else np.zeros(0, np.int64),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        n_support=n_support,
        split=split,
    )
