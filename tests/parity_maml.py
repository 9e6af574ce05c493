"""Reads the second-order MAML fixtures: catalogue, ragged tasks, weights, and what came of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import Field
from metarec.data.schema import Schema
from metarec.tasks.batch import Query, Support, TaskBatch

FOLDER = Path(os.environ.get("METAREC_PARITY", Path(__file__).parent / "parity"))
ITEM, USER = ("rate", "genre", "director", "actor"), ("gender", "age", "occupation", "zip")


def fixture(name: str) -> dict[str, Tensor]:
    with np.load(FOLDER / name / "fixture.npz") as stored:
        return {key: torch.as_tensor(stored[key]) for key in stored.files}


def schema_of(f: Mapping[str, Tensor]) -> Schema:
    def column(side: str, name: str) -> Field:
        values, table = f[f"{side}_{name}"].numpy(), f[f"weights/embed.{name}"]
        if values.ndim == 1:
            return Field(name, values, np.arange(len(table)))
        counts = values.sum(1)
        padded = np.full((len(values), int(counts.max())), -1, np.int64)
        for row, hot in enumerate(values):
            padded[row, : counts[row]] = np.flatnonzero(hot)
        return Field(name, padded, np.arange(table.shape[1]), counts)

    users, items = len(f["user_gender"]), len(f["item_rate"])
    sides = tuple(column("user", n) for n in USER), tuple(column("item", n) for n in ITEM)
    return Schema(users, items, "explicit", 1.0, 5.0, *sides)


def batch_of(f: Mapping[str, Tensor]) -> TaskBatch:
    user = f["task_user"][:, None]
    s_item, mask = padded(f, "support_item")
    q_item, q_mask = padded(f, "query_item")
    labels, q_labels = padded(f, "support_label")[0].double(), padded(f, "query_label")[0].double()
    return TaskBatch(Support(user, s_item, mask, labels), Query(user, q_item, q_mask), q_labels)


def padded(f: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    offsets = f[f"{name}_offsets"].tolist()
    rows = [f[name][a:b] for a, b in pairwise(offsets)]
    values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return values, torch.arange(values.shape[1]) < lengths[:, None]


def our_name(released: str) -> str:
    """`embed.genre` -> `encoder.item.tables.genre`, `head.1.bias` -> `head.layers.0.bias`."""
    kind, rest = released.split(".", 1)
    if kind == "embed":
        return f"encoder.{'item' if rest in ITEM else 'user'}.tables.{rest}"
    layer, part = rest.split(".")
    return f"head.layers.{int(layer) - 1}.{part}"


def group(f: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The arrays below `prefix/` by our names; matrices of multi-valued fields become tables."""
    found = {}
    for key, value in f.items():
        if key.startswith(f"{prefix}/"):
            name = key.removeprefix(f"{prefix}/")
            multi = name in ("embed.genre", "embed.director", "embed.actor")
            found[our_name(name)] = value.mT if multi else value
    return found


def close(got: Tensor, expected: Tensor, relative: float = 1e-9) -> None:
    """Equal to `relative` of the largest number of the array."""
    torch.testing.assert_close(got, expected, rtol=relative, atol=relative * float(expected.abs().max()))
