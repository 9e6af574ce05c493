"""Field embeddings against multi-hot products, in all the ways they may be looked up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from loops import dense_pair
from tiny import tiny, tiny_ratings

from metarec.data import Schema
from metarec.data.ratings import Field
from metarec.errors import DataError
from metarec.layers import embedding
from metarec.layers.embedding import FieldEmbedding, PairEncoder, joined

N, D = 9, 3


def fields() -> tuple[Field, ...]:
    values = np.array(
        [[0, 4, -1], [1, -1, -1], [-1, -1, -1], [2, 3, 4], [4, 0, -1], [3, -1, -1], [1, 2, -1]]
        + [[0, 1, 2]] * 2
    )
    return (
        Field("tag", values, np.arange(5), (values >= 0).sum(1)),
        Field("year", np.array([0, 1, 2, 0, 1, 2, 3, 3, 3]), np.arange(4)),
    )


def embed(pairs: bool = False) -> FieldEmbedding:
    torch.manual_seed(0)
    return FieldEmbedding(fields(), D, pairs=pairs).double()


def multi_hot(f: Field) -> torch.Tensor:
    hot = torch.zeros(N, f.size, dtype=torch.float64)
    for row, value in enumerate(f.values):
        hot[row, [int(v) for v in np.atleast_1d(value) if v >= 0]] = 1
    return hot / hot.sum(1, keepdim=True).clamp(min=1)


@pytest.mark.parametrize("shape", [(2,), (4, 5), (30,)])
def test_look_up_equals_the_multi_hot_product(shape: tuple[int, ...]) -> None:
    """Few entries are looked up one by one, many through the whole table; both are the same product."""
    module = embed()
    index = torch.randint(0, N, shape, generator=torch.Generator().manual_seed(1))
    expected = torch.cat([multi_hot(f)[index] @ module.tables[f.name] for f in fields()], -1)
    got = module(index)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    tables = list(module.tables.values())
    weight = torch.randn_like(got)
    for one, other in zip(
        torch.autograd.grad((got * weight).sum(), tables),
        torch.autograd.grad((expected * weight).sum(), tables),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_an_entry_without_values_is_zero() -> None:
    module = embed()
    assert module(torch.tensor([2]))[0, :D].eq(0).all()
    assert module(torch.arange(N))[2, :D].eq(0).all()


@pytest.mark.parametrize("pairs", [True, False])
def test_overlap_is_the_product_of_the_mean_vectors(pairs: bool) -> None:
    module = embed(pairs)
    left, right = torch.tensor([[0, 3, 2, 8]]), torch.tensor([[4, 3, 2]])
    expected = torch.stack([multi_hot(f)[left] @ multi_hot(f)[right].mT for f in fields()], 1)
    torch.testing.assert_close(module.overlap(left, right), expected)


def test_pair_tables_are_not_kept_for_many_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "MAX_PAIRS", N * N - 1)
    assert "tag_pairs" not in dict(embed(pairs=True).named_buffers())
    monkeypatch.setattr(embedding, "MAX_PAIRS", N * N)
    assert "tag_pairs" in dict(embed(pairs=True).named_buffers())


def test_start_is_normal_for_single_and_uniform_for_multi_valued_fields() -> None:
    torch.manual_seed(0)
    many = (
        Field("one", np.arange(400), np.arange(400)),
        Field("some", np.arange(400)[:, None], np.arange(400), np.ones(400, np.int64)),
    )
    tables = {name: t.detach() for name, t in FieldEmbedding(many, 32).tables.items()}
    assert abs(float(tables["one"].std()) - 1) < 0.02
    assert float(tables["some"].abs().max()) <= 400**-0.5
    assert abs(float(tables["some"].std()) - 400**-0.5 / 3**0.5) < 1e-3


def test_replicas_under_vmap_equal_replicas_alone() -> None:
    modules = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        modules.append(FieldEmbedding(fields(), D).double())
    stacked = {
        n: torch.stack([m.state_dict()[n] for m in modules]).requires_grad_() for n in modules[0].state_dict()
    }
    index = torch.randint(0, N, (2, 6, 5), generator=torch.Generator().manual_seed(1))
    for ids in (index, index[:, :1, :2]):
        together = torch.func.vmap(lambda p, i: torch.func.functional_call(modules[0], p, i))(stacked, ids)
        slopes = torch.autograd.grad(together.square().sum(), list(stacked.values()))
        for k, module in enumerate(modules):
            torch.testing.assert_close(together[k], module(ids[k]), rtol=1e-9, atol=1e-12)
            alone = torch.autograd.grad(module(ids[k]).square().sum(), list(module.parameters()))
            for slope, own in zip(slopes, alone, strict=True):
                torch.testing.assert_close(slope[k], own, rtol=1e-9, atol=1e-12)


def test_feature_tables_stay_out_of_the_state_dict() -> None:
    assert set(embed(pairs=True).state_dict()) == {"tables.tag", "tables.year"}


def test_pair_vectors_hold_the_items_fields_then_the_users() -> None:
    schema, batch = tiny()
    torch.manual_seed(0)
    encoder = PairEncoder(schema, D).double()
    s = batch.support
    x = encoder(s.user, s.item)
    assert x.shape == (*s.item.shape, encoder.d_out)
    for task in range(2):
        for j in range(2):
            expected = dense_pair(encoder.tables(), schema, int(s.user[task, 0]), int(s.item[task, j]))
            torch.testing.assert_close(x[task, j], expected)
    torch.testing.assert_close(encoder(s.user.expand_as(s.item), s.item), x)


def test_a_side_without_fields_has_a_table_of_ids() -> None:
    schema, batch = tiny(fields=False)
    encoder = PairEncoder(schema, D).double()
    assert {name: t.shape for name, t in encoder.tables().items()} == {
        "item.id": (schema.n_items, D),
        "user.id": (schema.n_users, D),
    }
    x = encoder(batch.support.user, batch.support.item)
    torch.testing.assert_close(x[1, 2, :D], encoder.item.tables["id"][batch.support.item[1, 2]])


@pytest.mark.parametrize("name", ["type", "values", "items", "get", "float", "training", "_keys", ""])
def test_names_that_torch_keeps_for_itself_are_refused_before_a_table_is_made(name: str) -> None:
    """Fields made by hand do not pass `from_frame`; every model begins with a schema."""
    ratings = tiny_ratings()
    with pytest.raises(DataError, match=f"named '{name}'; rename that item field"):
        Schema.of(replace(ratings, item_fields=(replace(ratings.item_fields[0], name=name),)))


def test_blocks_of_no_entries_are_joined_to_none() -> None:
    items, user = torch.zeros(2, 0, 3), torch.zeros(2, 1, 4)
    assert joined([items, user]).shape == (2, 0, 7)
    assert joined([torch.zeros(2, 5, 3), user]).shape == (2, 5, 7)
