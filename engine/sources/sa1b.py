"""SA-1B of Segment Anything: a json beside each image, with masks that a model found and nobody named.

A json has `image` and `annotations`, whose masks are COCO's run lengths as a string. A region's score is the
`predicted_iou` of its mask, the mask's own is its `stability_score`. Boxes are as they are published: from the first
to the last pixel of a mask, so a pixel narrower and lower than it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fld_engine.engine.sources.coco.frames import Exif
from fld_engine.engine.sources.coco.places import short
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.marks import Mark, number, regions_of, whole
from fld_engine.schemas.annotations import Region, Source

MASKS = Source(annotator="sa-1b", model="sam", revision="")
"""Who found the masks."""


def is_sa1b(record: Mapping[str, Any]) -> bool:
    """Whether the json of an image is one of SA-1B's, or of Segment Anything's own output in its layout."""
    about, found = record.get("image"), record.get("annotations")
    return isinstance(about, dict) and "file_name" in about and isinstance(found, list)


def masks_of(
    record: Mapping[str, Any], uri: str, upright_wh: tuple[int, int], orientation: int, exif: Exif
) -> Iterator[Region | Rejected | PassedOver]:
    """Regions without a text, in order; `uri` is that of the image."""
    marks = []
    for index, found in enumerate(record["annotations"]):
        place = f"{uri}#annotation/{found.get('id', index)}" if isinstance(found, dict) else f"{uri}#annotation[{index}]"
        try:
            scores = [number(found.get(key, 1.0)) for key in ("predicted_iou", "stability_score")]
        except (AttributeError, ValueError) as error:
            detail = f"{short(found)}: {error}"
            yield Rejected(uri=place, reason="bad_record", detail=detail, what="annotation", by="web")
            continue
        marks.append(Mark(place, "", found, MASKS, scores[0], scores[1]))
    if prompts := sum("point_coords" in mark.record for mark in marks):
        detail = "point_coords and crop_box, which the masks were asked for with"
        yield PassedOver(uri=uri, reason="prompt_not_kept", detail=detail, what="annotation", by="web", number=prompts)
    about = record["image"]
    wh = whole(about.get("width")) or 0, whole(about.get("height")) or 0
    yield from regions_of(marks, wh if min(wh) > 0 else None, upright_wh, orientation, exif)
