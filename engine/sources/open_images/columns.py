"""Which of Open Images' files is what, by its columns: names of files changed from V4 to V7, columns did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

What = Literal["boxes", "masks", "labels", "relations", "images"]

IMAGE = "ImageID"
_WORDS = pa.dictionary(pa.int32(), pa.string())
_CORNERS = ("XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
"""What people said of a box: 1, 0, or -1 for unknown; not in all releases."""
FACTS = ("Author", "Rotation")
"""Columns of the lists of images that say something of an image itself, beside its licence."""

COLUMNS: Mapping[What, Mapping[str, pa.DataType]] = {
    "boxes": {
        "Source": _WORDS, "LabelName": _WORDS, "Confidence": pa.float32(), **dict.fromkeys(_CORNERS, pa.float64()),
        **dict.fromkeys(FLAGS, pa.int8()),
    },
    "masks": {
        "MaskPath": pa.string(), "LabelName": _WORDS, "BoxID": pa.string(),
        **{f"Box{name}": pa.float64() for name in _CORNERS}, "PredictedIoU": pa.float32(),
    },
    "labels": {"Source": _WORDS, "LabelName": _WORDS, "Confidence": pa.float32()},
    "relations": {
        "LabelName1": _WORDS, "LabelName2": _WORDS, "RelationshipLabel": _WORDS,
        **{f"{name}{side}": pa.float64() for side in (1, 2) for name in _CORNERS},
    },
    "images": {"License": _WORDS, "Author": _WORDS, "Rotation": pa.float32()},
}  # fmt: skip
"""Columns that are read of each kind of file, beside the image's id; of the ones that are missing, nulls."""

_NEEDED: Mapping[What, frozenset[str]] = {
    "relations": frozenset({"LabelName1", "LabelName2", "RelationshipLabel", "XMin1", "XMin2"}),
    "masks": frozenset({"MaskPath", "LabelName"}),
    "boxes": frozenset({"LabelName", *_CORNERS}),
    "images": frozenset({"OriginalURL"}),
    "labels": frozenset({"LabelName", "Confidence"}),
}
"""Columns that tell a kind of file, the most particular first."""


def what_is(header: tuple[str, ...]) -> What | None:
    """What a file with these columns is; `None` where it is nothing that is read."""
    named = set(header)
    if IMAGE not in named:
        return None
    return next((what for what, needed in _NEEDED.items() if needed <= named), None)


def unread(what: What, header: tuple[str, ...]) -> list[str]:
    """Columns of a file that nothing is made of."""
    return [name for name in header if name and name != IMAGE and name not in COLUMNS[what]]
