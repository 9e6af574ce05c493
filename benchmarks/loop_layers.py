"""The other side of the comparison: one task at a time, in the style of the released programs.

Every interaction is a row of zeros and ones that meets dense matrices, every task has a forward pass of its
own, and a batch ends in one backward pass and one step of Adam. Each loop comes in two forms. As released:
rows are stored as integers and made floats wherever they are used, sets are embedded as often as the released
programs embed them, sets are drawn inside. `lean`: nothing of that; rows are floats, draws are made
beforehand, nothing is embedded twice, no gradient is taken that is not used. It is what a careful author
would have written without batching over tasks, and the harder one to beat.

The weights are those of our models (`take`), so that losses can be compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def stack(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linears(module: nn.Module) -> list[nn.Linear]:
    return [m for m in module.modules() if isinstance(m, nn.Linear)]


@torch.no_grad()
def copy_mlp(mine: nn.Module, theirs: nn.Module) -> None:
    for a, b in zip(linears(mine), linears(theirs), strict=True):
        a.load_state_dict(b.state_dict())
