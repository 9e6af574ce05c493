"""TaNP: which runs each table and figure needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metarec.experiments.protocol import Protocol, Run
from metarec.experiments.request import Experiment, Request, best_on_validation
from metarec.methods.tanp_options import PAPER
from metarec.selection import Selection

N_SUPPORT = 20
LEARNING_RATES = (1e-4, 5e-4, 2e-3)
# The sound track sorts its batches by length in windows of this many, to save padding (deviations page).
WINDOW = 4
LAMBDAS = (0.01, 0.05, 0.1, 0.5, 1.0)
CLUSTERS = (10, 20, 30, 40, 50)

FLOORS = {
    "Random ranker": "random",
    "Item mean": "item-mean",
    "Popularity": "popularity",
    "Damped user + item bias": "damped-bias",
    "Oracle": "oracle",
}

# The paper's best k for each variant (section 5.6); lambda = 0.1 for both.
VARIANTS: dict[str, dict[str, Any]] = {
    "TaNP (w/o tm)": {"variant": "none"},
    "TaNP (FiLM)": {"variant": "film", "clusters": 10},
    "TaNP (Gating-FiLM)": {"variant": "gating", "clusters": 20},
}
NO_POOL = "TaNP (Gating-FiLM), no pool"
EXTRA: dict[str, dict[str, Any]] = {
    "TaNP (FiLM), as printed": {"variant": "film", "clusters": 10, **PAPER},
    "TaNP (Gating-FiLM), as printed": {"variant": "gating", "clusters": 20, **PAPER},
    NO_POOL: {"variant": "gating", "pool": False},
    "TaNP (Gating-FiLM), no user identity": {"variant": "gating", "clusters": 20, "user_identity": "shared"},
}
CORE = {**VARIANTS, NO_POOL: EXTRA[NO_POOL]}
# Sizes for seconds on a CPU; the synthetic users have 30 to 60 ratings.
QUICK: dict[str, Any] = {"epochs": 8, "lr": 3e-3}


@dataclass(frozen=True)
class Setting:
    """Where a table is played: the data set, how it is scored, and what a model is given there.

    `shipped` says whether its authors distribute the list of users that the split shuffles, `standard` is the
    metric set of the standard form, `planted` what stands in for the data in the quick profile. `rows` are
    what is trained, by the search with `search_seeds`, two where validation users are few.
    """

    dataset: str
    shipped: bool = False
    standard: str = "ranking-standard"
    planted: str = "synthetic-implicit"
    given: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: CORE)
    search_seeds: tuple[int, ...] = (0,)
    deviations: tuple[str, ...] = ("D1", "D2", "D3")


SETTINGS = {
    "table3": Setting(
        "ml-1m",
        standard="ranking-standard-explicit",
        planted="synthetic",
        given={"embed": "content"},
        deviations=("D1", "D2", "D3", "D16", "D17"),
    ),
    "table4": Setting("lastfm-tanp", shipped=True, rows={**VARIANTS, **EXTRA}, search_seeds=(0, 1)),
    "table5": Setting("gowalla", deviations=("D1", "D2", "D3", "D17", "D19")),
}


def protocol(
    track: str,
    profile: str,
    n_support: int = N_SUPPORT,
    *,
    setting: Setting = SETTINGS["table4"],
    min_query: int = 10,
) -> Protocol:
    """The two tracks in the setting of a table, or on planted data in the quick profile.

    `published`: the released split with seed 2020, the last epoch, test scored along the way, z drawn at
    test.
    `sound`: the same episodes, the epoch with the best standard NDCG@10 on validation, posterior mean at
    test. Both report the released metric and, with the prefix `std:`, the standard one. A history has at
    least `n_support + min_query` rows, as the released program asks.
    """
    quick = profile == "quick"
    watch = Selection("last", every=2 if quick else 5, watch_test=True)
    choose = Selection("valid", "std:NDCG@10", every=1)
    return Protocol(
        track=track,
        dataset=setting.planted if quick else setting.dataset,
        rule="tanp",
        rule_options={"n_support": n_support, "min_query": min_query, "max_length": 200, "seed": 2020},
        user_order="shipped" if setting.shipped and not quick else "ascending",
        metric_sets={"": "tanp-released", "std:": setting.standard},
        selection=watch if track == "published" else choose,
        sample=track == "published",
        deviations=setting.deviations,
    )


def options(track: str, profile: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a TaNP run: the released clustering target and plain batches on `published`, the intended
    target and batches of like length on `sound`.
    """
    released: dict[str, Any] = {"cluster_target": "released"}
    base = released if track == "published" else {"cluster_target": "intended", "window": WINDOW}
    return {**base, **given, **(QUICK if profile == "quick" else {})}


def table3(request: Request) -> list[Run]:
    """Table 3: three variants, one without the pool, floors and ceiling on MovieLens-1M, from contents."""
    return _table("table3", request)


def table4(request: Request) -> list[Run]:
    """Table 4: three variants, floors and ceiling on Last.FM; also the printed equations and no pool."""
    return _table("table4", request)


