"""ODVG lines as a source: a `.jsonl`, and the folder that its images lie in."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from fld_engine.engine.sources.authors import Author, source_of
from fld_engine.engine.sources.coco.groundings import parse_grounded_caption
from fld_engine.engine.sources.files import locate, open_streamed, read_whole
from fld_engine.engine.sources.item import PassedOver, ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import NOT_LABELLED
from fld_engine.engine.sources.labelled import Problem, Said, chunks_of, read_labelled, revision_of, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.odvg.lines import (
    KNOWN,
    count_in,
    groundings_of,
    has_scores,
    instances_of,
    name_of,
    parse_label_map,
    parse_line,
)
from fld_engine.engine.sources.regions.frames import Exif, Frame, framed
from fld_engine.engine.sources.regions.marks import Mark, regions_of
from fld_engine.engine.sources.values import wh_of
from fld_engine.schemas.annotations import Frozen, Text
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class OdvgParams(Frozen):
    """How lines are read.

    `label_map` is the URL of the json that names classes by number, for instances without a `category`.
    """

    label_map: str = ""


@dataclass(frozen=True, slots=True)
class OdvgIndex:
    """`lines` by image: (number of the line, the line itself)."""

    revision: str
    lines: Mapping[str, tuple[tuple[int, str], ...]]
    classes: Mapping[int, str]
    problems: tuple[Problem, ...]
    exif: Exif
    made_by: str

    @property
    def names(self) -> Collection[str]:
        return self.lines.keys()

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Boxes with a class, then the caption with its phrases, of each line about an image."""
        source = source_of(self.revision, made_by=self.made_by)
        for number, line in self.lines[name]:
            record, uri = parse_line(line), f"#annotation/line/{number}"
            wh = wh_of(record.get("width"), record.get("height"))
            if others := record.keys() - KNOWN:
                yield PassedOver(uri=uri, reason="not_kept", detail=", ".join(sorted(others)), what="annotation")
            marks = []
            for one in instances_of(record, uri, self.classes, source):
                if isinstance(one, Mark):
                    marks.append(one)
                else:
                    yield one
            yield from regions_of(marks, wh, upright_wh, orientation, self.exif)
            caption, records, rejected = groundings_of(record, uri)
            yield from rejected
            frame = yield from framed(records, wh, upright_wh, orientation, self.exif)
            about = {"caption": caption} if "grounding" in record else {}
            shown = frame or Frame(upright_wh)
            for said in parse_grounded_caption(about, uri, records if frame else [], shown.wh, Author(source, 1.0)):
                yield shown.text(said) if isinstance(said, Text) else said

    def count(self, name: str) -> int:
        return sum(count_in(parse_line(line)) for _, line in self.lines[name])


@lru_cache(maxsize=1)
def load_index(url: str, exif: Exif, made_by: str, params: OdvgParams) -> OdvgIndex:
    """The index of a source, made once in a process."""
    return read_index(url, exif, made_by, params)


def read_index(url: str, exif: Exif, made_by: str, params: OdvgParams) -> OdvgIndex:
    """Everything that a file says. Raises `SourceError` where no line is ODVG, or scores are nobody's."""
    lines: dict[str, list[tuple[int, str]]] = defaultdict(list)
    problems: list[Problem] = []
    with open_streamed(url) as stream:
        for number, data in enumerate(stream, 1):
            if not (line := data.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()):
                continue
            try:
                record = parse_line(line)
            except ValueError as error:
                problems.append((f"#annotation/line/{number}", "bad_record", str(error)))
                continue
            if has_scores(record) and not made_by:
                raise SourceError(
                    f"line {number} of {url} has scores, which are a model's: set made_by on the source to its "
                    "name, so that what it found is not taken for a person's"
                )
            lines[name_of(record)].append((number, line))
    if not lines:
        why = f": line 1: {problems[0][2]}" if problems else ""
        raise SourceError(
            f"source {url} has no line of ODVG (a json object with filename and detection or grounding){why}"
        )
    urls = [url, params.label_map] if params.label_map else [url]
    classes = _classes(params.label_map) if params.label_map else {}
    return OdvgIndex(
        revision_of(urls), {k: tuple(v) for k, v in lines.items()}, classes, tuple(problems), exif, made_by
    )


def _classes(url: str) -> dict[int, str]:
    try:
        return parse_label_map(read_whole(url).decode("utf-8-sig", "replace"))
    except (json.JSONDecodeError, ValueError) as error:
        raise SourceError(
            f"label_map {url} cannot be read: {error}; expected an object of classes by number"
        ) from error


class OdvgSource:
    """Images with boxes that have a class, and captions with boxes for their phrases."""

    Params = OdvgParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "brief_texts", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif", "made_by"})
    expects = "ODVG lines (one .jsonl, given by its own URL)"

    def __init__(self, params: OdvgParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        return sum(1 for path, _ in listing.ending({"jsonl", "odvg"}) if not path)

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        index = read_index(spec.url, spec.exif, spec.made_by, self._params)
        folder = spec.images_url or spec.url.rpartition("/")[0] or "."
        listing = list_files(folder, spec.name, allow_outside=spec.allow_outside)
        return chunks_of(spec, "odvg", index, listing, labels=self._inside(spec, listing), unnamed=NOT_LABELLED)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each with what its lines say."""
        spec = chunk.spec
        index = load_index(spec.url, spec.exif, spec.made_by, self._params)
        yield from read_labelled(chunk, unchanged(index, chunk.revision, spec.url), max_bytes)

    def _inside(self, spec: SourceSpec, listing: Listing) -> set[str]:
        """Label files by their paths in the folder of images, where they lie there."""
        urls = [spec.url, *([self._params.label_map] if self._params.label_map else [])]
        full = [str(fs.unstrip_protocol(path)) for fs, path in map(locate, urls)]
        return {url.removeprefix(f"{listing.base}/") for url in full}
