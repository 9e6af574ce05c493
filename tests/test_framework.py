"""TaNP's Figures 1 and 2, drawn from a pass of the model and from planted tastes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from drawn import labelled

from metarec.data import Schema, load
from metarec.methods import make
from metarec.papers.tanp import framework
from metarec.show import style
from metarec.tasks import EpisodeTensors, make_episodes


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    with mpl.rc_context():
        style.use_style()
        yield
        plt.close("all")


@pytest.mark.parametrize("variant", ["film", "gating"])
def test_the_framework_shows_what_a_pass_makes(variant: str) -> None:
    ratings = load("synthetic-implicit", n_users=60, n_items=80)
    model: Any = make("tanp", Schema.of(ratings), variant=variant, clusters=7)
    data = EpisodeTensors(make_episodes(ratings, "tanp").train)
    batch = data.batch(torch.arange(5))
    shapes = framework.trace(model, batch, torch.Generator().manual_seed(0))
    n = data.width_support + data.width_query
    assert shapes["v"] == (5, n, 16) and shapes["u"] == (5, 1, 16)
    assert shapes["ŷ"] == (5, n) and shapes["c"] == (5, 7) and shapes["t"] == shapes["o"] == (5, 16)
    counts = framework.sizes(model)
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())
    assert counts["modulation"] == (2 if variant == "film" else 4) * 16 * (32 + 32 + 16)
    fig = framework.framework(shapes, counts)
    words = [text.get_text() for text in fig.axes[0].texts]
    assert f"c {[5, 7]}" in words
    assert any(f"{counts['embedding']:,}" in word for word in words)


def test_users_a_and_c_are_alike_and_b_is_not() -> None:
    episodes = make_episodes(load("synthetic-implicit", n_users=100, n_items=80), "tanp").train
    people = dict(zip("abc", framework.three(episodes), strict=True))
    truth = episodes.ratings.truth
    assert truth is not None
    groups = truth.user_group[episodes.task[list(people.values())]]
    assert groups[0] == groups[2] != groups[1] and people["a"] != people["c"]
    found = np.corrcoef(truth.expected[episodes.task[list(people.values())]])
    assert found[0, 2] > max(found[0, 1], found[1, 2])
    labelled(framework.tastes(episodes, people))
