"""Adam for the tensors of one stage, without the bookkeeping of a general optimiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

BETAS, EPS = (0.9, 0.999), 1e-8


class Adam:
    r"""Kingma and Ba's Adam, $\theta \leftarrow \theta - \eta\,\hat m/(\sqrt{\hat v} + \epsilon)$.

    The update is the kernel behind `torch.optim.Adam(fused=True)`, and its numbers are the same to the last
    bit. That class counts the steps of every tensor apart and looks through all its settings at every step,
    which for the fifty small tensors of a lone model takes longer than the update; here one count serves all.
    So the tensors with a gradient must be the same ones at every step; those that have none are not moved.
    """

    def __init__(self, leaves: Mapping[str, nn.Parameter], lr: float, device: torch.device):
        self.leaves, self.lr = dict(leaves), lr
        self.mean = {name: torch.zeros_like(p) for name, p in self.leaves.items()}
        self.square = {name: torch.zeros_like(p) for name, p in self.leaves.items()}
        self.count = torch.zeros((), dtype=torch.float32, device=device)
        self.moving: list[str] = []

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.leaves.values():
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every tensor that has a gradient. `RuntimeError` when they are not those of the first step."""
        grads = {name: p.grad for name, p in self.leaves.items() if p.grad is not None}
        moving = list(grads)
        self.moving = self.moving or moving
        if moving != self.moving:
            raise RuntimeError(f"gradients came and went: {sorted({*moving} ^ {*self.moving})}.")
        if not moving:
            return
        self.count += 1
        torch._fused_adam_(
            [self.leaves[name] for name in moving],
            list(grads.values()),
            [self.mean[name] for name in moving],
            [self.square[name] for name in moving],
            [],
            [self.count] * len(moving),
            lr=self.lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: both moments of each tensor, and the count."""
        mean = {f"mean/{name}": t for name, t in self.mean.items()}
        return {"count": self.count, **mean, **{f"square/{name}": t for name, t in self.square.items()}}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        for name, t in self.state().items():
            t.copy_(state[name])
