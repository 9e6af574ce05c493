r"""What the terms of TaNP's loss are made of, as functions: its Gaussians, its assignments, its errors."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metarec.layers.pooling import masked_average


class Gaussian(NamedTuple):
    """A diagonal Gaussian over `[tasks, d_z]` in mean and log-variance."""

    mu: Tensor
    logvar: Tensor


def student_t(t: Tensor, centres: Tensor, alpha: float, *, squared: bool) -> Tensor:
    r"""$c_j \propto (1 + \lVert t-a_j\rVert^p/\alpha)^{-(\alpha+1)/2}$, $p = 2$ as printed or 1 as released.

    `t` `[tasks, d]`, `centres` `[k, d]` -> `[tasks, k]`, rows summing to one. Implements eq-tanp-11.
    """
    square = (t.unsqueeze(-2) - centres).square().sum(-1)
    distance = square if squared else square.sqrt()
    return torch.softmax(-(alpha + 1) / 2 * torch.log1p(distance / alpha), -1)


def cluster_target(c: Tensor) -> Tensor:
    r"""$D_{ij} = (c_{ij}^2/f_j) / \sum_{j'} (c_{ij'}^2/f_{j'})$, $f_j = \sum_i c_{ij}$.

    Implements eq-tanp-14.
    """
    weight = c.square() / c.sum(-2, keepdim=True)
    return weight / weight.sum(-1, keepdim=True)


def kl_gaussian(q: Gaussian, p: Gaussian) -> Tensor:
    r"""$KL(q \| p)$ of diagonal Gaussians, summed over dimensions: `[tasks]`, in nats.

    $\frac12\sum_d\big[(e^{s_q} + (\mu_q-\mu_p)^2)/e^{s_p} - 1 + s_p - s_q\big]$ with log-variances $s$.
    """
    ratio = (q.logvar.exp() + (q.mu - p.mu).square()) / p.logvar.exp()
    return 0.5 * (ratio - 1 + p.logvar - q.logvar).sum(-1)


def reconstruction(output: Tensor, labels: Tensor, mask: Tensor, likelihood: str) -> Tensor:
    """Mean over `mask` of the squared error or of the binary cross-entropy on logits: `[tasks]`.

    Implements eq-tanp-17 (`mse`) and eq-tanp-18 (`bce`); the released code uses the former for 0/1 labels
    too.
    """
    if likelihood == "bce":
        return masked_average(F.binary_cross_entropy_with_logits(output, labels, reduction="none"), mask)
    return masked_average((output - labels).square(), mask)
