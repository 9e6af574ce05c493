"""Modulated networks as made layers, their freedom and their costs, and the order of a support."""

from __future__ import annotations

from math import factorial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from metarec.derivations import modulation, modulation_costs, orders, restrictions
from metarec.derivations.modulation import Made, Settings
from metarec.errors import ProtocolError
from metarec.layers.hypernetworks import BackboneOptions

few = settings(max_examples=8, deadline=None)
SEEDS = st.integers(0, 10_000)
RUN = Settings("quick", 5, 4, 3, 4)
KINDS = tuple(modulation_costs.KINDS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@given(seed=SEEDS)
@few
def test_a_modulated_network_is_a_network_of_made_layers(kind: modulation.Kind, seed: int) -> None:
    net, (x, context) = RUN.network(kind, seed), RUN.pairs(seed)
    activation = "relu" if kind == "softm" else "leaky"
    found = modulation.run_layers(modulation.as_layers(net, context), x, activation)
    assert_close(found, modulation.scores_of(net, x, context))


@given(seed=SEEDS)
@few
def test_routes_over_the_targets_make_layers_too(seed: int) -> None:
    net, (x, context) = RUN.network("softm", seed, route_over="target"), RUN.pairs(seed)
    found = modulation.run_layers(modulation.as_layers(net, context), x, "relu")
    assert_close(found, modulation.scores_of(net, x, context))


def test_a_first_layer_of_made_weights_is_bilinear() -> None:
    net, (x, context) = RUN.network("full"), RUN.pairs()
    first = modulation.run_layers(modulation.as_layers(net, context)[:1], x, "leaky")
    assert_close(restrictions.bilinear(net, x, context).detach(), first)  # type: ignore[arg-type]


@given(seed=SEEDS)
@few
def test_linear_is_a_film_in_the_last_place(seed: int) -> None:
    linear, (x, context) = RUN.network("linear", seed), RUN.pairs(seed)
    film = restrictions.as_film(linear, RUN)  # type: ignore[arg-type]
    assert_close(modulation.scores_of(film, x, context), modulation.scores_of(linear, x, context))


@pytest.mark.parametrize(
    ("kind", "directions"),
    [
        ("full", [24, 20, 5]),
        ("film", [8, 8, 0]),
        ("sigmoid", [4, 4, 0]),
        ("linear", [0, 0, 5]),
        ("softm", [0, 6, 2]),
    ],
)
def test_directions_of_each_layer(kind: modulation.Kind, directions: list[int]) -> None:
    layers = modulation.as_layers(RUN.network(kind), RUN.pairs()[1])
    assert [restrictions.freedom(layer) for layer in layers] == directions


def test_a_layer_that_stays_has_no_direction() -> None:
    assert restrictions.freedom(Made(torch.ones(9, 3, 2), torch.ones(9, 3))) == 0


@each_kind
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"backbone": (8, 6), "hyper": (5, 7), "module_sizes": (4, 3), "modules": 2},
        {"backbone": (6,), "hyper": (9,), "module_sizes": (5,), "modules": 3},
    ],
)
def test_formulas_give_what_is_counted(kind: modulation.Kind, sizes: dict[str, Any]) -> None:
    o = BackboneOptions(**sizes)
    assert modulation_costs.parameters(kind, 11, 10, o) == modulation_costs.counted_parameters(
        kind, 11, 10, o
    )
    one = modulation_costs.multiply_adds(kind, 11, 10, o)
    assert modulation_costs.counted_multiply_adds(kind, 11, 10, o, pairs=3) == 3 * one


def test_pooling_has_one_context_and_a_gru_one_for_each_order() -> None:
    every = orders.in_all_orders(RUN.support())
    found = {k: orders.distinct(orders.contexts(RUN.encoder(k), every)) for k in ("mean", "max", "gru")}
    assert found == {"mean": 1, "max": 1, "gru": factorial(RUN.n_support)}


def test_sizes_are_checked() -> None:
    with pytest.raises(ProtocolError, match="profile"):
        Settings("slow", 5, 4, 3, 5)
    with pytest.raises(ProtocolError, match="n_support from 3 to 6"):
        Settings("quick", 5, 4, 3, 9)
    with pytest.raises(ProtocolError, match="no difference"):
        modulation.largest_gap(torch.ones(2), torch.ones(3))
