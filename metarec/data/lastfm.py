"""Last.FM (HetRec 2011) in three forms: as published, as MKR cut it, as TaNP shipped it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from metarec.data import catalog
from metarec.data.negatives import with_negatives
from metarec.data.ratings import Ratings
from metarec.data.reading import Column, Table, read_json
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


PLAYS = (
    Column("userID", "int", low=0),
    Column("artistID", "int", low=0),
    Column("weight", "int", low=0),
)


def read_hetrec(home: Path) -> Ratings:
    """Last.FM as published: every row is a positive (label 1), `weight` counts its plays."""
    table = Table(catalog.folder("lastfm-hetrec", home) / "user_artists.dat", PLAYS, sep="\t", header=True)
    frame = table.read()
    table.unique(frame, ("userID", "artistID"))
    user, users = pd.factorize(frame["userID"], sort=True)
    item, items = pd.factorize(frame["artistID"], sort=True)
    return Ratings(
        name="lastfm-hetrec",
        kind="implicit",
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        label=np.ones(len(frame), np.float32),
        users=np.asarray(users),
        items=np.asarray(items),
        weight=frame["weight"].to_numpy(np.int64),
        notes=("Positives only; negatives are drawn when tasks are made.",),
    )


def read_mkr(home: Path, *, seed: int = 555, negatives: bool = True) -> Ratings:
    """Last.FM cut as MKR does: artists of its knowledge graph, users numbered as they appear, 1:1 negatives.

    An item's id is its line in `item_index2entity_id.txt`. For each user in turn, as many artists as it
    played are drawn without replacement from all the others by numpy's legacy generator; with MKR's own seed,
    555, the rows are those of TaNP's `ratings_final.txt`. Positives stand in ascending order here, while
    MKR's come in the order of a Python set.
    """
    place = catalog.folder("lastfm-mkr", home)
    table = Table(place / "user_artists.dat", PLAYS, sep="\t", header=True)
    index = Table(
        place / "item_index2entity_id.txt", (Column("artistID", "int"), Column("entity", "int")), sep="\t"
    )
    plays, entities = table.read(), index.read()
    table.unique(plays, ("userID", "artistID"))
    index.unique(entities, ("artistID",))
    known = pd.Index(entities["artistID"])
    plays = plays[plays["artistID"].isin(known)]
    user, users = pd.factorize(plays["userID"])
    item = known.get_indexer(pd.Index(plays["artistID"]))
    order = np.lexsort((item, user))
    user, item = user[order].astype(np.int64), item[order].astype(np.int64)
    label = np.ones(len(user), np.float32)
    if negatives:
        user, item, label = with_negatives(user, item, len(known), seed, table.path)
    return Ratings(
        name="lastfm-mkr",
        kind="implicit",
        user=user,
        item=item,
        label=label,
        users=np.asarray(users),
        items=known.to_numpy(),
        notes=(f"One uniform negative a positive, seed {seed}.",) if negatives else ("Positives only.",),
    )


def read_tanp(home: Path) -> Ratings:
    """TaNP's own rows: `ratings_final.txt`, 21,173 positives and as many sampled negatives.

    Ids are kept as they stand (users 0..1871, items 0..3845) and rows stay in file order, because TaNP's
    episodes are drawn by shuffling each user's rows *as listed*: another order gives other tasks.
    """
    table = Table(
        catalog.folder("lastfm-tanp", home) / "ratings_final.txt",
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
            f"{catalog.afresh(table.path)}."
        )
    return ids


def tanp_user_order(home: Path) -> np.ndarray:
    """`[users]`: dense ids in the order of the shipped `user_list.json`, the list TaNP's split shuffles."""
    path = catalog.folder("lastfm-tanp", home) / "user_list.json"
    try:
        order = np.array([int(u) for u in read_json(path)], np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a list of user numbers ({error}); {catalog.afresh(path)}.") from error
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise DataError(f"{path}: a user is missing or listed twice; {catalog.afresh(path)}.")
    return order


def tanp_tasks(home: Path) -> dict[str, TaskRows]:
    """The tasks TaNP's authors shipped, split by split, as index arrays into the ids of `read_tanp`."""
    path = home / "lastfm-tanp" / "tasks.json"
    content = read_json(path)
    try:
        return {split: _task_rows(content[split]) for split in SPLITS}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not in the form of TaNP's task file ({error!r}); {catalog.afresh(path)}."
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
