"""What each training step sees: indices and noise, drawn replica by replica, gathered on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from metarec.errors import ProtocolError
from metarec.methods.base import Noise, Stage
from metarec.tasks.batch import EpisodeTensors, Query, RowBatch, Support, TaskBatch
from metarec.tasks.episodes import Splits
from metarec.training.stack import Stack, stack_noise

Key = tuple[int, ...]
Inputs = dict[str, Tensor]


class Feed:
    """The training data of a stack of replicas on its device, epoch by epoch.

    A step is a `Key`, the static shape of its batch (support and query width), and `Inputs`, index and noise
    tensors with the replica axis first. Order and noise come from one generator a replica, and neither
    depends on the other replicas, so each sees what it would see alone.

    `hide` is the share of users and of items whose place a stranger takes (`Schema.knowing`), drawn anew each
    time: users task by task, items interaction by interaction. Labels stay. So the rows of what is unknown
    are trained too.
    """

    def __init__(
        self,
        splits: Sequence[Splits],
        stack: Stack,
        generators: list[Generator],
        device: torch.device,
        dtype: torch.dtype,
        *,
        full: bool,
        hide: float = 0.0,
        round_to: int = 1,
    ):
        self.stack, self.generators, self.device, self.round_to = stack, generators, device, round_to
        self.tasks = EpisodeTensors([s.train for s in splits], device, dtype)
        ratings = splits[0].train.ratings
        self.hide, self.strangers = hide, (ratings.n_users, ratings.n_items)
        if hide and not self.tasks.single_user:
            raise ProtocolError("strangers are put in the place of users; give tasks of one user each.")
        self.full = EpisodeTensors([s.histories() for s in splits], device, dtype) if full else self.tasks

    def epoch(self, stage: Stage, index: int, number: int) -> Iterator[tuple[Key, Inputs]]:
        """The steps of epoch `number` of stage `index`."""
        return self._task_steps(stage, [index, number]) if stage.unit == "tasks" else self._row_steps(stage)

    def arguments(self, stage: Stage, key: Key, inputs: Inputs) -> tuple[Any, ...]:
        """What the stage's terms are called with: gathers on the device, no transfer."""
        if stage.unit == "rows":
            rows = self._source(stage).rows(inputs["index"])
            return (with_strangers(rows, self.strangers, inputs["hidden"]) if self.hide else rows,)
        noise = {name: value for name, value in inputs.items() if name not in ("index", "hidden")}
        batch = self.tasks.batch(inputs["index"], *key)
        return with_strangers(batch, self.strangers, inputs["hidden"]) if self.hide else batch, noise

    def _task_steps(self, stage: Stage, salt: list[int]) -> Iterator[tuple[Key, Inputs]]:
        data = self.tasks
        order = self._order(stage, salt)
        noise = self._noise(order.shape[1:])
        hidden = self._hidden((*order.shape[1:], 1 + data.width_support + data.width_query))
        first = data.host_first if len(data.host_first) > 1 else np.zeros(1, np.int64)
        order = order + first[:, None, None]
        on_device = torch.as_tensor(order).to(self.device)
        for step in range(order.shape[1]):
            tasks = order[:, step]
            support = self._width(int(data.host_support[tasks].max()), data.width_support)
            query = self._width(int(data.host_query[tasks].max()), data.width_query)
            here = {name: value[:, step] for name, value in noise.items()}
            here = self.stack.skeleton.resize(here, support, query, data.width_support)
            if self.hide:
                here["hidden"] = self._cut(hidden[:, step], support, query)
            yield (support, query), {"index": on_device[:, step], **here}

    def _row_steps(self, stage: Stage) -> Iterator[tuple[Key, Inputs]]:
        data = self._source(stage)
        n = [int(p.offsets[-1]) for p in data.parts] * (self.stack.size if len(data.parts) == 1 else 1)
        first = np.concatenate([[0], np.cumsum(n)[:-1]]) * (len(data.parts) > 1)
        steps, size = row_steps(stage, n[0])  # of all replicas; `train` sees to it
        drawn = [
            torch.randperm(n[k], generator=g)[: steps * size] + int(first[k])
            for k, g in enumerate(self.generators)
        ]
        order = torch.stack(drawn).to(self.device)
        hidden = self._hidden((steps * size, 2))
        for step in range(steps):
            here = slice(step * size, (step + 1) * size)
            yield (size,), {"index": order[:, here], **({"hidden": hidden[:, here]} if self.hide else {})}

    def _hidden(self, shape: tuple[int, ...]) -> Tensor:
        """What strangers take the place of in an epoch, `[K, *shape]`; nothing is drawn where none do."""
        if not self.hide:
            return torch.zeros(0)
        drawn = [torch.rand(*shape, generator=g) < self.hide for g in self.generators]
        return torch.stack(drawn).to(self.device)

    def _cut(self, hidden: Tensor, support: int, query: int) -> Tensor:
        """The columns of `hidden` for a batch of these widths: of the user, its support and its query."""
        user, in_support, in_query = hidden.tensor_split([1, 1 + self.tasks.width_support], -1)
        return torch.cat([user, in_support[..., :support], in_query[..., :query]], -1)

    def _source(self, stage: Stage) -> EpisodeTensors:
        return self.full if stage.rows == "full" else self.tasks

    def _width(self, needed: int, widest: int) -> int:
        """The needed width, rounded up so that few shapes occur (a captured graph serves one shape)."""
        return min(-(-needed // self.round_to) * self.round_to, widest)

    def _order(self, stage: Stage, salt: list[int]) -> np.ndarray:
        """Task indices `[K, steps, batch]`, shuffled by each replica's generator.

        A last incomplete batch is dropped. Of tasks drawn anew an epoch sees those of its turn
        (`Episodes.turns`); `salt` is the stage and the epoch. With `stage.window > 1`, each run of `window`
        batches is sorted by length, so that a batch holds tasks of like length and little padding; the sorted
        batches are then put in an order that is the same for all replicas.
        """
        data = self.tasks
        turns = max(1, data.parts[0].turns)
        due = np.arange(salt[1] % turns, len(data), turns)
        n, size = len(due), min(stage.batch, len(due))
        steps = n // size
        rows = []
        for k, generator in enumerate(self.generators):
            order = due[torch.randperm(n, generator=generator).numpy()[: steps * size]]
            if stage.window > 1:
                start = data.host_first[k if len(data.host_first) > 1 else 0]
                length = (data.host_support + data.host_query)[start + order]
                chunk = np.arange(steps * size) // (stage.window * size)
                order = order[np.lexsort((length, chunk))]
            rows.append(order.reshape(steps, size))
        stacked = np.stack(rows)
        if stage.window > 1:
            stacked = stacked[:, np.random.default_rng(salt).permutation(steps)]
        return stacked

    def _noise(self, shape: tuple[int, ...]) -> Noise:
        """An epoch's noise `[K, steps, tasks, ...]`, drawn from shapes alone, for the full width."""
        drawn = noise(self.stack, self.tasks, shape, self.generators, "draw")
        return {name: value.to(self.device, non_blocking=True) for name, value in drawn.items()}


def with_strangers(batch: Any, strangers: tuple[int, int], hidden: Tensor) -> Any:
    """A batch of tasks or of rows with the stranger's ids where `hidden` says so.

    `hidden` is `[..., tasks, 1 + n_support + n_query]`, whose first column hides the user, or `[..., rows,
    2]`, the user and the item. `strangers` are the ids of the unknown user and of the unknown item.
    """
    n_user, n_item = strangers
    if isinstance(batch, RowBatch):
        user, item = (
            batch.user.masked_fill(hidden[..., 0], n_user),
            batch.item.masked_fill(hidden[..., 1], n_item),
        )
        return batch._replace(user=user, item=item)
    sides, places = (
        (batch.support, batch.query),
        hidden[..., 1:].split([batch.support.item.shape[-1], batch.query.item.shape[-1]], -1),
    )
    support, query = (
        side._replace(
            user=side.user.masked_fill(hidden[..., :1], n_user), item=side.item.masked_fill(place, n_item)
        )
        for side, place in zip(sides, places, strict=True)
    )
    return batch._replace(support=support, query=query)


def row_steps(stage: Stage, rows: int) -> tuple[int, int]:
    """Steps an epoch of a stage of so many rows, and rows a step; a last incomplete step is dropped."""
    size = min(stage.batch, rows)
    return rows // size, size


def noise(
    stack: Stack, data: EpisodeTensors, shape: tuple[int, ...], generators: Sequence[Generator], draw: str
) -> Noise:
    """Noise `[K, *shape, ...]` for the widest support and query of all replicas.

    Each replica draws (`draw` or `draw_predict`) for the widths of its own tasks, as it would alone.
    """
    method, widest = stack.skeleton, (data.width_support, data.width_query)
    drawn = []
    for own, generator in zip(data.widths * (stack.size // len(data.widths)), generators, strict=True):
        like = template(shape, *own)
        given = (like,) if draw == "draw" else (like.support, like.query)
        found: Noise = getattr(method, draw)(*given, generator)
        drawn.append(found if own == widest else method.resize(found, *widest, own[0]))
    return stack_noise(drawn) if drawn[0] else {}


def template(shape: tuple[int, ...], support: int, query: int) -> TaskBatch:
    """A batch of the right shapes and no content, to draw noise for."""
    true, zero = torch.ones(1, dtype=torch.bool), torch.zeros(1)
    s, q = true.expand(*shape, support), true.expand(*shape, query)
    return TaskBatch(
        Support(s, s, s, zero.expand(*shape, support)), Query(q, q, q), zero.expand(*shape, query)
    )
