"""The built book read as files, without a browser: complete, self-contained, linked, described in words."""

from __future__ import annotations

import re
from functools import cache
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from site_pages import HTML, toc_pages

if not HTML.exists():
    pytest.skip("the book is not built (make book)", allow_module_level=True)

each_page = pytest.mark.parametrize("name", toc_pages())


@cache
def page(name: str) -> BeautifulSoup:
    """One built page."""
    return BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(name: str) -> frozenset[str]:
    """Every place within a page that a link can lead to."""
    return frozenset(str(element["id"]) for element in page(name).select("[id]"))


def test_every_page_of_the_contents_was_built() -> None:
    assert toc_pages()
    assert [name for name in toc_pages() if not (HTML / name).exists()] == []


@each_page
def test_page_loads_nothing_from_elsewhere(name: str) -> None:
    """Links may lead out; scripts, styles, pictures and frames may not, nor may a script name a host."""
    sources = page(name).select("script[src], img[src], iframe[src], source[src], video[src]")
    loaded = [str(element["src"]) for element in sources]
    loaded += [str(element["href"]) for element in page(name).select("link[href]")]
    assert [address for address in loaded if urlsplit(address).netloc] == []
    inline = " ".join(script.get_text() for script in page(name).select("script:not([src])"))
    assert re.findall(r"https?://[^\s\"']+", inline) == []


@each_page
def test_every_picture_says_in_words_what_it_shows(name: str) -> None:
    for image in page(name).select("article img"):
        alt = str(image.get("alt", ""))
        assert len(alt) >= 20, f"{image['src']} has the alternative text {alt!r}"
        assert not re.search(r"\.(png|svg|jpe?g)$", alt), f"{image['src']} has a file name instead of a text"


@each_page
def test_links_within_the_site_lead_somewhere(name: str) -> None:
    broken = []
    for link in page(name).select("article a[href]"):
        parts = urlsplit(str(link["href"]))
        if parts.scheme or parts.netloc:
            continue
        target = ((HTML / name).parent / unquote(parts.path)).resolve() if parts.path else HTML / name
        if not target.exists():
            broken.append(link["href"])
        elif parts.fragment and target.suffix == ".html":
            if unquote(parts.fragment) not in anchors(target.relative_to(HTML).as_posix()):
                broken.append(link["href"])
    assert broken == []
