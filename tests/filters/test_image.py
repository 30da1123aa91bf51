from __future__ import annotations

import pytest

from fld_engine.engine.plan.protocols import Filter
from fld_engine.filters.image import ImageAspect, ImageCrowding, ImageSize
from tests.tables import rows


@pytest.mark.parametrize(
    ("wh", "kept"),
    [
        ((64, 64), True),  # just large enough
        ((63, 900), False),  # the shorter side counts
        ((900, 63), False),  # whichever it is
    ],
)
def test_size(wh: tuple[int, int], kept: bool) -> None:
    images = rows("images", {"id": "a", "width": wh[0], "height": wh[1]})
    verdicts = ImageSize().decide({"images": images})
    assert (verdicts.keep.tolist(), verdicts.value.tolist()) == ([kept], [min(wh)])


@pytest.mark.parametrize(
    ("wh", "value", "kept"),
    [
        ((100, 100), 1.0, True),
        ((400, 100), 4.0, True),  # the bound itself is allowed
        ((401, 100), 4.01, False),  # a strip
        ((100, 401), 4.01, False),  # an upright strip
    ],
)
def test_aspect(wh: tuple[int, int], value: float, kept: bool) -> None:
    images = rows("images", {"id": "a", "width": wh[0], "height": wh[1]})
    verdicts = ImageAspect().decide({"images": images})
    assert (verdicts.keep.tolist(), verdicts.value.tolist()) == ([kept], [value])


def test_crowding_counts_sure_objects_of_each_detector_apart() -> None:
    def region(image: str, annotator: str = "a", kind: str = "object", score: float = 0.5) -> dict[str, object]:
        return {"image_id": image, "annotator": annotator, "kind": kind, "score": score}

    given = [
        *[region("one detector")] * 3,  # over the bound of two
        *[region("two detectors", "a")] * 2,  # the same two objects, seen twice
        *[region("two detectors", "b")] * 2,
        *[region("unsure", score=0.29)] * 9,
        *[region("read", kind="text")] * 9,  # a page of text is no crowd
        *[region("drawn", annotator="human", score=1.0)] * 9,  # people are trusted with crowds
    ]
    names = ["one detector", "two detectors", "unsure", "read", "drawn", "empty"]
    images = rows("images", *({"id": name} for name in names))
    verdicts = ImageCrowding(ImageCrowding.Params(max_objects=2)).decide(
        {"images": images, "regions": rows("regions", *given)}
    )
    assert verdicts.value.tolist() == [3, 2, 0, 0, 0, 0]
    assert verdicts.keep.tolist() == [False, True, True, True, True, True]


def test_crowding_ignores_regions_of_images_it_was_not_shown() -> None:
    """An image dropped before leaves its regions in the table."""
    regions = rows("regions", *[{"image_id": "dropped", "kind": "object", "score": 0.9}] * 99)
    verdicts = ImageCrowding().decide({"images": rows("images", {"id": "other"}), "regions": regions})
    assert verdicts.value.tolist() == [0]


@pytest.mark.parametrize("judge", [ImageSize(), ImageAspect(), ImageCrowding()])
def test_no_image_is_no_problem(judge: Filter) -> None:
    assert isinstance(judge, Filter)
    verdicts = judge.decide({"images": rows("images"), "regions": rows("regions")})
    assert (verdicts.keep.shape, verdicts.keep.dtype, verdicts.value.dtype) == ((0,), bool, float)
