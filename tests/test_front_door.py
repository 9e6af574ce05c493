"""`import metarec` and the command `metarec`: what they give, what they cost, and what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import metarec
from metarec.cli import main
from metarec.papers import specs

ROOT = Path(__file__).parents[1]


def python(*words: str, cwd: Path = ROOT, **env: str) -> str:
    """What a fresh interpreter prints."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_fast_and_brings_nothing_in() -> None:
    code = """
import sys, time
before = time.process_time()
import metarec
print(time.process_time() - before, *sorted({"torch", "numpy", "pandas", "matplotlib"} & set(sys.modules)))
"""
    seconds, *heavy = python("-c", code).split()
    assert float(seconds) < 0.2 and heavy == []


def test_every_name_of_the_front_door_is_there() -> None:
    assert dir(metarec) == sorted(metarec.__all__)
    assert all(getattr(metarec, name) for name in metarec.__all__)


def test_an_unknown_name_is_one_clear_sentence() -> None:
    said = r"^module 'metarec' has no attribute 'lern'; it has __version__, cite, .* make_episodes\.$"
    with pytest.raises(AttributeError, match=said):
        metarec.lern  # noqa: B018


def test_from_a_table_to_a_list_in_five_lines() -> None:
    ratings = metarec.load("synthetic-implicit", n_users=60, n_items=80)
    splits = metarec.make_episodes(ratings, "tanp")
    model = metarec.learn(ratings, "tanp", splits=splits, epochs=1, device="cpu")
    liked = dict.fromkeys(ratings.items[:6].tolist(), 1.0)
    found = model.recommend(liked, k=10)
    assert len(found) == 10 and not set(found["item"]) & set(liked)


def test_a_frame_of_ones_own_becomes_ratings() -> None:
    frame = pd.DataFrame({"user": ["a", "a", "b"], "item": [7, 8, 8], "label": [1.0, 5.0, 3.0]})
    ratings: Any = metarec.from_frame(frame)
    assert (ratings.n_users, ratings.n_items, len(ratings)) == (2, 2, 3)
    back = zip(ratings.users[ratings.user], ratings.items[ratings.item], ratings.label, strict=True)
    assert set(back) == set(frame.itertuples(index=False, name=None))
    assert np.array_equal(ratings.label, frame["label"])


def test_citing(capsys: pytest.CaptureFixture[str]) -> None:
    assert metarec.cite("tanp").startswith("@inproceedings{lin2021tanp")
    assert main(["cite"]) == 0
    keys = capsys.readouterr().out.split()
    assert "lin2021tanp" in keys and all(metarec.cite(key) for key in keys)


def test_run_without_a_name_lists_what_can_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(specs())
    assert all(one.title in line for one, line in zip(specs().values(), lines, strict=True))


@pytest.mark.slow
def test_the_recorded_results_are_shown_from_anywhere(tmp_path: Path) -> None:
    words = ("-m", "metarec", "show", "tanp.table4", "--track", "published", "--metrics", "P@5")
    shown = python(*words, cwd=tmp_path, METAREC_RESULTS=str(ROOT / "results"))
    assert "TaNP (FiLM)" in shown and "P@5" in shown
    assert not list(tmp_path.iterdir()), "looking leaves nothing behind"
