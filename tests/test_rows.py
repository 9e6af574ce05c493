"""Rows of tables: the numbers and the gradient of an embedding, alone and stacked."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.func import vmap

from metarec.layers.rows import rows

K, N, D = 3, 7, 4
GENERATOR = torch.Generator().manual_seed(0)
TABLES = torch.randn(K, N, D, generator=GENERATOR, dtype=torch.float64)
IDS = torch.randint(N, (K, 5, 6), generator=GENERATOR)  # thirty look-ups of seven rows: all meet again
WEIGHT = torch.randn(K, 5, 6, D, generator=GENERATOR, dtype=torch.float64)


def found(lookup: object, table: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """Rows, and the gradient that `weight` asks of the table."""
    assert callable(lookup)
    leaf = table.clone().requires_grad_()
    out = lookup(leaf, ids)
    (grad,) = torch.autograd.grad((weight * out).sum(), leaf)
    return [out, grad]


@pytest.mark.parametrize("shape", [(6,), (5, 6), (5, 1)])
def test_a_lone_table_gives_what_an_embedding_gives(shape: tuple[int, ...]) -> None:
    ids, weight = IDS[0].flatten()[: torch.Size(shape).numel()].view(shape), WEIGHT[0, 0, 0]
    ours = found(rows, TABLES[0], ids, weight)
    theirs = found(lambda table, index: F.embedding(index, table), TABLES[0], ids, weight)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("in_dims", "table", "ids"),
    [
        ((0, 0), TABLES, IDS),
        ((1, 2), TABLES.movedim(0, 1), IDS.movedim(0, 2)),
        ((0, None), TABLES, IDS[1]),
        ((None, 0), TABLES[1], IDS),
    ],
)
def test_a_stack_gives_what_its_tables_give(
    in_dims: tuple[int | None, int | None], table: torch.Tensor, ids: torch.Tensor
) -> None:
    together = found(vmap(rows, in_dims), table, ids, WEIGHT)
    each = found(vmap(lambda t, i: F.embedding(i, t), in_dims), table, ids, WEIGHT)
    for a, b in zip(together, each, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


def test_gradients_of_gradients_pass() -> None:
    def energy(table: torch.Tensor) -> torch.Tensor:
        return rows(table, IDS[0]).tanh()

    leaf = TABLES[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(energy, leaf) and torch.autograd.gradgradcheck(energy, leaf)
    stacked = TABLES.clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda t: vmap(rows)(t, IDS).tanh(), stacked)


def test_a_gradient_taken_inside_the_stack_is_the_same() -> None:
    def inner(table: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda t: rows(t, ids).square().sum())(table)

    expected = torch.stack([inner(t, i) for t, i in zip(TABLES, IDS, strict=True)])
    assert torch.equal(vmap(inner)(TABLES, IDS), expected)
