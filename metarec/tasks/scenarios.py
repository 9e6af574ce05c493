"""Scenarios of a rating table: which interactions and items each holds, and which scenarios go where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.data.ratings import Ratings
from metarec.errors import ProtocolError

FIELD = "scenario"  # an item field of this name says in which scenarios an item lies


@dataclass(frozen=True, eq=False)
class Scenarios:
    """`rows[s]` are the positive interactions of scenario `s` (indices into the table), `items[s]` its items.

    A row of the table belongs to the scenario it names (`Ratings.scenario`, -1 for none), or to all those of
    its item (the item field `scenario`). All interactions of an item field's scenarios are positives.
    """

    rows: list[np.ndarray]
    items: list[np.ndarray]

    @classmethod
    def of(cls, ratings: Ratings) -> Scenarios:
        """The scenarios of a table, empty ones included; `ProtocolError` for a table without any."""
        positive = np.flatnonzero(ratings.label > 0)
        if ratings.scenario is not None and ratings.scenarios is not None:
            here = positive[ratings.scenario[positive] >= 0]
            rows = grouped(here, ratings.scenario[here], len(ratings.scenarios))
            return cls(rows, [np.unique(ratings.item[own]) for own in rows])
        field = next((f for f in ratings.item_fields if f.name == FIELD), None)
        if field is None:
            raise ProtocolError(
                f"{ratings.name} has no scenarios; give its rows one (`scenario`) or its items a field of "
                "that name."
            )
        by_item = grouped(positive, ratings.item[positive], ratings.n_items)
        values = field.values if field.multi else field.values[:, None]
        item, slot = np.nonzero(values >= 0)
        among = np.array([len(own) > 0 for own in by_item])[item]
        items = grouped(item[among], values[item, slot][among], field.size)
        none = np.zeros(0, np.int64)
        return cls([np.concatenate([none, *(by_item[i] for i in own)]) for own in items], items)

    def without(self, lost: np.ndarray) -> Scenarios:
        """The same scenarios and items without the rows where `lost`, bool over the table, is true."""
        return Scenarios([own[~lost[own]] for own in self.rows], self.items)


def grouped(values: np.ndarray, group: np.ndarray, n: int) -> list[np.ndarray]:
    """`values` group by group, `n` arrays, each in the order the values came in."""
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=n))[:-1]
    return np.split(values[order], ends)


def divided(
    kept: np.ndarray, test_share: float, valid_share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test scenarios at random; `valid_share` is of those that are not for test.

    `ProtocolError` for a share that is none, and where a part is left without a scenario.
    """
    for name, share in (("test_share", test_share), ("valid_share", valid_share)):
        if not 0 < share < 1:
            raise ProtocolError(f"{name}={share} is no share to hold out; use a number between 0 and 1.")
    shuffled = rng.permutation(kept)
    n_test = round(test_share * len(kept))
    n_valid = max(1, round(valid_share * (len(kept) - n_test)))
    test, valid, train = np.split(shuffled, [n_test, n_test + n_valid])
    if not len(test) or not len(train):
        raise ProtocolError(
            f"{len(kept)} scenarios are too few to split by test_share={test_share} and "
            f"valid_share={valid_share}; use a larger set or other shares."
        )
    return np.sort(train), np.sort(valid), np.sort(test)
