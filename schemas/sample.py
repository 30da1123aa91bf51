"""The json of an exported sample: one image with everything kept about it, all three families and the targets.

Every sample of an export has the same keys and types: no nulls, no maps. `labels` and `absences` are there where the
sources of the root tell any classes of whole images. An absent quadrilateral or mask is an empty list. Numbers that can
be fractional are floats and are written with a decimal point, so that a reader which infers types from the first
samples infers the right ones. Coordinates are pixels of the upright image.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fld_engine.schemas.annotations import Granularity, RegionKind, RegionTextKind, Source, Status
from fld_engine.schemas.tasks import Task

SAMPLE_VERSION, SAMPLE_MINOR = 1, 2
"""Version of the json. The major one, its key `schema`, is raised when a key goes or a type changes; the minor one, in
the published JSON Schema, when a key is added. A reader of a major version reads all of its minor ones."""

NOT_MEASURED = -1.0
"""Similarity of a region text that no ranker scored: the lowest cosine, which no ranker gives a text it has seen."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Box = tuple[Number, Number, Number, Number]


def _quad_or_empty(quad: tuple[float, ...]) -> tuple[float, ...]:
    if len(quad) not in (0, 8):
        raise ValueError(f"a quad is empty or has 8 numbers, got {len(quad)}")
    return quad


