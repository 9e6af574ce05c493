"""The toy of user groups: its world, the two ways by which the segment gets in, and its tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_records import add

from metarec.data import Schema
from metarec.errors import RecordError
from metarec.methods import initialised
from metarec.papers.pnmta import fig2 as groups
from metarec.papers.pnmta import lines as world
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.stats.seeds import difference
from metarec.tasks import EpisodeTensors
from metarec.tasks.batch import TaskBatch
from metarec.tasks.rules import cold_start_episodes

RATINGS = world.planted(3, 90)


def toy(*, blind: bool, modulated: bool) -> groups._Toy:
    given = {**groups.OPTIONS, "predictor_modulator": "film" if modulated else "none"}
    with initialised(0):
        method = groups._Toy(Schema.of(RATINGS), **given)
    method.blind = blind
    return method


def episodes() -> tuple[TaskBatch, np.ndarray]:
    part = cold_start_episodes(RATINGS, seed=3).train
    return EpisodeTensors(part).all(), part.task


def test_expected_ratings_are_lines_in_the_trait() -> None:
    assert RATINGS.truth is not None
    curves = RATINGS.truth.expected[:, world.items_by_trait(RATINGS)]
    drawn = world.lines(curves)
    x = np.arange(world.TRAITS) / (world.TRAITS - 1) - 0.5
    np.testing.assert_allclose(drawn[:, :1] + drawn[:, 1:] * x, curves, atol=1e-5)
    centre = np.array(list(world.CENTRES.values()))[RATINGS.truth.user_group]
    assert np.abs(drawn - centre).std(0) == pytest.approx(np.array(world.SPREAD) * 0.6, rel=0.25)


def test_the_segment_names_the_group_for_about_nine_in_ten() -> None:
    large = world.planted(0, 3000)
    assert large.truth is not None
    agree = (large.user_fields[0].values == large.truth.user_group).mean()
    assert agree == pytest.approx(world.TOLD + (1 - world.TOLD) / 3, abs=0.02)


def test_only_a_blind_predictor_without_modulator_starts_all_users_in_one_place() -> None:
    batch, _ = episodes()
    for blind, modulated in ((True, False), (True, True), (False, False), (False, True)):
        start = groups.functions(toy(blind=blind, modulated=modulated), batch, RATINGS)[0]
        apart = np.abs(start - start[0]).max()
        assert (apart < 1e-6) == (blind and not modulated), (blind, modulated)


def test_what_is_drawn_is_what_is_predicted() -> None:
    """On a query of one item for each value of the trait, functions and predictions are the same numbers."""
    batch, _ = episodes()
    method = toy(blind=True, modulated=False)
    items = torch.as_tensor(world.items_by_trait(RATINGS)).expand(len(batch.query.item), -1)
    query = batch.query._replace(item=items, mask=torch.ones_like(items, dtype=torch.bool))
    scores = method.predict(batch.support, query).detach().numpy()
    np.testing.assert_allclose(groups.functions(method, batch, RATINGS)[-1], scores, atol=1e-5)


def test_error_is_measured_from_the_noise_free_ratings() -> None:
    batch, users = episodes()
    method = toy(blind=False, modulated=True)
    found, extra = groups.analyse(method, batch, RATINGS, users)
    curves = groups.functions(method, batch, RATINGS)
    assert RATINGS.truth is not None
    truth = RATINGS.truth.expected[users][:, world.items_by_trait(RATINGS)]
    assert found["error after 5 steps"] == pytest.approx(float(np.abs(curves[5] - truth).mean()))
    assert len(extra["start"]) == len(extra["group"]) == min(groups.SHOWN, len(users))


def made(root: Path) -> list[Record]:
    store = Store(root)
    records = []
    for seed, gain in enumerate((0.1, 0.2, 0.3)):
        for method, value in (("a", 1.0 + gain), ("b", 1.0)):
            scores = {"error after 0 steps": [2.0], "error after 1 steps": [1.5]}
            scores |= {"error after 5 steps": [value], "error after 5 steps: some": [value]}
            records.append(add(store, method, {**scores, "distance moved": [1.0]}, seed=seed))
    return records


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    records = made(tmp_path)
    found = difference(records, "a", "b", "error after 5 steps")
    half = 4.302652729911275 * 0.1 / 3**0.5  # Student's t, two degrees of freedom
    assert (found.mean, found.low) == (pytest.approx(0.2), pytest.approx(0.2 - half))
    apart = [replace(r, seed=r.seed + 10) if r.label == "b" else r for r in records]
    with pytest.raises(RecordError, match="no seed"):
        difference(apart, "a", "b", "error after 5 steps")


def test_tables_hold_what_the_records_hold(tmp_path: Path) -> None:
    records = made(tmp_path)
    frame = groups.errors(records).frame.set_index(["setting", "metric"])
    assert frame.loc[("a", "error after 5 steps"), "mean"] == pytest.approx(1.2)
    contrast = groups.contrasts(records, {"a − b": ("a", "b")}, "error after 5 steps").frame
    assert contrast["mean"].tolist() == [pytest.approx(0.2)]
