"""Schema: what a method may know of a data set before training. Sizes and features, no rating."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.data.ratings import Field, Kind, Ratings, refuse_names


@dataclass(frozen=True, eq=False)
class Schema:
    """Numbers of users and items, their fields, the kind of label and its range."""

    n_users: int
    n_items: int
    kind: Kind
    low: float
    high: float
    user_fields: tuple[Field, ...] = ()
    item_fields: tuple[Field, ...] = ()

    @classmethod
    def of(cls, ratings: Ratings) -> Schema:
        """The schema of a rating table; raises `DataError` for fields whose names no model can use."""
        for side, fields in (("user", ratings.user_fields), ("item", ratings.item_fields)):
            refuse_names(ratings.name, side, [f.name for f in fields])
        low, high = float(np.min(ratings.label)), float(np.max(ratings.label))
        return cls(
            ratings.n_users,
            ratings.n_items,
            ratings.kind,
            low,
            high,
            ratings.user_fields,
            ratings.item_fields,
        )
