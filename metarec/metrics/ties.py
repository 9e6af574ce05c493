"""Order the query by score, and take exact expectations over the order of equal scores.

A ranking metric is a function of an order, and equal scores leave that order open: a collapsed predictor
scores whatever the sort happens to do. The default here is the mean over all orders of every group of equal
scores, by closed form (McSherry and Najork, ECIR 2008, for binary relevance; extended below to hits with a
quota).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from metarec.errors import MetarecError

Ties = Literal["expected", "worst", "given"]


@dataclass(frozen=True)
class Ranking:
    """One query a task, best score first, padding last.

    `labels` float64, `valid` bool, `first` and `size` int64, all `[..., tasks, n_query]`: the entry at rank i
    (from 0) stands in a group of `size` interchangeable entries whose first rank is `first`. `ideal` holds
    the labels in descending order, padding as -inf. `count` `[..., tasks]` is the length of each query.
    """

    labels: Tensor
    valid: Tensor
    first: Tensor
    size: Tensor
    ideal: Tensor
    count: Tensor

    def tied(self, n: int) -> Tensor:
        """Which tasks have equal scores among their first n ranks: bool `[..., tasks]`."""
        return ((self.size > 1) & self.valid)[..., :n].any(-1)


def rank(scores: Tensor, labels: Tensor, mask: Tensor, ties: Ties = "expected") -> Ranking:
    """Sort each query by descending score.

    `scores`, `labels`, `mask` (bool, true = a real entry) are `[..., tasks, n_query]` and broadcast to one
    another, so scores of many replicas `[replicas, tasks, n_query]` go with one set of labels. Scores must be
    finite where the mask is true (`evaluate` checks it). `ties` says what equal scores mean:

    - "expected": every order of equal scores is equally likely; metrics are exact expectations.
    - "worst": equal scores are put in ascending order of their labels, the lowest value a metric can
      take.
    - "given": equal scores keep the order they came in (for comparison with a program that ranks by its own
      rule).

    Raises MetarecError for an unknown `ties`, a mask that is not bool, or shapes that do not fit.
    """
    scores, labels, mask = aligned(scores, labels, mask)
    if ties not in get_args(Ties):
        raise MetarecError(
            f"unknown tie rule {ties!r} in a ranking metric: use one of {', '.join(get_args(Ties))}."
        )
    key = scores.masked_fill(~mask, -torch.inf)
    ideal = labels.masked_fill(~mask, -torch.inf).sort(-1, descending=True).values
    if ties == "worst":
        ascending = labels.argsort(dim=-1, stable=True)
        key, labels, mask = (x.gather(-1, ascending) for x in (key, labels, mask))
    key, order = key.sort(dim=-1, descending=True, stable=True)
    first, size = _tie_groups(key) if ties == "expected" else _singletons(key)
    valid = mask.gather(-1, order)
    # Padding may hold anything, nan included: it must not reach a sum.
    labels = labels.gather(-1, order).masked_fill(~valid, 0.0)
    return Ranking(labels, valid, first, size, ideal, valid.sum(-1))


def aligned(scores: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores and labels in float64 and the mask, of one shape `[..., tasks, n_query]`; else MetarecError."""
    if mask.dtype != torch.bool:
        raise MetarecError(
            f"the query mask given to a metric is {mask.dtype}: pass a bool tensor, true for a real entry."
        )
    try:
        scores, labels, mask = torch.broadcast_tensors(scores, labels, mask)
    except RuntimeError as error:
        shapes = ", ".join(str(list(x.shape)) for x in (scores, labels, mask))
        raise MetarecError(
            f"scores, labels and mask of shapes {shapes} do not fit: pass [..., tasks, n_query]."
        ) from error
    if scores.ndim < 2 or scores.shape[-1] == 0:
        raise MetarecError(
            f"a metric was given shape {list(scores.shape)}: pass [..., tasks, n_query] with n_query >= 1."
        )
    return scores.double(), labels.double(), mask


