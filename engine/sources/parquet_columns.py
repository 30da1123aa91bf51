"""Which columns of a Parquet file are read for what, by the names that a source gives or by their usual ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fld_engine.engine.sources.arrow_text import is_bytes, is_list, is_text
from fld_engine.engine.sources.captions import caption_names
from fld_engine.engine.sources.class_labels import names_in_schema
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.objects import BOX_NAMES, CLASS_NAMES, OBJECT_NAMES
from fld_engine.engine.sources.said import LABEL_NAMES
from fld_engine.engine.sources.spans import SPAN_NAMES
from fld_engine.schemas.errors import SourceError

IMAGE_COLUMNS = (
    "image", "img", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes", "img_bytes", "content", "images",
)  # fmt: skip
URI_COLUMNS = (
    "url", "uri", "image_url", "image_uri", "file_name", "filename", "image_path", "image_file", "image_name", "path",
)  # fmt: skip
STATUS_COLUMNS = ("status", "error_message")
"""What img2dataset says of a row without bytes."""


@dataclass(frozen=True, slots=True)
class Columns:
    """`image` or `uri` is empty where there is none; `captions` may be paths; `others` say more of an image.

    `classes` are names of numbered classes by path. `several`: rows hold lists of images.
    """

    image: str
    uri: str
    captions: tuple[str, ...]
    others: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    several: bool = False


def columns_of(schema: pa.Schema, spec: SourceSpec) -> Columns:
    """Which columns to read. Raises `SourceError` with those there are, and their types."""
    given = (spec.image_column, spec.uri_column)
    missing = [name for name in given if name and name not in schema.names]
    missing += [path for path in spec.caption_columns if not _at(schema, path)]
    if missing:
        raise SourceError(
            f"source {spec.url} has no column {', '.join(missing)}; its columns: {', '.join(schema.names)}"
        )
    if spec.image_column and not holds_images(schema.field(spec.image_column).type):
        kind = schema.field(spec.image_column).type
        raise SourceError(
            f"column {spec.image_column} of source {spec.url} is {kind}: expected bytes, a struct of bytes and path as "
            "Hugging Face writes it, lists of uint8, or lists of images"
        )
    images = [name for name in _called(schema, IMAGE_COLUMNS) if holds_images(schema.field(name).type)]
    uris = [name for name in _called(schema, (*URI_COLUMNS, *IMAGE_COLUMNS)) if is_text(schema.field(name).type)]
    image = spec.image_column or ("" if spec.uri_column else next(iter(images), ""))
    uri = spec.uri_column or (
        "" if image else next(iter(uris), "")
    )  # bytes win: an address beside them is not followed
    if not image and not uri:
        known = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise SourceError(
            f"source {spec.url} has no column of image bytes or URIs that is known by name; its columns: {known}; set "
            "image_column or uri_column"
        )
    captions = spec.caption_columns or tuple(name for name in caption_names(schema.names) if name not in (image, uri))
    taken = {image, uri, *captions}
    boxes = [name for name in BOX_NAMES if name in schema.names]
    wanted = (*OBJECT_NAMES, *SPAN_NAMES, *LABEL_NAMES, *(boxes and (*boxes, *CLASS_NAMES)))
    others = tuple(dict.fromkeys(name for name in wanted if name in schema.names and name not in taken))
    status = tuple(name for name in STATUS_COLUMNS if name in schema.names and name not in taken)
    twice = [name for name, number in Counter(schema.names).items() if number > 1 and name in (*taken, *others)]
    if twice:
        raise SourceError(
            f"source {spec.url} has several columns of the name {', '.join(twice)}; its columns: "
            f"{', '.join(schema.names)}; give each a name of its own"
        )
    several = bool(image) and not holds_bytes(schema.field(image).type)
    return Columns(image, uri, tuple(captions), others, status if image else (), names_in_schema(schema), several)


def _called(schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """Columns of these names, in their order: as they are spelt, else whatever their letters' case (LAION's `URL`)."""
    exact = [name for name in names if name in schema.names]
    return exact or [column for name in names for column in schema.names if column.lower() == name]


def read_columns(schema: pa.Schema, columns: Columns) -> list[str]:
    """Top-level columns that are read, each once; the first parts of paths."""
    tops = (path if path in schema.names else path.partition(".")[0] for path in columns.captions)
    every = (columns.image, columns.uri, *tops, *columns.others, *columns.status)
    return list(dict.fromkeys(name for name in every if name))


def holds_images(kind: pa.DataType) -> bool:
    """Whether cells of a type are an image, or lists of images."""
    return holds_bytes(kind) or (is_list(kind) and holds_bytes(kind.value_type))


def holds_bytes(kind: pa.DataType) -> bool:
    """Bytes, Hugging Face's struct of them, categories of them, or lists of numbers of eight bits."""
    if pa.types.is_struct(kind):
        return any(one.name == "bytes" and holds_bytes(one.type) for one in _fields(kind))
    if pa.types.is_dictionary(kind):
        return holds_bytes(kind.value_type)
    return is_bytes(kind) or (
        is_list(kind) and (pa.types.is_uint8(kind.value_type) or pa.types.is_int8(kind.value_type))
    )


def _fields(kind: pa.DataType) -> Iterator[pa.Field]:
    yield from (kind.field(i) for i in range(kind.num_fields))


def _at(schema: pa.Schema, path: str) -> bool:
    """Whether there is a column of this name, or one of its first part with fields of the others."""
    if path in schema.names:
        return True
    first, *rest = path.split(".")
    if first not in schema.names:
        return False
    kind = schema.field(first).type
    for name in rest:
        while is_list(kind):
            kind = kind.value_type
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return False
        kind = kind.field(kind.get_field_index(name)).type
    return bool(rest)
