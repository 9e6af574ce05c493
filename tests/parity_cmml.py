"""CMML's arrays as models and padded batches, for the parity tests.

The committed arrays keep, in place of each gradient, a sketch of it (`sketch`): four numbers that no other
gradient is likely to have. Where METAREC_PARITY names a folder with the whole gradients, those are compared.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_maml import batch_of, schema_of
from torch import Tensor

from metarec.data.schema import Schema
from metarec.methods.base import Method
from metarec.methods.cmml import CMML, USER
from metarec.tasks import Query, Support, TaskBatch

PARITY = Path(os.environ.get("METAREC_PARITY", Path(__file__).parent / "parity"))
# Names in the arrays -> ours, first match first; layers count from 1 there and from 0 here.
RENAMED = (
    (r"^embed\.(rate|genre|director|actor)$", r"vectors.item.tables.\1"),
    (r"^embed\.(gender|age|occupation|zip)$", r"vectors.user.tables.\1"),
    (r"^encoder\.label\.(\d)", r"code.mlp.layers.<\1>"),
    (r"^encoder\.mlp\.(\d)", r"encoder.mlp.layers.<\1>"),
    (r"^encoder\.gru", "encoder.gru"),
    (r"^backbone\.(\d)", r"backbone.layers.<\1>"),
    (r"^hyper\.(\d)", r"backbone.hyper.layers.<\1>"),
    (r"^(?:hyper|route)\.trunk(\d)", r"backbone.trunk.<\1>"),
    (r"^(?:hyper|route)\.head(\d)", r"backbone.heads.<\1>"),
    (r"^out\.", "backbone.out."),
)


class Arrays:
    """The arrays of one file, or of all files of a folder."""

    def __init__(self, folder: str, *names: str):
        paths = [PARITY / folder / f"{name}.npz" for name in names]
        if not paths[0].exists():
            pytest.skip(f"{paths[0]} is absent")
        self.a: dict[str, np.ndarray] = {}
        for path in paths:
            if path.exists():
                self.a |= dict(np.load(path).items())

    def ragged(self, name: str) -> list[np.ndarray]:
        return [self.a[name][a:b] for a, b in pairwise(self.a[f"{name}_offsets"])]

    def named(self, group: str, index: int | None = None) -> dict[str, Tensor]:
        """Arrays `group/...` under our names; of those that hold one for each task, that of task `index`."""
        found, modules = {}, {}
        for key, value in self.a.items():
            if key.startswith(f"{group}/"):
                name, array = key[len(group) + 1 :], value if index is None else value[index]
                if match := re.match(r"modules(\d)\.(\d)\.(weight|bias)", name):
                    layer, module, kind = match.groups()
                    ours = f"backbone.{'weights' if kind == 'weight' else 'biases'}.{int(layer) - 1}"
                    modules.setdefault(ours, {})[int(module)] = array
                    continue
                multi = name in ("embed.genre", "embed.director", "embed.actor")
                found[_ours(name)] = torch.as_tensor(np.ascontiguousarray(array.T if multi else array))
        return found | {
            name: torch.as_tensor(np.stack([parts[i] for i in sorted(parts)]))
            for name, parts in modules.items()
        }

    def load(self, model: Method) -> None:
        """Put the weights of the arrays into a model: all of them, and no others."""
        weights = self.named("weights")
        assert set(weights) == {name for name, _ in model.named_parameters()}
        model.load_state_dict({**model.state_dict(), **weights})


def _ours(name: str) -> str:
    for pattern, ours in RENAMED:
        if re.search(pattern, name):
            return re.sub(r"<(\d)>", lambda m: str(int(m[1]) - 1), re.sub(pattern, ours, name))
    return name


def sketch(gradient: np.ndarray | Tensor) -> np.ndarray:
    """Four weighted sums of a gradient's entries, with the weights cos(j i) for entry i and j = 1 to 4."""
    flat = np.asarray(gradient, dtype=np.float64).ravel()
    return np.cos(np.outer(np.arange(1, 5), np.arange(1, flat.size + 1))) @ flat


def close(ours: Any, theirs: Any) -> None:
    ours, theirs = torch.as_tensor(ours), torch.as_tensor(theirs)
    torch.testing.assert_close(ours.detach(), theirs, rtol=1e-9, atol=1e-12)


