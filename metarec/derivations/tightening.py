r"""The bound tightens as $q$ improves: free $q$ for one task, and an encoder shared by all tasks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import torch
from scipy import optimize
from torch import Generator, Tensor, nn
from torch.distributions import MultivariateNormal as Normal

from metarec.derivations.check import stacked
from metarec.derivations.elbo import diagonal, elbo
from metarec.derivations.elbo import width as elbo_width
from metarec.derivations.linear_gaussian import Interactions, log_evidence, posterior, simulate
from metarec.layers.mlp import MLP, mlp_params, task_mlp
from metarec.methods.base import initialised

Family = Literal["full", "diagonal"]


def free_gaussian(theta: Tensor, dim: int, family: Family) -> Normal:
    """A Gaussian with its own parameters `theta`: mean, log s.d. and, if `full`, what is below: `[d]`."""
    mean, log_sd, below = theta[:dim], theta[dim : 2 * dim], theta[2 * dim :]
    scale = torch.diag(log_sd.exp())
    if family == "full":
        row, column = torch.tril_indices(dim, dim, -1)
        scale = scale.index_put((row, column), below)
    return Normal(mean, scale_tril=scale, validate_args=False)


class Encoders(nn.Module):
    r"""$q(z|\tau)$ as in TaNP: an MLP on $[w(x_j) | y_j]$, the mean over $j$, a diagonal Gaussian.

    One encoder a seed, all in one stack: parameters have a leading axis `[seeds, ...]`.
    """

    def __init__(self, dim: int, seeds: int, width: int = 32):
        super().__init__()
        self.seeds = seeds
        self.h = _stack((dim + 1, width, width), seeds)
        self.head = _stack((width, width, 2 * dim), seeds)

    def forward(self, data: Interactions) -> Normal:
        """Each encoder's belief `[seeds, users, d]` about its users, or about the same `[users, n]` for all.

        The last layer gives log-variances, as in the released code.
        """
        rows = torch.cat([data.features, data.labels.unsqueeze(-1)], -1)
        rows = rows.expand(self.seeds, *rows.shape[-3:])
        r = task_mlp(_named(self.h), rows.flatten(1, 2)).unflatten(1, rows.shape[1:3]).mean(-2)
        mean, logvar = task_mlp(_named(self.head), r).chunk(2, -1)
        return diagonal(mean, torch.exp(0.5 * logvar))


def _stack(sizes: tuple[int, ...], seeds: int) -> nn.ParameterList:
    """Weights and biases of `seeds` freshly drawn MLPs, `[seeds, ...]`, layer by layer."""
    nets = [mlp_params(MLP(sizes)).values() for _ in range(seeds)]
    return nn.ParameterList(torch.stack(same) for same in zip(*nets, strict=True))


def _named(stack: nn.ParameterList) -> dict[str, Tensor]:
    """The stack under the names that `task_mlp` expects."""
    return {f"{i // 2}.{'bias' if i % 2 else 'weight'}": p for i, p in enumerate(stack)}


def best_diagonal(p: Normal) -> Normal:
    r"""The diagonal Gaussian nearest to $p$ in $KL(q\|p)$: the same mean, variances $1/\Lambda_{kk}$."""
    return diagonal(p.mean, p.precision_matrix.diagonal(dim1=-2, dim2=-1).rsqrt())


def tighten(user: Interactions, family: Family = "full", steps: int = 60) -> pd.DataFrame:
    """Climb the exact bound of one user from the prior by BFGS; columns `step`, `elbo`, `gap`, in nats.

    It ends after `steps` steps or when the gradient is zero to rounding, whichever is first.
    """
    d = user.dim
    n_free = 2 * d + (d * (d - 1) // 2 if family == "full" else 0)
    evidence = float(log_evidence(user))

    def loss(theta: Tensor) -> Tensor:
        return -elbo(free_gaussian(theta, d, family), user)

    def value_and_slope(theta: np.ndarray) -> tuple[float, np.ndarray]:
        slope, value = torch.func.grad_and_value(loss)(torch.as_tensor(theta).to(user.x))
        return float(value), slope.cpu().numpy()

    rows: list[dict[str, float]] = []

    def record(theta: np.ndarray) -> None:
        bound = -value_and_slope(theta)[0]
        rows.append({"step": len(rows), "elbo": bound, "gap": evidence - bound})

    start = np.zeros(n_free)
    record(start)
    options = {"maxiter": steps, "gtol": 1e-8}
    optimize.minimize(value_and_slope, start, jac=True, method="BFGS", callback=record, options=options)
    return pd.DataFrame(rows)


def train_encoders(
    held_out: Interactions,
    seeds: int,
    generator: Generator,
    steps: int = 500,
    batch: int = 64,
    lr: float = 0.02,
) -> tuple[Encoders, pd.DataFrame]:
    """Train `seeds` encoders, each on fresh users of the same model; measure them on the `held_out` users.

    Columns `step`, `gap` (evidence minus bound: mean over users and seeds, nats) and `half` (half-width of
    the 95 % t-interval over seeds), at steps spread evenly in log.
    """
    with initialised(generator.initial_seed()):
        encoders = Encoders(held_out.dim, seeds).to(held_out.x)
    optimiser = torch.optim.Adam(encoders.parameters(), lr)
    shown = {0, *np.geomspace(1, steps, 40).round().astype(int).tolist()}
    rows = []
    for step in range(steps + 1):
        if step in shown:
            lost = gaps(held_out, encoders)
            mean, half = stacked((lost["approximation"] + lost["amortisation"]).mean(-1))
            rows.append({"step": step, "gap": mean, "half": half})
        if step == steps:
            break  # the last row is measured on the encoders that are returned
        users = simulate(held_out.n, held_out.dim, held_out.noise, generator, (seeds, batch))
        optimiser.zero_grad()
        (-elbo(encoders(users), users).mean(-1).sum()).backward()
        optimiser.step()
    return encoders, pd.DataFrame(rows)


def gaps(held_out: Interactions, encoders: Encoders) -> dict[str, Tensor]:
    """What is lost to the diagonal family and what to the shared encoder, `[seeds, users]`, in nats."""
    at_best = elbo(best_diagonal(posterior(held_out)), held_out)
    with torch.no_grad():
        amortised = elbo(encoders(held_out), held_out)
    approximation = (log_evidence(held_out) - at_best).expand_as(amortised)
    return {"approximation": approximation, "amortisation": at_best - amortised}


def width(encoders: Encoders, users: Interactions) -> Tensor:
    """Typical s.d. of the encoders' beliefs, mean over seeds and users."""
    with torch.no_grad():
        return elbo_width(encoders(users)).mean()
