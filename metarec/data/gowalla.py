"""Gowalla as distributed with NGCF: places that users checked in at, in lines `user place place ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from metarec.data import catalog
from metarec.data.negatives import with_negatives
from metarec.data.ratings import Ratings
from metarec.data.reading import read_text
from metarec.errors import DataError


def read_gowalla(home: Path, *, shortest: int = 15, negatives: bool = True, seed: int = 555) -> Ratings:
    """An extract of Gowalla: the users with `shortest` places or more in `test.txt`, with 1:1 negatives.

    TaNP takes "a part of interactions" and does not say which, so this is a stand-in: with one negative a
    positive, 15 places are the 30 rows that its released filter asks of a user. Negatives are drawn evenly
    from the extract's places, as on Last.FM (`with_negatives`). Raises `DataError` where nobody has that
    many.
    """
    path = catalog.folder("gowalla", home) / "test.txt"
    rows = read_visits(path)
    _, place, length = np.unique(rows[:, 0], return_inverse=True, return_counts=True)
    kept = rows[length[place] >= shortest]
    if not len(kept):
        raise DataError(
            f"{path}: no user has {shortest} places or more; lower shortest, or {catalog.afresh(path)}."
        )
    users, user = np.unique(kept[:, 0], return_inverse=True)
    items, item = np.unique(kept[:, 1], return_inverse=True)
    order = np.lexsort((item, user))
    user, item = user[order], item[order]
    label = np.ones(len(user), np.float32)
    if negatives:
        user, item, label = with_negatives(user, item, len(items), seed, path)
    return Ratings(
        name="gowalla",
        kind="implicit",
        user=user,
        item=item,
        label=label,
        users=users,
        items=items,
        notes=(
            f"Users with {shortest} places or more in NGCF's test.txt, a stand-in for the extract of TaNP.",
            f"One uniform negative a positive, seed {seed}." if negatives else "Positives only.",
        ),
    )


def visits(home: Path, part: Literal["train", "test"]) -> np.ndarray:
    """`[visits, 2]` user and place of one of NGCF's two files, in file order."""
    return read_visits(catalog.folder("gowalla", home) / f"{part}.txt")


def read_visits(path: Path) -> np.ndarray:
    """`[visits, 2]` from lines `user place place ...`; raises `DataError` naming the first bad line."""
    found: dict[int, np.ndarray] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        try:
            user, *places = numbers = [int(cell) for cell in line.split()]
        except ValueError as error:
            raise _refusal(path, number, f"not a user and places by number ({error})") from error
        if user in found:
            raise _refusal(path, number, f"user {user} has a line already")
        if min(numbers) < 0 or max(numbers) >= 2**63:
            raise _refusal(path, number, "a number below zero or beyond 64 bits")
        if len(set(places)) < len(places):
            raise _refusal(path, number, f"user {user} has a place twice")
        found[user] = np.array(places, np.int64)
    users = np.repeat(np.fromiter(found, np.int64), [len(places) for places in found.values()])
    return np.stack([users, np.concatenate(list(found.values()))], 1)


def _refusal(path: Path, line: int, reason: str) -> DataError:
    return DataError(f"{path}, line {line}: {reason}; mend the line or {catalog.afresh(path)}.")
