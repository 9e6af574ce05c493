"""A memory of slots: attended to, read, and written as a moving average."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    profile: Tensor, memory: Tensor, weight: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    r"""$a = softmax(W c + b)$ with $c_k$ the cosine of $p$ and $M_k$.

    `profile` `[tasks, d_p]`, `memory` `[K, d_p]` -> `[tasks, K]`; without `weight` the softmax of the cosines
    alone. A norm is $\sqrt{\sum_i (p_i^2 + 10^{-5})}$, the constant inside the sum as released.
    """

    def norm(x: Tensor) -> Tensor:
        return (x.square() + 1e-5).sum(-1, keepdim=True).sqrt()

    cosine = (profile / norm(profile)) @ (memory / norm(memory)).mT
    return torch.softmax(cosine if weight is None else F.linear(cosine, weight, bias), -1)


def moving_average(
    memory: Tensor, attention: Tensor, value: Tensor, rate: float, *, sequential: bool = False
) -> Tensor:
    r"""One write of a batch into a memory: $M_k \leftarrow (1-r) M_k + r\,\frac1T\sum_t a_{tk} v_t$.

    `memory` `[K, ...]`, `attention` `[tasks, K]`, `value` `[tasks, ...]`. `sequential` gives what one write a
    task, in order, comes to: $(1-r)^T M_k + r\sum_{t=1}^T (1-r)^{T-t} a_{tk} v_t$.
    """
    tasks = len(attention)
    if not sequential:
        return (1 - rate) * memory + rate * _write(attention, value) / tasks
    age = torch.arange(tasks - 1, -1, -1, device=memory.device, dtype=memory.dtype)
    kept = (1 - rate) ** age
    return (1 - rate) ** tasks * memory + rate * _write(attention * kept.unsqueeze(-1), value)


def _write(attention: Tensor, value: Tensor) -> Tensor:
    return torch.einsum("tk,t...->k...", attention, value)


def mixed(attention: Tensor, memory: Tensor) -> Tensor:
    r"""What a read returns, $\sum_k a_{tk} M_k$: `[tasks, K]`, `[K, ...]` -> `[tasks, ...]`."""
    return torch.einsum("tk,k...->t...", attention, memory)
