"""What published data sets say of an annotation beside COCO's own fields, and no table has a place for: counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fld_engine.engine.sources.item import PassedOver
from fld_engine.engine.sources.regions.place import Record

UNKEPT = ("isfake", "isreflected", "class", "language")
"""A picture of a thing, and its mirror image (Objects365); print or handwriting, and its language (COCO-Text)."""


def unkept(records: Sequence[Record], uri: str) -> Iterator[PassedOver]:
    """How many annotations of an image say such a thing, by field."""
    for field in UNKEPT:
        if number := sum(bool(record.get(field)) for record in records):
            yield PassedOver(uri=uri, reason="not_kept", detail=field, what="annotation", number=number)
