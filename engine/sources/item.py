"""What a source is, what is found in it, and how the same bytes are found again.

A source is listed once, cheaply, into chunks; workers then read chunks independently of one another. Everything here
crosses processes.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.source_account import Reasons
from fld_engine.engine.sources.archives import chain_of, in_zip
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, Printable, clean_text, printable
from fld_engine.schemas.annotations import Annotations, Frozen, Source, Text
from fld_engine.schemas.origins import Origin

AUTO = "auto"
"""Kind of a source that is to be recognised by its file names."""
IN_FILES = ("file", "tar")
"""Kinds of locators that need no reader of a source: a whole file, and bytes in the middle of one."""

IMAGE_EXTENSIONS = frozenset(
    {
        "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "bmp", "gif", "tif", "tiff", "avif", "avifs",
        "heic", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "ppm", "pgm", "pbm", "pnm", "tga", "icb", "vda", "vst", "ico",
    }
)  # fmt: skip
"""Names that promise an image: those that Pillow has for the formats that can be allowed, and HEIC. The decoder decides
by content. Unsupported ones are here to be reported, not missed."""

MAX_ITEM_BYTES = 200_000_000
"""Images larger than this are rejected without being read, unless the caller says otherwise."""
WEB = Source(annotator=Origin.WEB, model=Origin.WEB, revision="")
"""Author of captions found beside images in tars and Parquet: nobody's hand-made label, nobody's model."""


def _default_name(fields: dict[str, Any]) -> str:
    """The last part of the URL before any pattern: `photos`, `captions.json`; for `laion/{00..99}.tar`, `laion`."""
    url = str(fields.get("url", ""))
    url = url.rpartition("::")[2] if "://" in url.partition("::")[0] else url  # of what is in a zip, the zip's
    stem = re.split(r"[*?\[{]", url)[0]
    if stem != url:
        stem = posixpath.dirname(stem)
    name = posixpath.basename(stem.rstrip("/"))
    return name if name.strip(".") else "source"


class SourceSpec(Frozen):
    """One `--source`: where it is and how it is to be read.

    `url` is any fsspec URL of a folder, a tar, a zip, a Parquet file or a COCO json, of what is in a zip
    (`zip://path::address of the zip`), or a pattern of tars, zips or Parquet files with `*` or `{000..099}`. `kind` is
    `auto` (by the file names), `folder`, `tars`, `zip`, `parquet`, `coco`, or the name that another package gave its
    source, whose own settings are `params`. `name` opens every URI of the source, so two sources should not share it.
    `images_url` is the folder of images of label files (default: their own folder). Columns of Parquet, and fields of
    records beside images, are recognised by their usual names where they are not given; `caption_columns` may be paths
    such as `sentences.raw`.

    A source's files are those under its own folder: what a Parquet, a json or a link names elsewhere is read only with
    `allow_outside`. `exif` says what the places in label files are of, where an image's EXIF turns it and its boxes fit
    either way: the picture as it is shown (`applied`), or the pixels as they are stored (`raw`). `crowd` says whether
    boxes of several things, such as COCO's with `iscrowd`, are kept as objects or dropped (default: dropped, but for
    those of CVAT, which writes it for single objects). `made_by` says who made the annotations: the name of a model, or
    `human`; needed where they have scores.

    With `fetch`, the source is a list of addresses, whose images are fetched first: `true`, or settings.

    `params` are left out of every dump where none are given: chunks of sources without any keep their fingerprints.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=(
            "url", "kind", "name", "gold", "licence", "class_folders", "images_url", "image_column", "uri_column",
            "caption_columns",
        ),
        never=("fetch",),
    )  # fmt: skip

    url: str = Field(min_length=1)
    kind: str = Field(default=AUTO, min_length=1)
    name: str = Field(default_factory=_default_name)
    gold: bool = False
    licence: str = ""
    class_folders: bool = True
    images_url: str = ""
    image_column: str = ""
    uri_column: str = ""
    caption_columns: tuple[str, ...] = ()
    allow_outside: bool = Field(default=False, exclude_if=lambda given: not given)
    exif: Literal["", "applied", "raw"] = Field(default="", exclude_if=lambda given: not given)
    crowd: Literal["", "keep", "drop"] = Field(default="", exclude_if=lambda given: not given)
    made_by: str = Field(default="", exclude_if=lambda given: not given)
    fetch: FetchSettings | None = Field(default=None, exclude_if=lambda given: given is None)
    params: Mapping[str, Any] = Field(default_factory=dict, exclude_if=lambda given: not given)

    @field_validator("fetch", mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        return {True: FetchSettings(), False: None}.get(given, given) if isinstance(given, bool) else given


class Locator(Frozen):
    """Where the bytes of an image are: a `file`, `length` bytes from `offset` of a `tar`, or a cell of a `parquet`.

    Any other `kind` is that of the source whose reader reads it again; what the other fields mean is its own affair.
    """

    kind: str
    url: str
    offset: int = 0
    length: int = 0
    row: int = 0
    column: str = ""


class Rejected(Frozen):
    """Something in a source that cannot be used, with a short, countable reason; its neighbours go on.

    `what` tells images, or files that might have held some, from single annotations of images that are used;
    `of_image` is the URI of the image that such an annotation is about, where that is not `uri` itself, and `by` whose
    it is.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("uri", "reason", "detail", "what", "of_image"), never=("by",))

    uri: Printable
    reason: str
    detail: Printable
    what: Literal["image", "annotation"] = "image"
    of_image: Printable = ""
    by: Literal["human", "web"] = "human"


class PassedOver(Frozen):
    """Something in a source that becomes no row of any table, and is counted.

    `lost` annotations went with an image that cannot be used, or was not found; anything else is passed over by rule.
    """

    uri: Printable
    reason: str
    detail: Printable = ""
    what: Literal["image", "annotation"] = "image"
    of_image: Printable = ""
    by: Literal["human", "web"] = "human"
    number: int = 1
    lost: bool = False


@dataclass(frozen=True, slots=True)
class SourceItem:
    """An image that a source has. `uri` names its place in the dataset's own terms, `read` says how to get it again.

    `annotations` carry their own `source`: `human` from COCO, `web` from captions in tars and Parquet, `class_folder`
    the class that the place tells. `source_label` is that class as it is written there, such as a WordNet id.
    `licence` is the image's own, empty where it has that of its source.
    """

    uri: str
    source_label: str
    annotations: Annotations
    read: Locator
    licence: str = ""


ScannedItem = tuple[SourceItem, bytes] | Rejected
ReadItem = ScannedItem | PassedOver
"""What a reader may find; what it passes over never gets further than `read_chunk`."""


class SourceChunk(Frozen):
    """A part of a source that one worker reads.

    `files` are (path relative to `base`, bytes), in order; an empty path is `base` itself. `rejected` was found while
    listing, and `passed_over` counts what was left out of the whole source there. `revision` names content that names
    and sizes do not tell of, such as that of the COCO json the chunk was listed from. `stamp` is `Listing.stamp` of the
    files: a chunk that was ingested under another one is looked at again; empty, names and sizes are all that is known
    of a file before it is read.

    `labelled`: listed from label files, which mention all of the source's images. `named` are the names that they have
    for a file, where these are not its path alone; `hints` say by name what may help to find an image that is missing.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=("spec", "kind", "base", "files", "rejected", "revision"),
        never=("stamp", "passed_over", "labelled", "hints"),
    )

    spec: SourceSpec
    kind: str
    base: str
    files: tuple[tuple[str, int], ...]
    rejected: tuple[Rejected, ...] = ()
    revision: str = ""
    stamp: str = ""
    passed_over: Reasons = Field(default_factory=dict)
    labelled: bool = False
    named: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    hints: Mapping[str, str] = Field(default_factory=dict)

    def url(self, path: str) -> str:
        """Of a file; with `allow_outside`, an absolute path or a URL is one that a json names outside of `base`."""
        if self.spec.allow_outside and re.match(r"[a-z][a-z0-9+.-]*://", path):
            return path
        if self.spec.allow_outside and path.startswith("/"):
            return f"{self.base.partition('://')[0]}://{path}"
        if self.kind == "zip" and (found := in_zip(path)):
            return f"zip://{found[1]}::{self.base}{'/' if found[0] else ''}{found[0]}"
        if path and (chain := chain_of(self.base)):
            return chain.below(path)
        return f"{self.base}/{path}" if path else self.base

    def uri(self, path: str) -> str:
        """Of a file; of one that label files speak of, they may be several sources of one folder."""
        if self.labelled:
            return f"{self.spec.name}#{path}"
        return f"{self.spec.name}{'' if path.startswith('!') else '/'}{path}" if path else self.spec.name


