"""PNMTA's modulators: identities at the start, equations, and the parameter counts of Tables 4 and 5."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from tiny import tiny
from torch import Tensor

from metarec.errors import ProtocolError
from metarec.layers.embedding import PairEncoder
from metarec.layers.modulators import (
    EncoderKind,
    EncoderModulator,
    PredictorModulator,
    TaskEncoder,
    printed_encoder_count,
    printed_predictor_count,
)
from metarec.methods.base import n_parameters

D = 3


def tables() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return PairEncoder(tiny()[0], D).double().tables()


def blocks(seed: int = 0, n: int = 4) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(2, k, d, generator=g, dtype=torch.float64) for k, d in ((n, 6), (1, 12))]


def moved(module: EncoderModulator) -> EncoderModulator:
    g = torch.Generator().manual_seed(1)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=g, dtype=torch.float64)
    return module


@pytest.mark.parametrize("kind", get_args(EncoderKind))
@pytest.mark.parametrize("bias_shape", ["category", "dimension"])
def test_every_encoder_modulator_starts_at_the_identity(kind: EncoderKind, bias_shape: str) -> None:
    own = tables()
    module = EncoderModulator(kind, own, bias_shape).double()  # type: ignore[arg-type]
    for name, table in module.tables(own).items():
        assert torch.equal(table, own[name])
    for before, after in zip(blocks(), module.vectors(blocks()), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("kind", get_args(EncoderKind))
def test_parameters_of_table_4(kind: EncoderKind) -> None:
    """As printed, but for the element-wise rows: they count d(v_x) numbers a category where a table has d."""
    own = tables()
    categories, d_pair = sum(len(t) for t in own.values()), D * len(own)
    printed = printed_encoder_count(kind, categories, d_pair)
    ours = n_parameters(EncoderModulator(kind, own))
    assert ours == (printed * D // d_pair if kind in ("E", "Eb") else printed)
    if kind == "C":
        by_equation = n_parameters(EncoderModulator(kind, own, "dimension"))
        assert by_equation == categories + d_pair


def test_channel_wise_modulation_is_one_weight_and_one_bias_a_category() -> None:
    own, module = tables(), moved(EncoderModulator("C", tables()))
    for name, table in module.tables(own).items():
        w, b = module.weight[name.replace(".", "__")], module.bias[name.replace(".", "__")]
        for category in range(len(table)):
            torch.testing.assert_close(table[category], w[category] * own[name][category] + b[category])


def test_the_bias_of_equation_4_shifts_every_interaction_vector_alike() -> None:
    """With one bias a field, C is Cb plus a constant: multi-valued means of a shifted table shift as much."""
    schema, batch = tiny()
    torch.manual_seed(0)
    encoder = PairEncoder(schema, D).double()
    module = moved(EncoderModulator("C", encoder.tables(), "dimension"))
    without = EncoderModulator("Cb", encoder.tables())
    without.weight = module.weight
    args = batch.support.user, batch.support.item
    shift = encoder(*args, module.tables(encoder.tables())) - encoder(*args, without.tables(encoder.tables()))
    constant = torch.cat([module.bias[name.replace(".", "__")] for name in encoder.tables()], -1)
    torch.testing.assert_close(shift, constant.expand_as(shift))


@pytest.mark.parametrize("kind", ["S", "SS"])
def test_scale_and_shift_act_on_the_columns_of_the_vector(kind: EncoderKind) -> None:
    own = {"item.a": torch.zeros(5, 6), "user.b": torch.zeros(5, 12)}
    module, x = moved(EncoderModulator(kind, own)), blocks()
    whole = torch.cat([block.expand(2, 4, -1) for block in x], -1) * module.weight["vector"]
    whole = whole + module.bias["vector"] if kind == "SS" else whole
    torch.testing.assert_close(torch.cat([b.expand(2, 4, -1) for b in module.vectors(x)], -1), whole)


@pytest.mark.parametrize("kind", ["film", "attention"])
@pytest.mark.parametrize("generator", [(64,), (), (16, 8)])
def test_parameters_of_table_5(kind: str, generator: tuple[int, ...]) -> None:
    module = PredictorModulator(kind, 18, (7, 5), generator)  # type: ignore[arg-type]
    for n, mlp in zip((7, 5), module.generators, strict=True):
        assert n_parameters(mlp) == printed_predictor_count(kind, 18, n, generator)  # type: ignore[arg-type]
    assert printed_predictor_count("none", 18, 7) == n_parameters(PredictorModulator("none", 18, (7, 5)))


def test_film_scales_and_shifts_and_attention_shares_out_one() -> None:
    task = torch.randn(2, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = torch.randn(2, 4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    film = PredictorModulator("film", 18, (7,)).double()
    w, b = film.generators[0](task).chunk(2, -1)
    modulate = film(task)
    for t in range(2):
        torch.testing.assert_close(modulate(0, h)[t], w[t] * h[t] + b[t])
    attention = PredictorModulator("attention", 18, (7,)).double()(task)
    torch.testing.assert_close(
        attention(0, torch.ones_like(h)).sum(-1), torch.ones(2, 4, dtype=torch.float64)
    )


def test_gamma_starts_around_zero_or_around_one() -> None:
    task = torch.zeros(1, 18)
    ones = torch.ones(1, 1, 64)
    for start, centre in (("raw", 0.0), ("one", 1.0)):
        torch.manual_seed(0)
        module = PredictorModulator("film", 18, (64,), gamma_start=start)  # type: ignore[arg-type]
        gamma = module(task)(0, ones) - module(task)(0, 0 * ones)
        assert abs(float(gamma.mean().detach()) - centre) < 0.05


@pytest.mark.parametrize("kind", ["mean", "attention"])
def test_task_vector_ignores_padding_and_order(kind: str) -> None:
    torch.manual_seed(0)
    encode = TaskEncoder(kind, 18).double()  # type: ignore[arg-type]
    x, mask = blocks(), torch.tensor([[True, True, False, False], [True] * 4])
    v = encode([x], [mask])
    assert v.shape == (2, 18)
    noisy = [torch.where(mask.unsqueeze(-1), x[0], 99.0), x[1]]
    torch.testing.assert_close(encode([noisy], [mask]), v)
    torch.testing.assert_close(encode([[x[0].flip(1), x[1]]], [mask.flip(1)]), v)
    halves = [[x[0][:, :1], x[1]], [x[0][:, 1:], x[1]]]
    torch.testing.assert_close(encode(halves, [mask[:, :1], mask[:, 1:]]), v)
    if kind == "mean":
        torch.testing.assert_close(v[0], torch.cat([x[0][0, :2].mean(0), x[1][0, 0]]))
    empty = encode([x], [torch.zeros_like(mask)])
    assert empty.eq(0).all()
    loose = [x[0].requires_grad_(), x[1]]
    (slope,) = torch.autograd.grad(encode([loose], [torch.zeros_like(mask)]).sum(), loose[0])
    assert slope.eq(0).all()


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ProtocolError, match="'D'"):
        EncoderModulator("D", tables())  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="'gru'"):
        TaskEncoder("gru", 3)  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="'soft'"):
        PredictorModulator("soft", 3, (4,))  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="'two'"):
        PredictorModulator("film", 3, (4,), gamma_start="two")  # type: ignore[arg-type]
