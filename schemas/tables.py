"""Every table that a dataset root stores: Arrow schema, order of columns, and how tables hang together.

All tables are flat: one row per annotation, `image_id` on every row, rows in partition order. Boxes are the columns
`x1 y1 x2 y2`. The four columns of `SOURCE` say who made the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

SCHEMA_VERSION = 1
"""Version of a dataset root. A root of a newer version is refused."""

_string = pa.string()
_double = pa.float64()
_boxes = [(name, _double) for name in ("x1", "y1", "x2", "y2")]
_polygons = pa.list_(pa.list_(_double))

SOURCE = [("annotator", _string), ("model", _string), ("revision", _string), ("round", pa.int32())]

IMAGES = pa.schema(
    [
        ("id", _string),  # first 128 bits of `sha256`, hex
        ("source", _string),  # name of the source it was first found in
        ("uri", _string),
        ("uris", pa.list_(_string)),  # all places the same bytes were found at, this one first
        ("sha256", _string),  # of the original bytes
        ("num_bytes", pa.int64()),
        ("format", _string),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("plain_jpeg", pa.bool_()),  # a plain decode of the bytes gives upright RGB: exported as they are
        ("member", _string),  # name inside the partition's tar
        ("offset", pa.int64()),  # of its bytes inside the partition's tar
        ("phash", _string),  # 64-bit perceptual hash, hex
        ("twin_group", _string),  # near-twins share it; splits and folds go by it
        ("source_label", _string),  # class folder, or empty
        ("licence", _string),
        ("gold", pa.bool_()),
    ]
)

PLACES = pa.schema(
    [
        ("id", _string),  # of the image
        ("source", _string),
        ("uri", _string),
        ("source_label", _string),
        ("licence", _string),
        ("gold", pa.bool_()),
        ("annotations", _string),  # what the source says of the image under this URI: JSON of `Annotations`
    ]
)

QUARANTINE = pa.schema(
    [
        ("source", _string),
        ("uri", _string),
        ("what", _string),  # image, or annotation of an image that is used
        ("reason", _string),
        ("detail", _string),
        ("of_image", _string),  # URI of the image that a rejected annotation is about, where that is not `uri`
    ]
)

STATUS = pa.schema(
    [
        ("image_id", _string),
        ("status", _string),  # done, failed or not_run
        ("count", pa.int32()),  # annotations written for this image
        ("reason", _string),
        ("isolated", pa.bool_()),  # the image ran apart from its batch, which had failed or was too large
    ]
)

LABELS = pa.schema([("id", _string), ("image_id", _string), ("label", _string), ("score", _double), *SOURCE])

ABSENCES = LABELS
"""Classes that are said not to be on the image."""

TEXTS = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("granularity", _string),
        ("text", _string),
        ("score", _double),
        ("composed", pa.bool_()),
        *SOURCE,
    ]
)

REGIONS = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("kind", _string),
        *_boxes,
        ("quad", pa.list_(_double)),  # eight numbers, or empty
        ("score", _double),
        *SOURCE,
    ]
)

REGION_TEXTS = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("region_id", _string),
        ("kind", _string),
        ("text", _string),
        ("score", _double),
        *SOURCE,
    ]
)

MASKS = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("subject_id", _string),  # a region or a phrase region
        ("polygons", _polygons),
        ("score", _double),
        *SOURCE,
    ]
)

SIMILARITIES = pa.schema([("id", _string), ("image_id", _string), ("subject_id", _string), ("score", _double), *SOURCE])

CHECKS = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("subject_id", _string),  # a text, a region or a phrase
        ("question", _string),
        ("score", _double),
        *SOURCE,
    ]
)

PHRASES = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("text_id", _string),
        ("phrase", _string),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("score", _double),
        ("derived", pa.bool_()),
        *SOURCE,
    ]
)

PHRASE_REGIONS = pa.schema(
    [
        ("id", _string),
        ("image_id", _string),
        ("phrase_id", _string),
        ("region_id", _string),  # the region it was matched to, or empty
        *_boxes,
        ("score", _double),
        *SOURCE,
    ]
)

TOKENS = pa.schema(
    [
        ("image_id", _string),
        ("text_id", _string),
        ("index", pa.int32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", _string),
        ("lemma", _string),
        ("pos", _string),
        ("tag", _string),
        ("dep", _string),
        ("head", pa.int32()),
        ("chunk", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Link:
    """A column that names rows of other tables: each value is an id in one of `parents`. An `optional` may be empty."""

    column: str
    parents: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table of a partition is. Each row names its image in `image_id`, and is removed with it.

    `links` say what its rows are about. `tells` is the column that tells apart the kinds of annotations that share the
    table (`schemas.kinds`). A row of a `judged` table gets a verdict of its own, and is dropped with its parents. Rows
    of an `exported` table are part of a sample.
    """

    schema: pa.Schema
    links: tuple[Link, ...] = ()
    tells: str = ""
    judged: bool = False
    exported: bool = False


