"""Replicas: several seeds, or settings of equal shapes, of one method stacked into one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from metarec.errors import ProtocolError
from metarec.methods.base import Method, Noise


class Stack:
    """`K` methods of equal shapes with their parameters stacked to `[K, ...]`.

    Buffers named by the method's `per_replica` are stacked too; all other buffers (feature tables, counts)
    are shared. `call` runs one method of the class for every replica at once, by `torch.func.vmap`; with `K
    = 1` it runs the plain module on the only slice, so a lone run pays nothing for the machinery.
    """

    def __init__(self, methods: Sequence[Method], device: torch.device | str = "cpu"):
        first = methods[0]
        if len(methods) > 1 and not first.replicable:
            raise ProtocolError(f"{type(first).__name__} cannot be stacked; train its seeds one by one.")
        self.size = len(methods)
        named = [dict(m.named_parameters()) for m in methods]
        shapes = [{name: p.shape for name, p in params.items()} for params in named]
        if any(s != shapes[0] for s in shapes):
            raise ProtocolError("replicas must have parameters of equal shapes; group the settings by shape.")
        self.params = {
            name: nn.Parameter(torch.stack([p[name].detach() for p in named]).to(device)) for name in named[0]
        }
        # Stack before moving: the first method becomes the skeleton on the device, the others stay behind.
        buffers = [dict(m.named_buffers()) for m in methods]
        self.own = {
            name: torch.stack([b[name] for b in buffers]).to(device)
            for name in buffers[0]
            if name in first.per_replica
        }
        self.skeleton = first.to(device)
        self.shared = {name: b.to(device) for name, b in buffers[0].items() if name not in first.per_replica}

    def call(self, name: str, *batched: Any, params: dict[str, Tensor] | None = None) -> Any:
        """`method.name(*batched)` for each replica; every tensor of `batched` has the replica axis first."""
        params = params if params is not None else dict(self.params)
        if self.size == 1:
            head = torch.utils._pytree.tree_map(_first, (params, self.own, batched))
            out = self._one(name, *head)
            return torch.utils._pytree.tree_map(lambda t: t.unsqueeze(0), out)
        return vmap(lambda p, o, b: self._one(name, p, o, b))(params, self.own, batched)

    def _one(
        self, name: str, params: dict[str, Tensor], own: dict[str, Tensor], args: tuple[Any, ...]
    ) -> Any:
        return functional_call(self.skeleton, {**self.shared, **params, **own}, (name, *args))

    def method(self, index: int, params: dict[str, Tensor] | None = None) -> Method:
        """The skeleton loaded with replica `index`. It is one object: use it before asking for the next."""
        source = params if params is not None else self.params
        with torch.no_grad():
            for name, p in self.skeleton.named_parameters():
                p.copy_(source[name][index])
            for name, b in self.skeleton.named_buffers():
                if name in self.own:
                    b.copy_(self.own[name][index])
        return self.skeleton


def stack_noise(noises: Sequence[Noise]) -> Noise:
    """The noise of each replica, stacked to `[K, ...]`."""
    return {name: torch.stack([n[name] for n in noises]) for name in noises[0]}


def _first(t: Any) -> Any:
    return t.squeeze(0) if isinstance(t, Tensor) else t
