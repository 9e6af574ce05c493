"""Schema: what a method may know of a data set before training. Sizes and features, no rating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.ratings import Field, Kind, Ratings
from metarec.errors import DataError


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


def refuse_names(where: str, side: str, names: Sequence[str]) -> None:
    """`DataError` for names of fields that no model can give its tables: torch's own, and two alike."""
    from torch import nn  # here, so that reading a data set does not need it

    own, seen = nn.ParameterDict(), dict[str, str]()
    for name in names:
        key = name.replace(".", "_")  # as in `FieldEmbedding`
        if not name or hasattr(own, key):
            raise DataError(f"{where}: no table of a model can be named {name!r}; rename that {side} field.")
        if key in seen:
            raise DataError(
                f"{where}: {side} fields {seen[key]!r} and {name!r} would share a table, for '.' is written "
                "'_' there; rename one of them."
            )
        seen[key] = name
