"""Schemas of what is compared and found, and what the tasks of the stage are told and answer."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.plan.exclude import ExcludeList
from fld_engine.engine.sources.item import SourceChunk
from fld_engine.schemas.annotations import Frozen

_string = pa.string()

VIEWS = pa.schema(
    [
        ("image_id", _string),
        ("whole", pa.binary()),  # a `View`
        ("trimmed", pa.binary()),  # without plain borders; null where there are none
    ]
)
"""Views of the images of a partition, in its order; null where the image could not be decoded."""

REFERENCES = pa.schema(
    [
        ("list", _string),
        ("entry", _string),  # where it is: the URI of an image, or the hash as it was given
        ("id", _string),  # first 128 bits of its sha256, or empty
        ("phash", _string),  # where a list gave it
        ("whole", pa.binary()),
        ("trimmed", pa.binary()),
    ]
)
"""What images are looked up against. Gold has views alone: its bytes are not found twice in a root."""

FINDS = pa.schema(
    [
        ("image_id", _string),
        ("list", _string),
        ("entry", _string),
        ("how", _string),  # bytes, hash or picture
        ("distance", pa.float64()),  # hash: bits that differ; picture: share of it that does
    ]
)
"""At most one row an image and list, its nearest entry."""


READING = "exclude"
"""Progress of the reading of lists."""


class ListPart(Frozen):
    """Part of a list that one worker reads: a chunk of pictures, or a file of hashes, whose content is `revision`."""

    name: str
    chunk: SourceChunk | None = None
    hashes: ExcludeList | None = None
    revision: str = ""


class ReadList(Frozen):
    """Write the entries of a part of a list as `REFERENCES`."""

    part: ListPart
    out: str
    images: ImageLimits


class ListResult(Frozen):
    """What a part of a list has, and what of it could not be read, by reason."""

    file: FileRecord
    unread: Mapping[str, int]


class KeepViews(Frozen):
    """Write the views of a partition's images."""

    partition: PartitionRecord
    images: ImageLimits
    fingerprint: str


class LookUp(Frozen):
    """Look the images of a partition up in the reference set; `views` is the fingerprint of its views, or empty."""

    partition: PartitionRecord
    references: str  # path
    views: str
    fingerprint: str
