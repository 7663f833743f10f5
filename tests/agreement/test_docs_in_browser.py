"""Every page of the built documentation in a real browser with the network cut off.

Needs the site, which `make docs` builds, and a Chromium.
"""

import pathlib
import time

import pytest

from tests.agreement.chromium import Chromium, find_browser

SITE = pathlib.Path(__file__).parents[2] / "docs" / "_build" / "html"
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.relative_to(SITE).parts)

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not PAGES, reason="the documentation is not built: run make docs"),
]

# text that is read as text: code may hold dollars and backslashes
TEXT = """
(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("code, pre, script, style, noscript, mjx-container, .highlight")) continue;
    found.push(node.textContent);
  }
  return found.join("\\n");
})()
"""
RAW = ("$$", r"\(", r"\[", r"\frac", r"\mathrm", r"\begin", r"\alpha", "{cite", "{math")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


def name(path: pathlib.Path) -> str:
    return path.relative_to(SITE).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_is_whole_without_a_network(browser, page):
    browser.look()
    browser.open(page)
    assert browser.problems == []
    assert browser.evaluate("document.querySelectorAll('mjx-merror, [data-mml-node=merror]').length") == 0
    formulas = "[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container')).length"
    assert browser.evaluate(formulas) == 0
    assert browser.evaluate("[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)") == []
    text = browser.evaluate(TEXT)
    assert [raw for raw in RAW if raw in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_fits_a_phone(browser, page):
    """Wide equations, tables and code scroll inside their box, not with the page."""
    browser.look(width=390, height=844)
    browser.open(page)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_color_scheme_of_the_reader_is_followed(browser, scheme):
    browser.look(scheme=scheme)
    browser.open(SITE / "index.html")
    assert browser.evaluate("document.documentElement.dataset.theme") == scheme
    color = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in color.strip("rgb()").split(",")[:3]) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60


def test_links_between_pages_lead_somewhere(browser):
    """Every link of every page that stays on the site ends at a file, and at an element where it names one."""
    anchors: dict[pathlib.Path, set[str]] = {}
    links = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
    wanted = []
    for page in PAGES:
        browser.open(page)
        anchors[page.resolve()] = set(browser.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
        wanted += [(name(page), link) for link in browser.evaluate(links) if link.startswith("file:")]
    broken = []
    for page, link in sorted(set(wanted)):
        address, _, anchor = link.removeprefix("file://").partition("#")
        target = pathlib.Path(address.partition("?")[0])
        if not target.is_file() or (anchor and target in anchors and anchor not in anchors[target]):
            broken.append((page, link))
    assert broken == []


def test_explorer_answers_its_sliders(browser):
    browser.look()
    browser.open(SITE / "explorer.html")
    settings, readouts = set(), set()
    for slider in ("range", "bits", "rate"):
        for value in (0, 1):
            browser.evaluate(
                f"(() => {{ const e = document.getElementById('explorer-{slider}'); e.value = {value}; "
                "e.dispatchEvent(new Event('input')); })()"
            )
            settings.add(browser.evaluate("document.getElementById('explorer-app').dataset.setting"))
            readouts.add(browser.evaluate("document.querySelector('#explorer-app .readout').textContent"))
    assert len(settings) == len(readouts) == 4
    assert browser.evaluate("document.querySelectorAll('#explorer-app svg polyline.curve').length") == 1
    labels = "[...document.querySelectorAll('#explorer-app input')].every(e => e.labels.length === 1)"
    assert browser.evaluate(labels)
    assert browser.problems == []


def test_explorer_shows_its_model_as_code(browser):
    browser.look()
    browser.open(SITE / "explorer.html")
    code = browser.evaluate("document.getElementById('explorer-code').textContent")
    namespace: dict = {}
    exec(code.replace("print(", "("), namespace)
    bits, omega, rate = browser.evaluate("document.getElementById('explorer-app').dataset.setting").split("/")
    model = namespace["model"]
    assert (model.weight_quantizer.bits, model.weight_quantizer.range, model.learning_rate) == (
        int(bits), float(omega), float(rate),
    )  # fmt: skip


def test_explorer_draws_at_once(browser):
    browser.look()
    browser.open(SITE / "explorer.html")
    start = time.monotonic()
    browser.evaluate(
        "(() => { const e = document.getElementById('explorer-range');"
        "for (let i = 0; i < 15; i++) { e.value = i; e.dispatchEvent(new Event('input')); } })()"
    )
    assert time.monotonic() - start < 15 * 0.2
