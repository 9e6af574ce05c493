"""Protocol: everything around a method that decides its numbers, frozen; and the runs made of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from metarec.data import Ratings, data_home, load
from metarec.data.lastfm import tanp_user_order
from metarec.errors import ProtocolError
from metarec.methods import class_of
from metarec.metrics import METRIC_SETS
from metarec.runs import versions
from metarec.runs.records import digest, plain
from metarec.tasks import EPISODE_RULES, Splits, make_episodes
from metarec.training.selection import Selection

TRACKS = ("published", "sound")
USER_ORDERS = ("ascending", "shipped")
PROFILES = ("recorded", "quick", "full")


@dataclass(frozen=True)
class Protocol:
    """Data, filters, split and support/query rule, metric sets, selection.

    `rule` names an episode rule and `rule_options` its arguments; `split_per_seed` gives each seed a
    split of its own. `metric_sets` maps a prefix to a metric set, so that two forms of one metric stand
    side by side (`"P@5"` and `"std:P@5"`). `sample` draws the latent variable wherever users are scored,
    as released; otherwise its mean is used. `hide` is the share of users and of items that a stranger
    replaces in training, so that what is unknown has trained rows (`Schema.knowing`); with 0 no table has
    such a row. `vectors` are the columns of the frozen vectors that methods are given, a number for each
    domain of the table (`metarec.data.vectors`). `user_order` is the list the rule `tanp` shuffles: ids
    ascending, or the order its authors `shipped` with `lastfm-tanp`. Raises `ProtocolError` for an unknown
    name or key, and for a shipped order where none was shipped.
    """

    track: str
    dataset: str
    rule: str
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    data_options: Mapping[str, Any] = field(default_factory=dict)
    user_order: str = "ascending"
    split_per_seed: bool = False
    metric_sets: Mapping[str, str] = field(default_factory=dict)
    selection: Selection = field(default_factory=Selection)
    sample: bool = False
    hide: float = 0.0
    vectors: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.track not in TRACKS:
            raise ProtocolError(f"track {self.track!r} is unknown; use 'published' or 'sound'.")
        if self.rule not in EPISODE_RULES:
            raise ProtocolError(
                f"episode rule {self.rule!r} is unknown; choose from {', '.join(EPISODE_RULES)}."
            )
        known = inspect.signature(EPISODE_RULES[self.rule]).parameters
        for key in self.rule_options:
            if key not in known:
                raise ProtocolError(f"episode rule {self.rule!r} has no option {key!r}; see its docstring.")
        if not 0 <= self.hide < 1:
            raise ProtocolError(f"hide={self.hide} is no share to hide; use a number from 0 to below 1.")
        if self.user_order not in USER_ORDERS:
            raise ProtocolError(f"user_order {self.user_order!r} is unknown; use 'ascending' or 'shipped'.")
        if self.user_order == "shipped" and (self.dataset, self.rule) != ("lastfm-tanp", "tanp"):
            raise ProtocolError(
                f"no list of users was shipped for {self.dataset!r} under the rule {self.rule!r}, only for "
                "'lastfm-tanp' under 'tanp'; use user_order='ascending'."
            )
        object.__setattr__(self, "vectors", tuple(self.vectors))
        if self.vectors and (min(self.vectors) < 1 or self.split_per_seed or self.hide):
            raise ProtocolError(
                f"vectors={self.vectors} need one split for all seeds and no strangers; give sizes of 1 or "
                "more, split_per_seed=False and hide=0."
            )
        for name in self.metric_sets.values():
            if name not in METRIC_SETS:
                raise ProtocolError(f"metric set {name!r} is unknown; choose from {', '.join(METRIC_SETS)}.")
        if self.selection.rule == "valid":
            scored = [f"{prefix}{m.name}" for prefix, s in self.metric_sets.items() for m in METRIC_SETS[s]]
            if self.selection.metric not in scored:
                raise ProtocolError(
                    f"nothing called {self.selection.metric!r} is scored to select by; use "
                    f"{', '.join(scored) or 'metric_sets to score something'}."
                )

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Protocol:
        """A protocol from plain values (a notebook, a YAML file); an unknown key is an error."""
        _refuse_unknown("a protocol", cls, given)
        values = dict(given)
        if isinstance(values.get("selection"), Mapping):
            _refuse_unknown("the selection of a protocol", Selection, values["selection"])
            values["selection"] = Selection(**values["selection"])
        return cls(**values)

    def plain(self) -> dict[str, Any]:
        """The protocol as plain values, every option of its rule said aloud, for records."""
        return {**asdict(self), "rule_options": {**_defaults(self.rule), **self.rule_options}}

    def canonical(self) -> dict[str, Any]:
        """The protocol without what stands at its default, for the digest of a configuration."""
        usual = asdict(Protocol(self.track, self.dataset, self.rule))
        own = {name: value for name, value in asdict(self).items() if value != usual[name]}
        defaults = _defaults(self.rule)
        rule = {k: v for k, v in self.rule_options.items() if v != defaults[k]}
        return {**own, "dataset": self.dataset, "rule": self.rule, "rule_options": rule}

    def ratings(self) -> Ratings:
        """The rating table this protocol reads."""
        return load(self.dataset, **self.data_options)

    def splits(self, ratings: Ratings, seed: int) -> Splits:
        """The episodes of this protocol; `seed` matters only when each seed has a split of its own."""
        options = dict(self.rule_options)
        if self.split_per_seed:
            options["seed"] = seed
        if self.user_order == "shipped":
            options["user_order"] = tanp_user_order(data_home())
        return make_episodes(ratings, self.rule, **options)


def _defaults(rule: str) -> dict[str, Any]:
    """The options of an episode rule at their defaults; `seed` and `user_order` come from elsewhere."""
    known = inspect.signature(EPISODE_RULES[rule]).parameters.values()
    return {p.name: p.default for p in known if p.default is not p.empty and p.name != "user_order"}


def _refuse_unknown(what: str, cls: type[Any], given: Mapping[str, Any]) -> None:
    names = [f.name for f in fields(cls)]
    for key in given:
        if key not in names:
            raise ProtocolError(f"{what} has no key {key!r}; it has {', '.join(names)}.")


@dataclass(frozen=True)
class Run:
    """One training: a method with options, under a protocol, with a seed.

    `model` is its name in `metarec.methods`. `label`, `table` and `varied` say which row of which table asks
    and what a figure varies; they are no part of what is run. A run is not `settled` while the search that
    its settings come from is not done: no Record can be its own.
    """

    paper: str
    model: str
    protocol: Protocol
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    profile: str = "full"
    label: str = ""
    table: str = ""
    varied: Mapping[str, Any] = field(default_factory=dict)
    settled: bool = True

    @cached_property
    def config(self) -> str:
        """Digest of all that is asked for but the seed. What stands at its default is left out, so that an
        option said aloud and one left alone are one configuration.
        """
        defaults = asdict(class_of(self.model).Options())
        own = {name: v for name, v in self.options.items() if _plain(v) != _plain(defaults.get(name))}
        asked = [self.paper, self.protocol.track, self.model, own, self.protocol.canonical()]
        return digest([*asked, *([self.profile] if self.profile != "full" else [])])

    @property
    def versions(self) -> dict[str, int]:
        """The versions a record made now would carry."""
        return versions.of_run(self.model, self.protocol.rule, self.protocol.metric_sets.values())

    def identity(self, ratings: Ratings) -> dict[str, Any]:
        """The fields of its record which say what was asked for, and on which data."""
        return {
            "paper": self.paper,
            "track": self.protocol.track,
            "dataset": ratings.name,
            "method": self.model,
            "options": {**asdict(class_of(self.model).Options()), **self.options},
            "seed": self.seed,
            "protocol": self.protocol.plain(),
            "config": self.config,
            "versions": self.versions,
            "data_sha256": ratings.sha256,
            "profile": self.profile,
            "label": self.label,
            "varied": dict(self.varied),
        }


def _plain(value: Any) -> Any:
    """A value as a record keeps it."""
    return json.loads(json.dumps(value, default=plain))
