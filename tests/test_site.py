"""The built book, page by page in a real browser: wide and narrow, light and dark, no way to the network."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from site_pages import HTML, toc_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.site
if CHROMIUM is None:
    pytest.skip("Chromium is not installed (Debian: apt-get install chromium)", allow_module_level=True)
if not HTML.exists():
    pytest.skip("the book is not built (make book)", allow_module_level=True)

playwright_api = pytest.importorskip("playwright.sync_api")


each_page = pytest.mark.parametrize("name", toc_pages())


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the site without a line of log for each file."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(HTML)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        yield running
        running.close()


class Visit:
    """One open page, with every complaint and every request for another host written down."""

    def __init__(self, browser: Any, address: str, name: str, width: int, scheme: str) -> None:
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.route("**/*", lambda route: self._pass_or_stop(route, address))
        self.page.goto(f"{address}/{name}", wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise?.then(() => true)")

    def _note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _pass_or_stop(self, route: Any, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def overflow(self) -> tuple[int, list[str]]:
        """How far the page can be scrolled sideways, and what sticks out."""
        return self.page.evaluate(
            """() => {
                const root = document.documentElement, width = root.clientWidth;
                const out = [...document.querySelectorAll('main *')].filter(e => {
                    if (e.getBoundingClientRect().right <= width + 1) return false;
                    for (let p = e.parentElement; p; p = p.parentElement)
                        if (/auto|scroll|hidden/.test(getComputedStyle(p).overflowX)) return false;
                    return true;
                });
                return [root.scrollWidth - width, out.slice(0, 3).map(e => e.outerHTML.slice(0, 120))];
            }"""
        )


@each_page
def test_page_in_light(browser: Any, address: str, name: str) -> None:
    visit = Visit(browser, address, name, 1300, "light")
    try:
        check_mathematics(visit.page)
        check_equations_fit(visit.page)
        for width in (1300, 390):
            visit.page.set_viewport_size({"width": width, "height": 900})
            visit.page.wait_for_timeout(50)
            excess, culprits = visit.overflow()
            assert excess <= 0, f"at {width} px the page scrolls {excess} px sideways: {culprits}"
        assert visit.outside == []
        assert visit.complaints == []
    finally:
        visit.page.close()


@each_page
def test_page_in_dark_on_a_telephone(browser: Any, address: str, name: str) -> None:
    visit = Visit(browser, address, name, 390, "dark")
    try:
        assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
        check_mathematics(visit.page)
        assert visit.overflow()[0] <= 0
        assert visit.outside == []
        assert visit.complaints == []
    finally:
        visit.page.close()


def check_mathematics(page: Any) -> None:
    """Every formula is typeset, none with an error, and no TeX stands in the prose."""
    nodes = page.locator("div.math, span.math").count()
    assert page.locator("mjx-container").count() >= nodes
    assert page.locator("div.math:not(:has(mjx-container)), span.math:not(:has(mjx-container))").count() == 0
    assert page.locator("[data-mml-node='merror'], mjx-merror").count() == 0
    prose = page.evaluate(
        """() => {
            const copy = document.querySelector('article').cloneNode(true);
            copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove());
            return copy.textContent;
        }"""
    )
    assert not re.search(r"\\\(|\\\[|\$\$|\\(frac|mathbb|mathcal|begin|tau|sum)\b", prose), (
        "raw TeX in the prose"
    )


def check_equations_fit(page: Any) -> None:
    """At desktop width no displayed formula needs scrolling, so that none hides its end."""
    cut = page.evaluate(
        """() => [...document.querySelectorAll('article div.math')]
            .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.id || e.textContent.slice(0, 40))"""
    )
    assert cut == []
