"""The words of every verdict: a sign, a style class and one sentence that says what the word means.

    badge("near")        a small label, linked to the word's definition on the page "How to read a table"

A word has a sign of its own; the colour of its class only repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

HOLDS, FAILS, NOISE = "holds", "does not hold", "cannot be told from noise"
UNTESTABLE, PENDING = "not testable here", "not run yet"
VERDICTS = (HOLDS, FAILS, NOISE, UNTESTABLE, PENDING)
ABOVE, BELOW, NEAR, UNCERTAIN = "above", "below", "near", "too uncertain to say"
NOT_COMPARABLE, NOT_RUN = "not comparable", "not run"
STAND_IN = "on a stand-in"
REACHED, MISSED = "reached", "missed"
PAGE = "book:reading"


@dataclass(frozen=True)
class Word:
    """One word: its sign, what it means, and the heading it stands under on the page."""

    sign: str
    meaning: str
    group: str


CLAIM, NUMBER, PAIR, AIM, RUN = (
    "A claim of a paper",
    "A number of ours beside the paper's",
    "A difference between two methods of ours",
    "An aim of speed",
    "A run",
)

WORDS: Mapping[str, Word] = {
    HOLDS: Word("✓", "The intervals show what the claim states.", CLAIM),
    FAILS: Word(
        "✗",
        "An interval excludes what the claim states, and still does after Holm's correction for the number "
        "of comparisons.",
        CLAIM,
    ),
    NOISE: Word(
        "≈",
        "The intervals show neither; also where a control does as well as the method, so that there is "
        "nothing to decide.",
        CLAIM,
    ),
    UNTESTABLE: Word(
        "○", "The data that the claim is about cannot be had here, so no verdict is counted.", CLAIM
    ),
    PENDING: Word("–", "Runs that the verdict needs are missing; they are named beside it.", CLAIM),
    STAND_IN: Word(
        "◇",
        "The verdict before this mark comes from other data than the paper's and is not counted.",
        CLAIM,
    ),
    NEAR: Word(
        "=",
        "The paper's number lies inside the prediction interval of one more run of ours, and that interval "
        "is no wider than the range of the paper's column.",
        NUMBER,
    ),
    ABOVE: Word(
        "▲",
        "Our number is larger than the paper's, and the paper's lies outside our prediction interval.",
        NUMBER,
    ),
    BELOW: Word(
        "▼",
        "Our number is smaller than the paper's, and the paper's lies outside our prediction interval.",
        NUMBER,
    ),
    UNCERTAIN: Word(
        "≈",
        "The paper's number lies inside our prediction interval, but the interval is wider than the range "
        "of the paper's column; or one run of ours gives no interval.",
        NUMBER,
    ),
    NOT_COMPARABLE: Word("○", "Our number is on other data than the paper's, or in another metric.", NUMBER),
    NOT_RUN: Word("–", "We have no run of this row yet.", NUMBER),
    "equal": Word("=", "A count of ours is the paper's count exactly.", NUMBER),
    "better": Word(
        "▲", "The first method is better: the interval excludes zero and Holm's p is below 5 %.", PAIR
    ),
    "worse": Word(
        "▼", "The first method is worse: the interval excludes zero and Holm's p is below 5 %.", PAIR
    ),
    "undecided": Word("≈", "The interval holds zero, or Holm's p is 5 % or more.", PAIR),
    REACHED: Word("✓", "The measured cost is what was aimed at, or better.", AIM),
    MISSED: Word("✗", "The measured cost is not what was aimed at.", AIM),
    "diverged": Word(
        "↯",
        "The run gave no number, or an error more than ten times that of the constant predictor; on the "
        "sound track also a training loss as large at any epoch after the first. It is named and never "
        "averaged.",
        RUN,
    ),
    "current": Word("✓", "The number carries the versions of the present methods and protocols.", RUN),
    "older version": Word(
        "!",
        "A method, a protocol or the trainer has a newer version than the one that made the number, or the "
        "settings of the row have changed since and are not run yet.",
        RUN,
    ),
}


def anchor(word: str) -> str:
    """The id of a word's definition, and the end of its style class."""
    return word.replace(" ", "-")


def badge(word: str) -> str:
    """A word as a small label, sign first, linked to its definition."""
    name = anchor(word)
    return f'<a class="verdict verdict-{name}" href="{PAGE}#{name}">{WORDS[word].sign} {escape(word)}</a>'
