"""What a metric's name stands for, and the named sets of metrics a protocol can ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from metarec.errors import MetarecError
from metarec.metrics.ranking import Form, Gain
from metarec.metrics.ties import Ties

Kind = Literal["precision", "average_precision", "ndcg", "recall", "mae", "rmse", "mse"]
RATING_KINDS = ("mae", "rmse", "mse")
_STEMS = {
    "P": True,
    "MAP": True,
    "NDCG": True,
    "NDCG-exp": True,
    "Recall": True,
    "MAE": False,
    "RMSE": False,
    "MSE": False,
}


@dataclass(frozen=True)
class Metric:
    """One metric: the name it has in records and tables, and every choice that fixes its value.

    `n` is the cut-off of a ranking metric (0 for a rating metric). `form` and `threshold` concern precision,
    average precision and recall, `gain` concerns NDCG, `ties` every ranking metric. Raises MetarecError for a
    setting that does not exist.
    """

    name: str
    kind: Kind
    n: int = 0
    form: Form = "standard"
    gain: Gain = "exponential"
    threshold: float = 1.0
    ties: Ties = "expected"

    def __post_init__(self) -> None:
        for field, allowed in (("kind", Kind), ("form", Form), ("gain", Gain), ("ties", Ties)):
            value = getattr(self, field)
            if value not in get_args(allowed):
                options = ", ".join(get_args(allowed))
                raise MetarecError(
                    f"metric {self.name!r} has the unknown {field} {value!r}: use one of {options}."
                )
        if self.is_ranking != (self.n >= 1):
            need = "a cut-off n of 1 or more" if self.is_ranking else "no cut-off n"
            raise MetarecError(f"metric {self.name!r} has n = {self.n}: a {self.kind} metric takes {need}.")
        if self.kind == "recall" and self.form != "standard":
            raise MetarecError(
                f"metric {self.name!r} asks for the {self.form!r} form: recall has the standard form only."
            )

    @property
    def is_ranking(self) -> bool:
        """True if the metric reads the order of the scores only."""
        return self.kind not in RATING_KINDS

    @property
    def higher_is_better(self) -> bool:
        """False for errors, true for every ranking metric."""
        return self.is_ranking


def higher_is_better(name: str) -> bool:
    """The same by the name in a record ("MAE", "P@5", "NDCG-exp@3"); MetarecError for an unknown one."""
    stem = name.partition("@")[0]
    if stem not in _STEMS:
        raise MetarecError(
            f"unknown metric name {name!r}: its part before '@' must be one of {', '.join(_STEMS)}."
        )
    return _STEMS[stem]


def ranking_set(
    cutoffs: tuple[int, ...] = (5, 7, 10),
    form: Form = "standard",
    threshold: float = 1.0,
    ties: Ties = "expected",
) -> tuple[Metric, ...]:
    """P, NDCG (exponential gain) and MAP at each cut-off, in the order of TaNP's tables."""
    return tuple(
        metric
        for n in cutoffs
        for metric in (
            Metric(f"P@{n}", "precision", n, form=form, threshold=threshold, ties=ties),
            Metric(f"NDCG@{n}", "ndcg", n, ties=ties),
            Metric(f"MAP@{n}", "average_precision", n, form=form, threshold=threshold, ties=ties),
        )
    )


_MAE = Metric("MAE", "mae")
_RECALL_CUTOFFS = (1, 3, 5, 10, 20, 50, 100)

METRIC_SETS: dict[str, tuple[Metric, ...]] = {
    # TaNP's scorer as released: hits by label value, MAP over N.
    "tanp-released": ranking_set(form="multiset"),
    # Relevance is label >= threshold: 0/1 labels, and ratings of 1 to 5. For other scales call `ranking_set`.
    "ranking-standard": ranking_set(threshold=1.0),
    "ranking-standard-explicit": ranking_set(threshold=4.0),
    # PNMTA's NDCG formula is lost: the linear gain fits its numbers, the exponential one stands beside it.
    # MSE makes the pooled RMSE recoverable from per-user records.
    "pnmta": (
        _MAE,
        Metric("RMSE", "rmse"),
        Metric("MSE", "mse"),
        *(Metric(f"NDCG@{n}", "ndcg", n, gain="linear") for n in (3, 5)),
        *(Metric(f"NDCG-exp@{n}", "ndcg", n, gain="exponential") for n in (3, 5)),
    ),
    # Released: torch.topk takes equal scores in an order of its own; here in the order they stand in.
    "cmml-user-released": (_MAE, *(Metric(f"NDCG@{n}", "ndcg", n, ties="given") for n in (1, 3))),
    "cmml-user": (_MAE, *(Metric(f"NDCG@{n}", "ndcg", n, gain="exponential") for n in (1, 3))),
    # s2Meta and CMML, scenario setting: labels are 1 for the user's held-out positives, 0 for the other
    # candidates. Released: the list holds the positives first and a sort keeps that order of equal scores.
    "cmml-scenario-released": tuple(
        Metric(f"Recall@{n}", "recall", n, ties="given") for n in _RECALL_CUTOFFS
    ),
    "cmml-scenario": tuple(Metric(f"Recall@{n}", "recall", n) for n in _RECALL_CUTOFFS),
}


def resolve(metric_set: str | tuple[Metric, ...]) -> tuple[Metric, ...]:
    """The metrics of a set, named or spelt out; MetarecError if it is unknown or two metrics share a name."""
    if isinstance(metric_set, str):
        if metric_set not in METRIC_SETS:
            raise MetarecError(
                f"unknown metric set {metric_set!r}: use {', '.join(METRIC_SETS)}, or a tuple of Metric."
            )
        return METRIC_SETS[metric_set]
    names = [metric.name for metric in metric_set]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MetarecError(
            f"the metric set names {', '.join(repeated)} more than once: give each metric a name of its own."
        )
    return tuple(metric_set)
