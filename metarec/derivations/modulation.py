r"""What a context may change in a layer: everything, or what each modulation of CMML leaves of it (Eqs 9-13).

`Full` is a hyper-network that makes every weight. `as_layers` writes any modulated network as such a network:
the dense weights that each context makes. The functions follow the notebook `notebooks/cmml/modulation`;
parameters and multiply-adds are in `metarec.derivations.modulation_costs`.

Shapes: `x` `[pairs, 1, d_x]` and `context` `[pairs, 1, d_context]`, one context a pair; a made layer is
`weight` `[pairs, d_out, d_in]` and `bias` `[pairs, d_out]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from metarec.errors import ProtocolError
from metarec.layers.context import ContextEncoder, EncoderKind
from metarec.layers.hypernetworks import (
    MODULATIONS,
    BackboneOptions,
    FiLM,
    Layerwise,
    Linear,
    SoftModules,
    Trunk,
    activate,
)
from metarec.methods import initialised

Kind = Literal["full", "linear", "film", "sigmoid", "softm"]
# Pairs, each with a context of its own, in each profile.
PAIRS = {"recorded": 200, "quick": 100, "full": 1000}


class Made(NamedTuple):
    """A layer for each pair."""

    weight: Tensor  # [pairs, d_out, d_in]
    bias: Tensor  # [pairs, d_out]


class Full(nn.Module):
    """A hyper-network that makes every weight and bias of the backbone, the output layer's too.

    Trunk and backbone are those of `FiLM`. The trunk's layer of the same depth makes a hidden layer, its last
    one makes the output layer as well.
    """

    def __init__(self, d_x: int, d_context: int, o: BackboneOptions):
        super().__init__()
        self.activation = o.activation
        self.shapes = list(pairwise((d_x, *o.backbone, 1)))
        self.trunk = Trunk((d_context, *o.hyper))
        widths = zip((*o.hyper, o.hyper[-1]), self.shapes, strict=True)
        self.heads = nn.ModuleList(nn.Linear(h, (a + 1) * b) for h, (a, b) in widths)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """`[pairs, n]`."""
        hidden = self.trunk(context)
        for n, (head, z) in enumerate(zip(self.heads, (*hidden, hidden[-1]), strict=True)):
            a, b = self.shapes[n]
            made = head(z)  # [pairs, n, (a + 1) * b]
            weight, bias = made[..., : a * b].unflatten(-1, (b, a)), made[..., a * b :]
            x = activate(x, self.activation) if n else x
            x = (weight @ x.unsqueeze(-1)).squeeze(-1) + bias
        return x.squeeze(-1)


@dataclass(frozen=True)
class Settings:
    """The notebook's parameters, checked; a wrong one is a `ProtocolError`."""

    profile: str
    d_x: int
    width: int
    modules: int
    n_support: int

    def __post_init__(self) -> None:
        if self.profile not in PAIRS:
            raise ProtocolError(f"profile is {self.profile!r}; choose recorded, quick or full.")
        if min(self.d_x, self.width, self.modules) < 2 or not 3 <= self.n_support <= 6:
            raise ProtocolError("Needs d_x, width and modules of 2 or more, and n_support from 3 to 6.")

    def network(self, kind: Kind, seed: int = 0, **options: Any) -> nn.Module:
        """A small network of one kind, freshly drawn, in float64; its trunk is wide enough for any."""
        return network(kind, self.d_x, self.d_x, self.options(**options), seed).double()

    def options(self, **options: Any) -> BackboneOptions:
        """Sizes of the small networks."""
        sizes, trunk = (self.width, self.width), (self.d_x + 1 + self.modules) * self.width + 16
        small = {"backbone": sizes, "module_sizes": sizes, "hyper": (trunk, trunk), "modules": self.modules}
        return BackboneOptions(**{**small, **options})

    def pairs(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Pairs and their contexts, standard normal, in float64."""
        shape = (PAIRS[self.profile], 1, self.d_x)
        x, context = (torch.randn(shape, generator=g, dtype=torch.float64) for g in _streams(seed))
        return x, context

    def encoder(self, kind: EncoderKind, seed: int = 0) -> ContextEncoder:
        """A small context encoder, freshly drawn, in float64."""
        with initialised(seed):
            return ContextEncoder(self.d_x, self.d_x, kind, (16,), 8).double()

    def support(self, seed: int = 0) -> Tensor:
        """Entries of one support, `[n_support, d_x]`."""
        return torch.randn(self.n_support, self.d_x, generator=_streams(seed)[0], dtype=torch.float64)


def _streams(seed: int) -> tuple[Generator, Generator]:
    return tuple(torch.Generator().manual_seed(2 * seed + n) for n in range(2))  # type: ignore[return-value]


def network(kind: Kind, d_x: int, d_context: int, o: BackboneOptions, seed: int = 0) -> nn.Module:
    """A freshly drawn network of one kind."""
    with initialised(seed), torch.no_grad():
        return Full(d_x, d_context, o) if kind == "full" else MODULATIONS[kind](d_x, d_context, o)


# A modulated network as layers that its contexts make


def as_layers(model: nn.Module, context: Tensor) -> list[Made]:
    r"""The dense layers, one set a pair, that give the scores of a modulated network.

    Weight modulation makes the last layer, and the others are the same for all. A layer modulated before its
    activation is $(w \mathbf 1^\top \odot W,\; w \odot b + s)$. Soft modules side by side are one wide layer
    whose block from module $i$ to module $j$ is $p_{ij} W_j$.
    """
    if isinstance(model, Full):
        hidden = model.trunk(context)
        pieces = zip(model.heads, (*hidden, hidden[-1]), model.shapes, strict=True)
        return [_cut(head(z).squeeze(1), a, b) for head, z, (a, b) in pieces]
    if isinstance(model, Linear):
        numbers = model.hyper(context).squeeze(1)
        return [*_shared(model.layers, len(context)), _cut(numbers, numbers.shape[-1] - 1, 1)]
    if isinstance(model, SoftModules):
        return _of_modules(model, context)
    assert isinstance(model, Layerwise) and model.place == "before"
    layers = []
    for own, head, hidden in zip(model.layers, model.heads, model.trunk(context), strict=True):
        numbers = head(hidden).squeeze(1)
        if isinstance(model, FiLM):
            d = numbers.shape[-1] // 2
            scale, shift = numbers[:, :d], numbers[:, d:]
        else:
            scale, shift = 1 / (1 + torch.exp(-numbers)), torch.zeros_like(numbers)
        layers.append(Made(scale.unsqueeze(-1) * own.weight, scale * own.bias + shift))
    return [*layers, *_shared([model.out], len(context))]


def _cut(numbers: Tensor, d_in: int, d_out: int) -> Made:
    weight, bias = numbers.split([d_in * d_out, d_out], -1)
    return Made(weight.unflatten(-1, (d_out, d_in)), bias)


def _shared(layers: Sequence[nn.Module] | nn.ModuleList, pairs: int) -> list[Made]:
    """Layers that are the same for every pair."""
    return [Made(m.weight.expand(pairs, -1, -1), m.bias.expand(pairs, -1)) for m in layers]  # type: ignore[operator]


def _of_modules(model: SoftModules, context: Tensor) -> list[Made]:
    """Between two layers of modules stands one dense layer; the first reads `x`, the last makes the score."""
    first = Made(
        model.weights[0].flatten(0, 1).expand(len(context), -1, -1),
        model.biases[0].flatten().expand(len(context), -1),
    )
    layers = [first]
    routes = [route.squeeze(1) for route in model.routes(context)]  # [pairs, source, target]
    for route, weight, bias in zip(routes[:-1], model.weights[1:], model.biases[1:], strict=True):
        blocks = torch.einsum("pij,jba->pjbia", route, weight)
        layers.append(Made(blocks.flatten(3, 4).flatten(1, 2), bias.flatten().expand(len(context), -1)))
    (out,) = _shared([model.out], len(context))
    row = torch.einsum("pij,pja->pia", routes[-1], out.weight).flatten(1).unsqueeze(1)
    return [*layers, Made(row, out.bias)]


def run_layers(layers: Sequence[Made], x: Tensor, activation: str) -> Tensor:
    """Scores `[pairs, 1]` of made layers, with an activation between them."""
    h = x.squeeze(1)
    for n, (weight, bias) in enumerate(layers):
        h = activate(h, activation) if n else h
        h = torch.einsum("pba,pa->pb", weight, h) + bias
    return h.detach()


def scores_of(model: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    """Scores `[pairs, 1]`, without a gradient."""
    found: Tensor = model(x, context).detach()
    return found


def largest_gap(left: Tensor, right: Tensor) -> Tensor:
    """The largest absolute difference of two tensors of one shape."""
    if left.shape != right.shape:
        raise ProtocolError(f"{tuple(left.shape)} and {tuple(right.shape)} have no difference.")
    return (left - right).abs().max().detach()
