"""Replicas: several seeds, or settings of equal shapes, of one method stacked into one program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from metarec.errors import ProtocolError
from metarec.methods.base import Method, Noise


class Stack:
    """`K` methods of equal shapes with their parameters stacked to `[K, ...]`.

    Their options may differ in what `per_replica` names, whose buffers are stacked too; `ProtocolError` if
    they differ in more. All other buffers (feature tables, counts) are shared. `call` runs one method of the
    class for every replica at once, by `torch.func.vmap`.

    A lone method pays nothing for the machinery: it is called as it is, and `params` are views of its own
    parameters. `leaves` are the tensors that autograd and an optimiser see: the stacked parameters, or those
    of the lone method, `[...]`.
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
        if any(_fixed(m) != _fixed(first) for m in methods):
            free = ", ".join(first.per_replica) or "none"
            raise ProtocolError(f"replicas may differ in these settings: {free}; train the others apart.")
        # Stack before moving: the first method becomes the skeleton on the device, the others stay behind.
        buffers = [dict(m.named_buffers()) for m in methods]
        self.own = {name: _stacked(buffers, name, device) for name in buffers[0] if name in first.per_replica}
        self.leaves: dict[str, nn.Parameter]
        self.params: dict[str, Tensor]
        if self.size > 1:
            self.leaves = {name: nn.Parameter(_stacked(named, name, device)) for name in named[0]}
            self.params = dict(self.leaves)
            self.skeleton = first.to(device)
        else:
            self.skeleton = first.to(device)
            self.leaves = dict(first.named_parameters())
            self.params = {name: p.detach().unsqueeze(0) for name, p in self.leaves.items()}

    def call(self, name: str, *batched: Any, params: dict[str, Tensor] | None = None) -> Any:
        """`method.name(*batched)` for each replica; every tensor of `batched` has the replica axis first.

        `params` `[K, ...]` stand in for the stack's own.
        """
        if self.size > 1:
            return vmap(partial(self._one, name))(params or self.params, self.own, batched)
        args, given = tree_map(_first, (batched, params or {}))
        out = self._one(name, given, {}, args) if given else self.skeleton(name, *args)
        return tree_map(lambda t: t.unsqueeze(0), out)

    def _one(
        self, name: str, params: dict[str, Tensor], own: dict[str, Tensor], args: tuple[Any, ...]
    ) -> Any:
        return functional_call(self.skeleton, {**params, **own}, (name, *args))

    def method(self, index: int, params: dict[str, Tensor] | None = None) -> Method:
        """The skeleton loaded with replica `index`. It is one object: use it before asking for the next.

        The skeleton of a lone method is that method: loading other `params` into it changes the stack's own.
        """
        source = params if params is not None else self.params
        with torch.no_grad():
            for name, p in self.skeleton.named_parameters():
                p.copy_(source[name][index])
            for name, b in self.skeleton.named_buffers():
                if name in self.own:
                    b.copy_(self.own[name][index])
        return self.skeleton


def _fixed(method: Method) -> tuple[Any, ...]:
    """What the skeleton says for all replicas: the method, and its options but for those of each replica."""
    given = vars(method.options) if hasattr(method, "options") else {}
    return type(method), {name: value for name, value in given.items() if name not in method.per_replica}


def stack_noise(noises: Sequence[Noise]) -> Noise:
    """The noise of each replica, stacked to `[K, ...]`."""
    return {name: torch.stack([n[name] for n in noises]) for name in noises[0]}


def _stacked(tensors: Sequence[Mapping[str, Tensor]], name: str, device: torch.device | str) -> Tensor:
    return torch.stack([t[name].detach() for t in tensors]).to(device)


def _first(t: Any) -> Any:
    return t.squeeze(0) if isinstance(t, Tensor) else t
