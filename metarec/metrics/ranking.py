"""Precision, average precision, NDCG and Recall at a cut-off N, one number a task.

Every function takes a `Ranking` (see `rank`) and returns float64 `[..., tasks]`, a fraction in [0, 1] (not
per cent). A task for which the metric is not defined is nan; `mean_over_tasks` counts it. A query shorter
than N is read as if irrelevant entries followed: P@N still divides by N, as trec_eval does, so its ceiling is
below 1 there.

Two forms of a hit:

- "standard": an entry is relevant if its label >= threshold; every relevant entry is a hit.
- "multiset": the rule of TaNP's released scorer. Let t be the multiset of the N largest labels of the query;
  going down the ranking, an entry is a hit if its label is still in t, and then one copy leaves t. Matching
  is by label value, so with 0/1 labels and fewer than N ones a zero is a hit too, and a query of exactly N
  entries has P@N = 1 whatever the ranking.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from metarec.errors import MetarecError
from metarec.metrics.ties import Ranking, expected_hits, mean_over_group

Form = Literal["standard", "multiset"]
Gain = Literal["exponential", "linear"]


def precision(ranking: Ranking, n: int, form: Form = "standard", threshold: float = 1.0) -> Tensor:
    """P@N = (1/N) sum_{i <= N} hit_i. nan for an empty query only; 0 if nothing is relevant."""
    hit, _ = hits(ranking, n, form, threshold)
    return _defined(hit.sum(-1) / n, ranking.count > 0)


def average_precision(ranking: Ranking, n: int, form: Form = "standard", threshold: float = 1.0) -> Tensor:
    """MAP@N of one task: AP@N = (1/Z) sum_{i <= N} hit_i H_i / i, with H_i the hits up to rank i.

    Standard form: Z = min(N, number of relevant entries), nan if there is none. Multiset form: Z = N, as
    TaNP's released scorer has it (so a short query cannot reach 1), nan for an empty query only.
    """
    _, hit_times_hits = hits(ranking, n, form, threshold)
    position = torch.arange(1, hit_times_hits.shape[-1] + 1, device=hit_times_hits.device)
    total = (hit_times_hits / position).sum(-1)
    if form == "multiset":
        return _defined(total / n, ranking.count > 0)
    relevant = _relevant(ranking, threshold).sum(-1)
    return _defined(total / relevant.clamp(1, n), relevant > 0)


def recall(ranking: Ranking, n: int, threshold: float = 1.0) -> Tensor:
    """Recall@N = relevant entries among the first N / all relevant entries of the query; nan without any.

    The query is the candidate list of one user (s2Meta and CMML, scenario setting: the user's held-out
    positives and every other item of the scenario). The denominator is all positives, also when there are
    more than N. The papers average over (scenario, user) pairs, one vote a pair: plain `mean_over_tasks`.
    Their lists hold the positives first, which a stable sort would favour under ties; here ties are resolved
    by the ranking's rule.
    """
    hit, _ = hits(ranking, n, "standard", threshold)
    relevant = _relevant(ranking, threshold).sum(-1)
    return _defined(hit.sum(-1) / relevant.clamp(min=1), relevant > 0)


def ndcg(ranking: Ranking, n: int, gain: Gain = "exponential") -> Tensor:
    """NDCG@N = DCG / IDCG, DCG = sum_{i <= N} g(y_(i)) / log2(i + 1), IDCG the same of the N largest labels.

    g(y) = 2^y - 1 ("exponential": TaNP, CMML user setting) or y ("linear": the reading that fits PNMTA's
    numbers, whose own formula is lost). Under expected ties every entry gets the mean discount of its tie
    group, which is the same as the group's mean gain at each of its ranks. nan if IDCG is 0 (no positive gain
    in the query). Labels must not be negative.
    """
    if gain not in get_args(Gain):
        raise MetarecError(f"unknown gain {gain!r} in NDCG: use one of {', '.join(get_args(Gain))}.")
    width = ranking.labels.shape[-1]
    # Made on the CPU: the table is tiny, and the same on every device.
    discount = 1.0 / torch.log2(torch.arange(2, width + 2, dtype=torch.float64))
    discount[n:] = 0.0
    discount = discount.to(ranking.labels.device)
    best = ranking.ideal.masked_fill(ranking.ideal == -torch.inf, 0.0)
    top = best.amax(-1, keepdim=True)
    dcg = (_gain(ranking.labels, top, gain) * mean_over_group(discount, ranking)).sum(-1)
    idcg = (_gain(best, top, gain) * discount).sum(-1)
    return _defined(dcg / torch.where(idcg > 0, idcg, 1.0), idcg > 0)


def hits(ranking: Ranking, n: int, form: Form = "standard", threshold: float = 1.0) -> tuple[Tensor, Tensor]:
    """hit_i and hit_i H_i, or their exact expectations over ties, at ranks i = 1..min(N, n_query).

    In the multiset form t is fixed by its smallest value v and the number of copies q of v in it: larger
    labels are all in t and always hit, smaller ones never do, and v itself hits for its first q appearances.
    Both are float64 `[..., tasks, N]`.
    """
    if form not in get_args(Form):
        raise MetarecError(
            f"unknown form {form!r} of a ranking metric: use one of {', '.join(get_args(Form))}."
        )
    high, edge, quota = (
        _multiset_classes(ranking, n) if form == "multiset" else _standard_classes(ranking, threshold)
    )
    appeared = edge[..., :n].cumsum(-1)
    hit = high[..., :n] | (edge[..., :n] & (appeared <= quota.unsqueeze(-1)))
    one, two = hit.double(), (hit * hit.cumsum(-1)).double()
    tied = ranking.tied(n)
    if tied.any():  # the closed form costs N times more: only where it is needed
        groups = ranking.first[tied], ranking.size[tied]
        one[tied], two[tied] = expected_hits(
            high[tied], edge[tied], quota[tied], *groups, n, graded=form == "multiset"
        )
    return one, two


def _standard_classes(ranking: Ranking, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    high = _relevant(ranking, threshold)
    return high, torch.zeros_like(high), torch.zeros_like(ranking.count)


def _multiset_classes(ranking: Ranking, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which entries exceed the smallest value of t, which equal it, and how many copies of it t holds."""
    top = ranking.ideal[..., :n]
    length = ranking.count.clamp(1, n).unsqueeze(-1)
    smallest = top.gather(-1, length - 1)
    quota = (top == smallest).sum(-1)
    return (ranking.labels > smallest) & ranking.valid, (ranking.labels == smallest) & ranking.valid, quota


def _relevant(ranking: Ranking, threshold: float) -> Tensor:
    return (ranking.labels >= threshold) & ranking.valid


def _gain(labels: Tensor, top: Tensor, gain: Gain) -> Tensor:
    """The gain of each label, an exponential one in units of $2^{top}$, so that no label is too large for it:
    a ratio of gains stays as it is.
    """
    return torch.exp2(labels - top) - torch.exp2(-top) if gain == "exponential" else labels


def _defined(value: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, value, torch.nan)