def expected_hits(
    high: Tensor, edge: Tensor, quota: Tensor, first: Tensor, size: Tensor, n: int, *, graded: bool = True
) -> tuple[Tensor, Tensor]:
    """E[hit_i] and E[hit_i H_i] at ranks i = 1..n when the order inside each tie group is uniformly random.

    An entry of class `high` is always a hit; one of class `edge` is a hit while fewer than `quota` edge
    entries stand before it; H_i = sum_{j <= i} hit_j. `high`, `edge` (bool), `first`, `size` are `[tasks,
    n_query]`, `quota` `[tasks]`; both results are float64 `[tasks, n]`. `graded=False` states that `edge` is
    empty and skips the sum over it.

    Take rank i in a group of m entries, a of them high and b edge, after h and e such entries in better
    groups, and let d be the number of group members placed before i. The number Y of edge entries among those
    d is hypergeometric(m, b, d); given Y = y the other d - y are a uniform draw from the m - b others, so
    with o = d - y

        P(edge at i | y) = (b - y) / (m - d),          P(high at i | y) = (m - b - o) / (m - d) · a / (m - b),
        E[H_i | y, edge at i, a hit] = h + e + y + 1 + o a / (m - b),
        E[H_i | y, high at i]        = h + 1 + o (a - 1) / (m - b - 1) + min(e + y, quota).

    Averaging over Y gives the result. With b = 0 it is McSherry and Najork (2008):
    E[hit_i H_i] = (a/m) (h + 1 + d (a - 1)/(m - 1)).
    """
    m, first = size[..., :n], first[..., :n]
    h, a = _before_and_inside(high, first, m)
    e, b = _before_and_inside(edge, first, m)
    d = torch.arange(m.shape[-1], device=m.device) - first
    y = torch.arange(m.shape[-1] if graded else 1, device=m.device)
    m, h, a, e, b, d = (x.unsqueeze(-1) for x in (m, h, a, e, b, d))
    quota = quota[..., None, None]
    probability = hypergeometric(y, m, b, d, limit=high.shape[-1])
    # Counts become float64 by hand: the quotient of two integer tensors is float32.
    others, o, a = (m - b).double(), (d - y).double(), a.double()
    is_edge = probability * (b - y) / (m - d) * (e + y < quota)
    is_high = probability * (others - o) / (m - d) * a / others.clamp(min=1)
    hits_if_edge = h + e + y + 1 + o * a / others.clamp(min=1)
    hits_if_high = h + 1 + o * (a - 1) / (others - 1).clamp(min=1) + torch.minimum(e + y, quota)
    return (is_edge + is_high).sum(-1), (is_edge * hits_if_edge + is_high * hits_if_high).sum(-1)


def hypergeometric(y: Tensor, population: Tensor, marked: Tensor, draws: Tensor, limit: int) -> Tensor:
    """P(Y = y), Y the number of marked entries among `draws` from a `population` of which `marked` are.

    C(marked, y) C(population - marked, draws - y) / C(population, draws), float64, 0 outside the
    range of Y; the integers broadcast and `limit` is the largest population. Relative error about
    1e-16 log(limit!), which is 1e-12 for two thousand entries.
    """
    log_factorial = torch.lgamma(torch.arange(limit + 1, dtype=torch.float64, device=y.device) + 1.0)

    def log_choose(n: Tensor, k: Tensor) -> Tensor:
        return log_factorial[n] - log_factorial[k] - log_factorial[n - k]

    y, population, marked, draws = torch.broadcast_tensors(y, population, marked, draws)
    possible = (y >= 0) & (y <= marked) & (y <= draws) & (draws - y <= population - marked)
    y, marked, draws = (torch.where(possible, x, 0) for x in (y, marked, draws))
    log_p = log_choose(marked, y) + log_choose(population - marked, draws - y) - log_choose(population, draws)
    return torch.where(possible, log_p.exp(), 0.0)


def mean_over_group(per_rank: Tensor, ranking: Ranking) -> Tensor:
    """Mean of rank weights `[n_query]` over the ranks of each entry's tie group: `[..., tasks, n_query]`."""
    # Summed on the CPU, once for all tasks: a float cumulative sum on a GPU is not deterministic.
    total = torch.nn.functional.pad(per_rank.cpu().cumsum(0), (1, 0)).to(ranking.first.device)
    return (total[ranking.first + ranking.size] - total[ranking.first]) / ranking.size


def _before_and_inside(members: Tensor, first: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """How many members stand before, and inside, the tie group of each rank."""
    total = torch.nn.functional.pad(members.cumsum(-1), (1, 0))
    before = total.gather(-1, first)
    return before, total.gather(-1, first + size) - before


def _tie_groups(key: Tensor) -> tuple[Tensor, Tensor]:
    """First rank and size of the run of equal values each entry of the sorted `key` stands in."""
    n = key.shape[-1]
    position = torch.arange(n, device=key.device)
    step = key[..., 1:] != key[..., :-1]
    opens = torch.nn.functional.pad(step, (1, 0), value=True)
    closes = torch.nn.functional.pad(step, (0, 1), value=True)
    first = torch.where(opens, position, 0).cummax(-1).values
    last = torch.where(closes, position, n - 1).flip(-1).cummin(-1).values.flip(-1)
    return first, last - first + 1


def _singletons(key: Tensor) -> tuple[Tensor, Tensor]:
    """Every entry a group of its own: the order is taken as it stands."""
    position = torch.arange(key.shape[-1], device=key.device).expand(key.shape)
    return position, torch.ones_like(position)
