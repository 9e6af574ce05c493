r"""PNMTA's modulators of a frozen encoder and of the predictor's hidden layers, and the task vector between.

Symbols as in the paper: $\theta_e^*$ the pretrained tables, $\phi_e$ and $\phi_p$ the modulators' parameters,
$v_x$ an interaction vector, $v_u$ the task vector, $\omega$ what a generator makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from metarec.errors import ProtocolError
from metarec.layers.embedding import Blocks, joined
from metarec.layers.mlp import MLP
from metarec.layers.pooling import masked_mean

EncoderKind = Literal["E", "Eb", "C", "Cb", "S", "SS", "Fix", "none"]
PredictorKind = Literal["film", "attention", "none"]
BiasShape = Literal["category", "dimension"]
GammaStart = Literal["raw", "one"]
# (index of a hidden layer, its pre-activations `[tasks, n, d]`) -> the same shape, before the ReLU.
Modulate = Callable[[int, Tensor], Tensor]


class EncoderModulator(nn.Module):
    r"""Affine change of the encoder, starting at the identity: $\phi_w = 1$, $\phi_b = 0$.

    Of the tables (`[values, d]`, one a field): element-wise `E` $\theta_e = \phi_w \odot \theta_e^* +
    \phi_b$; channel-wise `C`, one weight for each category, $\theta_e = \phi_w \cdot \theta_e^* + \phi_b$;
    `Eb`, `Cb` the same without $\phi_b$. Of the vectors: scale `S`, $v_x \odot \phi_s$; scale and shift `SS`,
    $v_x \odot \phi_w + \phi_b$. `Fix` (and `none`, where the encoder itself is trained) change nothing.
    Implements eq-pnmta-4.

    Equation 4 gives the bias of `C` the shape $\mathbb{R}^{d}$, one for all categories of a field; Table 4
    counts one a category. `bias_shape` is `category` (Table 4, a scalar added to the whole row) or
    `dimension` (Eq 4).
    """

    def __init__(self, kind: EncoderKind, tables: Mapping[str, Tensor], bias_shape: BiasShape = "category"):
        super().__init__()
        if kind not in ("E", "Eb", "C", "Cb", "S", "SS", "Fix", "none"):
            raise ProtocolError(
                f"encoder modulator {kind!r} is unknown; use E, Eb, C, Cb, S, SS, Fix or none."
            )
        self.kind = kind
        self.weight, self.bias = nn.ParameterDict(), nn.ParameterDict()
        if kind in ("S", "SS"):
            d_pair = sum(t.shape[-1] for t in tables.values())
            self.weight["vector"] = nn.Parameter(torch.ones(d_pair))
            if kind == "SS":
                self.bias["vector"] = nn.Parameter(torch.zeros(d_pair))
        elif kind in ("E", "Eb", "C", "Cb"):
            for name, table in tables.items():
                values, d = table.shape
                rows = (values, d if kind in ("E", "Eb") else 1)
                self.weight[_key(name)] = nn.Parameter(torch.ones(rows))
                if kind in ("E", "C"):
                    shape = (1, d) if kind == "C" and bias_shape == "dimension" else rows
                    self.bias[_key(name)] = nn.Parameter(torch.zeros(shape))

    def tables(self, tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The modulated tables, each `[values, d]`, by the names of `PairEncoder.tables`."""
        if self.kind not in ("E", "Eb", "C", "Cb"):
            return dict(tables)
        changed = {}
        for name, table in tables.items():
            key = _key(name)
            scaled = self.weight[key] * table
            changed[name] = scaled + self.bias[key] if key in self.bias else scaled
        return changed

    def vectors(self, x: Blocks) -> list[Tensor]:
        """The modulated interaction vectors, block by block of their columns."""
        if self.kind not in ("S", "SS"):
            return list(x)
        changed, start = [], 0
        for block in x:
            columns = slice(start, start := start + block.shape[-1])
            scaled = block * self.weight["vector"][columns]
            changed.append(scaled + self.bias["vector"][columns] if self.kind == "SS" else scaled)
        return changed


