r"""Recommenders whose layers a hyper-network modulates, entry by entry (CMML, section 3.4).

Each takes interaction vectors `x` `[tasks, n, d_x]` and hybrid contexts $C^h$ `[tasks, n or 1, d_context]`
and gives scores `[tasks, n]`. A further modulation is a class in this file and its name in `MODULATIONS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.errors import ProtocolError
from metarec.layers.mlp import MLP

Modulation = Literal["film", "sigmoid", "linear", "softm"]


@dataclass(frozen=True)
class BackboneOptions:
    """Sizes of backbone and hyper-network, and where paper and released program part.

    `backbone` holds the hidden widths of the recommender and `hyper` those of the hyper-network's trunk, one
    for each modulated layer (the last one means nothing to `linear`, whose last layer is the generator).
    `activation` is that of the backbone: LeakyReLU(0.01) as released and in the appendix, ReLU in the main
    text. `place` says where a layer is modulated: before its activation, as released, or on its output, as
    the text can be read. `softm` has `modules` in each layer of `module_sizes` and has no `backbone`; its
    routes sum to one over the modules they come from, as released, or over those they go to, as in the text.
    `bias` fills every bias of backbone and hyper-network with a constant in `film` and `sigmoid` (0.1 on
    MovieLens-20M and 0 on Taobao, paper and code); None leaves them as PyTorch draws them.
    """

    modulation: Modulation = "film"
    backbone: tuple[int, ...] = (64, 64, 64)
    hyper: tuple[int, ...] = (64, 64, 64)
    activation: Literal["leaky", "relu"] = "leaky"
    place: Literal["before", "after"] = "before"
    modules: int = 4
    module_sizes: tuple[int, ...] = (32, 32, 64)
    route_over: Literal["source", "target"] = "source"
    bias: float | None = None


class Trunk(nn.ModuleList):
    """Linear layers with a ReLU after each; gives the output of every layer."""

    def __init__(self, sizes: Sequence[int]):
        super().__init__(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[..., sizes[0]]` -> `[..., sizes[1]]`, `[..., sizes[2]]`, ..."""
        hidden = []
        for layer in self:
            x = F.relu(layer(x))
            hidden.append(x)
        return hidden


class Linear(nn.Module):
    r"""Weight modulation: $w_h, b_h = f(C^h)$ are the last layer, $o = w_h^\top h + b_h$.

    $h$ is the output of the backbone's last hidden layer, its activation included. Implements eq-cmml-9.
    """

    def __init__(self, d_x: int, d_context: int, o: BackboneOptions):
        super().__init__()
        self.activation = o.activation
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((d_x, *o.backbone)))
        self.hyper = MLP((d_context, *o.hyper[:-1], o.backbone[-1] + 1))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """`[tasks, n]`."""
        for layer in self.layers:
            x = activate(layer(x), self.activation)
        made = self.hyper(context)
        return (x * made[..., :-1]).sum(-1) + made[..., -1]


class Layerwise(nn.Module):
    """Each hidden layer is modulated by what the trunk layer of its depth makes; the output layer is not."""

    numbers = 1  # for each unit

    def __init__(self, d_x: int, d_context: int, o: BackboneOptions):
        super().__init__()
        _as_deep("backbone", o.backbone, o.hyper)
        self.activation, self.place = o.activation, o.place
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((d_x, *o.backbone)))
        self.trunk = Trunk((d_context, *o.hyper))
        widths = zip(o.hyper, o.backbone, strict=True)
        self.heads = nn.ModuleList(nn.Linear(h, self.numbers * n) for h, n in widths)
        self.out = nn.Linear(o.backbone[-1], 1)
        if o.bias is not None:
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.constant_(layer.bias, o.bias)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """`[tasks, n]`."""
        for layer, head, hidden in zip(self.layers, self.heads, self.trunk(context), strict=True):
            made, x = head(hidden), layer(x)
            if self.place == "before":
                x = activate(self.modulate(x, made), self.activation)
            else:
                x = self.modulate(activate(x, self.activation), made)
        scores: Tensor = self.out(x)
        return scores.squeeze(-1)

    def modulate(self, x: Tensor, made: Tensor) -> Tensor:
        """A layer `x` `[tasks, n, d]` under what its head has made, `[tasks, n or 1, numbers * d]`."""
        raise NotImplementedError


