"""Figures are counted page by page, in captions and in references alike."""

from __future__ import annotations

import re

import page_figures
import pytest
from site_pages import HTML, toc_pages


def test_each_page_counts_from_one_in_its_order() -> None:
    numbers = {"figure": {"second": (9,), "first": (8,), "third": (12,)}, "table": {"only": (4,)}}
    counted = page_figures.by_page(numbers)
    assert counted == {"figure": {"first": (1,), "second": (2,), "third": (3,)}, "table": {"only": (1,)}}
    assert page_figures.by_page(counted) == counted


@pytest.mark.parametrize("name", toc_pages())
def test_captions_of_a_page_count_from_one(name: str) -> None:
    if not HTML.exists():
        pytest.skip("the book is not built (make book)")
    page = (HTML / name).read_text(encoding="utf-8")
    captions = re.findall(r'class="caption-number">(\w+) ([\d.]+) ', page)
    figures = [number for kind, number in captions if kind == "Figure"]
    assert figures == [str(n) for n in range(1, len(figures) + 1)]
    assert "Fig" not in {kind for kind, _ in captions}
