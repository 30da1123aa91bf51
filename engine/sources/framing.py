"""The frame that the places of an image are of, or their rejection where nobody can tell."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from fld_engine.engine.sources.coco.frames import Exif, Frame, Wh, frame_of, readings
from fld_engine.engine.sources.coco.places import Record
from fld_engine.engine.sources.item import Rejected

Placed = tuple[str, Record]
"""(URI of an annotation, a record with its `bbox` as COCO writes it)."""


def framed(
    places: Sequence[Placed], stated_wh: Wh | None, upright_wh: Wh, orientation: int, exif: Exif
) -> Generator[Rejected, None, Frame | None]:
    """The frame of places whose label file states a size, or none; `None` where each of them was rejected."""
    stored_wh = upright_wh[::-1] if orientation >= 5 else upright_wh
    if stated_wh not in (None, upright_wh, stored_wh):
        detail = f"it is for {stated_wh} pixels, the upright image has {upright_wh}"
        for uri, _ in places:
            yield Rejected(uri=uri, reason="frame_mismatch", detail=detail, what="annotation")
        return None
    frame = frame_of([record for _, record in places], upright_wh, orientation, stated_wh or (None, None), exif)
    for uri, record in places if frame is None else ():
        detail = (
            f"EXIF orientation {orientation} turns the stored {stored_wh} pixels to {upright_wh}, and "
            f"{readings(record, upright_wh, orientation)}: set exif to applied or raw on the source"
        )
        yield Rejected(uri=uri, reason="frame_unknown", detail=detail, what="annotation")
    return frame


def wh_of(width: object, height: object) -> Wh | None:
    """A stated size; `None` where it is none, or 0."""
    sides = (width, height)
    if all(isinstance(side, int | float) and not isinstance(side, bool) and side > 0 for side in sides):
        return int(width), int(height)  # type: ignore[call-overload]
    return None
