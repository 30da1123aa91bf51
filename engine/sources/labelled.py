"""The skeleton of every source that is label files with a folder of images.

A layout reads its label files into an index, which says what is said of which image, by the names that the label files
have for images. The rest is here: the images are looked up (`names`), what is not there is rejected with its labels
counted as lost, files that no label file speaks of are counted, and the images are read with what is said of them. An
index is made once where a source is listed, and once in each process of a worker, which keeps it: a layout's loader has
an `lru_cache`, and calls `unchanged`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from fld_engine.engine.data.images import ANY_IMAGE, upright_frame
from fld_engine.engine.sources.files import open_streamed, read_files
from fld_engine.engine.sources.item import (
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    unsafe_name,
)
from fld_engine.engine.sources.listing import Listing, cut, size_of
from fld_engine.engine.sources.names import Match, Names
from fld_engine.engine.sources.reach import OUTSIDE, resolve
from fld_engine.schemas.annotations import Absence, Annotations, Label, Region, Text
from fld_engine.schemas.errors import SourceError, UnreadableImage

Said = Text | Region | Label | Absence | Rejected | PassedOver
"""What may be said of an image. URIs of `Rejected` and `PassedOver` are places in the label files, `#annotation/17`."""
Problem = tuple[str, str, str]
"""(place in the label files, such as `#annotation/17` or `#images[3]`; reason; detail) of what leads to no image."""

OF_ANNOTATION = ("#annotation", "#caption")
"""How the places of annotations begin; any other place is that of an image."""
NOT_THERE = ("missing", "link_outside", "bad_name")
"""Reasons of images that label files name and nobody can read."""
REVISION_DIGITS = 12


class LabelIndex(Protocol):
    """What the label files of a source say, by image.

    `revision` names the contents of all label files (`revision_of`). `names` are the images as the label files call
    them, each once. `said` gives what is said of one of them, in a fixed order, in pixels of the upright image:
    `upright_wh` is its size, and EXIF `orientation` says how the stored pixels become it (1: they are). `count` is the
    number of annotations that `said` would speak of, for images that nobody can read.
    """

    @property
    def revision(self) -> str: ...

    @property
    def names(self) -> Collection[str]: ...

    @property
    def problems(self) -> Sequence[Problem]: ...

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]: ...

    def count(self, name: str) -> int: ...


class Revised(Protocol):
    """What was read of label files of a revision."""

    @property
    def revision(self) -> str: ...


Index = TypeVar("Index", bound=Revised)


@runtime_checkable
class StatesLicences(Protocol):
    """An index that knows the licence of an image; empty where it is that of the source."""

    def licence(self, name: str) -> str: ...


def chunks_of(
    spec: SourceSpec, kind: str, index: LabelIndex, listing: Listing, *, labels: Collection[str], unnamed: str
) -> list[SourceChunk]:
    """Runs of about a thousand images by path; what the label files promise in vain is in the first chunk.

    `listing` is that of the folder of images, in which the files `labels` are label files; any other file that no label
    file names is passed over for the reason `unnamed`. Raises `SourceError` where not one image is there.
    """
    found = _found(index.names, listing, spec)
    sizes = dict(listing.files)
    if spec.allow_outside:
        sizes |= {match.path: size for match, size in found.values() if size is not None}
    named: dict[str, list[str]] = defaultdict(list)
    for name, (match, _) in found.items():
        if match.path:
            named[match.path].append(name)
    missing = {name: match for name, (match, _) in found.items() if not match.path}
    if not named:
        raise SourceError(_nothing(spec, index, listing, missing))
    problems = [*index.problems, *(_missing(name, listing) for name in missing)]
    passed_over = listing.passed_over(spec.name, named.keys() | set(labels), unnamed)
    chunks = []
    for number, run in enumerate(cut([(path, sizes[path]) for path in sorted(named)])):
        otherwise = {path: tuple(named[path]) for path, _ in run if named[path] != [path]}
        chunks.append(
            SourceChunk(
                spec=spec,
                kind=kind,
                base=listing.base,
                files=tuple(run),
                rejected=tuple(_rejected(spec, *one) for one in problems) if number == 0 else (),
                hints={name: match.why for name, match in missing.items()} if number == 0 else {},
                revision=index.revision,
                labelled=True,
                named=otherwise,
                passed_over=passed_over,
                stamp=listing.stamp(run),
            )
        )
    return chunks


def read_labelled(chunk: SourceChunk, index: LabelIndex, max_bytes: int) -> Iterator[ReadItem]:
    """Images in order of their paths, each after what was rejected or passed over of what is said of it.

    The URI of an image is `source#path` (`SourceChunk.uri`): label files of two sources that describe one image are two
    places of it, so that the annotations of both are kept.
    """
    prefix = chunk.spec.name
    for one in chunk.rejected:
        name = one.uri.removeprefix(f"{prefix}#")
        hint = chunk.hints.get(name, "")
        yield one.model_copy(update={"detail": f"{one.detail}; {hint}"}) if hint else one
        if one.reason in NOT_THERE:
            yield from _lost(index, [name], one.uri, "image_missing")
    for path, found in read_files(chunk, max_bytes):
        names = chunk.named.get(path, (path,))
        uri = chunk.uri(path)
        if isinstance(found, Rejected):
            yield found
            yield from _lost(index, names, uri, "image_refused")
            continue
        said = list(_said(index, names, uri, found))
        for other in said:
            if isinstance(other, Rejected | PassedOver):
                place = other.uri if other.uri == uri else f"{prefix}{other.uri}"
                yield other.model_copy(update={"uri": place, "of_image": uri})
        annotations = Annotations.model_construct(
            texts=tuple(one for one in said if isinstance(one, Text)),
            regions=tuple(one for one in said if isinstance(one, Region)),
            labels=tuple(one for one in said if isinstance(one, Label)),
            absences=tuple(one for one in said if isinstance(one, Absence)),
        )
        licence = next(filter(None, map(index.licence, names)), "") if isinstance(index, StatesLicences) else ""
        where = Locator(kind="file", url=chunk.url(path), length=len(found))
        yield SourceItem(uri=uri, source_label="", annotations=annotations, read=where, licence=licence), found


def revision_of(urls: Iterable[str]) -> str:
    """Twelve hex digits over the contents of files, in order: of one, the first of its sha256. Raises `TransportError`.

    For files that are parsed without being held; one that is read whole anyway is hashed there.
    """
    digests = []
    for url in urls:
        with open_streamed(url) as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return joint_revision(digests)


def joint_revision(digests: Sequence[str]) -> str:
    """The revision of label files with these sha256, in order."""
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return whole[:REVISION_DIGITS]


def unchanged(index: Index, revision: str, url: str) -> Index:
    """The index, where it is the one that a chunk was listed from. Raises `SourceError` where its files changed."""
    if index.revision != revision:
        raise SourceError(f"{url} changed while it was ingested; let the source come to rest and run again")
    return index


def _found(names: Collection[str], listing: Listing, spec: SourceSpec) -> dict[str, tuple[Match, int | None]]:
    """The file of each image; one that lies outside of the folder, which a source may allow, with its bytes."""
    files = Names(path for path, _ in listing.files)
    others = [name for name in names if name not in files]
    outside = _elsewhere(others, listing) if spec.allow_outside else {}
    inside = files.find_all(name for name in names if name not in outside)
    return {name: (Match(name, "exact"), outside[name]) if name in outside else (inside[name], None) for name in names}


def _elsewhere(names: Sequence[str], listing: Listing) -> dict[str, int]:
    """Bytes of files of the same file system that are named outside of the image folder, where they are there."""
    found = {}
    for name in names:
        url, problem = resolve(name, listing.base, allow_outside=True)
        if not problem and url.partition("://")[0] == listing.base.partition("://")[0]:
            size = size_of(url)
            if size is not None:
                found[name] = size
    return found


def _nothing(spec: SourceSpec, index: LabelIndex, listing: Listing, missing: Mapping[str, Match]) -> str:
    """Why there is no image at all, and what to do."""
    if not missing:
        why = "; ".join(f"{place} is not used: {reason}, {detail}" for place, reason, detail in index.problems[:1])
        return f"{spec.url} speaks of no image that can be used{': ' + why if why else ''}"
    name, match = next(iter(missing.items()))
    return (
        f"none of the {len(missing)} images of {spec.url} is in {listing.base}, {name!r} for one; set images_url to "
        f"the folder that these names start from: {match.why}{listing.outside()}"
    )


def _missing(name: str, listing: Listing) -> Problem:
    if listing.set_aside.get(name) == "link_outside":
        return f"#{name}", "link_outside", OUTSIDE
    if reason := unsafe_name(name):
        return f"#{name}", "bad_name", f"{reason} is not followed"
    return f"#{name}", "missing", "no such file in the image folder"


def _rejected(spec: SourceSpec, place: str, reason: str, detail: str) -> Rejected:
    what = "annotation" if place.startswith(OF_ANNOTATION) else "image"
    return Rejected(uri=f"{spec.name}{place}", reason=reason, detail=detail, what=what)


def _lost(index: LabelIndex, names: Iterable[str], uri: str, reason: str) -> Iterator[PassedOver]:
    """What is said about an image that is not there, or cannot be used."""
    if number := sum(map(index.count, names)):
        yield PassedOver(uri=uri, reason=reason, what="annotation", of_image=uri, number=number, lost=True)


def _said(index: LabelIndex, names: Sequence[str], uri: str, data: bytes) -> Iterator[Said]:
    """What is said about one image; all is lost where it cannot be read, for it will be rejected whole."""
    try:
        upright_wh, orientation = upright_frame(data, ANY_IMAGE)
    except UnreadableImage:
        yield from _lost(index, names, uri, "image_refused")
        return
    for name in names:
        yield from index.said(name, upright_wh, orientation)
