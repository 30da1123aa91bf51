"""RefCOCO, RefCOCO+ and RefCOCOg by image: COCO's instances, and what people said to mean one of them."""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.coco.annotations import parse_region
from fld_engine.engine.sources.coco.authors import Author, Authors
from fld_engine.engine.sources.coco.frames import Exif, Frame
from fld_engine.engine.sources.coco.index import CocoIndex, read_index
from fld_engine.engine.sources.coco.places import Record, short
from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.framing import framed, wh_of
from fld_engine.engine.sources.item import MAX_TEXT_CHARS, PassedOver, Rejected, clean_text, too_long
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing
from fld_engine.engine.sources.refer.pickles import load_plain
from fld_engine.schemas.annotations import Region, RegionText, Source
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.origins import Origin

INSTANCES = "instances.json"
_REFS = re.compile(r"refs\((?P<split_by>[^)]*)\)\.(p|pkl|pickle|json)")
_SENTENCE_KEYS = ("sent", "raw")
"""Fields of a sentence that hold its words, first match first: `sent` is `raw` in lower case without punctuation."""


@dataclass(frozen=True, slots=True)
class Files:
    """`references` are by the id of the annotation that they mean."""

    revision: str
    instances: CocoIndex
    references: Mapping[Any, Sequence[Record]]
    problems: Sequence[Problem]
    used: frozenset[str]


def is_references(path: str) -> bool:
    """Whether a path is that of a file of references, by its name."""
    return _REFS.fullmatch(posixpath.basename(path)) is not None


def read_files(listing: Listing, split_by: str) -> Files:
    """The files of one data set. Raises `SourceError` where they are not there, are not one, or cannot be read."""
    instances = [path for path, _ in listing.files if posixpath.basename(path) == INSTANCES]
    named = ((path, _REFS.fullmatch(posixpath.basename(path))) for path, _ in listing.files)
    references = {path: match["split_by"] for path, match in named if match}
    chosen = [path for path, name in references.items() if split_by in ("", name)]
    if len(instances) != 1 or len(chosen) != 1:
        raise SourceError(
            f"source {listing.base} has {len(instances)} files {INSTANCES} and {len(references)} of references, by "
            f"{', '.join(sorted(references.values())) or 'nobody'}; give the folder of one of refcoco, refcoco+ and "
            "refcocog, and one of these names as split_by in params"
        )
    index = read_index(f"{listing.base}/{instances[0]}")
    data = read_whole(f"{listing.base}/{chosen[0]}")
    try:
        tree = json.loads(data) if chosen[0].endswith(".json") else load_plain(data)
    except ValueError as error:
        raise SourceError(f"{listing.base}/{chosen[0]} cannot be read: {error}") from error
    if not isinstance(tree, list):
        raise SourceError(f"{listing.base}/{chosen[0]} holds {short(tree)}, expected a list of references")
    known = {record.get("id") for records in index.annotations.values() for record in records}
    problems, found = list(index.problems), dict[Any, list[Record]]()
    for number, one in enumerate(tree):
        meant = one.get("ann_id") if isinstance(one, dict) else None
        if isinstance(meant, int | str) and meant in known:
            found.setdefault(meant, []).append(one)
        else:
            place = f"#annotation/ref/{one.get('ref_id', number) if isinstance(one, dict) else number}"
            problems.append((place, "dangling_id", f"ann_id {short(meant)} is not among the annotations"))
    revision = joint_revision([index.revision, sha256_hex(data)])
    return Files(revision, index, found, problems, frozenset({instances[0], chosen[0]}))


@dataclass(frozen=True, slots=True)
class References:
    """Files by image, and how they are read."""

    files: Files
    exif: Exif

    @property
    def revision(self) -> str:
        return self.files.revision

    @property
    def names(self) -> Collection[str]:
        return self.files.instances.images.keys()

    @property
    def problems(self) -> Sequence[Problem]:
        return self.files.problems

    def count(self, name: str) -> int:
        found = [record for _, records in self._records(name) for record in records]
        references = [one for record in found for one in self.files.references.get(record.get("id"), ())]
        return len(found) + sum(len(one.get("sentences") or ()) for one in references)

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Instances in the order of the file, each with its class and what people called it."""
        source = Source(annotator=Origin.HUMAN, model=Origin.HUMAN, revision=self.revision)
        for image, records in self._records(name):
            placed = [(f"#annotation/{record.get('id')}", record) for record in records]
            wh = wh_of(image.get("width"), image.get("height"))
            frame = yield from framed(placed, wh, upright_wh, orientation, self.exif)
            if frame is not None:
                for uri, record in placed:
                    yield from self._instance(record, uri, frame, source)

    def _instance(self, record: Record, uri: str, frame: Frame, source: Source) -> Iterator[Said]:
        texts: list[RegionText] = []
        for one in self._sentences(record, source):
            if isinstance(one, RegionText):
                texts.append(one)
            else:
                yield one
        by, authors = Author(source, 1.0), Authors(self.revision)
        for found in parse_region(record, uri, frame.wh, self.files.instances.categories, by, authors):
            if isinstance(found, Region):
                yield frame.region(found.model_copy(update={"texts": (*found.texts, *texts)}))
            else:
                yield found

    def _records(self, name: str) -> Iterator[tuple[Record, Sequence[Record]]]:
        for image in self.files.instances.images[name]:
            yield image, self.files.instances.annotations.get(image["id"], ())

    def _sentences(self, record: Record, source: Source) -> Iterator[RegionText | Rejected | PassedOver]:
        """What people called one instance, each wording once."""
        said: dict[str, None] = {}
        splits: Counter[str] = Counter()
        for reference in self.files.references.get(record.get("id"), ()):
            uri = f"#annotation/ref/{reference.get('ref_id')}"
            splits[str(reference.get("split"))] += 1
            for sentence in reference.get("sentences") or ():
                words = next((sentence[key] for key in _SENTENCE_KEYS if sentence.get(key)), "")
                text = clean_text(words) if isinstance(words, str) else ""
                if not text or text in said:
                    yield PassedOver(uri=uri, reason="repeated" if text else "empty", what="annotation")
                elif len(text) > MAX_TEXT_CHARS:
                    yield too_long(uri, text)
                else:
                    said[text] = None
                    yield RegionText(kind="brief", text=text, score=1.0, source=source)
        for split, number in splits.items():
            uri, detail = f"#annotation/{record.get('id')}", f"split {split}"
            yield PassedOver(uri=uri, reason="not_kept", detail=detail, what="annotation", number=number)
