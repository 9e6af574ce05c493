"""The hinge loss on pairs of a positive and a negative, and the pairs themselves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from metarec.layers.pooling import masked_average
from metarec.tasks.batch import Query, Support


def hinge(positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    r"""$\max(0, m - f(u, i^+) + f(u, i^-))$, entry by entry, $m = 1$. Implements eq-cmml-4."""
    return F.relu(margin - positive + negative)


def hinge_loss(scores: Tensor, labels: Tensor, mask: Tensor, pairs: int, margin: float = 1.0) -> Tensor:
    """Mean hinge loss of each task over its pairs, `[tasks, n]` -> `[tasks]`; zero for a task without any.

    A positive is paired with each of the `pairs` entries after it, up to the next positive: a query in which
    negatives follow their positive. Other entries take part in no pair.
    """
    losses, valid = [], []
    follows = mask & (labels > 0)
    for shift in range(1, pairs + 1):
        # `follows[p]`: the entries p + 1, ..., p + shift are negatives of the positive at p.
        follows = follows[..., :-1] & (mask & (labels <= 0))[..., shift:]
        losses.append(hinge(scores[..., :-shift], scores[..., shift:], margin))
        valid.append(follows)
    return masked_average(torch.cat(losses, -1), torch.cat(valid, -1))


def support_pairs(support: Support, first: Tensor, second: Tensor) -> tuple[Query, Query]:
    """Pairs from a support: a positive, and its user with the item of a negative.

    `first` and `second` `[tasks, pairs]` in [0, 1) choose both: the positive at this share of the positives,
    and the negative at this share of the negatives whose item is not the positive's (any entry, where there
    are none). The negatives of a support are items of its scenario at random, so this draws a random item of
    the scenario, as the released s2Meta does. The mask is False in a task without positives.
    """
    positive = support.mask & (support.labels > 0)
    row = _at_share(positive.unsqueeze(-2), first)
    user = support.user.expand_as(support.item).gather(-1, row)
    item = support.item.gather(-1, row)
    other = support.item.unsqueeze(-2) != item.unsqueeze(-1)
    negative = (support.mask & (support.labels <= 0)).unsqueeze(-2) & other
    against = support.item.gather(-1, _at_share(negative, second))
    mask = positive.any(-1, keepdim=True).expand_as(row)
    return Query(user, item, mask), Query(user, against, mask)


def even_shares(count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Shares in [0, 1) for `count` pairs, spread evenly and without chance: those of `first` and `second`."""
    place = torch.arange(count, device=like.device).to(like)
    return (place + 0.5) / count, (place * 0.6180339887) % 1  # multiples of the golden section


def _at_share(among: Tensor, share: Tensor) -> Tensor:
    """The place of the True entry of `among` `[..., n]` at a `share` in [0, 1) of all of them, `[...]`.

    Place 0 where none is True.
    """
    count = among.long().cumsum(-1)
    wanted = 1 + (share * count[..., -1]).long()
    return ((count == wanted.unsqueeze(-1)) & among).long().argmax(-1)