def extension(path: str) -> str:
    """What follows the last dot of a file name, in lower case, without a query that a downloader left behind it."""
    name, query, _ = posixpath.basename(path).partition("?")
    before = posixpath.splitext(name)[1] if query else ""
    return (before or posixpath.splitext(path)[1])[1:].lower()


def unsafe_name(path: str) -> str | None:
    """Why a name found inside a source may not be followed, or `None`."""
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "an absolute name"
    if "\\" in path:
        return "a name with a backslash"
    if ".." in path.split("/"):
        return "a name that leaves the source"
    if printable(path) != path:
        return "a name that is not UTF-8"
    return None


def web_captions(values: Iterable[object], uri: str) -> tuple[Annotations, list[Rejected | PassedOver]]:
    """Found captions as brief texts of source `web`, in order, and what is none of them: too long, empty, no text.

    What is said twice is one text.
    """
    others: list[Rejected | PassedOver] = []
    texts: dict[str, Text] = {}
    for value in values:
        text = clean_text(value) if isinstance(value, str) else ""
        if len(text) > MAX_TEXT_CHARS:
            others.append(too_long(uri, text).model_copy(update={"by": "web"}))
        elif text in texts:
            others.append(PassedOver(uri=uri, reason="repeated", what="annotation", by="web"))
        elif text:
            texts[text] = Text(granularity="brief", text=text, score=1.0, source=WEB)
        elif value is not None:
            reason = "empty" if isinstance(value, str) else "form_not_read"
            others.append(PassedOver(uri=uri, reason=reason, what="annotation", by="web"))
    return Annotations(texts=tuple(texts.values())), others


def too_long(uri: str, text: str) -> Rejected:
    return Rejected(
        uri=uri,
        reason="text_too_long",
        detail=f"a caption of {len(text)} characters; at most {MAX_TEXT_CHARS} are kept",
        what="annotation",
    )


def too_large(uri: str, num_bytes: int, max_bytes: int) -> Rejected:
    """An image that is not even read."""
    return Rejected(uri=uri, reason="too_many_bytes", detail=f"{num_bytes} bytes, at most {max_bytes} are accepted")
