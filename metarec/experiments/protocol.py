"""Protocol: everything around a method that decides its numbers, frozen; and the runs made of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from metarec.data import Ratings, data_home, load
from metarec.data.lastfm import tanp_user_order
from metarec.errors import ProtocolError
from metarec.metrics import METRIC_SETS
from metarec.records import digest, run_key
from metarec.selection import Selection
from metarec.tasks import EPISODE_RULES, Splits, make_episodes

TRACKS = ("published", "sound")
USER_ORDERS = ("ascending", "shipped")
PROFILES = ("recorded", "quick", "full")


@dataclass(frozen=True)
class Protocol:
    """Data, filters, split and support/query rule, metric sets, selection.

    `rule` names an episode rule and `rule_options` its arguments; `split_per_seed` gives each seed a
    split of its own. `metric_sets` maps a prefix to a metric set, so that two forms of one metric stand
    side by side (`"P@5"` and `"std:P@5"`). `sample` draws the latent variable wherever users are scored,
    as released; otherwise its mean is used. `user_order` is the list the rule `tanp` shuffles: ids
    ascending, or the order its authors `shipped` with `lastfm-tanp`. `deviations` lists the ids of the
    deviations page that apply. Raises `ProtocolError` for an unknown name or key, and for a shipped order
    where none was shipped.
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
    deviations: tuple[str, ...] = ()

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
        if self.user_order not in USER_ORDERS:
            raise ProtocolError(f"user_order {self.user_order!r} is unknown; use 'ascending' or 'shipped'.")
        if self.user_order == "shipped" and (self.dataset, self.rule) != ("lastfm-tanp", "tanp"):
            raise ProtocolError(
                f"no list of users was shipped for {self.dataset!r} under the rule {self.rule!r}, only for "
                "'lastfm-tanp' under 'tanp'; use user_order='ascending'."
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
        """The protocol as plain values, for hashing and for records."""
        return asdict(self)

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


def _refuse_unknown(what: str, cls: type[Any], given: Mapping[str, Any]) -> None:
    names = [f.name for f in fields(cls)]
    for key in given:
        if key not in names:
            raise ProtocolError(f"{what} has no key {key!r}; it has {', '.join(names)}.")


@dataclass(frozen=True)
class Run:
    """One cell's worth of work: a method with options, under a protocol, with a seed.

    `label` is the row name in tables; `model` the name in `metarec.methods.METHODS`.
    """

    paper: str
    experiment: str
    label: str
    model: str
    protocol: Protocol
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    profile: str = "full"

    @property
    def config_hash(self) -> str:
        """Digest of everything asked for but the seed."""
        return digest([self.label, self.model, dict(self.options), self.protocol.plain(), self.profile])

    @property
    def key(self) -> str:
        """The key of the record this run leaves."""
        return run_key(self.paper, self.experiment, self.protocol.track, self.config_hash, self.seed)

    def identity(self, ratings: Ratings) -> dict[str, Any]:
        """The fields of that record which say what was asked for, and on which data."""
        return {
            "paper": self.paper,
            "experiment": self.experiment,
            "track": self.protocol.track,
            "dataset": ratings.name,
            "method": self.label,
            "options": {"model": self.model, **self.options},
            "seed": self.seed,
            "protocol": self.protocol.plain(),
            "config_hash": self.config_hash,
            "data_sha256": ratings.sha256,
        }
