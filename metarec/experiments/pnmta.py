"""PNMTA: which runs each table and figure needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from metarec.experiments.cold_start import DATASETS, WINDOW, protocol
from metarec.experiments.protocol import Protocol, Run
from metarec.experiments.request import Experiment, Request, best_on_validation

EPOCHS = 15

FLOORS = {
    "Global mean": "global-mean",
    "Item mean": "item-mean",
    "Popularity": "popularity",
    "Damped user + item bias": "damped-bias",
    "Random ranker": "random",
    "Oracle": "oracle",
}
BIAS = "Damped user + item bias"  # the floor that adapts: two numbers a user
# Rows of Table 2: model and options. The head is the same for all, [d(v_x) -> 64 -> 64 -> 1], 32 a field.
BASELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "MeLU": ("melu", {}),
    "MetaCS-DNN": ("metacs", {}),
    "MetaEmb": ("metaemb", {}),
    "MetaHIN": ("metahin", {}),
    "MAMO": ("mamo", {}),
    "TaNP": ("tanp", {"embed": "content", "variant": "gating", "context_min": 3}),
    "PAML": ("paml", {}),
}
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "MAML-PT": ("maml-pt", {}),
    "PNMTA (w/o PT)": ("pnmta", {"pretraining": "none", "train_encoder": True}),
    "PNMTA": ("pnmta", {}),
    "PNMTA (Full-PT)": ("pnmta", {"pretraining": "full"}),
}
ENCODERS = ("E", "Eb", "C", "Cb", "S", "SS", "none", "Fix")
PREDICTORS = ("attention", "film", "none")
# Whose search gives a row of Table 3 its step sizes on the sound track: its channel-wise cell.
SEARCHED = {"attention": "PNMTA C attention", "film": "PNMTA", "none": "PNMTA C none"}
# The claim is decided on the first pair, ten epochs long.
STREAMS: dict[str, dict[str, Any]] = {
    "Shuffled interactions": {"stream": "shuffled"},
    "One user at a time": {"stream": "users"},
    "Shuffled interactions, 2 epochs": {"stream": "shuffled", "epochs": 2},
    "One user at a time, 2 epochs": {"stream": "users", "epochs": 2},
}
SUPPORTS = (3, 10, 20, 40, 90)
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
SIZES = (8, 16, 32, 64)
STEPS = (1, 2, 3, 4, 5)

# The search: the same points of the paper's grids (appendix C.3) for every gradient-based method, drawn once.
GRID = {"lr": (0.01, 0.001, 0.0001), "inner_lr": (0.1, 0.01, 0.001), "steps": (1, 3, 5)}
TRIALS = 8
QUICK: dict[str, Any] = {"epochs": 2, "d": 8}


def table2(request: Request) -> list[Run]:
    """Table 2: seven baselines, PNMTA and its ablations, floors and ceiling, on both sets."""
    runs = []
    for track, dataset in product(request.tracks, _datasets(request)):
        place = protocol(track, request.profile, dataset)
        for label, model in FLOORS.items():
            runs += _seeds("table2", label, model, place, {}, request)
        for label, (model, given) in {**BASELINES, **OURS}.items():
            runs += _seeds(
                "table2", label, model, place, options(request, track, dataset, label, given), request
            )
    return runs


def table2_tuning(request: Request) -> list[Run]:
    """The search behind Table 2: the same points for every method with an inner loop, by validation."""
    runs = []
    for dataset in _datasets(request):
        place = protocol("sound", request.profile, dataset)
        for label, (model, given) in {**BASELINES, **OURS}.items():
            if label == "PNMTA (Full-PT)":
                continue
            for point in trials(label):
                chosen = {**_fixed(request, label, given), **point}
                runs += _seeds("table2-tuning", label, model, place, chosen, replace(request, seeds=1))
    return runs


def table3_tuning(request: Request) -> list[Run]:
    """The search behind Table 3: the points of Table 2's, for attention and for no predictor modulator."""
    runs = []
    for dataset, predictor in product(_datasets(request), ("attention", "none")):
        place = protocol("sound", request.profile, dataset)
        label = SEARCHED[predictor]
        for point in trials(label):
            chosen = {**_fixed(request, label, _modulators("C", predictor)), **point}
            runs += _seeds("table3-tuning", label, "pnmta", place, chosen, replace(request, seeds=1))
    return runs


