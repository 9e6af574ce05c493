"""The contract of a method, and its stages of training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from metarec.errors import ProtocolError
from metarec.tasks.batch import Query, Support, TaskBatch
from metarec.tasks.episodes import Episodes

# The least a whole number may be under these names, whichever method has it.
_LEAST = {"epochs": 0, "pretrain_epochs": 0, "batch": 1, "pretrain_batch": 1, "window": 1}

Noise = dict[str, Tensor]
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Plateau:
    """A step size that shrinks by `factor`, to no less than `least`.

    It shrinks once more than `patience` validations in a row have brought nothing better.
    """

    factor: float = 0.5
    patience: int = 5
    least: float = 0.0


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    `terms` names the method of the model whose terms are summed; `unit` says whether it is fed task batches
    or flat rows; `trained` holds the prefixes of the parameters that move (empty: all of them). `window` is
    the number of shuffled batches sorted by length together, to save padding (1: plain shuffling). Rows are
    those of the training episodes (`train`) or of `Splits.histories` (`full`).

    `rates` holds prefixes of parameters and by what their step size is multiplied; others have `lr` itself.
    `weight_decay` adds its multiple of each parameter to the gradient, as `torch.optim.Adam` does.
    `max_value` bounds every entry of the gradient, then `max_norm` the norm of a replica's whole gradient.
    `plateau` shrinks the step size on validation scores; such a run is not stacked, because replicas would
    need step sizes of their own.
    """

    name: str = "meta-train"
    terms: str = "terms"
    unit: Literal["tasks", "rows"] = "tasks"
    rows: Literal["train", "full"] = "train"
    epochs: int = 100
    batch: int = 32
    lr: float = 1e-4
    trained: tuple[str, ...] = ()
    window: int = 1
    rates: tuple[tuple[str, float], ...] = ()
    weight_decay: float = 0.0
    max_value: float | None = None
    max_norm: float | None = None
    plateau: Plateau | None = None


@dataclass(frozen=True)
class Stable:
    r"""What keeps two loops from exploding; no paper has any of it, so all is off by default.

    `inner_max_step` bounds the length of each inner step (`layers.adaptation.bounded`), `max_norm` the outer
    gradient of meta-training (`Stage`). `standardise` trains on $(y - \bar y) / s$ (`layers.labels`), so that
    step sizes and bounds mean the same on any scale of ratings.
    """

    inner_max_step: float | None = None
    max_norm: float | None = None
    standardise: bool = False


# The bounds of the sound tracks, and of searched baselines on published ones; of no paper (deviations page).
STABLE: Mapping[str, Any] = asdict(Stable(inner_max_step=0.1, max_norm=1.0, standardise=True))


@dataclass(frozen=True)
class NoOptions:
    """Options of a method that has nothing to set."""


