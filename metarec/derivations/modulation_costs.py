r"""Parameters and multiply-adds of CMML's modulations: by formula, and counted on the modules that train.

Widths are $n_0 = d_x, n_1, \dots, n_L$ of the backbone and $h_0 = d_c, h_1, \dots, h_L$ of the trunk. Matrix
products are counted, by `torch.utils.flop_counter`; element-wise work is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from metarec.derivations.costs import counted
from metarec.derivations.modulation import Kind, network
from metarec.layers.hypernetworks import BackboneOptions

KINDS: Mapping[Kind, str] = {
    "full": "all weights",
    "film": "FiLM",
    "sigmoid": "Sigmoid",
    "linear": "Linear",
    "softm": "soft modules",
}


def _products(kind: Kind, d_x: int, d_context: int, o: BackboneOptions) -> list[tuple[int, int, int]]:
    """Every layer that is stored, as `(inputs, outputs, copies)`."""
    n = (d_x, *(o.module_sizes if kind == "softm" else o.backbone))
    m = o.modules if kind == "softm" else 1
    depth = len(n) - 1
    trunk = [(a, b, 1) for a, b in pairwise((d_context, *o.hyper))]
    base = [(a, b, m) for a, b in pairwise(n)]
    out = [(n[-1], 1, 1)]
    if kind == "linear":
        return [*trunk[:-1], (trunk[-1][0], n[-1] + 1, 1), *base]
    if kind == "full":
        shapes = [*zip(o.hyper, base, strict=True), (o.hyper[-1], out[0])]
        return [*trunk, *((h, (a + 1) * b, 1) for h, (a, b, _) in shapes)]
    per_layer = {
        "film": [2 * b for b in n[1:]],
        "sigmoid": [b for b in n[1:]],
        "softm": [m * m] * (depth - 1) + [m],
    }[kind]
    return [*trunk, *((h, k, 1) for h, k in zip(o.hyper, per_layer, strict=True)), *base, *out]


def parameters(kind: Kind, d_x: int, d_context: int, o: BackboneOptions) -> int:
    r"""Parameters of backbone and hyper-network by formula: $(a + 1)\,b$ for each stored layer."""
    return sum((a + 1) * b * copies for a, b, copies in _products(kind, d_x, d_context, o))


def multiply_adds(kind: Kind, d_x: int, d_context: int, o: BackboneOptions) -> int:
    r"""Multiply-adds of the matrix products for one pair with a context of its own, by formula.

    $a\,b$ for each stored layer; all weights: also those of the layers that were made; soft modules: also
    the mixing of their outputs.
    """
    stored = sum(a * b * copies for a, b, copies in _products(kind, d_x, d_context, o))
    if kind == "full":
        return stored + sum(a * b for a, b in pairwise((d_x, *o.backbone, 1)))
    if kind == "softm":
        m, sizes = o.modules, o.module_sizes
        return stored + m * m * sum(sizes[:-1]) + m * sizes[-1]
    return stored


def plain(d_x: int, o: BackboneOptions) -> int:
    """Multiply-adds of the backbone for one pair, unmodulated."""
    return sum(a * b for a, b in pairwise((d_x, *o.backbone, 1)))


def counted_parameters(kind: Kind, d_x: int, d_context: int, o: BackboneOptions) -> int:
    """Parameters of the module itself."""
    return sum(p.numel() for p in network(kind, d_x, d_context, o).parameters())


def counted_multiply_adds(
    kind: Kind, d_x: int, d_context: int, o: BackboneOptions, pairs: int = 1, shared: bool = False
) -> int:
    """Multiply-adds of `pairs` pairs of one task as they run; `shared`: one context for all of them."""
    model: nn.Module = network(kind, d_x, d_context, o)
    x, context = torch.ones(1, pairs, d_x), torch.ones(1, 1 if shared else pairs, d_context)
    with FlopCounterMode(display=False) as counter:
        model(x, context)
    return counted(counter)