class TaskEncoder(nn.Module):
    r"""The task vector $v_u$, `[tasks, d_pair]`, pooled from the task's interaction vectors. Implements
    eq-pnmta-2.

    `mean` is the paper's average pooling. `attention` weighs entries by
    $\mathrm{softmax}(q\cdot\tanh(Wv_x))$; the paper names an attention-based layer as an alternative and does
    not define it, so this form is ours.
    """

    def __init__(self, kind: Literal["mean", "attention"], d_pair: int, d_hidden: int = 64):
        super().__init__()
        if kind not in ("mean", "attention"):
            raise ProtocolError(f"task vector {kind!r} is unknown; use 'mean' or 'attention'.")
        self.kind = kind
        if kind == "attention":
            self.project = nn.Linear(d_pair, d_hidden)
            self.score = nn.Linear(d_hidden, 1, bias=False)

    def forward(self, x: Sequence[Blocks], mask: Sequence[Tensor]) -> Tensor:
        """`x` holds the blocks, `mask` the masks `[tasks, n]`, of the sets to be pooled (support, query)."""
        joint = torch.cat([joined(blocks) for blocks in x], -2)
        here = torch.cat(list(mask), -1)
        if self.kind == "mean":
            return masked_mean(joint, here)
        score = self.score(torch.tanh(self.project(joint))).squeeze(-1)
        # An empty set has no entry to weigh: zeros, as for the mean.
        weight = torch.softmax(
            score.masked_fill(~here, -torch.inf).where(here.any(-1, keepdim=True), 0.0), -1
        )
        return ((weight * here).unsqueeze(-2) @ joint).squeeze(-2)


class PredictorModulator(nn.Module):
    r"""Modulates every hidden layer $l$ of the predictor by $\omega^l = \mathrm{MLP}_{\phi_p^l}(v_u)$.

    Implements eq-pnmta-5 and eq-pnmta-6.

    `film`: $v_h^l \leftarrow \omega_w^l \odot v_h^l + \omega_b^l$; `attention`: $v_h^l \leftarrow
    \mathrm{softmax}(\omega^l) \odot v_h^l$, whose weights sum to one over the layer's units and are not
    rescaled. Both act between the linear layer and its ReLU; the output layer is not modulated. The paper
    does not state the generator's hidden layers (`generator`) nor its start: `raw` leaves PyTorch's, so
    $\omega_w$ starts near 0; `one` sets the bias of its $\omega_w$ half to 1, so that modulation starts near
    the identity.
    """

    def __init__(
        self,
        kind: PredictorKind,
        d_task: int,
        hidden: Sequence[int],
        generator: Sequence[int] = (64,),
        gamma_start: GammaStart = "raw",
    ):
        super().__init__()
        if kind not in ("film", "attention", "none"):
            raise ProtocolError(f"predictor modulator {kind!r} is unknown; use film, attention or none.")
        if gamma_start not in ("raw", "one"):
            raise ProtocolError(f"gamma_start {gamma_start!r} is unknown; use 'raw' or 'one'.")
        self.kind = kind
        out = {"film": 2, "attention": 1, "none": 0}[kind]
        self.generators = nn.ModuleList(MLP((d_task, *generator, out * n)) for n in hidden if out)
        if kind == "film" and gamma_start == "one":
            for n, mlp in zip(hidden, self.generators, strict=True):
                nn.init.ones_(mlp.layers[-1].bias[:n])  # type: ignore[union-attr,index]

    def forward(self, task: Tensor) -> Modulate | None:
        """From task vectors `[tasks, d_task]` what modulates `[tasks, n, d_hidden]` layer by layer."""
        if self.kind == "none":
            return None
        omega = [mlp(task).unsqueeze(-2) for mlp in self.generators]
        if self.kind == "attention":
            weight = [torch.softmax(o, -1) for o in omega]
            return lambda layer, h: weight[layer] * h
        halves = [o.chunk(2, -1) for o in omega]
        return lambda layer, h: halves[layer][0] * h + halves[layer][1]


def printed_encoder_count(kind: EncoderKind, n_categories: int, d_pair: int) -> int:
    r"""Parameters of an encoder modulator as Table 4 prints them; `n_categories` is $d(c_u; c_i)$.

    Its element-wise rows count a dense $d(v_x) \times d(c_u; c_i)$ matrix. Tables are blocks of it, so the
    module has $d_{emb}$ in place of $d(v_x)$; all other rows agree with the modules (`EncoderModulator`).
    """
    counts = {
        "E": 2 * n_categories * d_pair,
        "Eb": n_categories * d_pair,
        "C": 2 * n_categories,
        "Cb": n_categories,
        "S": d_pair,
        "SS": 2 * d_pair,
    }
    return counts.get(kind, 0)


def printed_predictor_count(
    kind: PredictorKind, d_task: int, n: int, generator: Sequence[int] = (64,)
) -> int:
    r"""Parameters for one block of `n` units as Table 5 prints them.

    $p(\mathrm{MLP}^{[:-1]}) + m n + n$ for attention and twice the last two for FiLM, $m$ its last hidden
    width.
    """
    widths = (d_task, *generator)
    below = sum(a * b + b for a, b in pairwise(widths))
    out = {"film": 2, "attention": 1, "none": 0}[kind] * n
    return below + widths[-1] * out + out if out else 0


def _key(name: str) -> str:
    """`item.genre` as a name a parameter may have."""
    return name.replace(".", "__")
