"""Pictures of a folder with all that lies beside them: how they are cut into chunks, and how a chunk is read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from fld_engine.engine.sources.beside import Beside, beside, folder_of, is_picture, own_texts
from fld_engine.engine.sources.class_labels import is_description, names_beside
from fld_engine.engine.sources.classes import class_labels
from fld_engine.engine.sources.files import read_files
from fld_engine.engine.sources.img2dataset import failures, is_shard
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    extension,
    too_large,
)
from fld_engine.engine.sources.listing import Listing, cut
from fld_engine.engine.sources.metadata import NAME_KEYS, Metadata, is_metadata, load_metadata
from fld_engine.engine.sources.names import Names
from fld_engine.engine.sources.said import Reading, Said
from fld_engine.engine.sources.samples import add_bytes, text_limit

NOT_THERE = "missing"
NO_CLASSES = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "default", "no_label"})
"""Names of folders that hold pictures whatever these show; the last two are those of CVAT's and Datumaro's exports."""


def chunks_of_pictures(spec: SourceSpec, kind: str, listing: Listing) -> list[SourceChunk]:
    """Runs of about a thousand pictures, sorted by path, each with what tells of them; none where there is none."""
    rejected = [one for one in listing.rejected if extension(one.uri) in IMAGE_EXTENSIONS]
    pictures = listing.ending(IMAGE_EXTENSIONS)
    if not pictures and not rejected:
        return []
    told, sizes = beside(listing, pictures), dict(listing.files)
    shown = SourceChunk(spec=spec, kind=kind, base=listing.base, files=())
    named, missing = _named(listing, told, [path for path, _ in pictures], shown)
    first = {posixpath.dirname(path): path for path, _ in reversed(pictures)}
    passed_over = listing.passed_over(spec.name, {path for path, _ in pictures} | told.used())
    chunks: list[SourceChunk] = []
    for run in cut(pictures) or [()]:
        files = (*((path, sizes[path]) for path in told.of_run(run, first)), *run)
        chunks.append(
            SourceChunk(
                spec=spec,
                kind=kind,
                base=listing.base,
                files=files,
                rejected=(*rejected, *missing) if not chunks else (),
                named={path: named[path] for path, _ in run if path in named},
                passed_over=passed_over,
                stamp=listing.stamp(files),
            )
        )
    return chunks


def read_pictures(chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
    """Pictures in order of their paths, each with what is said of it."""
    for one in chunk.rejected:
        yield one
        if one.reason == NOT_THERE:
            yield PassedOver(
                uri=one.uri, reason="image_missing", what="annotation", of_image=one.uri, by="web", lost=True
            )
    files = dict(chunk.files)
    pictures = [path for path in files if is_picture(path)]
    others = [path for path in files if not is_picture(path)]
    metadata = {posixpath.dirname(path): path for path in others if is_metadata(path)}
    tables = {path: load_metadata(chunk.url(path), f"{chunk.stamp}/{files[path]}") for path in metadata.values()}
    described = names_beside(chunk, [path for path in others if is_description(path)])
    for path in others:
        if path not in tables and extension(path) == "parquet":
            yield from failures(chunk.url(path), files[path], chunk.uri(path))
    reading = Reading(captions=chunk.spec.caption_columns)
    own = own_texts(pictures, [path for path in others if path not in tables and not is_description(path)])
    for path, found, texts in _read(chunk, pictures, own, max_bytes):
        if isinstance(found, Rejected):
            yield found
            continue
        said = Said(chunk.uri(path), found)
        for text, data in texts.items():
            _add(said, chunk.uri(text), extension(text), data, reading)
        folder = folder_of(path, metadata)
        if folder is not None:
            place, table = metadata[folder], tables[metadata[folder]]
            written = chunk.named.get(path, (_below(path, metadata),))
            _add_rows(said, chunk.uri(place), table, written, Reading(reading.captions, table.classes or described))
        label = _class_of(path) if chunk.spec.class_folders and folder is None else ""
        annotations = said.annotations()
        labels = (*annotations.labels, *class_labels(label))
        yield from said.others_of_image()
        where = Locator(kind="file", url=chunk.url(path), length=len(found))
        annotations = annotations.model_copy(update={"labels": labels})
        yield SourceItem(uri=chunk.uri(path), source_label=label, annotations=annotations, read=where), found


def _named(
    listing: Listing, told: Beside, pictures: Sequence[str], chunk: SourceChunk
) -> tuple[dict[str, tuple[str, ...]], list[Rejected]]:
    """Names that metadata has for pictures, where they are not their paths, and rows whose picture is not there.

    `chunk` is one of the source's, for addresses.
    """
    named: dict[str, list[str]] = {}
    missing: list[Rejected] = []
    sizes = dict(listing.files)
    for folder, path in told.metadata.items():
        version = f"{listing.stamp([(path, sizes[path])])}/{sizes[path]}"
        table = load_metadata(chunk.url(path), version)
        for row, reason, detail in table.problems:
            uri = f"{chunk.uri(path)}#{row}"
            missing.append(Rejected(uri=uri, reason=reason, detail=detail, what="annotation", by="web"))
        start = f"{folder}/" if folder else ""
        mine = [one for one in pictures if folder_of(one, told.metadata) == folder]
        for written, match in Names(one.removeprefix(start) for one in mine).find_all(table.rows).items():
            if match.path:
                named.setdefault(f"{start}{match.path}", []).append(written)
            else:
                uri = f"{chunk.uri(path)}#{written}"
                missing.append(Rejected(uri=uri, reason=NOT_THERE, detail=f"no such file: {match.why}"))
    others = {path: tuple(names) for path, names in named.items() if names != [_below(path, told.metadata)]}
    return others, missing


def _below(path: str, folders: Mapping[str, object]) -> str:
    """A path as it is written in the nearest of some folders."""
    folder = folder_of(path, folders)
    return path.removeprefix(f"{folder}/") if folder else path


def _read(
    chunk: SourceChunk, pictures: Sequence[str], own: Mapping[str, Sequence[str]], max_bytes: int
) -> Iterator[tuple[str, bytes | Rejected, dict[str, bytes | Rejected]]]:
    """(picture, its bytes, the bytes of what lies beside it), in order; texts are read just before their picture."""
    files = dict(chunk.files)
    order: dict[str, None] = {}
    last: dict[str, str] = {}
    for path in pictures:
        order |= dict.fromkeys((*(one for one in own.get(path, ()) if files[one] <= _limit(one)), path))
        last |= dict.fromkeys(own.get(path, ()), path)
    held: dict[str, bytes | Rejected] = {}
    wanted = chunk.model_copy(update={"files": tuple((path, files[path]) for path in order)})
    for path, found in read_files(wanted, max_bytes):
        if not is_picture(path):
            held[path] = found
            continue
        large = {one: too_large(chunk.uri(one), files[one], _limit(one)) for one in own.get(path, ())}
        yield path, found, {one: held.get(one, large[one]) for one in own.get(path, ())}
        held = {one: data for one, data in held.items() if last[one] != path}


def _limit(path: str) -> int:
    return text_limit(extension(path))


def _add(said: Said, place: str, kind: str, data: bytes | Rejected, reading: Reading) -> None:
    if isinstance(data, Rejected):
        said.others.append(data.model_copy(update={"what": "annotation", "by": "web"}))
    else:
        add_bytes(said, data, kind, place, reading)


def _add_rows(said: Said, place: str, table: Metadata, names: Sequence[str], reading: Reading) -> None:
    for name in names:
        for number in table.rows.get(name, ()):
            said.add_record(table.record(number), f"{place}#{number}", reading, ignored=NAME_KEYS)


def _class_of(path: str) -> str:
    """The folder that a picture lies in, unless it is a numbered shard, or named after what all of it are: pictures."""
    folder = posixpath.basename(posixpath.dirname(path))
    is_none = is_shard(folder, path) or folder.endswith("!") or folder.casefold() in NO_CLASSES
    return "" if is_none else folder
