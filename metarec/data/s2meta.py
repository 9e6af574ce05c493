"""The preprocessed scenarios that s2Meta's authors distribute and CMML's program reads."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metarec.data import catalog
from metarec.data.ratings import Ratings
from metarec.errors import DataError


def read_s2meta(home: Path, *, name: str) -> Ratings:
    """All pairs of `train_data` and `test_data`, every one a positive of its scenario.

    `train_data` is a list of (scenario, pairs), `test_data` one of (scenario, support pairs, pairs to rank),
    a pair being (user, item, ...). Both are pickles: they are read by a reader that knows lists, tuples,
    dicts, numbers and text and refuses all else, so that no file can run anything. Scenarios are split anew
    by the episode rule, and vectors are made anew, of what training may see.
    """
    folder = catalog.folder(name, home) / "train_data"
    rows: list[tuple[Any, Any, str]] = []
    for file in ("train_data", "test_data"):
        path = folder / file
        for number, entry in enumerate(_plain(path)):
            try:
                key, *sides = entry
                rows += [(pair[0], pair[1], str(key)) for side in sides for pair in side]
            except (TypeError, ValueError, IndexError):
                raise DataError(
                    f"{path}, entry {number}: not a scenario and lists of pairs; {catalog.afresh(path)}."
                ) from None
    frame = pd.DataFrame(rows, columns=["user", "item", "scenario"]).drop_duplicates(ignore_index=True)
    coded = {column: pd.factorize(frame[column], sort=True) for column in frame}
    return Ratings(
        name=name,
        kind="implicit",
        user=coded["user"][0].astype(np.int64),
        item=coded["item"][0].astype(np.int64),
        label=np.ones(len(frame), np.float32),
        users=np.asarray(coded["user"][1]),
        items=np.asarray(coded["item"][1]),
        scenario=coded["scenario"][0].astype(np.int64),
        scenarios=np.asarray(coded["scenario"][1]),
        notes=("Positives only; negatives are drawn when tasks are made.",),
    )


class _Plain(pickle.Unpickler):
    """Reads built-in containers, numbers and text; a file that names anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _plain(path: Path) -> list[Any]:
    try:
        found = _Plain(io.BytesIO(path.read_bytes())).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path}: not a pickle of plain lists and numbers ({error}); open it where you trust it, turn "
            "its numbers into int() and its lists into list(), and pickle it again."
        ) from None
    if not isinstance(found, list):
        raise DataError(f"{path}: holds a {type(found).__name__}, not a list; {catalog.afresh(path)}.")
    return found
