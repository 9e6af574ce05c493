r"""Which encoder modulators the predictor could replace by itself: $W(v \odot \phi_w + \phi_b) + b$, folded.

A scale and a shift of the interaction vector go straight into a linear layer, so another first layer gives
the same scores without them: $W' = W\,\mathrm{diag}(\phi_w)$ and $b' = b + W\phi_b$. A shift that is the same
for all categories of a field, the bias of Eq 4, is a shift of the vector too. A weight for each category is
not: no first layer can undo it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from metarec.data.ratings import Ratings
from metarec.derivations.unrolled import batch_of, pnmta
from metarec.methods.pnmta import PNMTA
from metarec.tasks.batch import TaskBatch

NAMES = {"S": "-S", "SS": "-SS", "bias": "bias of Eq 4", "C": "-C, weights"}


def folded(ratings: Ratings, kind: str, tasks: int = 6) -> tuple[Tensor, Tensor]:
    """Query scores before adaptation `[tasks, n_query]`: modulated, and by the folded predictor alone.

    `kind` is `S`, `SS`, `bias` (the bias of Eq 4 with weights 1) or `C` (its weights alone, where folding
    takes each field's mean weight, the best a first layer can do without knowing the category).
    """
    batch = batch_of(ratings, tasks)
    encoder = {"bias": "C", "C": "Cb"}.get(kind, kind)
    given: dict[str, Any] = {"predictor_modulator": "none", "steps": 0}
    method = pnmta(ratings, encoder_modulator=encoder, bias_shape="dimension", **given)
    if kind == "bias":
        for weight in method.encoder_modulator.weight.values():
            weight.data.fill_(1.0)
    plain = pnmta(ratings, encoder_modulator="Fix", **given)
    plain.encoder.load_state_dict(method.encoder.state_dict())
    plain.head.load_state_dict(method.head.state_dict())
    scale, shift = _affine(method)
    first = plain.head.layers[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.bias.add_(first.weight @ shift)
        first.weight.mul_(scale)
        return _scores(method, batch), _scores(plain, batch)


def _affine(method: PNMTA) -> tuple[Tensor, Tensor]:
    """The scale and the shift of the interaction vector `[d_pair]` that come nearest to the modulator."""
    m, tables = method.encoder_modulator, method.encoder.tables()
    size = method.encoder.d_out
    one, zero = torch.ones(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    if m.kind in ("S", "SS"):
        return m.weight["vector"].data, m.bias["vector"].data if m.kind == "SS" else zero
    keys = [name.replace(".", "__") for name in tables]
    d = size // len(keys)
    scale = torch.cat([m.weight[k].data.mean().expand(d) for k in keys])
    shift = torch.cat([m.bias[k].data[0] for k in keys]) if len(m.bias) else zero
    return one * scale, shift


def _scores(method: PNMTA, batch: TaskBatch) -> Tensor:
    return method.predict(batch.support, batch.query)
