"""Which picture the places in label files are of: the one that is shown, or the one that is stored.

EXIF may say that stored pixels are to be shown turned or mirrored. Some tools draw boxes on the picture as it is shown,
others on the stored pixels, and both may write the width and height of the stored ones. So the file alone does not
say which; what can be told is told from boxes that only one of the two frames holds.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from fld_engine.engine.data.geometry import from_top_left
from fld_engine.engine.sources.item import Rejected
from fld_engine.engine.sources.regions.place import OUTLINES, Box, Record
from fld_engine.schemas.annotations import Mask, PhraseRegion, Region, Text

Wh = tuple[int, int]
Exif = Literal["", "applied", "raw"]
Placed = tuple[str, Record]
"""(URI of an annotation, a record with its `bbox` as COCO writes it)."""

TOLERANCE_PX = 2.0
"""How far a box may reach beyond a frame that holds it: tools round, and people draw to the edge and over it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of `wh` pixels whose EXIF `orientation` says how it becomes the upright one; 1: it is that."""

    wh: Wh
    orientation: int = 1

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of this frame is in the upright one (EXIF 2.32, tag 0x0112)."""
        width, height = self.wh
        if self.orientation >= 5:
            x, y, width, height = y, x, height, width
        if self.orientation in (2, 3, 6, 7):
            x = width - x
        if self.orientation in (3, 4, 7, 8):
            y = height - y
        return x, y

    def box(self, box_xyxy: Box) -> Box:
        """A box of this frame in the upright one."""
        (xa, ya), (xb, yb) = self.point(*box_xyxy[:2]), self.point(*box_xyxy[2:])
        x1, y1, x2, y2 = (round(v, 2) for v in (min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)))
        return x1, y1, x2, y2

    def polygon(self, values: Sequence[float]) -> tuple[float, ...]:
        """`[x1 y1 x2 y2 …]` of this frame in the upright one."""
        points = (self.point(x, y) for x, y in zip(values[0::2], values[1::2], strict=True))
        return tuple(round(value, 2) for point in points for value in point)

    def region(self, region: Region) -> Region:
        """A region of this frame in the upright one."""
        if self.orientation == 1:
            return region
        quad = from_top_left(self.polygon(region.quad)) if region.quad else None
        return region.model_copy(
            update={"box_xyxy": self.box(region.box_xyxy), "quad": quad, "masks": self._masks(region.masks)}
        )

    def text(self, text: Text) -> Text:
        """A text whose phrases have boxes of this frame, with boxes of the upright one."""
        if self.orientation == 1:
            return text
        phrases = [
            phrase.model_copy(update={"regions": tuple(map(self._phrase_region, phrase.regions))})
            for phrase in text.phrases
        ]
        return text.model_copy(update={"phrases": tuple(phrases)})

    def _phrase_region(self, region: PhraseRegion) -> PhraseRegion:
        return region.model_copy(update={"box_xyxy": self.box(region.box_xyxy), "masks": self._masks(region.masks)})

    def _masks(self, masks: Sequence[Mask]) -> tuple[Mask, ...]:
        return tuple(mask.model_copy(update={"polygons": tuple(map(self.polygon, mask.polygons))}) for mask in masks)

    def holds(self, record: Record) -> bool:
        """Whether the place of an annotation lies in this frame; one that cannot be read lies in any."""
        size = _mask_size(record)
        if size is not None and size != (self.wh[1], self.wh[0]):
            return False
        box = box_of(record)
        if box is None:
            return True
        width, height = (side + TOLERANCE_PX for side in self.wh)
        return min(box[:2]) >= -TOLERANCE_PX and box[2] <= width and box[3] <= height


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


def frame_of(
    records: Sequence[Record], upright_wh: Wh, orientation: int, stated_wh: tuple[Any, Any], exif: Exif
) -> Frame | None:
    """The frame that the annotations of an image are of; `None` where it cannot be told.

    `stated_wh` is the image's size in the json, (None, None) for none: either the upright or the stored one. The frame
    that alone holds all of them is theirs; else the one that `exif` names; else the upright one where the size is
    that of no other; else none. Where both readings come to the same, there is nothing to tell.
    """
    upright = Frame(upright_wh)
    stored = Frame(upright_wh[::-1] if orientation >= 5 else upright_wh, orientation)
    if orientation == 1 or all(_same(record, stored) for record in records):
        return upright
    in_upright, in_stored = (all(frame.holds(record) for record in records) for frame in (upright, stored))
    may_be_stored = stated_wh in ((None, None), stored.wh)
    if in_upright and not in_stored:
        return upright
    if in_stored and not in_upright and may_be_stored:
        return stored
    if exif:
        return stored if exif == "raw" else upright
    return None if may_be_stored else upright


def readings(record: Record, upright_wh: Wh, orientation: int) -> str:
    """Both readings of an annotation's box in the upright picture, for a message."""
    stored = Frame(upright_wh[::-1] if orientation >= 5 else upright_wh, orientation)
    box = box_of(record)
    if box is None:
        return f"its mask fits both or neither of {upright_wh} and {stored.wh}"
    shown = [tuple(round(value, 2) for value in one) for one in (box, stored.box(box))]
    return f"its box is {shown[0]} if it was drawn on the picture as shown, {shown[1]} if on the stored pixels"


def box_of(record: Record) -> Box | None:
    """x1 y1 x2 y2 of an annotation as it stands in the json, from its outline where it has no box."""
    numbers = record.get("bbox")
    if _are_numbers(numbers) and len(numbers) == 4:
        x, y, width, height = map(float, numbers)
        return x, y, x + width, y + height
    flat = next((record[name] for name in OUTLINES if record.get(name)), None)
    outline = [flat] if flat is not None else record.get("segmentation")
    parts = [part for part in outline if _are_numbers(part) and len(part) >= 6] if isinstance(outline, list) else []
    values = [float(value) for part in parts for value in part]
    if not values or any(len(part) % 2 for part in parts):
        return None
    return min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2])


def _same(record: Record, stored: Frame) -> bool:
    """Whether an annotation is at the same place in both readings; a mask or an outline inside its box may not be."""
    box = box_of(record)
    has_outline = any(record.get(name) for name in (*OUTLINES, "segmentation"))
    return (
        box is not None
        and not has_outline
        and all(math.isclose(a, b, abs_tol=0.01) for a, b in zip(box, stored.box(box), strict=True))
    )


def _mask_size(record: Record) -> tuple[Any, Any] | None:
    """(height, width) of a run-length mask."""
    mask = record.get("segmentation")
    size = mask.get("size") if isinstance(mask, dict) else None
    return (size[0], size[1]) if isinstance(size, list) and len(size) == 2 else None


def _are_numbers(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and all(type(v) in (int, float) and math.isfinite(v) for v in values)