def gradients_agree(arrays: Arrays, group: str, model: Method, index: int | None = None) -> None:
    """The gradients in `model` against `group`, or against the sketches of it (`group_sketch`)."""
    mine = {name: p.grad for name, p in model.named_parameters()}
    whole = arrays.named(group, index)
    if whole:
        assert set(whole) == set(mine)
        for name, expected in whole.items():
            close(mine[name], expected)
        return
    sketches = arrays.a[f"{group}_sketch"] if index is None else arrays.a[f"{group}_sketch"][index]
    names = arrays.a["sketched"].tolist()
    assert set(names) == set(mine)
    for name, expected in zip(names, sketches, strict=True):
        torch.testing.assert_close(
            torch.as_tensor(sketch(mine[name])), torch.as_tensor(expected), rtol=1e-9, atol=1e-11
        )


def padded(lists: list[np.ndarray], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Lists as rows `[tasks, n]`, and the mask of what each has."""
    n = max(map(len, lists))
    values = torch.zeros(len(lists), n, dtype=dtype)
    mask = torch.zeros(len(lists), n, dtype=torch.bool)
    for t, one in enumerate(lists):
        values[t, : len(one)], mask[t, : len(one)] = torch.as_tensor(one), True
    return values, mask


class Scenarios(Arrays):
    """Scenario setting: frozen vectors, positives and negatives, the hinge loss."""

    def __init__(self, name: str):
        super().__init__("cmml_scenario", name)
        modulation, encoder, hybrid = name.replace("_pos", "-pos").split("_")
        w = {k.removeprefix("weights/"): v.shape for k, v in self.a.items() if k.startswith("weights/")}
        hidden = [s[0] for k, s in w.items() if re.match(r"encoder\.mlp\.\d\.weight", k)]
        hyper = [s[0] for k, s in w.items() if re.match(r"(hyper|route)\.(trunk)?\d\.weight", k)]
        self.model = CMML(
            Schema(
                *(len(self.a[f"{side}_vectors"]) for side in ("user", "item")),
                "implicit",
                0.0,
                1.0,
                user_vectors=self.a["user_vectors"],
                item_vectors=self.a["item_vectors"],
            ),
            modulation=modulation,
            encoder="gru" if encoder == "gru" else "mean",
            negatives=encoder != "pool-pos",
            hybrid=hybrid,
            gru=w.get("encoder.gru.w_hidden", (0, 0))[1],
            encoder_sizes=tuple(hidden[:-1]),
            hyper=tuple(hyper),
        ).double()
        for side in ("user", "item"):
            getattr(self.model.vectors, side).vectors = torch.as_tensor(self.a[f"{side}_vectors"])
        self.load(self.model)
        self.batch = self._batch()

    def _batch(self) -> TaskBatch:
        parts = {k: self.ragged(k) for k in ("support_positive", "support_negative")}
        both = [np.concatenate(rows) for rows in zip(*parts.values(), strict=True)]
        labels = [np.arange(len(b)) < len(p) for b, p in zip(both, parts["support_positive"], strict=True)]
        user, mask = padded([b[:, 0] for b in both], torch.long)
        item, _ = padded([b[:, 1] for b in both], torch.long)
        support = Support(user, item, mask, padded(labels, torch.float64)[0])
        # A training query: each positive, then its negative.
        rows = [
            np.stack(pair, 1).reshape(-1, 2)
            for pair in zip(self.ragged("query_positive"), self.ragged("query_negative"), strict=True)
        ]
        user, mask = padded([r[:, 0] for r in rows], torch.long)
        item, _ = padded([r[:, 1] for r in rows], torch.long)
        labels = [np.arange(len(r)) % 2 == 0 for r in rows]
        return TaskBatch(support, Query(user, item, mask), padded(labels, torch.float64)[0])


class Users(Arrays):
    """User setting: content fields, ratings, the squared error."""

    def __init__(self, folder: str):
        super().__init__(folder, "fixture", "grads", "after_adam")
        softm = folder.endswith("softm")
        f = {k: torch.as_tensor(v) for k, v in self.a.items() if v.dtype.kind != "U"}
        width = len(f["weights/route.trunk1.weight" if softm else "weights/hyper.trunk1.weight"])
        options = {**USER, "hyper": (width, width), "modulation": "softm" if softm else "film"}
        self.model = CMML(schema_of(f), **options).double()
        self.load(self.model)
        self.batch = batch_of(f)
