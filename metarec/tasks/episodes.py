"""Episodes: which rows of a rating table are the support and which the query of each task."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
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

    Drawn negatives stand in no rating table: `drawn` is int64 `[pairs, 2]`, user and item, label 0, and
    `rows[k] = -1 - j` means pair `j`. `user`, `item` and `label` look either kind up.

    A user (or scenario) owns one task, with two exceptions. In training it may be drawn anew: with `turns`
    of 1 or more, epoch `e` sees the tasks `t` with `t % turns == e % turns`. In evaluation one support may
    serve many candidate lists: task `t` is handed the support of task `lender[t]`, and owns none itself
    unless it is its own lender.

    Raises `ProtocolError` when a row belongs to two tasks or to support and query at once, when a task has no
    query, when the indices do not fit the table, and when a support is lent to another scenario or to a list
    of one of its own users.
    """

    ratings: Ratings
    task: np.ndarray
    rows: np.ndarray
    offsets: np.ndarray
    n_support: np.ndarray
    split: str = "all"
    by: str = "user"
    outside: np.ndarray | None = None
    drawn: np.ndarray | None = None
    lender: np.ndarray | None = None
    turns: int = 0

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
        drawn = np.zeros((0, 2), np.int64) if self.drawn is None else self.drawn
        if len(self.rows) and (self.rows.min() < -len(drawn) or self.rows.max() >= len(self.ratings)):
            raise ProtocolError(f"{name}: a row index lies outside the rating table; rebuild the episodes.")
        if ((drawn < 0) | (drawn >= [self.ratings.n_users, self.ratings.n_items])).any():
            raise ProtocolError(f"{name}: a drawn pair has an id that no user or item has; draw again.")
        if not self.turns and self.lender is None and len(np.unique(self.task)) != len(self.task):
            raise ProtocolError(f"{name}: a {self.by} owns two tasks; give each {self.by} one.")
        if (self.n_query < 1).any() or (self.n_support < 0).any():
            raise ProtocolError(
                f"{name}: every task needs at least one query rating; filter shorter histories."
            )
        if self.lender is not None:
            self._check_lists(name, self.lender)
        self._check_rows(name)

    def _check_rows(self, name: str) -> None:
        """A rating is used once: in all tasks, or in the tasks of a scenario where it lies in several.

        A task that is one of many draws may repeat a rating, on one side of it.
        """
        owner = np.repeat(np.arange(len(self.task)), self.lengths)
        if self.lender is not None:
            owner = self.lender[owner]
        elif not self.turns:
            owner = np.zeros_like(owner)
        rated = self.rows >= 0
        key = owner[rated] * len(self.ratings) + self.rows[rated]
        if self.turns:
            query = self.is_query[rated]
            twice = bool(np.isin(key[query], key[~query]).any())
        else:
            twice = len(np.unique(key)) != len(key)
        if twice:
            raise ProtocolError(f"{name}: a rating is used twice, so support and query are not disjoint.")

    def _check_lists(self, name: str, lender: np.ndarray) -> None:
        if len(lender) != len(self.task) or (lender[lender] != lender).any():
            raise ProtocolError(f"{name}: a list borrows from a list that borrows; name the owner instead.")
        if (self.task[lender] != self.task).any() or (self.n_support[lender != np.arange(len(lender))]).any():
            raise ProtocolError(f"{name}: a list has the support of another {self.by}, or two; lend it one.")
        query, user = self.is_query, self.user
        owner = lender[np.repeat(np.arange(len(self.task)), self.lengths)]
        key = owner * self.ratings.n_users + user
        if np.isin(key[query], key[~query]).any():
            raise ProtocolError(f"{name}: a user of a list stands in its support too; keep them disjoint.")

    def __len__(self) -> int:
        return len(self.task)

    @property
    def user(self) -> np.ndarray:
        """The user of each entry of `rows`."""
        return self._entry(self.ratings.user, 0)

    @property
    def item(self) -> np.ndarray:
        """The item of each entry of `rows`."""
        return self._entry(self.ratings.item, 1)

    @property
    def label(self) -> np.ndarray:
        """The label of each entry of `rows`; 0 for a drawn pair."""
        return np.where(self.rows >= 0, self.ratings.label[np.maximum(self.rows, 0)], np.float32(0.0))

    def _entry(self, column: np.ndarray, side: int) -> np.ndarray:
        if self.drawn is None:
            return column[self.rows]
        return np.where(
            self.rows >= 0, column[np.maximum(self.rows, 0)], self.drawn[-1 - np.minimum(self.rows, -1), side]
        )

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
        arrays = [self.task, self.rows, self.offsets, self.n_support]
        arrays += [a for a in (self.drawn, self.lender) if a is not None]
        for array in arrays:
            digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
        return digest.hexdigest()[:16]

    def select(self, keep: np.ndarray, split: str | None = None) -> Episodes:
        """The tasks named by `keep` (indices), in that order; lists only together with their lender."""
        keep = np.asarray(keep, np.int64)
        lengths = self.lengths[keep]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        start = np.repeat(self.offsets[keep] - offsets[:-1], lengths)
        lender = self.lender
        if lender is not None:
            place = np.full(len(self), -1)
            place[keep] = np.arange(len(keep))
            lender = place[lender[keep]]
            if (lender < 0).any():
                raise ProtocolError(f"{self.ratings.name}: a list is kept without its support; keep both.")
        return replace(
            self,
            task=self.task[keep],
            rows=self.rows[np.arange(offsets[-1]) + start],
            offsets=offsets,
            n_support=self.n_support[keep],
            split=split or self.split,
            lender=lender,
        )

    def cap_support(self, n_max: int) -> Episodes:
        """The same tasks and queries with at most `n_max` support ratings: the last ones before the query."""
        keep = np.minimum(self.n_support, n_max)
        position = np.arange(len(self.rows)) - np.repeat(self.offsets[:-1], self.lengths)
        chosen = position >= np.repeat(self.n_support - keep, self.lengths)
        lengths = keep + self.n_query
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return replace(self, rows=self.rows[chosen], offsets=offsets, n_support=keep)


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
        seen = np.concatenate([np.unique(part.task) for part in self])
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
