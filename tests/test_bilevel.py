"""The inner and the outer loop: closed forms, finite differences, factors of a network, span and cost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from metarec.derivations import bilevel, costs, folding, stages, unrolled
from metarec.derivations.bilevel import Side, Tasks
from metarec.errors import ProtocolError
from metarec.layers.adaptation import Order

few = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)
ALPHA, K = 0.05, 4
both = pytest.mark.parametrize("order", ["second", "first"])


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tasks(seed: int = 0, n_tasks: int = 7, n_support: int = 5, dim: int = 3) -> Tasks:
    return bilevel.simulate(n_tasks, n_support, 8, dim, stream(seed))


def point(seed: int = 0, dim: int = 3) -> torch.Tensor:
    return torch.randn(dim, generator=stream(seed), dtype=torch.float64)


# Tasks of least squares


@given(seed=SEEDS, n_support=st.integers(1, 9), steps=st.integers(0, 6))
@few
def test_inner_steps_are_an_affine_map_however_small_the_support(
    seed: int, n_support: int, steps: int
) -> None:
    data, theta = tasks(seed, n_support=n_support, dim=4), point(seed, 4)
    looped = bilevel.inner(theta, data, ALPHA, steps)
    assert_close(looped, bilevel.inner_exact(theta, data, ALPHA, steps), rtol=1e-9, atol=1e-12)


def test_gradient_of_a_side_is_hessian_times_theta_minus_pull() -> None:
    side, theta = tasks().support, point().requires_grad_()
    found = torch.stack([torch.autograd.grad(loss, theta, retain_graph=True)[0] for loss in side.loss(theta)])
    assert_close(found, (side.hessian @ theta.detach()) - side.pull)


@both
def test_meta_gradient_in_closed_form_is_what_the_loop_gives(order: Order) -> None:
    found = bilevel.meta_gradient_by_autograd(point(), tasks(), ALPHA, K, order)
    assert_close(found, bilevel.meta_gradient(point(), tasks(), ALPHA, K, order))


def test_the_second_order_is_the_gradient_and_the_first_is_not() -> None:
    data, theta = tasks(), point()
    slopes = bilevel.by_differences(lambda t: bilevel.outer(t, data, ALPHA, K), theta)
    assert_close(bilevel.meta_gradient(theta, data, ALPHA, K), slopes, rtol=1e-7, atol=1e-8)
    assert bilevel.relative(bilevel.meta_gradient(theta, data, ALPHA, K, "first"), slopes) > 0.05


@both
def test_the_meta_gradient_vanishes_at_the_optimum(order: Order) -> None:
    data = tasks()
    rest = bilevel.optimum(data, ALPHA, K, order)
    assert bilevel.meta_gradient(rest, data, ALPHA, K, order).norm() < 1e-12


@given(seed=SEEDS)
@few
def test_no_start_is_better_than_the_second_order_optimum(seed: int) -> None:
    data = tasks()
    best = bilevel.outer(bilevel.optimum(data, ALPHA, K), data, ALPHA, K)
    for other in (
        bilevel.optimum(data, ALPHA, K, "first"),
        bilevel.joint_optimum(data),
        bilevel.optimum(data, ALPHA, K) + 0.1 * point(seed),
    ):
        assert bilevel.outer(other, data, ALPHA, K) >= best


def test_where_tasks_curve_alike_both_orders_end_in_the_same_place() -> None:
    data, other = tasks(n_tasks=1), tasks(5)
    same = Tasks(
        *(
            Side(side.x.expand(7, -1, -1), labels)
            for side, labels in ((data.support, other.support.labels), (data.query, other.query.labels))
        )
    )
    ends = [bilevel.optimum(same, ALPHA, K, order) for order in ("first", "second")]
    assert_close(*ends, rtol=1e-8, atol=1e-10)
    ends = [bilevel.optimum(other, ALPHA, K, order) for order in ("first", "second")]
    assert bilevel.relative(*ends) > 1e-3


def test_without_steps_first_and_second_order_and_joint_training_are_one() -> None:
    data = tasks()
    for order in ("first", "second"):
        assert_close(bilevel.optimum(data, ALPHA, 0, order), bilevel.joint_optimum(data))


def test_the_error_of_first_order_starts_linear_in_step_size_and_number() -> None:
    data, theta = tasks(), point()
    small, twice = bilevel.first_order_error(theta, data, [1e-5, 2e-5], 1)
    (more,) = bilevel.first_order_error(theta, data, [1e-5], 3)
    assert twice / small == pytest.approx(2, rel=1e-3)
    assert more / small == pytest.approx(3, rel=1e-3)


def test_steps_longer_than_the_largest_diverge() -> None:
    data = tasks(n_tasks=1, n_support=9)
    limit = float(bilevel.largest_step(data)[0])
    best = torch.linalg.solve(data.support.hessian[0], data.support.pull[0])

    def left_after(share: float) -> float:
        return float((bilevel.inner_exact(point(), data, share * limit, 3000)[0] - best).norm())

    assert left_after(0.99) < 1e-8
    assert left_after(1.01) > 1e3


def test_endings_put_the_orders_in_their_order() -> None:
    table = bilevel.endings(tasks(0, 400), tasks(0, 400), [(ALPHA, K), (0.1, 2)])
    for row in table.itertuples(index=False):
        assert float(row[0]) >= float(row[1]) >= float(row[2])


def test_settings_are_checked() -> None:
    with pytest.raises(ProtocolError, match="profile"):
        bilevel.Settings("slow", 0.1, 5, 3, 5)
    with pytest.raises(ProtocolError, match="alpha > 0"):
        bilevel.Settings("quick", 0.0, 5, 3, 5)


# Networks


def network(
    n: int = 6, d: int = 4, hidden: int = 5
) -> tuple[object, torch.Tensor, torch.Tensor, torch.Tensor]:
    x = torch.randn(n, d, generator=stream(1), dtype=torch.float64)
    y = torch.randn(n, generator=stream(2), dtype=torch.float64)
    sizes = (d, hidden, 1)
    return unrolled.flat_loss(sizes, x, y), unrolled.flat_start(sizes, 0), x, y


def test_jacobian_of_the_loop_is_the_product_of_its_factors_last_one_leftmost() -> None:
    loss, start, *_ = network()
    steps = unrolled.factors(loss, start, 0.1, 3)  # type: ignore[arg-type]
    found = unrolled.jacobian(loss, start, 0.1, 3)  # type: ignore[arg-type]
    assert_close(found, unrolled.product(steps), rtol=1e-9, atol=1e-12)
    assert (found - steps[0] @ steps[1] @ steps[2]).norm() > 1e-6
    assert_close(unrolled.product(steps[:1]), steps[0])


def test_second_derivatives_of_a_quadratic_are_its_matrix() -> None:
    root = torch.randn(4, 4, generator=stream(0), dtype=torch.float64)
    matrix = root @ root.mT
    found = unrolled.second_derivatives(lambda v: 0.5 * v @ matrix @ v, point(1, 4))
    assert_close(found, matrix)


@pytest.fixture(scope="module")
def planted() -> tuple[object, object]:
    ratings = unrolled.planted()
    return ratings, unrolled.batch_of(ratings, 5)


def test_each_modulator_reaches_the_query_by_two_routes(planted: tuple) -> None:  # type: ignore[type-arg]
    ratings, batch = planted
    method = unrolled.pnmta(ratings, steps=1)
    first, second = (unrolled.gradients(method, batch, order) for order in ("first", "second"))
    for group, (direct, through) in unrolled.routes(method, batch).items():
        assert_close(direct, first[group], rtol=1e-9, atol=1e-12)
        assert_close(direct + through, second[group], rtol=1e-9, atol=1e-12)
        assert through.norm() > 0.01 * direct.norm()


@pytest.mark.parametrize("group", [g for g in unrolled.GROUPS if g != "encoder."])
def test_second_order_gradient_agrees_with_differences(planted: tuple, group: str) -> None:  # type: ignore[type-arg]
    ratings, batch = planted
    method = unrolled.pnmta(ratings)
    before = [p.detach().clone() for p in method.parameters()]
    numeric, second, first = unrolled.by_differences(method, batch, group)
    assert float(second) == pytest.approx(float(numeric), rel=1e-5)
    assert float(first) != pytest.approx(float(numeric), rel=1e-3)
    for p, was in zip(method.parameters(), before, strict=True):
        assert_close(p.detach(), was, rtol=1e-12, atol=1e-12)


def test_who_moves_where(planted: tuple) -> None:  # type: ignore[type-arg]
    ratings, batch = planted
    table = unrolled.reach(unrolled.pnmta(ratings), batch)
    assert list(table["inner loop"].eq("stays")) == [True, False, True, True]
    assert list(table["outer loop"].eq("stays")) == [True, False, False, False]


@pytest.mark.parametrize("n", [2, 3])
def test_an_update_of_the_first_layer_lies_in_the_span_of_the_support(n: int) -> None:
    _, _, x, y = network(n=n, d=6)
    update = unrolled.first_layer_update(x, y, 9, 0.1, 4)
    assert unrolled.outside_span(update, x) < 1e-12
    assert int(torch.linalg.matrix_rank(update, rtol=1e-10)) <= n
    assert unrolled.outside_span(torch.ones_like(update), x) > 0.1


@pytest.mark.parametrize("order", ["second", "first"])
def test_carrying_outputs_or_weights_gives_the_same_scores(planted: tuple, order: Order) -> None:  # type: ignore[type-arg]
    ratings, batch = planted
    method = unrolled.pnmta(ratings, order=order)
    assert_close(*(unrolled.query_scores(method, batch, span) for span in (True, False)))


# Cost


def test_counted_products_are_those_of_the_formula(planted: tuple) -> None:  # type: ignore[type-arg]
    """Without steps: forward, gradient of the weights and of the inputs, of the query alone.

    The user's columns are multiplied once a task, since all rows of a task share them.
    """
    ratings, _ = planted
    batch = unrolled.batch_of(ratings, 1)
    n, rows = 7, batch.query.item.shape[-1]
    for kind, into_the_input in (("Fix", 0), ("C", 1)):
        method = unrolled.pnmta(
            ratings, hidden=(n, n), steps=0, encoder_modulator=kind, predictor_modulator="none"
        )
        first = (rows * method.encoder.item.d_out + method.encoder.user.d_out) * n
        rest = rows * (n * n + n)
        assert costs.multiply_adds(method, batch) == (2 + into_the_input) * first + 3 * rest


def test_every_inner_step_costs_the_same(planted: tuple) -> None:  # type: ignore[type-arg]
    ratings, _ = planted
    batch = unrolled.batch_of(ratings, 1)
    counts = [costs.multiply_adds(unrolled.pnmta(ratings, steps=k), batch) for k in (1, 2, 3, 4)]
    assert counts[1] - counts[0] == counts[2] - counts[1] == counts[3] - counts[2] > 0


def test_slope_of_a_power_is_its_exponent() -> None:
    widths = (16, 32, 64)
    assert costs.slope(widths, [5 * n**3 for n in widths]) == pytest.approx(3)


def test_wide_predictors_cost_their_width_squared_and_the_whole_hessian_its_fourth_power(
    planted: tuple,  # type: ignore[type-arg]
) -> None:
    ratings, _ = planted
    counts = costs.costs((256, 512), ratings)
    assert all(1.7 < costs.slope((256, 512), own) < 2.0 for own in counts.values())
    assert counts["first order"] < counts["second order"]
    assert 3.5 < costs.slope((8, 16), costs.hessian_costs((8, 16))) < 4.2


# What the predictor could do by itself


@pytest.mark.parametrize("kind", ["S", "SS", "bias"])
def test_scales_and_shifts_of_the_vector_fold_into_the_first_layer(planted: tuple, kind: str) -> None:  # type: ignore[type-arg]
    modulated, alone = folding.folded(planted[0], kind)
    assert_close(modulated, alone, rtol=1e-10, atol=1e-12)


def test_a_weight_for_each_category_does_not_fold(planted: tuple) -> None:  # type: ignore[type-arg]
    modulated, alone = folding.folded(planted[0], "C")
    assert (modulated - alone).abs().max() > 1e-3


def test_the_steps_of_pnmta_use_and_move_what_the_paper_says(planted: tuple) -> None:  # type: ignore[type-arg]
    roles = stages.roles(planted[0])
    assert list(roles.loc["encoder"]) == ["moves", "held", "held"]
    assert list(roles.loc["encoder modulator"]) == ["no part", "held", "moves"]
    assert list(roles.loc["generators"]) == ["no part", "held", "moves"]
    assert list(roles.loc["predictor"]) == ["no part", "moves", "moves"]
    assert list(roles.loc["first predictor"]) == ["moves", "no part", "no part"]
