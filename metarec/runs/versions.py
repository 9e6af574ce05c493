"""Versions: small whole numbers that name what made a number. People bump them; a golden test says when.

A Record carries the versions it was made with. Where one has moved since, pages say *older version*. A
rename, a comment or a clearer message moves none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metarec.methods import METHODS, class_of, closed_form

TRAINER = "trainer"
# Stands at 0 in a Record read in the place of one of settings that have changed since (`Record.stood`).
SETTINGS = "settings"
# What is not at its first version. A method's own number is `Method.version`, beside its equations.
MOVED: Mapping[str, int] = {}


def of_run(model: str, rule: str, metric_sets: Iterable[str]) -> dict[str, int]:
    """The versions behind a training: the trainer, the method, the split rule, the metric sets.

    A floor is not trained, so the trainer does not stand among its versions.
    """
    names = [f"rule {rule}", *(f"metrics {name}" for name in dict.fromkeys(metric_sets))]
    trainer = [] if closed_form(model) else [TRAINER]
    return of_names([*trainer, f"method {model}", *names])


def of_measurement(name: str, models: Iterable[str] = ()) -> dict[str, int]:
    """The versions behind a measurement: its procedure, and the trainer and the methods it trains."""
    methods = [f"method {model}" for model in models]
    return of_names([f"measure {name}", *([TRAINER, *methods] if methods else [])])


def older(versions: Mapping[str, int]) -> list[str]:
    """Which versions have moved since: words such as `method pnmta 1, now 2`; none if all are current."""
    now = of_names(versions)
    return [f"{name} {was}, now {now[name]}" for name, was in versions.items() if was != now[name]]


def of_names(names: Iterable[str]) -> dict[str, int]:
    """The present version of each: `trainer`, `method NAME`, `rule NAME`, `metrics NAME`, `measure NAME`."""
    return {name: _version(name) for name in names}


def _version(name: str) -> int:
    kind, _, what = name.partition(" ")
    if kind == "method" and what in METHODS:
        return int(class_of(what).version)
    return MOVED.get(name, 1)
