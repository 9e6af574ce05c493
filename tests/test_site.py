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
from pygments.token import STANDARD_TYPES
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
        check_contrast(visit.page)
        for width in (1300, 390):
            check_equations_fit(visit.page, width)
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
        check_contrast(visit.page)
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


def check_equations_fit(page: Any, width: int) -> None:
    """Every displayed formula is whole, or scrolls in a box that says so; no number stands on a formula.

    At desktop width none may scroll. A box that scrolls can be reached by the keyboard, has a name, fades at
    the side that hides something, and shows its end when it is scrolled there.
    """
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(50)
    page.evaluate(THREE_FRAMES)
    found = page.evaluate(FORMULAS)
    assert page.locator("span.math mjx-container[tabindex]").count() == 0, (
        "formulas in prose are no tab stops"
    )
    scrolling = [formula for formula in found if formula["need"] > formula["have"] + 1]
    if width >= 1300:
        assert scrolling == [], f"at {width} px a formula has to be scrolled"
    for formula in found:
        assert formula["right"] <= width + 1, formula
        assert formula["number"] is None or formula["number"] >= formula["right"] - 1, formula
        assert formula["size"] >= 12, f"too small to read: {formula}"
        scrolls = formula in scrolling
        assert (formula["stop"] == 0 and bool(formula["label"])) == scrolls, formula
        assert formula["fades"] == scrolls, formula
        assert formula["shown"], f"the end cannot be reached: {formula}"


# A formula is fitted in the frame after the one in which its box has changed.
THREE_FRAMES = """() => new Promise(done => {
    const next = left => left ? requestAnimationFrame(() => next(left - 1)) : done();
    next(3);
})"""

# Of every displayed formula: its width, that of its box, and what the box says of itself.
FORMULAS = """() => [...document.querySelectorAll('article div.math')].map(whole => {
    const box = whole.querySelector('mjx-container'), drawn = box.querySelector('svg');
    const number = whole.querySelector('.eqno');
    const faded = getComputedStyle(box).maskImage !== 'none';
    const formula = {
        text: whole.id || whole.querySelector('mjx-assistive-mml')?.textContent.slice(0, 40),
        need: Math.round(drawn.getBoundingClientRect().width), have: box.clientWidth,
        right: Math.min(box.getBoundingClientRect().right, document.documentElement.clientWidth),
        number: number && number.getBoundingClientRect().left,
        size: parseFloat(getComputedStyle(box).fontSize), stop: box.tabIndex,
        label: box.getAttribute('aria-label'), fades: faded,
    };
    box.scrollLeft = box.scrollWidth;
    formula.shown = drawn.getBoundingClientRect().right <= box.getBoundingClientRect().right + 1;
    box.scrollLeft = 0;
    return formula;
})"""


def open_everything(page: Any) -> None:
    """Show what waits behind a click, without transitions."""
    page.add_style_tag(content="* { transition: none !important; }")
    page.evaluate(
        """() => {
            for (const e of document.querySelectorAll('article details')) e.open = true;
            for (const e of document.querySelectorAll('.toggle-hidden')) e.classList.remove('toggle-hidden');
        }"""
    )


def test_a_formula_that_scrolls_can_be_scrolled_by_keyboard(browser: Any, address: str) -> None:
    visit = Visit(browser, address, "book/tanp.html", 390, "light")
    try:
        box = visit.page.locator("mjx-container[tabindex]").first
        box.focus()
        for _ in range(40):
            visit.page.keyboard.press("ArrowRight")
        visit.page.wait_for_timeout(500)
        assert box.evaluate("e => e.scrollLeft + e.clientWidth >= e.scrollWidth - 1")
        assert "more-left" in box.get_attribute("class")
        assert re.fullmatch(r"Equation \(\d+\), scrolls sideways", box.get_attribute("aria-label"))
    finally:
        visit.page.close()


def test_lines_of_a_step_wait_until_asked_for(browser: Any, address: str) -> None:
    """Closed at first, open after a click, open on paper."""
    visit = Visit(browser, address, "notebooks/tanp/elbo.html", 1300, "light")
    try:
        lines = visit.page.locator("div.admonition.dropdown:has(div.math)").first
        formula = lines.locator("div.math").first
        assert not formula.is_visible()
        lines.locator(".admonition-title").click()
        assert formula.is_visible()
        answer = visit.page.locator("details:has(> summary:has-text('code of the answer'))").first
        assert answer.evaluate("e => e.open") is False
        visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert answer.evaluate("e => e.open") is True
        assert visit.page.locator(".toggle-hidden").count() == 0
    finally:
        visit.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_syntax_colour_has_contrast(browser: Any, address: str, scheme: str) -> None:
    """Every class that Pygments can give a token, whether or not a page shows one today."""
    visit = Visit(browser, address, "notebooks/quickstart.html", 1300, scheme)
    try:
        tokens = "".join(f'<span class="{kind}">{kind}</span>' for kind in STANDARD_TYPES.values() if kind)
        place = "document.querySelector('article div.highlight pre')"
        visit.page.evaluate(f"tokens => {{ {place}.innerHTML = tokens; }}", tokens)
        check_contrast(visit.page)
    finally:
        visit.page.close()


def check_contrast(page: Any) -> None:
    """WCAG AA: 4.5 to 1 for all text, code and links included; 3 to 1 where it is large."""
    open_everything(page)
    assert page.evaluate(FAINT) == []


# Text whose colour is too near to that of the ground behind it.
FAINT = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = colour => { // any CSS colour, as four numbers
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
    };
    const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
    const ground = e => {
        const colour = e ? rgba(getComputedStyle(e).backgroundColor) : [255, 255, 255, 1];
        return colour[3] >= 1 ? colour : over(colour, ground(e.parentElement));
    };
    const light = colour => {
        const [r, g, b] = colour.map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const faint = new Map();
    for (const e of document.querySelectorAll('body *')) {
        if (e.closest('svg, mjx-container, noscript, script, style, .visually-hidden, [disabled]')) continue;
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
        if (!e.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
        const style = getComputedStyle(e), under = ground(e), ink = over(rgba(style.color), under);
        const [low, high] = [light(ink), light(under)].sort((a, b) => a - b);
        const ratio = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (ratio < (large ? 3 : 4.5)) {
            const key = `${e.tagName}.${e.className} ${style.color} on ${under.map(Math.round)}`;
            const shown = `${ratio.toFixed(2)} ${key}: ${e.textContent.trim().slice(0, 40)}`;
            if (!faint.has(key)) faint.set(key, shown);
        }
    }
    return [...faint.values()];
}"""
