"""What became of a claim: each function looks at numbers and returns the word, so that no page types one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from metarec.derivations.check import NBSP, Number, below, estimate, percent, text

Word = Literal["holds", "holds on average", "does not hold", "cannot be told from noise"]
WORDS: tuple[str, ...] = get_args(Word)


class Finding(NamedTuple):
    """The word for a claim, and what was measured for it."""

    word: Word
    measured: str


def identity(pairs: Sequence[tuple[Number, Number]], tol: float, what: str = "") -> Finding:
    """Holds if the two sides of every pair differ by at most `tol`."""
    largest = max(abs(float(left) - float(right)) for left, right in pairs)
    unit = f" {what}" if what else ""
    if largest <= tol:
        return Finding("holds", f"both sides agree: difference {below(tol)}{unit}")
    return Finding("does not hold", f"the sides differ by up to {text(largest, 2)}{unit}")


def bound(excess: Tensor, unit: str) -> Finding:
    """For a lower bound: `excess` `[cases]` is the bound minus what it bounds, so none may be above zero.

    If some are, it holds on average when the interval of the mean lies below zero, and does not hold when it
    lies above.
    """
    if not bool((excess > 1e-9).any()):
        return Finding("holds", f"never above, in {excess.numel()} cases")
    mean = estimate(excess)
    low, high = mean.interval
    word: Word = (
        "holds on average" if high < 0 else "does not hold" if low > 0 else "cannot be told from noise"
    )
    return Finding(word, f"too high in {percent(excess > 0)} of cases; mean difference {mean}{NBSP}{unit}")


def constant(values: Sequence[float], wanted: float, what: str) -> Finding:
    """Holds if every one of the values is the one that the claim needs."""
    low, high = min(values), max(values)
    found = text(low, 3) if low == high else f"{text(low, 3)} to {text(high, 3)}"
    word: Word = "holds" if abs(low - wanted) < 1e-9 > abs(high - wanted) else "does not hold"
    return Finding(word, f"{what}: {found}, where the claim needs {wanted:g}")


def unbiased(p_values: Sequence[float], level: float = 0.01) -> Finding:
    """Holds on average unless a test rejects it, `level` shared among all repetitions."""
    smallest = min(p_values)
    word: Word = "holds on average" if smallest >= level / len(p_values) else "does not hold"
    return Finding(word, f"smallest of {len(p_values)} p-values against it: {text(smallest, 2)}")


def between(value: float, low: float, high: float, measured: str) -> Finding:
    """Holds if the value lies between the two ends."""
    return Finding("holds" if low <= value <= high else "does not hold", measured)


def facts(rows: Mapping[str, tuple[str, str]], where: str) -> Finding:
    """Holds if what was found is what was said, in every row."""
    wrong = [name for name, (found, said) in rows.items() if found != said]
    if wrong:
        return Finding("does not hold", f"otherwise for {', '.join(wrong)}; {where}")
    return Finding("holds", f"all {len(rows)} as said; {where}")


class Verdicts:
    """What became of each claim, as a table in Markdown: claim, verdict, what was measured."""

    def __init__(self, rows: Sequence[tuple[str, Finding]]):
        self.rows = rows

    def _repr_markdown_(self) -> str:
        head = ["| Claim | Verdict | Measured above |", "|:--|:--|:--|"]
        return "\n".join(head + [f"| {claim} | {_badge(f.word)} | {f.measured} |" for claim, f in self.rows])

    def __repr__(self) -> str:
        return self._repr_markdown_()


def _badge(word: str) -> str:
    return f'<span class="verdict verdict-{word.replace(" ", "-")}">{word}</span>'
