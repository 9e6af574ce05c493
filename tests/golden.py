"""Golden numbers: what each method, rule and metric set gives in a few steps on planted data.

    python tests/golden.py        # store them anew, after a version was bumped

A Record carries the versions it was made with. If a change of code moves a golden number, the version of what
moved has to be bumped, or old Records would pass for new ones. So it is with the default of an option: a run
finds its Record by the options that differ from their defaults.
"""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import QUICK

from metarec import metrics
from metarec.data import synthetic
from metarec.data.synthetic import planted_scenarios
from metarec.methods import METHODS, class_of, initialised, make, schema_for
from metarec.methods.floors import Oracle
from metarec.runs import versions
from metarec.tasks import EPISODE_RULES, EpisodeTensors, Splits, make_episodes
from metarec.training.predict import predict
from metarec.training.selection import Selection
from metarec.training.trainer import train

STORED = Path(__file__).parent / "golden.json"
DEFAULT = "default of "
TOLERANCE = 1e-6  # relative: what another processor keeps of float64 after a few steps
# Seconds for each: small sizes, two epochs, steps large enough to leave a mark.
SMALL: dict[str, Any] = {
    "epochs": 2,
    "pretrain_epochs": 1,
    "d": 8,
    "d_field": 8,
    "lr": 1e-3,
    "inner_lr": 0.01,
}
# Beside each method at its defaults: the options that lead through other code.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanp film, content, as printed": (
        "tanp",
        {
            "variant": "film",
            "embed": "content",
            "squared": True,
            "cluster_target": "intended",
            "target": "query",
        },
    ),
    "tanp without modulation, binary cross-entropy": ("tanp", {"variant": "none", "likelihood": "bce"}),
    "pnmta attention, dimension-wise": (
        "pnmta",
        {"predictor_modulator": "attention", "encoder_modulator": "E"},
    ),
    "pnmta first order, full pretraining": ("pnmta", {"order": "first", "pretraining": "full"}),
    "melu first order, sorted": ("melu", {"order": "first", "window": 2}),
    "plain one user at a time": ("plain", {"stream": "users"}),
    "melu bounded, labels standardised": (
        "melu",
        {"standardise": True, "inner_max_step": 0.1, "max_norm": 1.0},
    ),
    "cmml soft modules, pooled, ratings": (
        "cmml",
        {"modulation": "softm", "encoder": "mean", "hybrid": "mlp", "batch": 32},
    ),
    "cmml linear, pairs": ("cmml", {"modulation": "linear", "order": "random", "batch": 32}),
    "s2meta pairs": ("s2meta", {**QUICK["s2meta"], "inner_batch": 8}),
    "dcn-f pairs": ("dcn-f", {"cross": 4, "start": "normal"}),
}
IMPLICIT = (
    "tanp without modulation, binary cross-entropy",
    "cmml linear, pairs",
    "s2meta pairs",
    "dcn-f pairs",
)
# Trained with strangers in the place of some users and items.
HIDDEN = {"melu bounded, labels standardised": 0.1}
CASES = {name: (name, {}) for name in METHODS} | VARIANTS
RULES: dict[str, dict[str, Any]] = {
    "tanp": {"n_support": 20},
    "cold-start": {"order": "time", "longest": 56},
    "scenario": {"n_support": 16, "n_query": 24, "fewest": 60, "draws": 2, "turns": 2},
    "user-setting": {"longest": 40},
}


def splits(rule: str = "cold-start", kind: str = "explicit") -> Splits:
    """The episodes of a rule on planted ratings."""
    ratings = planted_scenarios() if rule == "scenario" else synthetic(kind=kind)
    return make_episodes(ratings, rule, **RULES[rule])


def few(episodes: Splits, tasks: int = 64) -> Splits:
    """The first tasks of each part: two batches an epoch are enough to leave a mark."""
    return Splits(*(part.select(np.arange(min(len(part), tasks))) for part in episodes))


