"""The HTML report in a real browser: it asks for nothing, fits a telephone, and is read without scripts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.drivers.library import answer
from icws_conformance.reports import html_page
from icws_conformance.runner import Run, run_cases
from icws_conformance.vectors.vector import Vector, read_vectors
from icws_conformance.wirelog import WireLog

from .browser import CHROMIUM, Page, open_page

VECTORS = Path(__file__).resolve().parents[2] / "spec/vectors"
DESKTOP, PHONE = 1280, 390
LONG: Final = "a-name-that-is-far-too-long-for-any-column-" * 5
HOSTILE: Final = '<script>alert(1)</script><img src="http://127.0.0.1:9/x.png">\x1b[2J' + "W" * 400

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and "CI" not in os.environ, reason="needs Chromium (Debian: apt-get install chromium)"
    ),
]


def case_of(vector: Vector, *, broken: bool) -> Case:
    """A vector as a case whose outcome is known, with its certificate or tree in the wire log."""

    async def run(log: WireLog) -> Finding:
        for name in ("certificate_hex", "witness_tree_hex", "tree_hex"):
            if name in vector.input:
                data = bytes.fromhex(vector.input[name])
                log.sent("suite", "program", name, data, label="tree" if "tree" in name else "")
        said = str(answer({"id": 1, "kind": vector.kind, "input": dict(vector.input)})["verdict"])
        log.note(HOSTILE if broken else said, blamed=broken)
        if broken and not vector.accept:
            raise Failed(HOSTILE)
        if vector.comment == "the empty tree":
            raise Inconclusive("nothing came")
        if vector.comment == "a leaf alone":
            raise NotApplicable("the program knows no leaves")
        return Finding(said)

    return Case(vector.name, vector.comment, vector.requirements, "as the vector says", run, gain=vector.gain)


async def run_of(name: str, target: str, *, broken: bool = False, **expected: str) -> Run:
    vectors = [vector for stem in ("hash_trees", "certificates") for vector in read_vectors(VECTORS / f"{stem}.json")]
    cases = [case_of(vector, broken=broken) for vector in vectors if len(str(vector.input)) < 10_000]
    return await run_cases(
        cases,
        target=target,
        implementation=name,
        command=f"icws conformance {target} --start {LONG}",
        expected=expected,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of a run that passes, of one that fails, and of several side by side."""
    good = await run_of("a good library", "vectors")
    bad = await run_of(f"a <bad> library {LONG}", "vectors", broken=True, **{"certificates-4": "known for years"})
    other = replace(await run_of("a gateway", "gateway"), target="gateway")
    folder = tmp_path_factory.mktemp("reports")
    found = {}
    for name, runs in (("passing", [good]), ("failing", [bad]), ("side by side", [good, bad, other])):
        found[name] = folder / f"{name.replace(' ', '-')}.html"
        found[name].write_text(html_page(runs), encoding="utf-8")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with open_page(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


NAMES = ["passing", "failing", "side by side"]
SEEN = "(name) => { const e = document.getElementById(name), r = e.getBoundingClientRect();"
VISIBLE = f"{SEEN} return e.checkVisibility() && r.bottom > 0 && r.top < innerHeight && r.height > 0; }}"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", NAMES)
async def test_page_logs_no_error_asks_for_nothing_and_fits(
    page: Page, pages: dict[str, Path], name: str, width: int
) -> None:
    page.problems.clear()
    page.requests.clear()
    await page.load(pages[name], width=width)
    assert await page.run("document.documentElement.scrollWidth") == width
    await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert await page.run("document.documentElement.scrollWidth") == width
    # nothing that is shown reaches beyond the edge, but what scrolls on its own
    beyond = f"""[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility()
        && !e.closest('.raw, .many, .tree') && e.getBoundingClientRect().right > {width} + 1).length"""
    assert await page.run(beyond) == 0
    assert page.problems == []
    assert page.requests == []


@pytest.mark.asyncio(loop_scope="module")
async def test_policy_forbids_network_and_scripts(page: Page, pages: dict[str, Path]) -> None:
    await page.load(pages["passing"], width=DESKTOP)
    page.requests.clear()
    page.problems.clear()
    await page.run("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))")
    await page.run("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    await page.run("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert await page.run("window.ran") is None
    async with asyncio.timeout(120):
        while len([text for text in page.problems if "Content Security Policy" in text]) < 3:
            await page.until("true")  # complaints come when they come; asking takes its time
    page.problems.clear()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("scripts", [True, False])
async def test_matrix_and_cases_are_reached_by_links(
    page: Page, pages: dict[str, Path], width: int, scripts: bool
) -> None:
    await page.load(pages["side by side"], width=width, scripts=scripts)
    for selector in ('nav a[href="#requirements"]', 'nav a[href="#broken"]', 'nav a[href="#run-2"]'):
        await page.click(selector)
        target = selector.partition("#")[2].rstrip('"]')
        await page.until(f"({VISIBLE})({target!r})")
    cell = "#ICWS-LIB-008 td.fail a"
    target = str(await page.run(f"document.querySelector({cell!r}).hash.slice(1)"))
    assert target.startswith("case-1-")
    await page.click(cell)
    await page.until(f"({VISIBLE})({target!r})")
    # a case of a closed group, which passed, opens too
    passed = "#ICWS-LIB-008 td.pass a"
    target = str(await page.run(f"document.querySelector({passed!r}).hash.slice(1)"))
    await page.click(passed)
    await page.until(f"({VISIBLE})({target!r})")


@pytest.mark.asyncio(loop_scope="module")
async def test_page_is_read_without_scripts(page: Page, pages: dict[str, Path]) -> None:
    await page.load(pages["failing"], width=PHONE, scripts=False)
    text = str(await page.run("document.body.innerText"))
    for words in ("Not held to", "does not conform", "known for years", "root hash", "<script>alert(1)</script>"):
        assert words in text
    assert await page.run("document.querySelectorAll('script, img, iframe, link').length") == 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scripts", [True, False])
async def test_verdicts_are_filtered(page: Page, pages: dict[str, Path], scripts: bool) -> None:
    await page.load(pages["failing"], width=DESKTOP, scripts=scripts)
    shown = (
        "[...document.querySelectorAll('.case')].map((e) => [e.classList[2], getComputedStyle(e).display != 'none'])"
    )
    assert await page.run(f"{shown}.every((each) => each[1])")
    await page.click("label:has(#show-pass)")
    await page.until(f"{shown}.every((each) => each[1] == (each[0] != 'pass'))")
    assert await page.run("getComputedStyle(document.getElementById('ICWS-LIB-008')).display") != "none"
    await page.click("label:has(#show-pass)")
    await page.until(f"{shown}.every((each) => each[1])")


@pytest.mark.asyncio(loop_scope="module")
async def test_keyboard_gets_to_everything(page: Page, pages: dict[str, Path]) -> None:
    await page.load(pages["failing"], width=DESKTOP)
    await page.press("Tab", 9)
    await page.until("document.activeElement.className == 'skip'")
    await page.press("Enter", 13, "\r")
    await page.until("location.hash == '#main'")
    reached = set()
    for _ in range(40):
        await page.press("Tab", 9)
        reached.add(str(await page.run("document.activeElement.tagName")))
    assert {"A"} <= reached
    unreached = "[...document.querySelectorAll('a, summary, input')].filter((e) => e.tabIndex < 0).length"
    assert await page.run(unreached) == 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("dark", [False, True])
async def test_colours_can_be_told_apart_by_day_and_by_night(page: Page, pages: dict[str, Path], dark: bool) -> None:
    await page.load(pages["failing"], width=DESKTOP, dark=dark)
    contrast = """(() => {
      const light = (text) => text.match(/[0-9.]+/g).slice(0, 3).map((n) => n / 255)
        .map((n) => n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4)
        .reduce((sum, n, i) => sum + n * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!c.endsWith(', 0)')) return c; } return 'rgb(255, 255, 255)'; };
      return [...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && [...e.childNodes].some(
        (n) => n.nodeType == 3 && n.data.trim())).map((e) => { const [a, b] = [light(getComputedStyle(e).color),
        light(behind(e))]; return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className, e.tagName]; })
        .sort((x, y) => x[0] - y[0])[0]; })()"""
    ratio, *where = await page.run(contrast)
    assert ratio >= 4.5, where
    assert (await page.run("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)") is dark