def table3(request: Request) -> list[Run]:
    """Table 3: eight encoder settings by three predictor settings, on both sets."""
    runs = []
    for track, dataset in product(request.tracks, _datasets(request)):
        place = protocol(track, request.profile, dataset)
        quick = request.profile == "quick"
        for encoder, predictor in product(ENCODERS[2::3] if quick else ENCODERS, PREDICTORS):
            given = _modulators(encoder, predictor)
            chosen = options(request, track, dataset, SEARCHED[predictor], given)
            runs += _seeds("table3", f"PNMTA {encoder} {predictor}", "pnmta", place, chosen, request)
    return runs


def order(request: Request) -> list[Run]:
    """MovieLens-1M with shuffled histories in place of time order: how much of Table 2 is the order?"""
    runs = []
    place = protocol("published", request.profile, "ml-1m", order="shuffle")
    for label in ("Item mean", "Damped user + item bias"):
        runs += _seeds("order", label, FLOORS[label], place, {}, request)
    for label in ("MeLU", "MAML-PT", "PNMTA"):
        model, given = {**BASELINES, **OURS}[label]
        chosen = options(request, "published", "ml-1m", label, given)
        runs += _seeds("order", label, model, place, chosen, request)
    return runs


def streams(request: Request) -> list[Run]:
    """Section 1: a network without meta-learning, fed shuffled interactions or one user at a time."""
    runs = []
    quick = request.profile == "quick"
    streams = dict(list(STREAMS.items())[: 2 if quick else None])
    for dataset, (label, given) in product(_datasets(request), streams.items()):
        place = protocol("published", request.profile, dataset)
        runs += _seeds("streams", label, "plain", place, {**given, **(QUICK if quick else {})}, request)
    return runs


def fig4(request: Request) -> list[Run]:
    """Fig 4: MAE against the largest support size; MeLU, MAML-PT, PNMTA with and without pretraining."""
    labels = ("MeLU", "MAML-PT", "PNMTA (w/o PT)", "PNMTA", BIAS)
    return list(_vary("fig4", labels, SUPPORTS, request, "max_support"))


def fig5(request: Request) -> list[Run]:
    """Fig 5: MAE against the share of cold-start users to train on; MeLU, PNMTA, PNMTA (Full-PT)."""
    return list(_vary("fig5", ("MeLU", "PNMTA", "PNMTA (Full-PT)", BIAS), SHARES, request, "train_share"))


def fig6(request: Request) -> list[Run]:
    """Fig 6: MAE against the embedding size of a field; PNMTA and its ablations."""
    return list(_vary("fig6", ("MAML-PT", "PNMTA (w/o PT)", "PNMTA"), SIZES, request, option="d"))


def fig7(request: Request) -> list[Run]:
    """Fig 7: MAE against the number of adaptation steps; PNMTA and its ablations."""
    return list(_vary("fig7", ("MAML-PT", "PNMTA (w/o PT)", "PNMTA"), STEPS, request, option="steps"))