_OF_IMAGE = Link("image_id", ("images",))

TABLES: dict[str, TableSpec] = {
    "images": TableSpec(IMAGES, judged=True, exported=True),
    "texts": TableSpec(TEXTS, (_OF_IMAGE,), tells="granularity", judged=True, exported=True),
    "regions": TableSpec(REGIONS, (_OF_IMAGE,), tells="kind", judged=True, exported=True),
    "region_texts": TableSpec(
        REGION_TEXTS, (Link("region_id", ("regions",)),), tells="kind", judged=True, exported=True
    ),
    "masks": TableSpec(MASKS, (Link("subject_id", ("regions", "phrase_regions")),), exported=True),
    "similarities": TableSpec(SIMILARITIES, (Link("subject_id", ("texts", "region_texts")),), exported=True),
    "phrases": TableSpec(PHRASES, (Link("text_id", ("texts",)),), judged=True, exported=True),
    "phrase_regions": TableSpec(
        PHRASE_REGIONS,
        (Link("phrase_id", ("phrases",)), Link("region_id", ("regions",), optional=True)),
        judged=True,
        exported=True,
    ),
    "tokens": TableSpec(TOKENS, (Link("text_id", ("texts", "region_texts")),)),
    "labels": TableSpec(LABELS, (_OF_IMAGE,)),
    "absences": TableSpec(ABSENCES, (_OF_IMAGE,)),
    "checks": TableSpec(CHECKS, (Link("subject_id", ("texts", "regions", "phrases")),)),
}
"""Every table of a partition by name; those that are judged stand parents before children."""

ANNOTATION_TABLES: dict[str, pa.Schema] = {name: table.schema for name, table in TABLES.items() if name != "images"}
"""What annotators write, by table name."""

VERDICT_TARGETS = tuple(name for name, table in TABLES.items() if table.judged)
"""Tables whose rows get a verdict, parents before children."""

EXPORTED_TABLES = tuple(name for name, table in TABLES.items() if table.exported)
"""Tables that a sample is assembled from."""


def links_to(parent: str) -> dict[str, str]:
    """Table → its column that names rows of `parent`, alone or beside others; tables that can do without are not in."""
    return {
        name: link.column
        for name, table in TABLES.items()
        for link in table.links
        if parent in link.parents and not link.optional
    }


def owner_column(table: str) -> str:
    """The column of a table that names the image of a row."""
    return "id" if table == "images" else "image_id"


FILTERS_METADATA = b"fld.filters"
"""Key of a verdict table's metadata: `{name: {filter, version, params}}` of its filters as canonical JSON."""


def verdict_schema(filter_names: list[str]) -> pa.Schema:
    """Verdicts of one target: a row per annotation, in the order of the annotation table.

    `chosen` marks the best of the kept candidates where candidates compete (region texts by similarity). Each filter
    of the target has a column with the value it decided on; null where the row was dropped before it was asked.
    """
    return pa.schema(
        [
            ("id", _string),
            ("image_id", _string),
            ("kept", pa.bool_()),
            ("reason", _string),
            ("chosen", pa.bool_()),
            *((name, _double) for name in filter_names),
        ]
    )
