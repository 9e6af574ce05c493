"""TaNP against the authors' released program in float64, its equations, and its invariances."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import build, gradients, tiny
from torch import Tensor

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.embedding import joined
from metarec.methods.base import initialised
from metarec.methods.tanp import PAPER, Gaussian, Regions, TaNP, cluster_target, kl_gaussian, student_t
from metarec.tasks import Query, Support, TaskBatch

PARITY = Path(os.environ.get("METAREC_PARITY", Path(__file__).parent / "parity"))
VARIANTS = {"tanp_film": "film", "tanp_gating": "gating"}

# Names in the fixtures -> ours. One-hot first layers are stored transposed: a table of rows.
RENAMED = {
    "latent_encoder.": "latent_encoder.layers.",
    "task_encoder.": "task_encoder.layers.",
    "posterior.hidden": "posterior_hidden",
    "posterior.mu": "posterior_mu",
    "posterior.logvar": "posterior_s",
    "decoder.out": "decoder_out",
}


class Fixture:
    """The arrays of one parity folder as a model, a padded batch and expectations."""

    def __init__(self, name: str):
        path = PARITY / name / "fixture.npz"
        if not path.exists():
            pytest.skip(f"{path} is absent")
        self.a = {k: v for k, v in np.load(path).items()}
        self.n = len(self.a["task_user"])
        self.model = self._model(VARIANTS[name])
        self.batch, self.regions = self._batch()

    def ragged(self, name: str) -> list[np.ndarray]:
        offsets = self.a[f"{name}_offsets"]
        return [self.a[name][a:b] for a, b in pairwise(offsets)]

    def tensor(self, name: str) -> Tensor:
        return torch.as_tensor(self.a[name])

    def _model(self, variant: str) -> TaNP:
        w = {k[len("weights/") :]: v.shape for k, v in self.a.items() if k.startswith("weights/")}
        schema = Schema(int(self.a["n_users"]), int(self.a["n_items"]), "explicit", 0.0, 5.0)

        def widths(part: str) -> tuple[int, ...]:
            return tuple(w[f"{part}.{i}.weight"][0] for i in (1, 2, 3))

        model = TaNP(
            schema,
            variant=variant,
            embed_sizes=(w["item_embed.1.weight"][0], w["item_embed.2.weight"][0]),
            latent_sizes=widths("latent_encoder"),
            d_posterior=w["posterior.hidden.weight"][0],
            d_z=w["posterior.mu.weight"][0],
            task_sizes=widths("task_encoder"),
            decoder_sizes=tuple(w[f"decoder.hidden{i}.weight"][0] for i in (1, 2, 3)),
            clusters=w["cluster_pool"][0],
            temperature=float(self.a["temperature"]),
            cluster_weight=float(self.a["lambda"]),
            detach_target=False,
        ).double()
        model.cluster_weight = torch.tensor(float(self.a["lambda"]), dtype=torch.float64)
        model.load_state_dict({**model.state_dict(), **self.named("weights")})
        return model

    def named(self, group: str) -> dict[str, Tensor]:
        """Arrays `group/...` under our parameter names."""
        found = {}
        for key, value in self.a.items():
            if key.startswith(f"{group}/"):
                name, array = _ours(key[len(group) + 1 :], value)
                found[name] = torch.as_tensor(np.ascontiguousarray(array))
        return found

    def _batch(self) -> tuple[TaskBatch, Regions]:
        items, labels = self.ragged("item"), self.ragged("label")
        n_s = self.a["support_size"]
        w_s, w_q = int(n_s.max()), int(max(len(i) - s for i, s in zip(items, n_s, strict=True)))
        shape = (self.n, w_s + w_q)
        item, label = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.float64)
        masks = {name: torch.zeros(shape, dtype=torch.bool) for name in ("all", "context", "target")}
        for t in range(self.n):
            position = np.arange(len(items[t]))
            place = np.where(position < n_s[t], position, position - n_s[t] + w_s)
            item[t, place], label[t, place] = torch.as_tensor(items[t]), torch.as_tensor(labels[t])
            masks["all"][t, place] = True
            for part in ("context", "target"):
                masks[part][t, place[self.ragged(f"{part}_index")[t]]] = True
        user = torch.as_tensor(self.a["task_user"])[:, None]
        support = Support(user, item[:, :w_s], masks["all"][:, :w_s], label[:, :w_s])
        query = Query(user, item[:, w_s:], masks["all"][:, w_s:])
        regions = Regions(masks["context"], masks["target"], masks["target"])
        return TaskBatch(support, query, label[:, w_s:]), regions


def _ours(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    for side in ("item_embed", "user_embed"):
        if name == f"{side}.1.weight":
            return f"{side}.table", array.T
        if name == f"{side}.1.bias":
            return f"{side}.bias", array
        name = name.replace(f"{side}.2.", f"{side}.second.")
    for part, end in (
        ("hidden", "linear"),
        ("gamma", "gamma"),
        ("beta", "beta"),
        ("eta", "eta"),
        ("delta", "delta"),
    ):
        for i in (1, 2, 3):
            name = name.replace(f"decoder.{part}{i}.", f"decoder.{i - 1}.{end}.")
    for theirs, ours in RENAMED.items():
        if name.startswith(theirs):
            name = ours + name[len(theirs) :]
    for encoder in ("latent_encoder", "task_encoder"):
        for i in (1, 2, 3):
            name = name.replace(f"{encoder}.layers.{i}.", f"{encoder}.layers.{i - 1}.")
    return name, array


@pytest.fixture(params=VARIANTS)
def fixture(request: pytest.FixtureRequest) -> Fixture:
    return Fixture(request.param)


def close(ours: Tensor, theirs: Tensor | np.ndarray) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(theirs), rtol=1e-9, atol=1e-12)


TARGETS = [
    ("released", "released", False),
    ("intended", "intended", False),
    ("intended", "intended_D_detached", True),
]


@pytest.mark.parametrize(("target", "gradients", "detach"), TARGETS)
def test_losses_and_gradients_equal_the_released_program(
    fixture: Fixture, target: str, gradients: str, detach: bool
) -> None:
    model = fixture.model
    object.__setattr__(model.options, "cluster_target", target)
    object.__setattr__(model.options, "detach_target", detach)
    terms = model.losses(fixture.batch, fixture.regions, fixture.tensor("eps_target"))
    close(terms["reconstruction"], fixture.a["mse"].mean())
    close(terms["kl"], fixture.a["kl"].mean())
    close(terms["cluster"], fixture.a[f"cluster_loss_{target}"])
    total = torch.stack(list(terms.values())).sum()
    close(total, fixture.a[f"total_loss_{target}"])
    total.backward()
    expected = fixture.named(f"grad_{gradients}")
    assert set(expected) == {name for name, _ in model.named_parameters()}
    for name, p in model.named_parameters():
        assert p.grad is not None
        close(p.grad, expected[name])


@pytest.mark.parametrize("target", ["released", "intended"])
def test_weights_after_one_adam_step(fixture: Fixture, target: str) -> None:
    model = fixture.model
    object.__setattr__(model.options, "cluster_target", target)
    optimiser = torch.optim.Adam(model.parameters(), lr=float(fixture.a["adam_lr"]), fused=True)
    terms = model.losses(fixture.batch, fixture.regions, fixture.tensor("eps_target"))
    torch.stack(list(terms.values())).sum().backward()
    optimiser.step()
    expected = fixture.named(f"after_adam_{target}")
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=0, atol=1e-9)


def test_evaluation_outputs(fixture: Fixture) -> None:
    support, query, _ = fixture.batch
    model = fixture.model
    sampled = model.predict(support, query, {"eps": fixture.tensor("eps_eval")})
    mean = model.predict(support, query)
    for t in range(fixture.n):
        close(sampled[t][query.mask[t]], fixture.ragged("eval_pred")[t])
        close(mean[t][query.mask[t]], fixture.ragged("eval_pred_meanz")[t])
        order = sampled[t].masked_fill(~query.mask[t], -torch.inf).argsort(descending=True, stable=True)
        assert order[: int(query.mask[t].sum())].tolist() == fixture.ragged("eval_ranking")[t].tolist()


def test_every_intermediate_of_the_training_pass(fixture: Fixture) -> None:
    model, batch, regions = fixture.model, fixture.batch, fixture.regions
    user, item, labels = batch.support.user, torch.cat([batch.support.item, batch.query.item], -1), None
    labels = torch.cat([batch.support.labels, batch.query_labels], -1)
    x = model.embed(user, item)
    r = model.encode(x, labels)
    for part in ("target", "context"):
        q = model.posterior(r, getattr(regions, part))
        close(q.mu, fixture.a[f"mu_{part}"])
        close(q.logvar, fixture.a[f"logvar_{part}"])
        close(q.mu + fixture.tensor(f"eps_{part}") * torch.exp(0.5 * q.logvar), fixture.a[f"z_{part}"])
    custom = model.customise(x, labels, regions.context)
    close(custom.t, fixture.a["task_mean"])
    close(custom.c, fixture.a["assignment_C"])
    close(custom.o, fixture.a["task_embedding_o"])
    close(cluster_target(custom.c), fixture.a["target_D_intended"])
    assert (fixture.a["target_D_released"] == 1).all()
    q = model.posterior(r, regions.target)
    z = q.mu + fixture.tensor("eps_target") * torch.exp(0.5 * q.logvar)
    output = model.decode(x, z, custom.o)
    for t in range(fixture.n):
        # The fixture lists predictions in target order; ours stand at the interactions' own places.
        n_s, w_s = int(fixture.a["support_size"][t]), batch.support.item.shape[1]
        index = fixture.ragged("target_index")[t]
        close(output[t, np.where(index < n_s, index, index - n_s + w_s)], fixture.ragged("train_pred")[t])


SCHEMA = Schema(30, 40, "implicit", 0.0, 1.0)


def batch(tasks: int = 6, n_s: int = 9, n_q: int = 7, seed: int = 0) -> TaskBatch:
    g = torch.Generator().manual_seed(seed)
    user = torch.randperm(30, generator=g)[:tasks, None]
    item = torch.stack([torch.randperm(40, generator=g)[: n_s + n_q] for _ in range(tasks)])
    label = torch.randint(0, 2, (tasks, n_s + n_q), generator=g).double()
    mask = torch.ones_like(item, dtype=torch.bool)
    mask[0, n_s - 2 : n_s] = False
    mask[1, -3:] = False
    label = torch.where(mask, label, 0.0)
    return TaskBatch(
        Support(user, item[:, :n_s], mask[:, :n_s], label[:, :n_s]),
        Query(user, item[:, n_s:], mask[:, n_s:]),
        label[:, n_s:],
    )


def model(**options: object) -> TaNP:
    with initialised(3):
        return TaNP(SCHEMA, context_min=4, **options).double()


@pytest.mark.parametrize("options", [{}, {"variant": "film"}, {"variant": "none"}, PAPER, {"pool": False}])
def test_prediction_ignores_padding_and_the_order_of_the_support(options: dict[str, object]) -> None:
    m, b = model(**options), batch()
    expected = m.predict(b.support, b.query)
    flipped = Support(b.support.user, *(t.flip(1) for t in b.support[1:]))
    torch.testing.assert_close(m.predict(flipped, b.query), expected, rtol=1e-10, atol=1e-12)
    poisoned = b.support._replace(
        item=torch.where(b.support.mask, b.support.item, 39),
        labels=torch.where(b.support.mask, b.support.labels, 99.0),
    )
    torch.testing.assert_close(m.predict(poisoned, b.query), expected, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"variant": "none"}, PAPER, {"likelihood": "bce", **PAPER}])
def test_batch_equals_the_loop_over_tasks(options: dict[str, object]) -> None:
    m, b = (
        model(cluster_target="none", **{k: v for k, v in options.items() if k != "cluster_target"}),
        batch(),
    )
    noise = m.draw(b, torch.Generator().manual_seed(1))
    whole = m.terms(b, noise)
    alone = []
    for t in range(6):
        keep_s, keep_q = b.support.mask[t], b.query.mask[t]
        one = TaskBatch(
            Support(b.support.user[t : t + 1], *(x[t : t + 1, keep_s] for x in b.support[1:])),
            Query(b.query.user[t : t + 1], *(x[t : t + 1, keep_q] for x in b.query[1:])),
            b.query_labels[t : t + 1, keep_q],
        )
        own = {name: value[t : t + 1] for name, value in noise.items()}
        own["order"] = own["order"][:, torch.cat([keep_s, keep_q])]
        alone.append(m.terms(one, own))
    for name, value in whole.items():
        torch.testing.assert_close(
            value, torch.stack([a[name] for a in alone]).mean(), rtol=1e-10, atol=1e-12
        )


def test_context_and_target_follow_the_released_draw() -> None:
    m, b = model(), batch(tasks=6)
    n = torch.cat([b.support.mask, b.query.mask], -1).sum(-1)
    sizes = []
    for seed in range(300):
        r = m.regions(b, m.draw(b, torch.Generator().manual_seed(seed)))
        assert (r.context & ~r.target).sum() == 0, "the target contains the context"
        sizes.append(torch.stack([r.context.sum(-1), r.target.sum(-1)]))
    context, target = torch.stack(sizes, 1)
    assert (context >= 4).all() and (context <= n - 1).all()
    assert (target <= n - 1).all() and (target == context).any()
    assert all(set(context[:, t].tolist()) == set(range(4, int(n[t]))) for t in range(6)), "every size occurs"


def test_context_size_of_a_task_no_longer_than_the_minimum_is_one_less_than_its_length() -> None:
    b = batch()
    with initialised(0):
        m = TaNP(SCHEMA, context_min=20)
    r = m.regions(b, m.draw(b, torch.Generator().manual_seed(0)))
    assert r.context.sum(-1).tolist() == [13, 12, 15, 15, 15, 15]


def test_paper_preset_predicts_only_what_is_not_context() -> None:
    m, b = model(**PAPER), batch()
    r = m.regions(b, m.draw(b, torch.Generator().manual_seed(0)))
    assert r.context.sum(-1).tolist() == b.support.mask.sum(-1).tolist()
    assert not (r.context & r.predicted).any()
    assert ((r.context | r.predicted) == r.target).all()


def test_assignments_sum_to_one_and_prefer_the_nearest_centre() -> None:
    g = torch.Generator().manual_seed(0)
    t, a = torch.randn(50, 3, generator=g).double(), torch.randn(7, 3, generator=g).double()
    for squared in (False, True):
        c = student_t(t, a, 1.0, squared=squared)
        torch.testing.assert_close(c.sum(-1), torch.ones(50).double())
        assert (c.argmax(-1) == torch.cdist(t, a).argmin(-1)).all()


def test_clustering_target_sharpens_and_its_loss_vanishes_at_uniform() -> None:
    g = torch.Generator().manual_seed(0)
    c = torch.softmax(torch.randn(60, 5, generator=g).double(), -1)
    d = cluster_target(c)
    balanced = torch.softmax(5 * torch.eye(5).double(), -1)
    assert (cluster_target(balanced).max(-1).values > balanced.max(-1).values).all()
    torch.testing.assert_close(d.sum(-1), torch.ones(60).double())
    m = model(cluster_target="intended")
    assert m.cluster_loss(c) > 0
    torch.testing.assert_close(m.cluster_loss(torch.full((4, 5), 0.2).double()), torch.zeros(()).double())


@pytest.mark.parametrize("k", [1, 3])
def test_the_entropy_of_assignments_is_one_where_they_are_equal(k: int) -> None:
    m = model(clusters=k)
    m.cluster_pool.data = m.cluster_pool.data[:1].expand(k, -1).clone()
    entropy = m.describe(batch().support)["assignment_entropy"]
    torch.testing.assert_close(entropy, torch.ones(6).double())


def test_released_clustering_loss_is_least_at_the_uniform_assignment() -> None:
    m = model(cluster_target="released")
    logits = torch.randn(
        8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    for _ in range(300):
        (grad,) = torch.autograd.grad(m.cluster_loss(torch.softmax(logits, -1)), logits)
        logits = (logits - 0.5 * grad).detach().requires_grad_()
    torch.testing.assert_close(
        torch.softmax(logits, -1), torch.full((8, 5), 0.2).double(), rtol=1e-3, atol=1e-3
    )


def test_kl_against_torch_distributions() -> None:
    g = torch.Generator().manual_seed(0)
    mu, lv, mu2, lv2 = torch.randn(4, 6, 3, generator=g).double()
    ours = kl_gaussian(Gaussian(mu, lv), Gaussian(mu2, lv2))
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(normal(mu, (lv / 2).exp()), normal(mu2, (lv2 / 2).exp())).sum(
        -1
    )
    torch.testing.assert_close(ours, theirs)


def test_shuffled_query_labels_change_no_prediction() -> None:
    m, b = model(), batch()
    before = m.predict(b.support, b.query)
    shuffled = b._replace(query_labels=b.query_labels.flip(1))
    assert torch.equal(m.predict(shuffled.support, shuffled.query), before)


def test_without_the_mechanism_no_task_encoder_exists() -> None:
    names = {name.split(".")[0] for name, _ in model(variant="none").named_parameters()}
    assert not names & {"task_encoder", "cluster_pool", "output_map"}
    assert "cluster" not in model(variant="none").terms(
        batch(), model().draw(batch(), torch.Generator().manual_seed(0))
    )


def test_modulation_adds_two_or_four_matrices_a_layer() -> None:
    def generators(variant: str) -> int:
        return sum(1 for n, _ in model(variant=variant).named_parameters() if n.startswith("decoder.0."))

    assert generators("film") - generators("none") == 2
    assert generators("gating") - generators("none") == 4


def test_unknown_option_is_named() -> None:
    with pytest.raises(ProtocolError, match="no option 'clustres'; it has variant"):
        TaNP(SCHEMA, clustres=3)


def test_content_embeds_fields_in_place_of_ids() -> None:
    schema, b = tiny()
    m = build(TaNP, schema, embed="content", d_field=3, context_min=4)
    assert isinstance(m, TaNP)
    names = {name.split(".")[0] for name, _ in m.named_parameters()}
    assert "encoder" in names and not names & {"item_embed", "user_embed"}
    n_fields = len(schema.user_fields) + len(schema.item_fields)
    assert joined(m.embed(b.support.user, b.support.item)).shape == (*b.support.item.shape, 3 * n_fields)
    expected = m.predict(b.support, b.query)
    padded = b.support._replace(item=torch.where(b.support.mask, b.support.item, 0))
    torch.testing.assert_close(m.predict(padded, b.query), expected)
    loss = torch.stack(list(m.terms(b, m.draw(b, torch.Generator().manual_seed(0))).values())).sum()
    assert all(slope.any() for slope in gradients(m, loss).values())


def test_content_without_fields_or_with_ids_is_refused() -> None:
    with pytest.raises(ProtocolError, match="needs user or item fields"):
        TaNP(SCHEMA, embed="content")
    with pytest.raises(ProtocolError, match="knows no user_identity"):
        TaNP(tiny()[0], embed="content", user_identity="shared")
    with pytest.raises(ProtocolError, match="embed='fields' is unknown"):
        TaNP(SCHEMA, embed="fields")
