"""Schema: what a method may know of a data set before training. Sizes and features, no rating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metarec.data.ratings import Field, Kind, Ratings
from metarec.errors import DataError


@dataclass(frozen=True, eq=False)
class Schema:
    """Numbers of users and items, their fields, the kind of label and its range.

    `knowing` adds a stranger to each side, the last user and the last item, all of whose values are unknown;
    `user_ids` and `item_ids` then say which row of a table of identities each user and item has.

    `user_vectors` `[n_users, d]` and `item_vectors` `[n_items, d]`, where there are any, are fixed
    beforehand: no method trains them. A stranger's is zero.
    """

    n_users: int
    n_items: int
    kind: Kind
    low: float
    high: float
    user_fields: tuple[Field, ...] = ()
    item_fields: tuple[Field, ...] = ()
    user_ids: Field | None = None
    item_ids: Field | None = None
    user_vectors: np.ndarray | None = None
    item_vectors: np.ndarray | None = None

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

    def knowing(self, user: np.ndarray, item: np.ndarray) -> Schema:
        """This schema with a row for the unknown in every table, and a stranger on each side.

        `user` and `item` are the ids that training sees. A value that none of them has becomes the field's
        unknown one, an identity that is not among them the stranger's. No number of a table that a prediction
        reads is then left as it started: the unknown rows are trained by putting the strangers in the place
        of a share of users and items (`Feed`).
        """
        return Schema(
            self.n_users + 1,
            self.n_items + 1,
            self.kind,
            self.low,
            self.high,
            tuple(_with_unknown(f, user) for f in self.user_fields),
            tuple(_with_unknown(f, item) for f in self.item_fields),
            _with_unknown(identities(self.n_users), user),
            _with_unknown(identities(self.n_items), item),
            _with_zero(self.user_vectors),
            _with_zero(self.item_vectors),
        )


def identities(n: int) -> Field:
    """The field `id`, whose values are the `n` users or items themselves."""
    return Field("id", np.arange(n, dtype=np.int64), np.arange(n))


def _with_unknown(f: Field, seen: np.ndarray) -> Field:
    """The field with one value more, of all that no id in `seen` has, and one entry more, which has it."""
    among = f.values[seen]
    known = np.zeros(f.size, bool)
    known[among[among >= 0]] = True
    index = np.where(known, np.arange(f.size), f.size)
    values = np.where(f.values >= 0, index[f.values], -1)
    stranger = np.full((1, *values.shape[1:]), -1, values.dtype)
    stranger.reshape(1, -1)[0, 0] = f.size
    vocabulary = np.append(f.vocabulary.astype(object), "unknown")
    counts = None if f.counts is None else np.append(f.counts, 1)
    return Field(f.name, np.concatenate([values, stranger]), vocabulary, counts, unknown=f.size)


def _with_zero(vectors: np.ndarray | None) -> np.ndarray | None:
    """Vectors with one more row, of zeros."""
    return None if vectors is None else np.concatenate([vectors, np.zeros_like(vectors[:1])])


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
