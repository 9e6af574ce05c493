"""CMML against its released program in float64, its equations, and its invariances."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from parity_cmml import Arrays, Scenarios, Users, close, gradients_agree

from metarec.layers.hypernetworks import BackboneOptions, SoftModules

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
