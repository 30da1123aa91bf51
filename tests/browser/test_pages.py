"""What a researcher meets when the pages are opened in a browser."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.flows.report import report_root
from tests.browser.chromium import chromium, needs_chromium, opened
from tests.browser.synthetic import BOX, HOSTILE, RED, WH, copied

pytestmark = [needs_chromium, pytest.mark.long]
TOUCH_EVERYTHING = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const element of document.querySelectorAll("main *"))
    for (const name of ["mouseover", "mouseenter", "mousemove"])
      element.dispatchEvent(new MouseEvent(name, { bubbles: true }));
  for (const chart of fld.charts.values())
    chart.getOption().series.forEach((one, seriesIndex) => one.data.slice(0, 30).forEach((_, dataIndex) =>
      chart.dispatchAction({ type: "showTip", seriesIndex, dataIndex })));
}"""
"""Points at every element of a page, and at the data of every chart: its tooltips hold names from the dataset."""
PAGES = ("index", "annotations", "semantics", "spatial", "confidence", "gallery")


@pytest.fixture(scope="module")
def report(reported: Pipeline) -> Path:
    return Path(reported.store.path("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_a_file_and_fits(report: Path, browser: Browser, name: str, scheme: str, width: int) -> None:
    """No error, no request, nothing that jumps; every chart drawn and described; no wider than a desk or a phone."""
    watched = opened(browser, report / f"{name}.html", scheme=scheme, width=width)
    page = watched.page
    for place in (0.3, 0.6, 1.0, 0.0):
        page.evaluate(f"new Promise((done) => {{ scrollTo(0, {place} * document.body.scrollHeight);"
                      "requestAnimationFrame(() => requestAnimationFrame(done)); })")  # fmt: skip
    assert page.evaluate("window.jumps") < 0.01
    draw_all(page)
    assert watched.errors == []
    assert watched.requests == []
    charts = page.locator("[data-chart]")
    assert charts.count() == page.locator("[data-chart] svg").count()
    assert page.locator("[data-chart]:not([aria-label]), [data-chart][aria-label='']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_sheet_of_paper(report: Path, browser: Browser, name: str) -> None:
    """A4 is 794 px wide; tables are whole on it, and charts are drawn in the colours of the light theme."""
    page = opened(browser, report / f"{name}.html", scheme="dark", width=794).page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("[data-chart]").count() == page.locator("[data-chart] svg").count()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_small(report: Path, name: str) -> None:
    assert (report / f"{name}.html").stat().st_size < 15_000_000


def test_hostile_texts_stay_texts(report: Path, browser: Browser) -> None:
    watched = opened(browser, report / "gallery.html")
    page = watched.page
    shown = []
    for i in range(page.locator("#grid button").count()):
        page.locator("#grid button").nth(i).click()
        shown += page.locator("#about p[lang]").all_inner_texts()
    assert {" ".join(text.split()) for text in HOSTILE} == {" ".join(text.split()) for text in shown}
    assert page.locator("#about b, #about script, #about img, #about i").count() == 0
    for name in PAGES:
        page.goto((report / f"{name}.html").absolute().as_uri())
        draw_all(page)
        page.evaluate(TOUCH_EVERYTHING)
        assert page.evaluate("window.harmed") is None
        assert page.locator("#main script, #main [onerror], #main [onload], #main [onclick]").count() == 0
    assert watched.errors == []
    page.context.close()


def test_boxes_lie_where_they_were_drawn(report: Path, browser: Browser) -> None:
    """On the screen, the outline of the human box is on the edge of the red rectangle; no other box is shown."""
    watched = opened(browser, report / "gallery.html")
    page = watched.page
    page.select_option("#filter-by", "human")
    page.select_option("#filter-family", "region-text")
    page.locator("#grid button").first.click()
    page.wait_for_function("document.querySelector('#canvas img').complete")
    assert page.locator("#canvas .box").count() == 1
    with_box = picture(page)
    page.evaluate("document.querySelector('#canvas svg').remove()")
    without = picture(page)
    width, height = with_box.size
    changed = [
        (x, y) for y in range(height) for x in range(width) if with_box.getpixel((x, y)) != without.getpixel((x, y))
    ]
    xs, ys = [x for x, _ in changed], [y for _, y in changed]
    scale = width / WH[0]
    expected = [side * scale for side in BOX]
    assert [min(xs), min(ys), max(xs) + 1, max(ys) + 1] == pytest.approx(expected, abs=2.5)
    inside = without.getpixel((round(400 * scale), round(300 * scale)))
    assert all(abs(a - b) < 30 for a, b in zip(inside, RED, strict=True))  # a JPEG of the rectangle is under it
    page.context.close()


def test_filters_narrow_down_images_and_boxes(report: Path, browser: Browser) -> None:
    watched = opened(browser, report / "gallery.html")
    page = watched.page
    assert page.locator("#found").inner_text() == "6 of 6 images"
    page.fill("#filter-phrase", "a DOG")
    assert page.locator("#found").inner_text() == "1 of 6 images"
    page.click("#filter-reset")
    page.locator("#grid button").first.click()
    kept = page.locator("#canvas .box").count()
    page.select_option("#filter-verdict", "low_confidence")
    assert page.locator("#canvas .box:not(.off)").count() == 0
    page.select_option("#filter-verdict", "")
    page.check("#show-dropped")
    dropped = page.locator("#canvas .box.off")
    assert page.locator("#canvas .box").count() > kept
    assert "dropped: " in (dropped.first.locator("title").text_content() or "")
    page.context.close()


def test_keys_browse_and_switch(report: Path, browser: Browser) -> None:
    page = opened(browser, report / "gallery.html").page
    order = [button.get_attribute("data-image") for button in page.locator("#grid button").all()]
    page.keyboard.press("Enter")
    seen = [page.evaluate("location.hash")]
    for key in ("ArrowRight", "j", "ArrowLeft"):
        page.keyboard.press(key)
        seen.append(page.evaluate("location.hash"))
    assert seen == [f"#image={order[i]}" for i in (0, 1, 2, 1)]
    page.keyboard.press("d")
    assert page.is_checked("#show-dropped")
    page.keyboard.press("Escape")
    assert page.is_hidden("#viewer")
    page.keyboard.press("/")
    page.keyboard.type("dog")
    assert page.input_value("#filter-phrase") == "dog"
    page.context.close()


def test_a_link_opens_one_image_and_one_box(report: Path, browser: Browser) -> None:
    page = opened(browser, report / "gallery.html").page
    page.locator("#grid button").nth(3).click()
    image = page.locator("#grid button").nth(3).get_attribute("data-image")
    page.locator("[data-row]").first.click()
    link = page.locator("#link").get_attribute("href") or ""
    box = re.search(r"box=(\w+)", link)
    assert box is not None
    page.context.close()
    linked = opened(browser, report / "gallery.html", fragment=link).page
    assert linked.locator("#grid button[aria-current]").get_attribute("data-image") == image
    assert linked.locator(f'#canvas .lit[data-boxes~="{box[1]}"]').count() == 1
    facts = linked.locator("#provenance").inner_text()
    assert box[1] in facts
    assert "verdict" in facts
    linked.context.close()


def test_the_slider_counts_what_would_be_kept(report: Path, browser: Browser) -> None:
    """Against the table on the same page: sums over the bins that pass."""
    page = opened(browser, report / "confidence.html").page
    rows = list(csv.DictReader(io.StringIO(page.evaluate("fld.csv('thresholds')"))))
    options = page.locator("#slider-filter option")
    names = options.all_inner_texts()
    place = names.index("region-confidence on regions / first")
    page.select_option("#slider-filter", str(place))
    mine = [r for r in rows if r["filter"] == "region-confidence" and r["of"] == "regions / first"]
    assert len(mine) > 3
    page.locator("#slider-bound").focus()
    page.keyboard.press("End")
    last = float(mine[-1]["value edge"])
    says = page.locator("#slider-says").inner_text()
    top = [r for r in mine if float(r["value edge"]) >= last]
    passing = sum(int(r[label]) for r in top for label in ("kept", "dropped here", "dropped later"))
    assert says.startswith(f"{passing} of {sum(int(r[c]) for r in mine for c in list(r)[5:])} pass")
    page.keyboard.press("Home")
    everything = sum(int(r["kept"]) + int(r["dropped here"]) for r in mine)
    assert f"At most {everything} would be kept" in page.locator("#slider-says").inner_text()
    page.click("#slider-reset")
    assert page.locator("#slider-value").inner_text() == "≥ 0.35"
    for place in range(len(names)):  # a filter that keeps low values too: at the run's bound, as many as today
        page.select_option("#slider-filter", str(place))
        says = page.locator("#slider-says").inner_text()
        kept, today = re.search(r"\. (.*) would be kept.*; today (\S+) are", says).groups()  # type: ignore[union-attr]
        assert kept.split(" (")[0] == today, (names[place], says)
    page.context.close()


def test_a_definition_is_one_click_away(report: Path, browser: Browser) -> None:
    page = opened(browser, report / "semantics.html").page
    page.locator("[data-definition=complexity]").first.click()
    assert "undirected" in page.locator("#definition").inner_text()
    page.keyboard.press("Escape")
    missing = page.evaluate(
        "[...document.querySelectorAll('[data-definition]')].map(a => a.hash).filter(h => !document.querySelector(h))"
    )
    assert missing == []  # without scripts, the link leads to the definition at the end of the page
    page.context.close()


def test_the_theme_can_be_switched(report: Path, browser: Browser) -> None:
    page = opened(browser, report / "index.html", scheme="light").page
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.context.close()


def test_a_chart_gives_its_data_as_csv(report: Path, browser: Browser) -> None:
    page = opened(browser, report / "index.html").page
    with page.expect_download() as download:
        page.click("[data-csv=funnel]")
    assert download.value.path().read_bytes() == (report / "data" / "funnel.csv").read_bytes()
    page.context.close()


def test_changes_show_before_beside_after(reported: Pipeline, browser: Browser, tmp_path: Path) -> None:
    """Under a bound of 0.95 the fakes' boxes are gone; the person's red box is on both sides."""
    root = str(copied(reported, tmp_path))
    report_root(root, ("filters.region-confidence.params.objects=0.95",), (root, (), None), num_images=3)
    watched = opened(browser, tmp_path / "root/report/changes.html")
    page = watched.page
    draw_all(page)
    assert (watched.errors, watched.requests) == ([], [])
    for pair in page.locator(".pair").all():
        before, after = (pair.locator(".side").nth(i).locator("rect").count() for i in (0, 1))
        assert before > after >= 1
    assert page.locator(".pair").count() >= 1
    assert page.evaluate("window.harmed") is None
    page.context.close()


def draw_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('[data-chart]').forEach((e) => fld.drawNow(e))")


def picture(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.locator("#canvas").screenshot())).convert("RGB")
