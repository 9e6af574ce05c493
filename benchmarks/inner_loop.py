"""Throughput of second-order MeLU at MovieLens-1M sizes: batched, against a loop over users, against bare
products.

    python benchmarks/inner_loop.py --threads 2 --device cpu

The loop is written as the released program is: one user at a time, every interaction a row of 10,246 zeros
and ones times dense matrices, gradients by autograd with their graph kept.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.ratings import Field
from metarec.data.schema import Schema
from metarec.methods.base import initialised
from metarec.methods.melu import MeLU
from metarec.replicas import Stack
from metarec.tasks.batch import Query, Support, TaskBatch

USERS, ITEMS, TASKS, QUERY, STEPS, LR = 6040, 3706, 32, 10, 5, 0.01
USER = {"gender": 2, "age": 7, "occupation": 21, "zip": 3402}
# values, and how often an item has 1, 2, ... of them (as in the films of MovieLens-1M)
ITEM = {
    "rate": (6, None),
    "genre": (25, (0.25, 0.33, 0.28, 0.1, 0.02, 0.01, 0.01)),
    "director": (2186, (0.95, 0.04, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01)),
    "actor": (8030, (0.01, 0.0, 0.01, 0.98)),
}


def schema(rng: np.random.Generator) -> Schema:
    def field(name: str, size: int, shares: tuple[float, ...] | None) -> Field:
        if shares is None:
            return Field(name, rng.integers(0, size, ITEMS), np.arange(size))
        counts = rng.choice(np.arange(1, len(shares) + 1), ITEMS, p=np.array(shares) / sum(shares))
        values = np.full((ITEMS, len(shares)), -1, np.int64)
        for row, count in enumerate(counts):
            values[row, :count] = rng.choice(size, count, replace=False)
        return Field(name, values, np.arange(size), counts)

    users = tuple(Field(name, rng.integers(0, size, USERS), np.arange(size)) for name, size in USER.items())
    items = tuple(field(name, *of) for name, of in ITEM.items())
    return Schema(USERS, ITEMS, "explicit", 1.0, 5.0, users, items)


def tasks(rng: np.random.Generator) -> TaskBatch:
    n = rng.integers(10, 91, TASKS)
    width = int(n.max())
    item = np.stack([rng.choice(ITEMS, width + QUERY, replace=False) for _ in range(TASKS)])
    labels = torch.as_tensor(rng.integers(1, 6, (TASKS, width + QUERY)), dtype=torch.float32)
    mask = torch.arange(width) < torch.as_tensor(n)[:, None]
    user = torch.as_tensor(rng.choice(USERS, TASKS, replace=False))[:, None]
    items = torch.as_tensor(item)
    return TaskBatch(
        Support(user, items[:, :width], mask, labels[:, :width] * mask),
        Query(user, items[:, width:], torch.ones(TASKS, QUERY, dtype=torch.bool)),
        labels[:, width:],
    )


class PerUser(nn.Module):
    """The model as released: dense multi-hot rows, one Linear or Embedding a field, a head."""

    def __init__(self, s: Schema):
        super().__init__()
        self.wide = nn.ModuleList(nn.Linear(f.size, 32, bias=False) for f in s.item_fields[1:])
        self.single = nn.ModuleList(nn.Embedding(f.size, 32) for f in (s.item_fields[0], *s.user_fields))
        self.head = nn.Sequential(
            nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        )
        hot = [torch.zeros(ITEMS, f.size, dtype=torch.int64) for f in s.item_fields[1:]]
        for table, f in zip(hot, s.item_fields[1:], strict=True):
            for row, values in enumerate(f.values):
                table[row, values[values >= 0]] = 1
        self.sizes = [f.size for f in s.item_fields[1:]]
        self.rows = torch.cat([torch.as_tensor(s.item_fields[0].values)[:, None], *hot], 1)
        self.users = torch.as_tensor(np.stack([f.values for f in s.user_fields], 1))

    def forward(self, rows: Tensor, user: Tensor) -> Tensor:
        parts = [self.single[0](rows[:, 0])]
        for layer, block in zip(self.wide, rows[:, 1:].split(self.sizes, 1), strict=True):
            parts.append(layer(block.float()) / block.float().sum(1, keepdim=True))
        parts += [table(user[:, k]) for k, table in enumerate(self.single[1:])]
        return self.head(torch.cat(parts, 1)).squeeze(1)

    def outer(self, batch: TaskBatch) -> Tensor:
        """Mean query loss, user by user. As released, gradients of every weight are taken and the head's
        used.
        """
        s, q, losses = batch.support, batch.query, []
        for t in range(TASKS):
            n = int(s.mask[t].sum())
            rows, rows_q = self.rows[s.item[t, :n]], self.rows[q.item[t]]
            user = self.users[s.user[t]]
            weights = dict(self.named_parameters())
            for _ in range(STEPS):
                scores = torch.func.functional_call(self, weights, (rows, user.expand(n, -1)))
                loss = F.mse_loss(scores, s.labels[t, :n])
                slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                weights = {
                    name: w - LR * g if name.startswith("head") else w
                    for (name, w), g in zip(weights.items(), slopes, strict=True)
                }
            scores = torch.func.functional_call(self, weights, (rows_q, user.expand(QUERY, -1)))
            losses.append(F.mse_loss(scores, batch.query_labels[t]))
        return torch.stack(losses).mean()


def bare_products(width: int, device: torch.device) -> Callable[[], None]:
    """Only the batched products that second-order MAML on copies of the head needs, and no memory traffic."""
    shape = {"device": device}
    x, h, one = (torch.randn(TASKS, width, d, **shape) for d in (256, 64, 1))  # type: ignore[arg-type]
    w0, w1, w2 = (torch.randn(TASKS, *s, **shape) for s in ((64, 256), (64, 64), (1, 64)))  # type: ignore[arg-type]

    def run() -> None:
        for _ in range(
            STEPS * 3
        ):  # forward with backward once, and twice as much again to go back through both
            _ = x @ w0.mT, h.mT @ x
            _ = h @ w1.mT, h.mT @ h, h @ w1
            _ = h @ w2.mT, one.mT @ h, one @ w2

    return run


def seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median of `repeats` timed calls after two that warm up."""
    taken = []
    for _ in range(repeats + 2):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[2:]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--replicas", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device, rng = torch.device(args.device), np.random.default_rng(0)
    s, batch = schema(rng), tasks(rng)
    with initialised(0):
        ours, loop = MeLU(s, inner_lr=LR, steps=STEPS).float().to(device), PerUser(s)
    here = torch.utils._pytree.tree_map(lambda t: t.to(device), batch)
    stack = Stack([MeLU(s).float() for _ in range(args.replicas)], device)
    many = torch.utils._pytree.tree_map(lambda t: torch.stack([t] * args.replicas), here)
    x = ours.encoder(here.support.user, here.support.item)
    weight = torch.randn_like(x)
    runs: dict[str, Callable[[], object]] = {
        "batched, forward and backward": lambda: ours.terms(here, {})["query"].backward(),
        f"{args.replicas} replicas stacked": lambda: stack.call("terms", many, {})["query"].sum().backward(),
        "its embedding alone": lambda: ours.encoder(here.support.user, here.support.item).backward(weight),
        "bare products": bare_products(batch.support.item.shape[1] + QUERY, device),
    }
    took = {name: seconds(run, device, args.repeats) for name, run in runs.items()}
    if device.type == "cpu":
        took["loop over users"] = seconds(
            lambda: loop.outer(batch).backward(), device, max(args.repeats // 5, 2)
        )
    base = took["batched, forward and backward"]
    for name, value in took.items():
        print(f"{name:32s} {1e3 * value:9.2f} ms  {value / base:7.2f} x batched")


if __name__ == "__main__":
    main()
