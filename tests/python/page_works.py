"""Uses the HTML page of a report in Chromium, as a reader does.

Usage: page_works.py BROWSER RESULTS_DIR SCREENSHOTS_DIR

The results need a baseline `gpt` and six other variants or more, of which `bigram` has the highest loss.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BROWSER, RESULTS, SCREENSHOTS = shutil.which(sys.argv[1]), Path(sys.argv[2]).resolve(), Path(sys.argv[3])
WIDTHS = (1200, 768, 390)


def open_page(browser, width: int, **options) -> Page:
    """The page at a width. Every request other than that of the page itself, and every error of a script, fails."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    url = (RESULTS / "report.html").as_uri()

    def check_request(request):
        assert request.url == url, f"the page loads {request.url}"

    def fail(error):
        raise AssertionError(error)

    page.on("request", check_request)
    page.on("pageerror", fail)
    page.goto(url)
    return page


def column(page: Page, heading: str) -> list[str]:
    cells = page.locator(f'table >> nth=0 >> tbody tr:not([hidden]) td[data-label="{heading}"]')
    return cells.all_inner_texts()


def check_sorting(page: Page):
    button = page.get_by_role("button", name="Bits per byte", exact=True).first
    button.click()
    values = [float(value) for value in column(page, "Bits per byte")]
    assert len(values) > 6 and values == sorted(values), values
    button.click()
    descending = [float(value) for value in column(page, "Bits per byte")]
    assert descending == values[::-1], descending
    assert page.locator('th[aria-sort="descending"]').count() == 1
    # With the keyboard, and a column with units.
    page.get_by_role("button", name="Parameters", exact=True).first.focus()
    page.keyboard.press("Enter")
    sizes = column(page, "Parameters")
    scale = {"k": 1e3, "M": 1e6}
    numbers = [float(size.split()[0]) * scale.get(size.split()[-1], 1) for size in sizes]
    assert numbers == sorted(numbers), sizes
    page.get_by_role("button", name="Time", exact=True).first.click()
    values = page.eval_on_selector_all(
        "table:first-of-type td[data-label=Time]", "(cells) => cells.map((cell) => Number(cell.dataset.value))"
    )
    assert len(values) > 6 and values == sorted(values), values


def check_filter(page: Page):
    rows = len(column(page, "Variant"))
    page.get_by_label("Filter").first.fill("BIGRAM")
    assert column(page, "Variant") == ["bigram"], column(page, "Variant")
    assert page.get_by_role("status").first.inner_text() == f"1 of {rows} rows"
    page.get_by_label("Filter").first.fill("")
    assert len(column(page, "Variant")) == rows


def check_curves(page: Page):
    plots = page.locator(".interactive")
    assert plots.count() >= 3
    names = page.locator(".interactive >> nth=0 >> .canvas .name")
    assert "bigram" in names.all_text_contents()
    boxes = page.get_by_role("checkbox", name="bigram", exact=True)
    boxes.first.uncheck()
    assert "bigram" not in names.all_text_contents()
    assert not any(box.is_checked() for box in boxes.all()), "a variant is switched off in all plots"
    boxes.first.check()
    canvas = page.locator(".canvas").first
    readout = page.locator(".readout").first
    assert not readout.is_visible()
    canvas.hover(position={"x": 500, "y": 100})
    assert "gpt" in readout.inner_text() and "bigram" in readout.inner_text(), readout.inner_text()
    page.mouse.move(0, 0)
    assert not readout.is_visible()
    canvas.focus()
    page.keyboard.press("End")
    last = readout.inner_text()
    page.keyboard.press("ArrowLeft")
    assert readout.is_visible() and readout.inner_text() != last
    page.keyboard.press("Escape")
    assert not readout.is_visible()


