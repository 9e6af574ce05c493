"""Verdicts on Fig 8: from the vectors' silhouettes, seed by seed, never from the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from metarec.claims.ledger import Finding, decided
from metarec.papers.pnmta import clusters, fig8, vectors
from metarec.papers.pnmta.claims import PAPER
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import style
from metarec.show.claims import claims_table
from metarec.show.words import FAILS, HOLDS, NOISE, PENDING, UNTESTABLE
from metarec.stats.runs import read

FLAT = [0.0, 0.001, -0.001, 0.002, -0.002]


def made(
    silhouettes: Mapping[str, Sequence[float]],
    *,
    p: float = 0.001,
    probes: Mapping[str, float] | None = None,
    dataset: str = "ml-1m",
) -> list[Record]:
    """Records of the five panels; those not named have silhouettes of about 0."""
    records = []
    panels = (vectors.CONTROL, vectors.EARLY, vectors.LATE, vectors.PRETRAINED, vectors.TRAINED)
    seeds = len(next(iter(silhouettes.values())))
    for panel in panels:
        for seed, s in enumerate(silhouettes.get(panel, FLAT[:seeds])):
            jitter = 0.001 * (seed % 3)
            found = {"silhouette": s, "p": p, "silhouette without age": -0.05 + jitter, "p without age": 0.5}
            for field in fig8.PROBES:
                found |= {f"probe {field}": (probes or {}).get(panel, 0.5) + jitter, f"majority {field}": 0.3}
            extra = {"tsne": [[0.0, 1.0], [1.0, 0.0]], "age": ["1", "56"]} if seed == 0 else {}
            record = Record("pnmta", "published", dataset, panel, {"model": "melu"}, seed, found)
            records.append(replace(record, measure="fig8", label=panel, extra=extra))
    return records


def around(value: float) -> list[float]:
    return [value + f for f in FLAT]


def finding(records: Sequence[Record], claim: str, store: Store, figure: str = "Fig 8") -> Finding:
    (one,) = (c for c in PAPER.claims if c.id == claim)
    there = decided(PAPER, [one], store, track="published", given={fig8.SPEC.name: records})
    return there[claim][f"MovieLens-1M, {figure}"]


def decide(records: Sequence[Record], claim: str, root: Path) -> str:
    return finding(records, claim, Store(root)).verdict


def test_overlap_of_melu(tmp_path: Path) -> None:
    assert decide(made({vectors.LATE: around(0.02)}), "P39", tmp_path) == HOLDS
    assert decide(made({vectors.LATE: around(0.2)}), "P39", tmp_path) == FAILS
    assert decide(made({vectors.LATE: around(0.2)}, p=0.2), "P39", tmp_path) == HOLDS
    assert decide(made({vectors.LATE: [0.2, 0.2, 0.2, 0.0, 0.0]}), "P39", tmp_path) == NOISE


@pytest.mark.parametrize(("late", "word"), [(0.01, HOLDS), (0.2, FAILS), (-0.2, FAILS), (0.05, NOISE)])
def test_longer_training_of_melu(late: float, word: str, tmp_path: Path) -> None:
    records = made({vectors.EARLY: [0.0] * 5, vectors.LATE: around(late)})
    assert decide(records, "P40", tmp_path) == word


def test_pretraining_separates(tmp_path: Path) -> None:
    found = finding(made({vectors.PRETRAINED: around(0.2)}), "P41", Store(tmp_path))
    assert found.verdict == HOLDS
    assert "never trained: 0.000" in found.evidence and "without the age slice" in found.evidence
    as_drawn = made({vectors.PRETRAINED: around(0.2), vectors.CONTROL: around(0.3)})
    assert decide(as_drawn, "P41", tmp_path) == NOISE, "an encoder that nobody trained does as well"
    assert decide(made({vectors.PRETRAINED: around(0.2)}, p=0.3), "P41", tmp_path) == FAILS
    assert decide(made({vectors.PRETRAINED: around(-0.1)}), "P41", tmp_path) == FAILS
    assert decide(made({vectors.PRETRAINED: around(0.03)}), "P41", tmp_path) == NOISE


@pytest.mark.parametrize(("after", "word"), [(0.2, HOLDS), (0.17, HOLDS), (0.1, FAILS), (0.16, NOISE)])
def test_meta_training_keeps_four_fifths(after: float, word: str, tmp_path: Path) -> None:
    records = made({vectors.PRETRAINED: [0.2] * 5, vectors.TRAINED: around(after)})
    assert decide(records, "P42", tmp_path) == word


def test_better_means_both(tmp_path: Path) -> None:
    high = {vectors.TRAINED: around(0.3)}
    assert decide(made(high, probes={vectors.TRAINED: 0.6}), "P43", tmp_path) == HOLDS
    assert decide(made(high, probes={vectors.TRAINED: 0.4}), "P43", tmp_path) == FAILS
    assert decide(made(high), "P43", tmp_path) == NOISE


def test_few_seeds_wait_and_planted_ratings_give_no_verdict(tmp_path: Path) -> None:
    few = finding(made({vectors.LATE: [0.2, 0.2, 0.2]}), "P39", Store(tmp_path))
    assert (few.verdict, few.so_far, few.missing) == (PENDING, FAILS, ("2 more seeds",))
    planted = made({vectors.LATE: around(0.2)}, dataset="synthetic")
    assert decide(planted, "P39", tmp_path) == UNTESTABLE


def test_the_page_shows_a_word_for_each_of_its_claims(tmp_path: Path) -> None:
    given = {fig8.SPEC.name: made({vectors.LATE: around(0.2)})}
    frame = claims_table("pnmta/fig8-user-tsne", given, Store(tmp_path)).frame
    words = frame[frame["place"].str.startswith("MovieLens-1M")].drop_duplicates("claim", keep="last")
    words = words.set_index("claim")["here"].to_dict()
    assert {c: words[c] for c in ("P39", "P40", "P44")} == {"P39": FAILS, "P40": FAILS, "P44": PENDING}
    assert {"P41", "P42", "P43"} < set(words)


@pytest.mark.parametrize(
    ("vectors_best", "ratings_best", "word"), [(0.3, 0.4, HOLDS), (0.3, 0.05, NOISE), (0.1, 0.05, FAILS)]
)
def test_groups_are_those_that_chance_does_not_give(
    vectors_best: float, ratings_best: float, word: str, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    for name, best in (("User vectors", vectors_best), ("Ratings", ratings_best)):
        for seed, f in enumerate(FLAT):
            found = {"silhouette": best + f, "null": 0.2, "null mean": 0.1, "k": 2.0, "largest cluster": 0.9}
            record = Record("pnmta", "published", "ml-1m", name, {"rounds": 9}, seed, found, config=name)
            store.add(replace(record, measure="clusters"))
    p44 = finding(made({vectors.LATE: around(0.2)}), "P44", store, "groups")
    assert p44.verdict == word and "90, 90, 90, 90, 90 % of the users" in p44.evidence
    assert "0.900" in clusters.groups(read(store, clusters.SPEC)).html


def test_pictures_have_a_panel_each_and_the_control_its_own() -> None:
    style.use_style()
    records = made({vectors.LATE: around(0.2)})
    titles = [ax.get_title(loc="left") for ax in fig8.pictures(records).axes]
    assert titles == [vectors.EARLY, vectors.LATE, vectors.PRETRAINED, vectors.TRAINED]
    (only,) = fig8.pictures(records, control=True).axes
    assert only.get_title(loc="left") == vectors.CONTROL
