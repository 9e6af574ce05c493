r"""What each modulation of CMML leaves of a hyper-network that makes all weights (Eqs 9-13), measured.

`freedom` and `mask` look at the layers that contexts make, `table_rank` and `switched` at what these do.
Shapes are those of `metarec.derivations.modulation`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.derivations.modulation import Full, Made, Settings, as_layers
from metarec.layers.hypernetworks import FiLM, Layerwise, Linear


def bilinear(model: Full, x: Tensor, context: Tensor) -> Tensor:
    r"""The first layer of `Full` on its pairs as $\sum_k z_k A_k x + A_0 x + B z + b$, `[pairs, d]`."""
    (a, b), head, z = model.shapes[0], model.heads[0], model.trunk(context)[0].squeeze(1)
    assert isinstance(head, nn.Linear)
    slices = head.weight[: a * b].unflatten(0, (b, a)).mT.contiguous()  # [d, h, d_x]
    own = x.squeeze(1)
    made = F.bilinear(z, own, slices) + F.linear(own, head.bias[: a * b].unflatten(0, (b, a)))
    return made + F.linear(z, head.weight[a * b :], head.bias[a * b :])


def freedom(layer: Made) -> int:
    """In how many directions the contexts move a layer: rank of its numbers about their mean."""
    numbers = torch.cat([layer.weight.flatten(1), layer.bias], -1).detach()
    return int(torch.linalg.matrix_rank(numbers - numbers.mean(0), atol=1e-9, rtol=1e-9))


def mask(model: nn.Module, context: Tensor, layer: int) -> Tensor:
    """By what one context multiplies each weight of a layer: made weights over those of another context."""
    here, there = as_layers(model, context)[layer].weight[:2].detach()
    return here / there


def table_rank(model: nn.Module, x: Tensor, context: Tensor) -> int:
    """Rank of the table of scores, every context against every pair."""
    every = x.squeeze(1).expand(len(context), -1, -1)
    return int(torch.linalg.matrix_rank(model(every, context).detach()))


def switched(model: Layerwise, x: Tensor, context: Tensor) -> Tensor:
    """Whether modulation turns a unit of the first layer on or off, `[pairs, d]`."""
    plain = model.layers[0](x)
    made = model.heads[0](model.trunk(context)[0])
    changed: Tensor = (model.modulate(plain, made) > 0) != (plain > 0)
    return changed.squeeze(1)


def as_film(model: Linear, run: Settings) -> FiLM:
    r"""Weight modulation as a `FiLM` on the outputs of the last hidden layer, before an output layer of ones.

    $w_h^\top h + b_h = \mathbf 1^\top (w_h \odot h + \tfrac1n b_h \mathbf 1)$. Earlier layers are
    scaled by one. The last trunk layer passes on what it reads.
    """
    film = run.network("film", place="after")
    assert isinstance(film, FiLM)
    d = run.width
    with torch.no_grad():
        for p in (*film.trunk.parameters(), *film.heads.parameters(), *film.out.parameters()):
            p.zero_()
        film.layers.load_state_dict(model.layers.state_dict())
        for own, theirs in zip(list(film.trunk)[:-1], list(model.hyper.layers)[:-1], strict=True):
            own.load_state_dict(theirs.state_dict())
        film.trunk[-1].weight.copy_(torch.eye(len(film.trunk[-1].weight)))  # type: ignore[operator, arg-type]
        for head in list(film.heads)[:-1]:
            head.bias[:d] = 1.0  # type: ignore[operator]
        last, made = film.heads[-1], model.hyper.layers[-1]
        for part in ("weight", "bias"):
            numbers = getattr(made, part)
            getattr(last, part)[:d] = numbers[:d]
            getattr(last, part)[d:] = numbers[d] / d
        film.out.weight.fill_(1.0)
    return film
