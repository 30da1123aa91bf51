"""Phrases in a text and their boxes on the image: one lights up the other."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.report.gallery import image_record, small_picture
from fld_engine.engine.stages.report.model import Page, Section
from fld_engine.engine.stages.report.render import Frame, render
from tests.browser.chromium import chromium, needs_chromium, opened
from tests.tables import annotations, rows

pytestmark = [needs_chromium, pytest.mark.long]
TEXT = "🐕🐕 A dog & <b>two cats</b>"
"""Spans count characters as Python does: each of the dogs in front is one."""


def span(words: str) -> dict[str, int]:
    return {"start": TEXT.index(words), "end": TEXT.index(words) + len(words)}


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    annotated = annotations(
        texts=rows("texts", {"id": "t", "granularity": "brief", "text": TEXT}),
        regions=rows("regions", {"id": "r", "kind": "object", "box": (10, 10, 40, 40), "score": 0.5}),
        phrases=rows(
            "phrases",
            {"id": "dog", "text_id": "t", "phrase": "A dog", **span("A dog")},
            {"id": "cats", "text_id": "t", "phrase": "two cats", **span("two cats")},
        ),
        phrase_regions=rows(
            "phrase_regions",
            {"id": "d", "phrase_id": "dog", "region_id": "r", "box": (10, 10, 40, 40)},
            {"id": "c1", "phrase_id": "cats", "box": (60, 10, 90, 40)},
            {"id": "c2", "phrase_id": "cats", "box": (60, 60, 90, 90)},
        ),
    )
    images = rows("images", {"id": "image", "width": 100, "height": 100, "uri": "x.png", "source": "made"})
    view = PartitionView(
        id="p", images=images, annotations=annotated, status={}, verdicts={}, producers={}, gold=annotations()
    )
    buffer = io.BytesIO()
    Image.new("RGB", (100, 100), "white").save(buffer, "PNG")
    picture = small_picture(buffer.getvalue(), ImageLimits())
    record = {**image_record(view, "image"), "picture": picture, "strata": [{"stratum": "sample", "note": "made"}]}
    page = Page(
        "gallery", "Gallery", "", [Section("Images", widget="gallery")], payload={"images": [record]}, script="gallery"
    )
    path = tmp_path / "gallery.html"
    path.write_text(render(page, Frame(nav=[], title="made", root="root", version="0")), encoding="utf-8")
    return path


def test_phrases_and_boxes_light_each_other(page_file: Path) -> None:
    with chromium() as browser:
        watched = opened(browser, page_file, fragment="#image=image")
        page = watched.page
        marks = page.locator("#about mark")
        assert marks.all_inner_texts() == ["A dog", "two cats"]
        assert page.locator("#about p[lang]").inner_text() == TEXT
        assert page.locator("#canvas .box").count() == 3  # the dog's region and phrase lie on the same place
        marks.nth(1).hover()
        lit = [box.get_attribute("data-boxes") for box in page.locator("#canvas .box.lit").all()]
        assert sorted(lit, key=str) == ["c1", "c2"]
        assert page.locator("#canvas .box.dim").count() == 1
        page.locator('#canvas [data-boxes~="d"]').hover()
        assert page.locator("#about mark.lit").all_inner_texts() == ["A dog"]
        marks.first.click()
        assert "verdict\nkept" in page.locator("#provenance").inner_text()
        assert watched.errors == []