def check_reload(page: Page):
    """What a page that loads itself again does."""
    every = len(column(page, "Variant"))
    page.get_by_role("button", name="Bits per byte", exact=True).first.dblclick()
    # The minus sign of the keyboard finds that of the table.
    page.get_by_label("Filter").first.fill("-0.")
    page.get_by_role("checkbox", name="bigram", exact=True).first.uncheck()
    page.locator("summary").last.click()
    page.get_by_role("button", name="Parameters", exact=True).first.focus()
    before = column(page, "Bits per byte")
    assert 0 < len(before) < every, before
    page.evaluate("scrollTo(0, 300); saveState()")
    page.reload()
    assert column(page, "Bits per byte") == before
    assert page.locator('th[aria-sort="descending"]').inner_text().startswith("Bits per byte")
    assert not page.get_by_role("checkbox", name="bigram", exact=True).first.is_checked()
    assert page.locator("details").last.get_attribute("open") is not None
    assert page.evaluate("document.activeElement.textContent") == "Parameters"
    assert page.evaluate("scrollY") == 300
    # Only once: a page that the reader loads again later starts anew.
    page.reload()
    assert len(column(page, "Variant")) == every


def check_width(page: Page, width: int):
    """Nothing scrolls to the side, and no text is cut off."""
    for fold in page.locator("summary").all():
        fold.click()
    found = page.evaluate("document.documentElement.scrollWidth")
    assert found == width, f"the page is {found} pixels wide, the window {width}"
    wide = page.evaluate(
        """[...document.querySelectorAll("body *")]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5
            || (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1 && getComputedStyle(e).overflowX !== "visible"))
        .map((e) => `${e.tagName} ${e.textContent.slice(0, 50)}`)"""
    )
    assert not wide, wide
    cut = page.evaluate(
        """[...document.querySelectorAll(".canvas")].flatMap((canvas) =>
        [...canvas.querySelectorAll("text")]
        .filter((e) => {
            const [text, box] = [e.getBoundingClientRect(), canvas.getBoundingClientRect()];
            return text.right > box.right + 0.5 || text.left < box.left - 0.5 || text.top < box.top - 1 || text.bottom > box.bottom + 1;
        })
        .map((e) => e.textContent))"""
    )
    assert not cut, f"labels that are cut: {cut}"
    overlapping = page.evaluate(
        """[...document.querySelectorAll(".canvas")].flatMap((canvas) => {
            const ticks = [...canvas.querySelectorAll("text.middle")].map((e) => [e.getBoundingClientRect(), e.textContent]);
            ticks.sort(([a], [b]) => a.left - b.left);
            return ticks.filter(([box], i) => i && ticks[i - 1][0].right > box.left).map(([, text]) => text);
        })"""
    )
    assert not overlapping, f"ticks that overlap: {overlapping}"
    layout = page.locator("table").first.evaluate("(e) => getComputedStyle(e).display")
    assert layout == ("block" if width < 600 else "table"), f"the ranking is a {layout} at {width} pixels"


def check_labels(page: Page):
    """Everything that can be used has a name for a screen reader."""
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, [tabindex], svg[role=img]")]
        .filter((e) => !(e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || e.textContent.trim()))
        .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert not unnamed, unnamed
    for kind in ("table", "input[type=search]"):
        names = page.eval_on_selector_all(kind, "(all) => all.map((e) => e.getAttribute('aria-label'))")
        assert None not in names and len(set(names)) == len(names), names


def check_print(page: Page):
    page.set_viewport_size({"width": 703, "height": 900})
    page.emulate_media(media="print")
    assert not page.get_by_label("Filter").first.is_visible()
    cut = page.evaluate(
        """[...document.querySelectorAll("table")].filter((e) => getComputedStyle(e).display !== "table"
            || e.offsetWidth > e.parentElement.clientWidth + 1).map((e) => e.getAttribute("aria-label"))"""
    )
    assert not cut, f"tables that do not fit on paper: {cut}"
    assert not page.locator(".interactive").first.is_visible()
    assert page.locator("figure > svg").first.is_visible()
    page.emulate_media(media="screen")


def main():
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = open_page(browser, 1200)
        check_sorting(page)
        check_filter(page)
        check_curves(page)
        check_labels(page)
        check_print(page)
        check_reload(page)
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                page = open_page(browser, width, color_scheme=scheme)
                page.screenshot(path=SCREENSHOTS / f"{width}-{scheme}.png", full_page=True)
            check_width(page, width)
        # Without scripts, the numbers and the static plots are there.
        page = open_page(browser, 1200, java_script_enabled=False)
        assert page.locator("figure > svg").first.is_visible() and len(column(page, "Variant")) > 6
        browser.close()


main()
