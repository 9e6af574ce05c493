"""Last.FM (HetRec 2011) in three forms: as published, as MKR cut it, as TaNP shipped it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from metarec.data.ratings import Ratings
from metarec.data.reading import Column, Table, read_text
from metarec.errors import DataError

SPLITS = ("training", "validation", "testing")


class TaskRows(TypedDict):
    """One split of TaNP's answer file. Row `t` of `support_*` is `[20]`; queries are ragged, concatenated."""

    user: np.ndarray
    support_item: np.ndarray
    support_label: np.ndarray
    query_item: np.ndarray
    query_label: np.ndarray
    query_ptr: np.ndarray


def read_tanp(home: Path) -> Ratings:
    """TaNP's own rows: `ratings_final.txt`, 21,173 positives and as many sampled negatives.

    Ids are kept as they stand (users 0..1871, items 0..3845) and rows stay in file order, because TaNP's
    episodes are drawn by shuffling each user's rows *as listed*: another order gives other tasks.
    """
    table = Table(
        home / "lastfm-tanp" / "ratings_final.txt",
        (Column("user", "int", low=0), Column("item", "int", low=0), Column("label", "int", low=0, high=1)),
        sep="\t",
    )
    frame = table.read()
    table.unique(frame, ("user", "item"))
    users, items = (_gapless(table, frame, side) for side in ("user", "item"))
    return Ratings(
        name="lastfm-tanp",
        kind="implicit",
        user=frame["user"].to_numpy(np.int64),
        item=frame["item"].to_numpy(np.int64),
        label=frame["label"].to_numpy(np.float32),
        users=users,
        items=items,
        notes=("Half of the rows are negatives sampled once, uniformly, by MKR's preprocessing.",),
    )


def _gapless(table: Table, frame: pd.DataFrame, side: str) -> np.ndarray:
    ids = np.unique(frame[side].to_numpy())
    if ids[-1] != len(ids) - 1:
        raise DataError(
            f"{table.path}: {side} ids run to {ids[-1]} but only {len(ids)} occur, so rows are missing; "
            "fetch the file afresh."
        )
    return ids


def tanp_user_order(home: Path) -> np.ndarray:
    """`[users]`: dense ids in the order of the shipped `user_list.json`, the list TaNP's split shuffles."""
    path = home / "lastfm-tanp" / "user_list.json"
    try:
        order = np.array([int(u) for u in _json(path)], np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a list of user numbers ({error}); fetch it afresh.") from error
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise DataError(f"{path}: a user is missing or listed twice; fetch it afresh.")
    return order


def tanp_tasks(home: Path) -> dict[str, TaskRows]:
    """The tasks TaNP's authors shipped, split by split, as index arrays into the ids of `read_tanp`."""
    path = home / "lastfm-tanp" / "tasks.json"
    content = _json(path)
    try:
        return {split: _task_rows(content[split]) for split in SPLITS}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not in the form of TaNP's task file ({error!r}); fetch it afresh."
        ) from error


def _task_rows(tasks: list[dict[str, Any]]) -> TaskRows:
    query = [t["query"]["item"] for t in tasks]
    return TaskRows(
        user=np.array([t["user"] for t in tasks], np.int64),
        support_item=np.array([t["supp"]["item"] for t in tasks], np.int64),
        support_label=np.array([t["supp"]["y"] for t in tasks], np.float32),
        query_item=np.concatenate([np.array(q, np.int64) for q in query]),
        query_label=np.concatenate([np.array(t["query"]["y"], np.float32) for t in tasks]),
        query_ptr=np.cumsum([0] + [len(q) for q in query]),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}); fetch it afresh.") from error
