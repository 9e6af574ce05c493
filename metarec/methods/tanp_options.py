"""Every place where the paper of TaNP and its released code part, as a switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from metarec.layers.ids import Activation
from metarec.layers.modulation import Modulation


@dataclass(frozen=True)
class TaNPOptions:
    """Every place where paper and released code part, as a switch. Defaults are the released ones.

    Sizes are those of the authors' Last.FM run script. `temperature` is the degree of freedom alpha of
    eq-tanp-11, `cluster_weight` the lambda of eq-tanp-19, `clusters` the k of the pool. With
    `user_identity="shared"` all users have one identity, so that the labels of the support alone can tell
    them apart; with `own` (paper and code) a training user is also known by an embedding, and a test user
    brings one that was never trained. `embed="content"` makes an interaction of an embedding of size
    `d_field` for each field of user and item in place of the ids, as on MovieLens (section 5.1) and in
    PNMTA's comparison; `user_identity`, `embed_activation` and `embed_sizes` then mean nothing.
    """

    variant: Modulation = "gating"
    pool: bool = True
    user_identity: Literal["own", "shared"] = "own"
    embed: Literal["ids", "content"] = "ids"
    d_field: int = 32
    embed_activation: Activation = "relu"
    embed_sizes: tuple[int, int] = (32, 16)
    latent_sizes: tuple[int, ...] = (32, 16, 32)
    d_posterior: int = 32
    d_z: int = 32
    task_sizes: tuple[int, ...] = (32, 32, 16)
    decoder_sizes: tuple[int, ...] = (32, 32, 16)
    clusters: int = 10
    temperature: float = 1.0
    squared: bool = False
    output_map: bool = False
    last_relu: bool = False
    sigma: Literal["log-variance", "log-sigma"] = "log-variance"
    likelihood: Literal["mse", "bce"] = "mse"
    cluster_target: Literal["released", "intended", "none"] = "released"
    detach_target: bool = True
    cluster_weight: float = 0.1
    target: Literal["random", "query"] = "random"
    context_min: int = 20
    sample_z: bool = True
    epochs: int = 150
    batch: int = 32
    lr: float = 1e-4
    window: int = 1


# What the paper prints where it differs from the released code (section 4 and 5.2.3).
PAPER: dict[str, Any] = {
    "embed_activation": "sigmoid",
    "embed_sizes": (32, 32),
    "squared": True,
    "output_map": True,
    "last_relu": True,
    "sigma": "log-sigma",
    "cluster_target": "intended",
    "target": "query",
    "lr": 5e-5,
}