class Method(nn.Module):
    """Base of every recommender in the book.

    A subclass gives `terms` and `predict`, both pure in (parameters, batch, noise): no `.item()`, no Python
    branch on data, no in-place state, so that the same code runs under `torch.func.vmap` over replicas.
    Noise is drawn apart from its use (`draw`, `draw_predict`), from one generator a replica, so that a
    replica trained in a stack sees the very numbers it would see alone.

    `rates` is false for a method whose scores only rank: errors of ratings are then undefined (nan).
    `per_replica` names buffers that may differ between stacked replicas (a loss weight, a step size).
    `written` holds the prefixes of parameters that no optimiser moves because training writes them
    (`writes`): an external memory. As parameters they are stacked, checkpointed and selected like all others.

    `penalties` names the terms that do not measure predictions.

    `Options` is the dataclass of what can be set. `version` is bumped by hand when a change of the method
    moves its numbers; Records carry it (`metarec.runs.versions`).
    """

    Options: ClassVar[type[Any]] = NoOptions
    version: ClassVar[int] = 1
    per_replica: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    penalties: tuple[str, ...] = ()
    replicable: bool = True
    rates: bool = True

    def stages(self) -> tuple[Stage, ...]:
        """Stages in order; a closed-form method has none and overrides `fit`."""
        return (Stage(),)

    def fit(self, train: Episodes) -> None:
        """Statistics taken from the training episodes before any stage (counts, means). Default: the scale of
        the labels, where a method holds a `layers.labels.LabelScale` as `scale`.
        """
        if (scale := getattr(self, "scale", None)) is not None:
            scale.fit(train)

    def draw(self, batch: TaskBatch, generator: Generator) -> Noise:
        """The random numbers one evaluation of `terms` needs, of shapes that depend on `batch` only.

        The trainer draws for a whole epoch at once, with masks `[steps, tasks, width]` of the full width.
        """
        return {}

    def resize(self, noise: Noise, support: int, query: int, full_support: int) -> Noise:
        """The noise for a batch of other widths, `support` and `query`, its own support being `full_support`
        wide. Override if noise has a position axis; `to_width` cuts it, or pads it where nothing is read.
        """
        return noise

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """Named scalar terms of the training loss, to be summed."""
        raise TypeError(f"{type(self).__name__} has nothing to train; see its stages().")

    def objective(self, batch: TaskBatch, generator: Generator) -> Terms:
        """Named scalar terms of the training loss, with fresh noise from `generator`."""
        return self.terms(batch, self.draw(batch, generator))

    def writes(self, batch: TaskBatch, noise: Noise) -> dict[str, Tensor]:
        """New values of `written` parameters after a step on `batch`; pure, like `terms`.

        The trainer calls it without autograd and with the parameters that `terms` saw; prediction never does.
        """
        return {}

    def draw_predict(self, support: Support, query: Query, generator: Generator) -> Noise:
        """The random numbers one sampled prediction needs (none: prediction is deterministic)."""
        return {}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Scores `[tasks, n_query]` from the labelled support and the unlabelled query.

        Without `noise` the prediction is the deterministic one (posterior mean, for a latent-variable model).
        """
        raise TypeError(f"{type(self).__name__} does not implement predict().")

    def pools_query(self) -> str:
        """How to ask for scores that do not depend on the other queries; empty if they never do.

        A method whose task vector pools the whole query names the option that pools one query item at a time.
        """
        return ""

    def constant_loss(self, labels: Tensor) -> Tensor:
        """What the best constant prediction of these labels would cost in training: their variance, or the
        entropy of ones and zeros.
        """
        if getattr(self, "kind", "explicit") == "implicit":
            p = labels.mean().clamp(1e-6, 1 - 1e-6)
            return -(p * p.log() + (1 - p) * (1 - p).log())
        scale = getattr(self, "scale", None)  # `layers.labels.LabelScale`
        return (labels if scale is None else scale.standard(labels)).var(correction=0)

    def describe(self, support: Support) -> dict[str, Tensor]:
        """Diagnostics of tasks given their support: scalars `[tasks]` or rows `[tasks, d]`."""
        return {}

    def forward(self, call: str, *args: Any) -> Any:
        """Dispatch for `torch.func.functional_call`: `method("terms", batch, noise)`."""
        return getattr(self, call)(*args)


def to_width(t: Tensor, width: int) -> Tensor:
    """`[..., n] -> [..., width]`: the first entries, and zeros where there are fewer."""
    return t[..., :width] if t.shape[-1] >= width else F.pad(t, (0, width - t.shape[-1]))


def n_parameters(method: nn.Module, prefix: str = "") -> int:
    """Trainable numbers whose name starts with `prefix`."""
    named = method.named_parameters()
    return sum(p.numel() for name, p in named if name.startswith(prefix) and p.requires_grad)


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Draw initial weights from `seed`; the state of the CPU's global generator is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def options_from(cls: type[Any], given: Mapping[str, Any], where: str) -> Any:
    """An options dataclass from a mapping; an unknown key, a word where others are known, or a number that no
    training can go by (-1 epochs) is a `ProtocolError` that names what there is.
    """
    known = [f.name for f in fields(cls)]
    hints = get_type_hints(cls)
    for key, value in given.items():
        if key not in known:
            raise ProtocolError(f"{where} has no option {key!r}; it has {', '.join(known)}.")
        words = get_args(hints[key]) if get_origin(hints[key]) is Literal else (value,)
        if value not in words:
            raise ProtocolError(f"{where}: {key}={value!r} is unknown; use {' or '.join(map(repr, words))}.")
        if needed := _needed(key, value):
            raise ProtocolError(f"{where}: {key}={value!r}; use {needed}.")
    return cls(**given)


def _needed(key: str, value: Any) -> str:
    """What an option of this name must be where `value` is not; empty where all is well."""
    if key in _LEAST and not (isinstance(value, Integral) and int(value) >= _LEAST[key]):
        return f"a whole number, {_LEAST[key]} or more"
    if key in ("lr", "pretrain_lr") and not (isinstance(value, Real) and 0 < float(value) < math.inf):
        return "a number above 0"
    if key in ("inner_max_step", "max_norm") and not (
        value is None or (isinstance(value, Real) and 0 < float(value) < math.inf)
    ):
        return "a number above 0, or None for no bound"
    return ""
