"""CMML against its released program in float64, its equations, and its invariances."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity_cmml import Arrays, Scenarios, Users, close, gradients_agree
from tiny import build, each_alone, gradients, scenarios, tiny
from torch import Tensor
from torch.utils._pytree import tree_map

from metarec.errors import ProtocolError
from metarec.layers.context import GRU, ContextEncoder, LabelCode
from metarec.layers.hypernetworks import MODULATIONS, BackboneOptions, FiLM, SoftModules
from metarec.layers.pairwise import hinge_loss
from metarec.methods.base import initialised
from metarec.methods.cmml import CMML, PAPER, RELEASED, USER
from metarec.tasks import Support, TaskBatch
from metarec.training.stack import Stack, stack_noise

SCENARIOS = [f"linear_{e}_{h}" for e, h in product(("gru", "pool_pos"), ("dot", "mlp", "none"))]
SCENARIOS += ["linear_pool_posneg_dot"]
SCENARIOS += [f"{m}_{e}_dot" for m, e in product(("film", "sigmoid", "softm"), ("gru", "pool_posneg"))]


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_equal_the_released_program(name: str) -> None:
    arrays = Scenarios(name)
    model, batch = arrays.model, arrays.batch
    close(model.context(batch.support, {}), arrays.a["context"])
    scores = model.predict(batch.support, batch.query)
    for t, (positive, negative) in enumerate(
        zip(arrays.ragged("score_positive"), arrays.ragged("score_negative"), strict=True)
    ):
        close(scores[t][batch.query.mask[t]], np.stack([positive, negative], 1).ravel())
    losses = model.loss(scores, batch.query_labels, batch.query.mask)
    close(losses, arrays.a["hinge_loss"])
    for t in range(len(losses)):
        model.zero_grad()
        losses[t].backward(retain_graph=True)
        gradients_agree(arrays, "grad", model, t)
    model.zero_grad()
    model.terms(batch, {})["query"].backward()
    total = sum(p.grad.sum() for p in model.parameters())
    assert torch.isfinite(total)


@pytest.mark.parametrize("folder", ["cmml_user_film", "cmml_user_softm"])
def test_users_equal_the_released_program(folder: str) -> None:
    arrays = Users(folder)
    model, batch = arrays.model, arrays.batch
    close(model.context(batch.support, {}), arrays.a["context"])
    scores = model.predict(batch.support, batch.query)
    for t, expected in enumerate(arrays.ragged("query_pred")):
        close(scores[t][batch.query.mask[t]], expected)
    losses = model.loss(scores, batch.query_labels, batch.query.mask)
    close(losses, arrays.a["loss"])
    close(model.terms(batch, {})["query"], arrays.a["loss"].mean())
    losses.mean().backward()
    gradients_agree(arrays, "grad_mean", model)


def test_routes_and_scores_of_the_model_for_two_data_sets() -> None:
    arrays = Arrays("cmml_scenario", "softm_hybridset_core")
    core = SoftModules(10, 10, BackboneOptions(hyper=(64, 64, 32), module_sizes=(32, 32, 32))).double()
    core.load_state_dict({k.removeprefix("backbone."): v for k, v in arrays.named("weights").items()})
    context = torch.as_tensor(arrays.a["hybrid_context"])
    for layer, route in enumerate(core.routes(context), 1):
        close(route, arrays.a[f"route{layer}"])
    close(core(torch.as_tensor(arrays.a["pair_vector"]), context), arrays.a["score"])


# --- equations, on numbers that a hand can follow


def test_hinge_loss_of_a_query_in_which_negatives_follow_their_positive() -> None:
    # Positive, negative, negative; positive, negative, and padding.
    scores = torch.tensor([[2.0, 0.5, 1.5, 0.0, 0.25, 9.0]])
    labels = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True, True, True, False]])
    # max(0, 1 - 2 + 0.5) = 0 and max(0, 1 - 2 + 1.5) = 0.5; max(0, 1 - 0 + 0.25) = 1.25
    close(hinge_loss(scores, labels, mask, pairs=1), torch.tensor([(0 + 1.25) / 2]))
    close(hinge_loss(scores, labels, mask, pairs=2), torch.tensor([(0 + 0.5 + 1.25) / 3]))
    close(hinge_loss(scores, labels, mask, pairs=2, margin=2.0), torch.tensor([(0.5 + 1.5 + 2.25) / 3]))
    assert hinge_loss(scores, torch.zeros_like(labels), mask, pairs=1).item() == 0


def test_a_negative_belongs_to_the_last_positive_before_it() -> None:
    scores, mask = torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.bool)
    scores[0, 0] = 100.0  # would cost nothing against any negative
    labels = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    close(hinge_loss(scores, labels, mask, pairs=3), torch.tensor([1.0]))


def test_pooling_is_a_mean_or_a_maximum_of_what_the_mlp_makes_of_each_entry() -> None:
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, True], [True, False, False]])
    for kind in ("mean", "max"):
        with initialised(0):
            encoder = ContextEncoder(4, 5, kind, (6,), 0)
        each = encoder.mlp(x)
        found = encoder([x[..., :1], x[..., 1:]], mask, torch.zeros(2, 3))
        pooled = each[0].mean(0) if kind == "mean" else each[0].max(0).values
        torch.testing.assert_close(found, torch.stack([pooled, each[1, 0]]))


def test_gru_reads_the_entries_by_place_and_equals_that_of_torch() -> None:
    g = torch.Generator().manual_seed(0)
    x, place = torch.randn(2, 5, 3, generator=g), torch.rand(2, 5, generator=g)
    mask = torch.tensor([[True] * 5, [True, False, True, False, True]])
    with initialised(0):
        gru, theirs = GRU(3, 4), torch.nn.GRU(3, 4, batch_first=True)
    theirs.load_state_dict(
        {
            "weight_ih_l0": gru.w_input,
            "weight_hh_l0": gru.w_hidden,
            "bias_ih_l0": gru.b_input,
            "bias_hh_l0": gru.b_hidden,
        }
    )
    encoder = ContextEncoder(3, 2, "gru", (), 4)
    encoder.gru = gru
    found = encoder([x], mask, place)
    for t in range(2):
        keep = x[t, mask[t]][place[t, mask[t]].argsort()]
        torch.testing.assert_close(found[t], encoder.mlp(theirs(keep[None])[0][0, -1]))
    assert torch.equal(gru(x, torch.zeros(2, dtype=torch.long)), torch.zeros(2, 4)), "no entry, no context"


def test_the_gru_of_a_stack_is_the_same_function() -> None:
    g = torch.Generator().manual_seed(1)
    x, length = torch.randn(3, 2, 6, 3, generator=g).double(), torch.tensor([6, 4])
    with initialised(0):
        gru = GRU(3, 4).double()
    looped = torch.func.vmap(lambda one: gru(one, length))(x)
    torch.testing.assert_close(looped, torch.stack([gru(one, length) for one in x]), rtol=1e-12, atol=1e-14)


def test_labels_are_two_bits_or_pass_a_network() -> None:
    bits = LabelCode("implicit", (3,))
    assert bits(torch.tensor([[1.0, 0.0]])).tolist() == [[[1, 0], [0, 1]]] and bits.d_out == 2
    assert LabelCode("explicit", (5, 3))(torch.ones(2, 4)).shape == (2, 4, 3)


@pytest.mark.parametrize("axis", ["source", "target"])
def test_routes_sum_to_one_over_sources_as_released_or_over_targets_as_printed(axis: str) -> None:
    options = BackboneOptions(hyper=(8, 8), module_sizes=(5, 6), route_over=axis)  # type: ignore[arg-type]
    with initialised(0):
        net = SoftModules(3, 4, options)
    context = torch.randn(2, 7, 4)
    first, last = net.routes(context)
    assert first.shape == (2, 7, 4, 4) and last.shape == (2, 7, 4, 1)
    torch.testing.assert_close(first.sum(-2 if axis == "source" else -1), torch.ones(2, 7, 4))


def test_soft_modules_mix_the_outputs_of_the_modules_before() -> None:
    with initialised(0):
        net = SoftModules(3, 4, BackboneOptions(hyper=(8, 8), module_sizes=(5, 6)))
    x, context = torch.randn(1, 3), torch.randn(1, 4)
    routes = net.routes(context)
    first = [F.relu(F.linear(x[0], net.weights[0][i], net.biases[0][i])) for i in range(4)]
    second = []
    for j in range(4):
        mixed = sum(routes[0][0, i, j] * first[i] for i in range(4))
        second.append(F.relu(F.linear(mixed, net.weights[1][j], net.biases[1][j])))
    last = sum(routes[1][0, j, 0] * second[j] for j in range(4))
    torch.testing.assert_close(net(x, context)[0], net.out(last)[0])


@pytest.mark.parametrize(("name", "numbers"), [("film", 2), ("sigmoid", 1)])
def test_layers_are_modulated_before_their_activation(name: str, numbers: int) -> None:
    for place in ("before", "after"):
        options = BackboneOptions(name, backbone=(4,), hyper=(5,), place=place, bias=0.1)  # type: ignore[arg-type]
        with initialised(0):
            net = MODULATIONS[name](3, 2, options)
        x, context = torch.randn(6, 3), torch.randn(6, 2)
        made = net.heads[0](F.relu(net.trunk[0](context)))
        assert made.shape[-1] == numbers * 4 and (net.layers[0].bias == 0.1).all()

        def modulate(h: Tensor, made: Tensor = made) -> Tensor:
            return h * made[:, :4] + made[:, 4:] if name == "film" else h * torch.sigmoid(made)

        h = net.layers[0](x)
        h = F.leaky_relu(modulate(h), 0.01) if place == "before" else modulate(F.leaky_relu(h, 0.01))
        torch.testing.assert_close(net(x, context), net.out(h).squeeze(-1))


@pytest.mark.parametrize(("data", "modulation"), [(d, m) for d, found in RELEASED.items() for m in found])
def test_released_configurations_build(data: str, modulation: str) -> None:
    options = RELEASED[data][modulation]
    method = CMML(scenarios()[0], modulation=modulation, **options)
    biases = [layer.bias for layer in method.encoder.mlp.layers]
    if options.get("encoder_bias") is not None:
        assert all((bias == options["encoder_bias"]).all() for bias in biases)
    assert method.encoder.gru is not None and method.encoder.gru.w_hidden.shape[1] == options["gru"]


@pytest.mark.parametrize("options", [PAPER, {**USER, "hyper": (8, 8)}, {**USER, "modulation": "softm"}])
def test_presets_build_in_the_user_setting(options: dict[str, Any]) -> None:
    schema, batch = tiny()
    method = build(CMML, schema, **options)
    assert method.predict(batch.support, batch.query).isfinite().all()


def test_a_hyper_network_is_as_deep_as_what_it_modulates() -> None:
    with pytest.raises(ProtocolError, match="needs a width for each layer"):
        FiLM(3, 2, BackboneOptions(hyper=(64, 64)))


# --- invariances of the whole method, in both settings

PARTS: list[dict[str, Any]] = [
    {},
    {"encoder": "mean", "modulation": "linear", "hybrid": "mlp", "hybrid_sizes": (9,)},
    {"encoder": "max", "modulation": "softm", "hybrid": "none"},
    {"modulation": "sigmoid", "negatives": False, "place": "after", "activation": "relu"},
    {"order": "random", "hybrid": "mlp"},
]
SMALL = {
    "gru": 7,
    "encoder_sizes": (6,),
    "backbone": (8, 8),
    "hyper": (5, 5),
    "module_sizes": (4, 6),
    "d": 3,
    "label_sizes": (4, 4),
}


def cmml(kind: str, seed: int = 0, **options: Any) -> tuple[CMML, TaskBatch]:
    schema, batch = scenarios() if kind == "implicit" else tiny()
    method = build(CMML, schema, seed, **{**SMALL, **options})
    assert isinstance(method, CMML)
    return method, batch


each_setting = pytest.mark.parametrize("kind", ["implicit", "explicit"])
each_part = pytest.mark.parametrize("options", PARTS, ids=str)


@each_setting
@each_part
def test_batch_equals_the_loop_over_tasks(kind: str, options: dict[str, Any]) -> None:
    method, batch = cmml(kind, **options)
    noise = method.draw(batch, torch.Generator().manual_seed(1))
    whole, scores = method.terms(batch, noise), method.predict(batch.support, batch.query)
    alone = []
    for t, one in enumerate(each_alone(batch)):
        keep = batch.support.mask[t]
        alone.append(method.terms(one, {k: v[t : t + 1, keep] for k, v in noise.items()})["query"])
        own = method.predict(one.support, one.query)[0]
        torch.testing.assert_close(scores[t][batch.query.mask[t]], own, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(whole["query"], torch.stack(alone).mean(), rtol=1e-10, atol=1e-12)


@each_setting
@each_part
def test_padding_never_changes_a_number(kind: str, options: dict[str, Any]) -> None:
    method, batch = cmml(kind, **options)
    s, q = batch.support, batch.query
    noise = method.draw(batch, torch.Generator().manual_seed(1))
    poisoned = TaskBatch(
        s._replace(item=torch.where(s.mask, s.item, 1), labels=torch.where(s.mask, s.labels, 1.0)),
        q._replace(item=torch.where(q.mask, q.item, 1)),
        torch.where(q.mask, batch.query_labels, 1.0),
    )
    assert not s.mask.all()
    assert torch.equal(method.terms(batch, noise)["query"], method.terms(poisoned, noise)["query"])
    ours, theirs = (method.predict(b.support, b.query)[q.mask] for b in (batch, poisoned))
    assert torch.equal(ours, theirs)


@each_setting
@pytest.mark.parametrize("encoder", ["mean", "max", "gru"])
def test_order_of_the_support_matters_to_a_gru_alone(kind: str, encoder: str) -> None:
    method, batch = cmml(kind, encoder=encoder)
    s = batch.support
    user = s.user.flip(1) if s.user.shape[1] > 1 else s.user
    flipped = Support(user, *(t.flip(1) for t in s[1:]))
    expected, found = (method.predict(side, batch.query) for side in (s, flipped))
    if encoder == "gru":
        assert not torch.allclose(expected, found, rtol=1e-6)
    else:
        torch.testing.assert_close(expected, found, rtol=1e-10, atol=1e-12)


def test_a_gru_reads_positives_first_or_at_random() -> None:
    method, batch = cmml("implicit")
    s = batch.support
    order = (s.labels <= 0).long().argsort(stable=True, dim=-1)  # positives to the front, as they stand
    moved = Support(*(t.gather(1, order) for t in s))
    torch.testing.assert_close(method.predict(moved, batch.query), method.predict(s, batch.query))
    stored, _ = cmml("implicit", order="stored")
    assert not torch.allclose(stored.predict(s, batch.query), method.predict(s, batch.query))
    shuffled, _ = cmml("implicit", order="random")
    draws = [shuffled.draw(batch, torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert len({shuffled.terms(batch, noise)["query"].item() for noise in draws}) == 2
    torch.testing.assert_close(shuffled.predict(s, batch.query), method.predict(s, batch.query))


def test_without_negatives_the_support_is_its_positives() -> None:
    method, batch = cmml("implicit", encoder="mean", negatives=False)
    s = batch.support
    torch.testing.assert_close(
        method.predict(s._replace(mask=s.mask & (s.labels > 0)), batch.query), method.predict(s, batch.query)
    )


def test_detached_embeddings_get_no_gradient_from_the_encoder() -> None:
    for detach in (True, False):
        method, batch = cmml("explicit", detach=detach, encoder="mean")
        found = torch.autograd.grad(
            method.context(batch.support, {}).sum(), list(method.vectors.parameters()), allow_unused=True
        )
        assert all(g is None for g in found) == detach


@each_setting
@each_part
def test_stacked_replicas_equal_each_alone(kind: str, options: dict[str, Any]) -> None:
    methods, batch = [cmml(kind, seed, **options)[0] for seed in (0, 1)], cmml(kind)[1]
    noise = [m.draw(batch, torch.Generator().manual_seed(seed)) for seed, m in enumerate(methods)]
    alone = [m.terms(batch, n)["query"] for m, n in zip(methods, noise, strict=True)]
    scores = [m.predict(batch.support, batch.query) for m in methods]
    gradient = [gradients(m, loss) for m, loss in zip(methods, alone, strict=True)]
    stack = Stack(methods)
    both = [tree_map(lambda t: torch.stack([t, t]), part) for part in (batch.support, batch.query)]
    twice = TaskBatch(*both, torch.stack([batch.query_labels] * 2))
    loss = stack.call("terms", twice, stack_noise(noise))["query"]
    torch.testing.assert_close(loss, torch.stack(alone), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(stack.call("predict", *both, {}), torch.stack(scores), rtol=1e-10, atol=1e-12)
    loss.sum().backward()
    for name, leaf in stack.leaves.items():
        found = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        torch.testing.assert_close(found, torch.stack([g[name] for g in gradient]), rtol=1e-9, atol=1e-12)


def test_gradient_is_that_of_finite_differences() -> None:
    method, batch = cmml("implicit", modulation="softm")
    loss = method.terms(batch, {})["query"]
    found, step = gradients(method, loss), 1e-6
    for name, p in method.named_parameters():
        direction = torch.randn(p.shape, generator=torch.Generator().manual_seed(0)).double()
        with torch.no_grad():
            p += step * direction
            up = method.terms(batch, {})["query"]
            p -= 2 * step * direction
            slope = (up - method.terms(batch, {})["query"]) / (2 * step)
            p += step * direction
        torch.testing.assert_close((found[name] * direction).sum(), slope, rtol=1e-4, atol=1e-8)


def test_vectors_of_a_schema_are_fixed_and_those_of_a_stranger_are_zero() -> None:
    schema, batch = scenarios()
    method = build(CMML, schema, **SMALL)
    assert not any("vectors" in name for name, _ in method.named_parameters())
    assert not any("vectors" in name for name in method.state_dict())
    known = schema.knowing(np.arange(3), np.arange(4))
    assert known.user_vectors is not None and known.item_vectors is not None
    assert len(known.user_vectors) == known.n_users and not known.user_vectors[-1].any()
    assert len(known.item_vectors) == known.n_items and not known.item_vectors[-1].any()
    first = method.vectors(batch.query.user, batch.query.item)[0]  # the user stands first
    assert first.shape[-1] == schema.user_vectors.shape[1]  # type: ignore[union-attr]
