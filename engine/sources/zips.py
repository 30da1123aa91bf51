"""Zips of images, as they are published and exported: read as a folder of images is, without being unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from fld_engine.engine.data.source_account import Counting
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, ReadItem, Rejected, SourceChunk, SourceSpec
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.pictures import chunks_of_pictures, read_pictures
from fld_engine.engine.sources.reader import NoParams
from fld_engine.engine.sources.tars import TarSource
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class ZipSource:
    """Zips under a folder, of a pattern, or a single one, with images and what lies beside them."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts", "objects", "masks", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"class_folders", "caption_columns"})
    expects = "zip of images (.zip)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        """Zips where there is nothing else: beside pictures, one is more likely their origin."""
        others = listing.ending({*IMAGE_EXTENSIONS, "parquet"}) or TarSource.recognises(listing)
        return 0 if others else len(listing.ending({"zip"}))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images of one zip, zips sorted by path. Members are `path/of.zip!/path/in/it`."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        zips = listing.ending({"zip"})
        chunks: list[SourceChunk] = []
        broken: list[Rejected] = []
        over = Counting()
        over.add_reasons("images", "passed_over", listing.passed_over(spec.name, {path for path, _ in zips}))
        for path, _ in zips:
            address = SourceChunk(spec=spec, kind="", base=listing.base, files=()).url(path)
            try:
                inside = list_files(f"zip://::{address}", spec.name)
            except SourceError as error:
                broken.append(Rejected(uri=f"{spec.name}/{path}", reason="corrupt", detail=str(error)))
                continue
            within = _within(listing, path, inside)
            made = chunks_of_pictures(spec, "zip", within)
            unused = made[0].passed_over if made else within.passed_over(spec.name, ())
            over.add_reasons("images", "passed_over", unused)
            chunks += made
        if not chunks:
            there = [one.uri for reason in over.account().images.passed_over.values() for one in reason.examples]
            what = f", but {', '.join(there)}; zips in a zip are not read" if there else ""
            why = broken[0].detail if broken else f"none of its {len(zips)} zips holds an image{what}"
            raise SourceError(f"source {spec.url} holds no image: {why}{listing.outside()}")
        passed_over = over.account().images.passed_over
        chunks[0] = chunks[0].model_copy(update={"rejected": (*broken, *chunks[0].rejected)})
        return [chunk.model_copy(update={"passed_over": passed_over}) for chunk in chunks]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths; the folder an image lies in is its class."""
        yield from read_pictures(chunk, max_bytes)


def _within(listing: Listing, path: str, inside: Listing) -> Listing:
    """The listing of a zip, as part of the listing that the zip is in."""
    start = f"{path}!/"
    version = listing.versions.get(path, "")
    return replace(
        inside,
        base=listing.base,
        files=[(f"{start}{one}", size) for one, size in inside.files],
        set_aside={f"{start}{one}": why for one, why in inside.set_aside.items()},
        versions={f"{start}{one}": f"{version}/{crc}" for one, crc in inside.versions.items()},
    )
