"""Adam: its first step in closed form, torch's own numbers, and a state that goes on where it stood."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metarec.adam import EPS, Adam

CPU = torch.device("cpu")
SHAPES = {"table": (50, 4), "weight": (3, 5), "bias": (3,)}


def leaves(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return {n: nn.Parameter(torch.randn(s, generator=generator, dtype=dtype)) for n, s in SHAPES.items()}


def ask(moved: Mapping[str, nn.Parameter], seed: int, names: tuple[str, ...] = tuple(SHAPES)) -> None:
    """Leave a random gradient on some tensors."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in moved.items():
        drawn = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        p.grad = drawn if name in names else None


def test_the_first_step_goes_the_learning_rate_along_the_sign_of_the_gradient() -> None:
    moved = leaves(0, torch.float64)
    before = {name: p.detach().clone() for name, p in moved.items()}
    ask(moved, 1)
    Adam(moved, 0.01, CPU).step()
    for name, p in moved.items():  # m / (1 - b1) = g and v / (1 - b2) = g^2
        assert p.grad is not None
        torch.testing.assert_close(p.detach(), before[name] - 0.01 * p.grad / (p.grad.abs() + EPS))


@settings(max_examples=20, deadline=None)
@given(
    lr=st.floats(1e-6, 1.0),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    idle=st.sampled_from(["", "table", "bias"]),
)
def test_it_has_the_numbers_of_torchs_own(lr: float, seed: int, dtype: torch.dtype, idle: str) -> None:
    ours, theirs = leaves(seed, dtype), leaves(seed, dtype)
    adam = Adam(ours, lr, CPU)
    reference = torch.optim.Adam(theirs.values(), lr=lr, fused=True)
    moving = tuple(name for name in SHAPES if name != idle)
    for step in range(5):
        ask(ours, step, moving)
        ask(theirs, step, moving)
        adam.step()
        reference.step()
    for name in SHAPES:
        assert torch.equal(ours[name], theirs[name])


def test_it_goes_on_from_its_state() -> None:
    whole, half = leaves(3), leaves(3)
    first, early = Adam(whole, 0.1, CPU), Adam(half, 0.1, CPU)
    for step in range(2):
        for adam, moved in ((first, whole), (early, half)):
            ask(moved, step)
            adam.step()
    late = Adam(half, 0.1, CPU)
    late.load({name: t.clone() for name, t in early.state().items()})
    for adam, moved in ((first, whole), (late, half)):
        ask(moved, 2)
        adam.step()
    assert all(torch.equal(whole[name], half[name]) for name in SHAPES)


def test_one_count_for_all_asks_for_the_same_tensors_at_every_step() -> None:
    moved = leaves(5)
    adam = Adam(moved, 0.1, CPU)
    ask(moved, 0, ("table", "bias"))
    adam.step()
    ask(moved, 1)
    before = {name: p.detach().clone() for name, p in moved.items()}
    with pytest.raises(RuntimeError, match=r"came and went: \['weight'\]"):
        adam.step()
    assert all(torch.equal(moved[name], before[name]) for name in SHAPES)
    adam.zero_grad()
    assert all(p.grad is None for p in moved.values())
