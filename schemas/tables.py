"""Arrow schemas of every table that a dataset root stores, and the order of their columns.

All tables are flat: one row per annotation, `image_id` on every row, rows in partition order. Boxes are the columns
`x1 y1 x2 y2`. The four columns of `SOURCE` say who made the row.
"""

from __future__ import annotations

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
        ("subject_id", _string),  # a region or a phrase
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

ANNOTATION_TABLES: dict[str, pa.Schema] = {
    "texts": TEXTS,
    "regions": REGIONS,
    "region_texts": REGION_TEXTS,
    "masks": MASKS,
    "similarities": SIMILARITIES,
    "phrases": PHRASES,
    "phrase_regions": PHRASE_REGIONS,
    "tokens": TOKENS,
    "labels": LABELS,
    "checks": CHECKS,
}
"""What annotators write, by table name."""

VERDICT_TARGETS = ("images", "texts", "regions", "region_texts", "phrases", "phrase_regions")
"""Tables whose rows get a verdict, parents before children."""

PARENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "images": (),
    "texts": (("images", "image_id"),),
    "regions": (("images", "image_id"),),
    "region_texts": (("regions", "region_id"),),
    "phrases": (("texts", "text_id"),),
    "phrase_regions": (("phrases", "phrase_id"), ("regions", "region_id")),
}
"""Target → (parent table, column that names the parent). A dropped parent drops its children."""


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