def _polygons(mask: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    for polygon in mask:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon has at least three x y pairs, got {len(polygon)} numbers")
    return mask


Quad = Annotated[tuple[Number, ...], AfterValidator(_quad_or_empty)]
"""Four corners clockwise from the top left, or empty."""
Mask = Annotated[tuple[tuple[Number, ...], ...], AfterValidator(_polygons)]
"""Polygons `[x1 y1 x2 y2 …]`, or empty."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SourceEntry(Source):
    """Who made an annotation. Unlike in a `Source`, `round` must be given: every key is always there."""

    round: int


class ImageEntry(_Part):
    """The exported image. `sha256` is of the exported bytes; it differs from `original_sha256` where `reencoded`,
    and where EXIF and the like were left out."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    sha256: str
    original_sha256: str
    reencoded: bool
    source: str
    uri: str
    licence: str
    split: str


class StatusEntry(_Part):
    """Whether each family was annotated: `failed` and `not_run` must not be read as "nothing is there"."""

    texts: Status
    regions: Status
    groundings: Status


class TextEntry(_Part):
    """A description of the whole image. Within a granularity the best comes first."""

    id: str
    granularity: Granularity
    text: str
    score: Number
    source: SourceEntry


class RegionTextEntry(_Part):
    """A candidate text of a region. `similarity` is a cosine, or `NOT_MEASURED`; `chosen` marks the best."""

    id: str
    kind: RegionTextKind
    text: str
    similarity: Number
    chosen: bool
    source: SourceEntry


class RegionEntry(_Part):
    id: str
    kind: RegionKind
    box: Box
    quad: Quad
    mask: Mask
    score: Number
    source: SourceEntry
    texts: tuple[RegionTextEntry, ...]


class PhraseRegionEntry(_Part):
    id: str
    box: Box
    mask: Mask
    score: Number


class PhraseEntry(_Part):
    """A phrase of the grounded text, characters [start, end), and where it is seen."""

    id: str
    phrase: str
    start: int = Field(ge=0)
    end: int = Field(gt=0)
    score: Number
    regions: tuple[PhraseRegionEntry, ...]


class GroundingEntry(_Part):
    """All phrases that one annotator found in one text, in the order of the text."""

    id: str
    text_id: str
    source: SourceEntry
    phrases: tuple[PhraseEntry, ...]


class TargetEntry(_Part):
    """One training pair. `annotation_ids` are the annotations it says, in the order it says them."""

    task: Task
    prompt: str
    target: str
    annotation_ids: tuple[str, ...]


class UnsaidEntry(_Part):
    """Annotations that are in no target of a task, and why.

    `not_representable`: its language has no words for them. `too_long`: they would not all fit, and an answer that
    names some of what it is asked for is not written.
    """

    task: Task
    reason: Literal["not_representable", "too_long"]
    annotation_ids: tuple[str, ...]


class LabelEntry(_Part):
    """A class of the whole image that a source tells, or one that it says is not there. `score` is its confidence.

    `source.annotator` is `human`, `class_folder` where the folder of the image is called so, or the name of a model.
    """

    label: str
    score: Number
    source: SourceEntry


class Sample(_Part):
    """One exported image; `schema_` is the key `schema`, which pydantic keeps for itself.

    `unsaid` came with version 1.1, `labels` and `absences` with 1.2: both stand in all samples of an export, by people
    first, then by folders, then by models, the surest first, or in none.
    """

    schema_: Literal[1] = Field(alias="schema")
    id: str
    image: ImageEntry
    status: StatusEntry
    texts: tuple[TextEntry, ...]
    regions: tuple[RegionEntry, ...]
    groundings: tuple[GroundingEntry, ...]
    targets: tuple[TargetEntry, ...]
    unsaid: tuple[UnsaidEntry, ...] = ()
    labels: tuple[LabelEntry, ...] = ()
    absences: tuple[LabelEntry, ...] = ()


CLASS_KEYS = ("labels", "absences")
"""Keys of samples of a root whose sources tell classes of whole images."""
LATER_KEYS = frozenset({"unsaid", *CLASS_KEYS})
"""Keys that samples of version 1.0 lack."""


def canonical_json(sample: Sample) -> bytes:
    """The one way a sample is written: UTF-8, keys in declared order, no spaces, floats with a point or exponent.

    One that was read without a later key is written without it.
    """
    return sample.model_dump_json(by_alias=True, exclude=set(LATER_KEYS - sample.model_fields_set)).encode()


def parse_sample(data: bytes) -> Sample:
    """Read a sample. Raises `pydantic.ValidationError` for missing, unknown or wrongly typed keys."""
    return Sample.model_validate_json(data, strict=True)


def best_brief(sample: Sample) -> str:
    """The text that stands in the sample's `.txt`: the first brief one, or nothing."""
    return next((text.text for text in sample.texts if text.granularity == "brief"), "")


# ------------------------------------------------------------------------------------------------- as Arrow types

_string, _double, _int = pa.string(), pa.float64(), pa.int32()
_box = pa.list_(_double)
_mask = pa.list_(pa.list_(_double))
_source = pa.struct([("annotator", _string), ("model", _string), ("revision", _string), ("round", _int)])
_image = pa.struct(
    [
        ("width", _int),
        ("height", _int),
        ("sha256", _string),
        ("original_sha256", _string),
        ("reencoded", pa.bool_()),
        ("source", _string),
        ("uri", _string),
        ("licence", _string),
        ("split", _string),
    ]
)
_text = pa.struct(
    [("id", _string), ("granularity", _string), ("text", _string), ("score", _double), ("source", _source)]
)
_region_text = pa.struct(
    [
        ("id", _string),
        ("kind", _string),
        ("text", _string),
        ("similarity", _double),
        ("chosen", pa.bool_()),
        ("source", _source),
    ]
)
_region = pa.struct(
    [
        ("id", _string),
        ("kind", _string),
        ("box", _box),
        ("quad", _box),
        ("mask", _mask),
        ("score", _double),
        ("source", _source),
        ("texts", pa.list_(_region_text)),
    ]
)
_phrase_region = pa.struct([("id", _string), ("box", _box), ("mask", _mask), ("score", _double)])
_phrase = pa.struct(
    [
        ("id", _string),
        ("phrase", _string),
        ("start", _int),
        ("end", _int),
        ("score", _double),
        ("regions", pa.list_(_phrase_region)),
    ]
)
_grounding = pa.struct([("id", _string), ("text_id", _string), ("source", _source), ("phrases", pa.list_(_phrase))])
_target = pa.struct(
    [("task", _string), ("prompt", _string), ("target", _string), ("annotation_ids", pa.list_(_string))]
)
_unsaid = pa.struct([("task", _string), ("reason", _string), ("annotation_ids", pa.list_(_string))])
_label = pa.struct([("label", _string), ("score", _double), ("source", _source)])

SAMPLE = pa.schema(
    [
        ("schema", _int),
        ("id", _string),
        ("image", _image),
        ("status", pa.struct([("texts", _string), ("regions", _string), ("groundings", _string)])),
        ("texts", pa.list_(_text)),
        ("regions", pa.list_(_region)),
        ("groundings", pa.list_(_grounding)),
        ("targets", pa.list_(_target)),
        ("unsaid", pa.list_(_unsaid)),
        ("labels", pa.list_(_label)),
        ("absences", pa.list_(_label)),
    ]
)
"""Arrow schema of a sample's json, all its keys there."""