class Sigmoid(Layerwise):
    r"""$w_h = \mathrm{sigmoid}(f(C^h))$ and $o = w_h \odot l$, layer by layer."""

    def modulate(self, x: Tensor, made: Tensor) -> Tensor:
        r"""$\mathrm{sigmoid}(f(C^h)) \odot l$. Implements eq-cmml-10."""
        return torch.sigmoid(made) * x


class FiLM(Layerwise):
    r"""$w_h, b_h = f(C^h)$ and $o = w_h \odot l + b_h$, layer by layer; $w_h$ is raw and starts near 0."""

    numbers = 2

    def modulate(self, x: Tensor, made: Tensor) -> Tensor:
        r"""$w_h \odot l + b_h$. Implements eq-cmml-11."""
        weight, shift = made.chunk(2, -1)
        return torch.addcmul(shift, weight, x)


class SoftModules(nn.Module):
    """Soft modularisation: layers of small modules, mixed by route weights that the context makes.

    The released class for one data set cannot be built, for it names a size that is nowhere defined; 32 is
    meant. The appendix prints 64 units in the third layer and then a last layer of 32 inputs, which do not
    fit; the code has 64 and 64.
    """

    def __init__(self, d_x: int, d_context: int, o: BackboneOptions):
        super().__init__()
        _as_deep("module_sizes", o.module_sizes, o.hyper)
        m, sizes = o.modules, (d_x, *o.module_sizes)
        self.axis = -2 if o.route_over == "source" else -1
        self.trunk = Trunk((d_context, *o.hyper))
        self.targets = [m] * (len(o.hyper) - 1) + [1]
        self.heads = nn.ModuleList(nn.Linear(h, m * t) for h, t in zip(o.hyper, self.targets, strict=True))
        self.weights = nn.ParameterList(_uniform(a, m, b, a) for a, b in pairwise(sizes))
        self.biases = nn.ParameterList(_uniform(a, m, b) for a, b in pairwise(sizes))
        self.out = nn.Linear(sizes[-1], 1)

    def routes(self, context: Tensor) -> list[Tensor]:
        r"""$p^l_{i,j}$, `[tasks, n or 1, source, target]`, for each layer; the last has one target.

        Softmax of the route network's logits $\sigma^l$. Implements eq-cmml-12. The text and the equation
        normalise over the targets $j$ of a module, the released program over the sources $i$ of a target.
        """
        found = []
        for head, hidden, targets in zip(self.heads, self.trunk(context), self.targets, strict=True):
            logits = head(hidden).unflatten(-1, (-1, targets))
            found.append(torch.softmax(logits, self.axis))
        return found

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        r"""Scores `[tasks, n]`: the input of a module is $\sum_i p_{i,j}\,o_i$. Implements eq-cmml-13."""
        h = x.unsqueeze(-2)  # [tasks, n, 1, d_x]: all first modules read the same
        for weight, bias, route in zip(self.weights, self.biases, self.routes(context), strict=True):
            h = route.mT @ F.relu(_each(weight, h) + bias)
        scores: Tensor = self.out(h.squeeze(-2))
        return scores.squeeze(-1)


MODULATIONS: dict[Modulation, type[nn.Module]] = {
    "film": FiLM,
    "sigmoid": Sigmoid,
    "linear": Linear,
    "softm": SoftModules,
}


def activate(x: Tensor, kind: str) -> Tensor:
    """LeakyReLU with slope 0.01, or ReLU."""
    return F.leaky_relu(x, 0.01) if kind == "leaky" else F.relu(x)


def _each(weight: Tensor, h: Tensor) -> Tensor:
    """Each module on its input: `weight` `[m, d_out, d_in]`, `h` `[..., m or 1, d_in]`."""
    if h.shape[-2] == 1:  # one input for all
        return F.linear(h.squeeze(-2), weight.flatten(0, 1)).unflatten(-1, weight.shape[:2])
    return torch.einsum("...ma,mba->...mb", h, weight)


def _uniform(fan_in: int, *shape: int) -> nn.Parameter:
    """Weights that start as those of PyTorch's Linear."""
    return nn.Parameter(torch.empty(shape).uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in)))


def _as_deep(name: str, sizes: Sequence[int], hyper: Sequence[int]) -> None:
    if len(sizes) != len(hyper):
        raise ProtocolError(
            f"hyper={tuple(hyper)} needs a width for each layer of {name}={tuple(sizes)}; give {len(sizes)}."
        )