def options(
    request: Request, track: str, dataset: str, label: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of a run.

    PNMTA's family: the paper's values on `published`, the searched ones on `sound`. Baselines: the searched
    ones on both, since the paper tuned them and does not print the outcome.
    """
    fixed = _fixed(request, label, given)
    family = label in OURS or label.startswith("PNMTA")
    if request.profile == "quick" or (track == "published" and family):
        return fixed
    searches = (request.store.read("pnmta", name) for name in ("table2-tuning", "table3-tuning"))
    here = (dataset, request.profile)
    searched = [r for records in searches for r in records if (r.dataset, r.profile) == here]
    source = "PNMTA" if label == "PNMTA (Full-PT)" else label
    names = list(trials(source)[0])
    return {**fixed, **best_on_validation(searched, source, names, maximise=False)}


def trials(label: str) -> list[dict[str, Any]]:
    """The points of the search: `TRIALS` of the grid, the same for all; TaNP has no inner loop to tune."""
    every = [dict(zip(GRID, point, strict=True)) for point in product(*GRID.values())]
    chosen = np.random.default_rng(0).permutation(len(every))[:TRIALS]
    points = [every[i] for i in sorted(chosen)]
    if label == "TaNP":
        lambdas = (0.01, 0.1, 1.0)
        return [{"lr": lr, "cluster_weight": w} for lr, w in product(GRID["lr"], lambdas)]
    return points


def _modulators(encoder: str, predictor: str) -> dict[str, Any]:
    return {"encoder_modulator": encoder, "predictor_modulator": predictor}


def _fixed(request: Request, label: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is never searched: sizes, epochs, and the paper's step sizes to start from."""
    base: dict[str, Any] = {"epochs": EPOCHS if label in OURS or label.startswith("PNMTA") else 2 * EPOCHS}
    if label != "TaNP":
        base |= {"window": WINDOW, "lr": 1e-3, "inner_lr": 0.01, "steps": 5}
    if request.profile == "quick":
        base |= {k: v for k, v in QUICK.items() if label != "TaNP" or k == "epochs"}
    return {**base, **given}


def _vary(
    experiment: str,
    labels: tuple[str, ...],
    values: tuple[Any, ...],
    request: Request,
    rule: str = "",
    option: str = "",
) -> Iterator[Run]:
    """The runs of a figure: some methods, one setting varied, either of the episodes or of the method."""
    known = {**BASELINES, **OURS, BIAS: (FLOORS[BIAS], {})}
    values = values[:2] if request.profile == "quick" else values
    for track, dataset, value in product(request.tracks, _datasets(request), values):
        place = protocol(track, request.profile, dataset, **({rule: value} if rule else {}))
        for label in labels:
            model, given = known[label]
            chosen = given if label in FLOORS else options(request, track, dataset, label, given)
            chosen = {**chosen, option: value} if option else chosen
            yield from _seeds(experiment, label, model, place, chosen, request)


def _seeds(
    experiment: str, label: str, model: str, place: Protocol, given: Mapping[str, Any], request: Request
) -> list[Run]:
    return [
        Run("pnmta", experiment, label, model, place, dict(given), seed, request.profile)
        for seed in range(request.seeds)
    ]


def _datasets(request: Request) -> tuple[str, ...]:
    return ("ml-1m",) if request.profile == "quick" else tuple(DATASETS)


_TUNED = ("pnmta.table2-tuning",)
EXPERIMENTS = (
    Experiment("pnmta", "table2-tuning", table2_tuning, tracks=("sound",)),
    Experiment("pnmta", "table2", table2, needs=_TUNED),
    Experiment("pnmta", "order", order, tracks=("published",), needs=_TUNED),
    Experiment("pnmta", "table3-tuning", table3_tuning, tracks=("sound",)),
    Experiment("pnmta", "table3", table3, needs=(*_TUNED, "pnmta.table3-tuning")),
    Experiment("pnmta", "streams", streams, tracks=("published",)),
    Experiment("pnmta", "fig4", fig4, tracks=("sound",), needs=_TUNED),
    Experiment("pnmta", "fig5", fig5, tracks=("sound",), needs=_TUNED),
    Experiment("pnmta", "fig6", fig6, tracks=("sound",), needs=_TUNED),
    Experiment("pnmta", "fig7", fig7, tracks=("sound",), needs=_TUNED),
)
