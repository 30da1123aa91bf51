"""Scene text is read, placed by a quadrilateral, and quiet."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fld_engine.annotators.packaged.rapidocr import RapidOcr
from fld_engine.engine.data.geometry import polygon_area
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Annotations
from tests.annotators.photographs import photograph, sample


@pytest.fixture(scope="module")
def reader() -> RapidOcr:
    reader = RapidOcr()
    reader.load()
    return reader


@pytest.fixture(scope="module")
def page() -> RGB:
    """The photographed page of scikit-image: its heading, its first two lines."""
    return np.ascontiguousarray(photograph("page.png")[:75])


def words(annotations: Annotations) -> str:
    return "".join(region.texts[0].text for region in annotations.regions).replace(" ", "").lower()


def test_a_photographed_page_is_read(reader: RapidOcr, page: RGB) -> None:
    (annotations,) = reader.annotate([sample(page)])
    assert isinstance(reader, Annotator)
    assert "segmentation" in words(annotations)
    assert "markersofthecoins" in words(annotations)
    assert {region.kind for region in annotations.regions} == {"text"}
    assert {region.texts[0].kind for region in annotations.regions} == {"ocr"}


def test_quadrilaterals_are_clockwise_from_the_top_left_inside_their_box(reader: RapidOcr, page: RGB) -> None:
    """The export writes the corners in this order."""
    (annotations,) = reader.annotate([sample(page)])
    for region in annotations.regions:
        assert region.quad is not None
        xs, ys = region.quad[0::2], region.quad[1::2]
        assert polygon_area(region.quad) > 0
        assert region.quad[0] + region.quad[1] == min(x + y for x, y in zip(xs, ys, strict=True))
        assert region.box_xyxy == (min(xs), min(ys), max(xs), max(ys))


def test_a_large_photograph_has_its_text_where_it_stands(reader: RapidOcr, page: RGB) -> None:
    """It is read at 960 px; boxes must come back in the pixels of the photograph."""
    large = np.full((1500, 2400, 3), 190, dtype=np.uint8)
    enlarged = cv2.resize(page, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    large[900 : 900 + enlarged.shape[0], 700 : 700 + enlarged.shape[1]] = enlarged
    (annotations,) = reader.annotate([sample(large)])
    heading = next(region for region in annotations.regions if "segmentation" in region.texts[0].text.lower())
    x1, y1, x2, y2 = heading.box_xyxy
    # On the page itself the heading runs from (4, 11) to (294, 35).
    assert np.allclose([x1, y1, x2, y2], [716, 944, 1876, 1040], atol=40)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 960, 3), (4000, 9, 3), (40, 1200, 3)])
def test_odd_shapes_do_not_stop_it(reader: RapidOcr, shape: tuple[int, int, int]) -> None:
    assert reader.annotate([sample(np.full(shape, 255, dtype=np.uint8))]) == [Annotations()]


def test_images_without_text_are_not_worth_a_log_line(reader: RapidOcr, capfd: pytest.CaptureFixture[str]) -> None:
    """A million such lines would bury every real message."""
    reader.annotate([sample(np.zeros((64, 64, 3), dtype=np.uint8))])
    assert capfd.readouterr() == ("", "")


def test_reading_twice_gives_the_same(reader: RapidOcr, page: RGB) -> None:
    first, second = reader.annotate([sample(page), sample(page)])
    assert first == second
