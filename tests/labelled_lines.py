"""A source of images with a file of JSON lines that says, for each, which classes are on it and which are not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fld_engine.engine.sources.files import read_files
from fld_engine.engine.sources.item import Locator, Rejected, ScannedItem, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.annotations import Absence, Annotations, Label, Source
from fld_engine.schemas.kinds import Kind
from tests.distributions import write_distribution

KIND = "labelled_lines"


class LabelledLines:
    """Reads `said.jsonl` of a folder: `{"file": "a.jpg", "by": "human", "labels": {"cat": 1}, "absences": {}}`."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"labels", "absences"})
    expects = "said.jsonl"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return 0

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        listing = list_files(spec.url, spec.name)
        images = listing.ending({"jpg"})
        return [SourceChunk(spec=spec, kind=KIND, base=listing.base, files=tuple(images), stamp=listing.stamp(images))]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ScannedItem]:
        lines = Path(chunk.base.removeprefix("file://"), "said.jsonl").read_text().splitlines()
        said: dict[str, list[Mapping[str, Any]]] = {}
        for line in map(json.loads, lines):
            said.setdefault(line["file"], []).append(line)
        for path, found in read_files(chunk, max_bytes):
            assert not isinstance(found, Rejected)
            where = Locator(kind="file", url=chunk.url(path), length=len(found))
            annotations = Annotations(
                labels=tuple(_said(said.get(path, ()), "labels", Label)),
                absences=tuple(_said(said.get(path, ()), "absences", Absence)),
            )
            yield SourceItem(uri=chunk.uri(path), source_label="", annotations=annotations, read=where), found


def _said(lines: Sequence[Mapping[str, Any]], name: str, kind: type[Any]) -> Iterator[Any]:
    for line in lines:
        source = Source(annotator=line["by"], model=line["by"], revision="1")
        for label, score in line.get(name, {}).items():
            yield kind(label=label, score=score, source=source)


def install(site: Path) -> Path:
    """A package with this source, for whoever has the returned folder on its path."""
    return write_distribution(
        site, "labelled-lines", {"fld_engine.sources": {KIND: "tests.labelled_lines:LabelledLines"}}
    )


def write_lines(folder: Path, *said: Mapping[str, Any]) -> dict[str, Any]:
    """Write what is said of the images of a folder; returns it as a source."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "said.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    return {"url": str(folder), "name": folder.name, "kind": KIND}