def table5(request: Request) -> list[Run]:
    """Table 5: three variants, one without the pool, floors and ceiling on an extract of Gowalla."""
    return _table("table5", request)


def table3_users(request: Request) -> list[Run]:
    """Floors and ceiling of Table 3 on the users that the paper says it keeps, of 40 ratings or more."""
    place = protocol("published", request.profile, setting=SETTINGS["table3"], min_query=20)
    return [
        Run("tanp", "table3-users", label, model, place, profile=request.profile)
        for label, model in FLOORS.items()
    ]


def table3_tuning(request: Request) -> list[Run]:
    """The search behind Table 3's sound track: each row, three learning rates, one seed, by validation."""
    return _search("table3", request)


def table4_tuning(request: Request) -> list[Run]:
    """The search behind Table 4's sound track: each row, three learning rates, two seeds, by validation."""
    return _search("table4", request)


def table5_tuning(request: Request) -> list[Run]:
    """The search behind Table 5's sound track: each row, three learning rates, one seed, by validation."""
    return _search("table5", request)


def _table(table: str, request: Request) -> list[Run]:
    setting = SETTINGS[table]
    runs = []
    for track in request.tracks:
        place = protocol(track, request.profile, setting=setting)
        for label, model in FLOORS.items():
            runs.append(Run("tanp", table, label, model, place, profile=request.profile))
        for label, given in setting.rows.items():
            chosen = {**setting.given, **given, **_tuned(request, table, track, label)}
            runs += _seeds(table, label, place, options(track, request.profile, chosen), request)
    return runs


def _search(table: str, request: Request) -> list[Run]:
    setting = SETTINGS[table]
    place = protocol("sound", request.profile, setting=setting)
    runs = []
    for label, given in setting.rows.items():
        for lr in LEARNING_RATES:
            chosen = {**options("sound", request.profile, {**setting.given, **given}), "lr": lr}
            for seed in setting.search_seeds:
                runs.append(_run(f"{table}-tuning", label, place, chosen, seed, request.profile))
    return runs


def fig5(request: Request) -> list[Run]:
    """Fig 5: P@10 against lambda (k at its best) and against k (lambda = 0.1), both variants."""
    runs = []
    for track in request.tracks:
        place = protocol(track, request.profile)
        for label, given in _modulated():
            tuned = _tuned(request, "table4", track, label)
            grid = [{"cluster_weight": value} for value in LAMBDAS]
            grid += [{"clusters": k} for k in CLUSTERS if k != given["clusters"]]
            for point in grid:
                chosen = options(track, request.profile, {"cluster_weight": 0.1, **given, **tuned, **point})
                runs += _seeds("fig5", label, place, chosen, request)
    return runs


def clusters(request: Request) -> list[Run]:
    """Assignments under the released clustering target, the intended one and none; lambda 0.1 and 1."""
    runs = []
    place = replace(protocol("published", request.profile), selection=Selection("last"))
    for label, given in _modulated():
        for target in ("released", "intended", "none"):
            for weight in (0.1, 1.0) if target != "none" else (0.1,):
                point = {**given, "cluster_target": target, "cluster_weight": weight}
                runs += _seeds(
                    "clusters", label, place, options("published", request.profile, point), request
                )
    return runs


def _modulated() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((label, given) for label, given in VARIANTS.items() if given["variant"] != "none")


def _tuned(request: Request, table: str, track: str, label: str) -> dict[str, Any]:
    """The learning rate that the table's search chose on validation; full profile, sound track."""
    if track != "sound" or request.profile == "quick":
        return {}
    records = [r for r in request.store.read("tanp", f"{table}-tuning") if r.profile == request.profile]
    return best_on_validation(records, label, ["lr"])


def _seeds(
    experiment: str, label: str, place: Protocol, given: Mapping[str, Any], request: Request
) -> list[Run]:
    return [_run(experiment, label, place, given, seed, request.profile) for seed in range(request.seeds)]


def _run(
    experiment: str, label: str, place: Protocol, given: Mapping[str, Any], seed: int, profile: str
) -> Run:
    return Run("tanp", experiment, label, "tanp", place, dict(given), seed, profile)


EXPERIMENTS = (
    Experiment("tanp", "table3-tuning", table3_tuning, tracks=("sound",)),
    Experiment("tanp", "table3", table3, needs=("tanp.table3-tuning",)),
    Experiment("tanp", "table3-users", table3_users, tracks=("published",)),
    Experiment("tanp", "table4-tuning", table4_tuning, tracks=("sound",)),
    Experiment("tanp", "table4", table4, needs=("tanp.table4-tuning",)),
    Experiment("tanp", "table5-tuning", table5_tuning, tracks=("sound",)),
    Experiment("tanp", "table5", table5, needs=("tanp.table5-tuning",)),
    Experiment("tanp", "fig5", fig5, needs=("tanp.table4-tuning",)),
    Experiment("tanp", "clusters", clusters, tracks=("published",)),
)