def method_numbers(case: str) -> dict[str, Any]:
    """Loss terms by epoch, metrics and defaults of one case: float64, one thread, seed 0."""
    model, given = CASES[case]
    episodes = few(splits("cold-start", "implicit" if case in IMPLICIT else "explicit"))
    hide = HIDDEN.get(case, 0.0)
    known = {f.name for f in fields(class_of(model).Options)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with initialised(0):
            method = make(
                model,
                schema_for(model, episodes, hide),
                **{**{k: v for k, v in SMALL.items() if k in known}, **QUICK.get(case, {}), **given},
            )
        if isinstance(method, Oracle):
            method.reveal(episodes.train.ratings)
        trained = train([method], episodes, [0], Selection("last"), dtype=torch.float64, hide=hide)
        test = EpisodeTensors(episodes.test, dtype=torch.float64)
        scores = predict(trained.stack, test, [0], trained.params)[0]
    finally:
        torch.set_num_threads(threads)
    found = {
        f"{line['stage']}, epoch {line['epoch']}: {name}": value
        for line in trained.history[0]
        for name, value in line.items()
        if name not in ("stage", "epoch")
    }
    batch = test.all()
    for name, values in metrics.evaluate(scores, batch.query_labels, batch.query.mask, "pnmta").items():
        found[name] = float(values.nanmean())
    return found if case in VARIANTS else {**found, **defaults(asdict(class_of(model).Options()))}


def defaults(options: dict[str, Any]) -> dict[str, str]:
    """The default of each option, as an entry keeps it."""
    return {f"{DEFAULT}{name}": repr(value) for name, value in options.items()}


def metric_numbers(name: str) -> dict[str, float]:
    """Every metric of a set on made-up scores with ties and padding."""
    rng = np.random.default_rng(0)
    labels = torch.tensor(rng.integers(0, 6, (40, 12)), dtype=torch.float64)
    labels = (labels > 2).double() if name.startswith("cmml-scenario") else labels
    scores = torch.tensor(rng.integers(0, 8, (40, 12)) / 2, dtype=torch.float64)
    mask = torch.tensor(np.arange(12) < rng.integers(4, 13, (40, 1)))
    found = metrics.evaluate(scores, labels, mask, name)
    return {metric: float(values.nanmean()) for metric, values in found.items()}


def rule_numbers(rule: str) -> dict[str, str]:
    """The digest of the split that a rule makes of planted ratings, and the defaults of the rule."""
    known = inspect.signature(EPISODE_RULES[rule]).parameters.values()
    options = {p.name: p.default for p in known if p.default is not p.empty}
    return {"split": splits(rule).split_id, **defaults(options)}


def measure(name: str) -> dict[str, Any]:
    """The numbers behind one golden entry: `method CASE`, `rule NAME` or `metrics NAME`."""
    kind, _, what = name.partition(" ")
    make_numbers: Any = {"method": method_numbers, "rule": rule_numbers, "metrics": metric_numbers}[kind]
    return dict(make_numbers(what))


def names() -> list[str]:
    """Every golden entry there should be."""
    sets = [f"metrics {name}" for name in metrics.METRIC_SETS]
    return [*(f"method {case}" for case in CASES), *(f"rule {rule}" for rule in EPISODE_RULES), *sets]


def present(name: str) -> dict[str, int]:
    """The versions behind an entry, as a Record made now would carry them."""
    kind, _, what = name.partition(" ")
    if kind == "method":
        return versions.of_run(CASES[what][0], "cold-start", ())
    return versions.of_names([name])


def moved(name: str, stored: dict[str, Any], numbers: dict[str, Any]) -> str:
    """What moved and which version to bump, as a sentence; empty if the entry holds.

    An option that is new, or no more, moves nothing by itself.
    """
    before = stored["numbers"]
    apart = [
        k
        for k in {**before, **numbers}
        if not _close(before.get(k), numbers.get(k))
        and not (k.startswith(DEFAULT) and not (k in before and k in numbers))
    ]
    if not apart:
        return ""
    first = apart[0]
    what = f"{name}: {first} is {numbers.get(first)}, stored {before.get(first)}"
    if stored["versions"] != present(name):
        return f"{what}; its version was bumped, so store the new numbers: python tests/golden.py"
    kind, _, case = name.partition(" ")
    if kind == "method":
        cls = class_of(CASES[case][0])
        where = f"write `version = {cls.version + 1}` in the class {cls.__name__}, {_file(cls)}"
    else:
        where = _in_moved(name)
    return (
        f"{what}; if the change is meant, {where} (if every method moved: {_in_moved(versions.TRAINER)}), "
        "then run python tests/golden.py"
    )


def _in_moved(name: str) -> str:
    return f"set {name!r} to {versions.of_names([name])[name] + 1} in MOVED, metarec/runs/versions.py"


def _file(cls: type[Any]) -> str:
    return f"{cls.__module__.replace('.', '/')}.py"


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=TOLERANCE, atol=1e-10, equal_nan=True))
    return bool(a == b)


def load() -> dict[str, dict[str, Any]]:
    """The stored entries; a metric that is not defined is null in the file and nan here."""
    entries: dict[str, dict[str, Any]] = (
        json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    )
    for entry in entries.values():
        entry["numbers"] = {k: float("nan") if v is None else v for k, v in entry["numbers"].items()}
    return entries


def store() -> list[str]:
    """Write the entries that are new or whose version has moved; returns those that moved without."""
    kept, refused = load(), []
    for name in names():
        numbers = measure(name)
        if name in kept and kept[name]["versions"] == present(name):
            if told := moved(name, kept[name], numbers):
                refused.append(told)
                continue
            before = kept[name]["numbers"]  # the last digits may be another processor's
            numbers = {k: before.get(k, v) for k, v in numbers.items()}
        kept[name] = {"versions": present(name), "numbers": numbers}
    plain = {
        name: {**kept[name], "numbers": {k: None if v != v else v for k, v in kept[name]["numbers"].items()}}
        for name in names()
        if name in kept
    }
    STORED.write_text(json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    return refused


if __name__ == "__main__":
    sys.exit("\n".join(store()) or 0)
