"""The words of verdicts: each has a sign, a meaning, a place on the page; links to pages are mended."""

from __future__ import annotations

import re
from pathlib import Path

import book_links
import pytest
from sphinx.errors import ExtensionError

from metarec.show import words

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("word", list(words.WORDS))
def test_a_word_is_a_sign_a_sentence_and_a_link_to_it(word: str) -> None:
    shown = words.badge(word)
    assert word in shown and words.WORDS[word].sign in shown
    assert f'href="book:reading#{words.anchor(word)}"' in shown
    assert words.WORDS[word].meaning.endswith(".") and len(words.WORDS[word].meaning) > 20


def test_the_page_defines_every_group_once() -> None:
    page = (ROOT / "book" / "reading.md").read_text(encoding="utf-8")
    groups = re.findall(r"^```\{verdict-words\} (.+)$", page, re.M)
    assert sorted(groups) == sorted({word.group for word in words.WORDS.values()})


def test_above_and_below_take_no_side() -> None:
    style = (ROOT / "book" / "_static" / "custom.css").read_text(encoding="utf-8")
    rules = dict(re.findall(r"\.verdict\.verdict-(above|below) \{ color: var\((--[a-z-]+)\)", style))
    assert set(rules) == {"above", "below"}
    used = re.findall(r"verdict-(?:holds|does-not-hold)[^{]*\{ color: var\((--[a-z-]+)\)", style)
    assert used and not set(rules.values()) & set(used)


def test_links_to_pages_become_relative_and_unknown_ones_stop_the_build() -> None:
    known = {"book/reading", "notebooks/tanp/table4-lastfm"}
    html = '<a href="book:reading#near">=</a> <a href="book:notebooks/tanp/table4-lastfm#claim-t01">x</a>'
    mended = book_links.resolved(html, "notebooks/claims", known, lambda page: f"../{page}.html")
    assert 'href="../book/reading.html#near"' in mended
    assert 'href="../notebooks/tanp/table4-lastfm.html#claim-t01"' in mended
    with pytest.raises(ExtensionError, match="links to book:nowhere"):
        book_links.resolved('<a href="book:nowhere">x</a>', "notebooks/claims", known, str)
