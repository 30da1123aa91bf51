"""RefCOCO, RefCOCO+ and RefCOCOg by image: COCO's instances, and what people said to mean one of them."""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.coco.index import CocoIndex, read_index
from fld_engine.engine.sources.coco.labels import CocoLabels
from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.item import PassedOver, Rejected, too_long
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing
from fld_engine.engine.sources.refer.pickles import load_plain
from fld_engine.engine.sources.regions.frames import Exif
from fld_engine.engine.sources.regions.place import Record, short
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, clean_text
from fld_engine.engine.sources.values import id_key
from fld_engine.schemas.errors import SourceError

INSTANCES = "instances.json"
_REFS = re.compile(r"refs\((?P<split_by>[^)]*)\)\.(p|pkl|pickle|json)")
_SENTENCE_KEYS = ("sent", "raw")
"""Fields of a sentence that hold its words, first match first: `sent` is `raw` in lower case without punctuation."""

Other = Rejected | PassedOver


@dataclass(frozen=True, slots=True)
class Files:
    """`instances` have what people called them among their texts; `others`, by their ids, is what is none of these."""

    instances: CocoIndex
    others: Mapping[str, Sequence[Other]]
    used: frozenset[str]


def is_references(path: str) -> bool:
    """Whether a path is that of a file of references, by its name."""
    return _REFS.fullmatch(posixpath.basename(path)) is not None


def read_files(listing: Listing, split_by: str, crowd: str) -> Files:
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
    index = read_index(listing.url(instances[0]), crowd)
    data = read_whole(listing.url(chosen[0]))
    problems, others = list(index.problems), {}
    for ann_id, found in _by_instance(data, listing.url(chosen[0]), index, problems).items():
        others[ann_id] = _give_texts(index, *found)
    revision = joint_revision([index.revision, sha256_hex(data)])
    index = dataclasses.replace(index, revision=revision, problems=problems)
    return Files(index, others, frozenset({instances[0], chosen[0]}))


def _by_instance(
    data: bytes, url: str, index: CocoIndex, problems: list[Problem]
) -> dict[str, tuple[dict[str, Any], list[Record]]]:
    """Instances that references mean, with these, by the key of the instance's id."""
    try:
        tree = json.loads(data) if url.endswith(".json") else load_plain(data)
    except ValueError as error:
        raise SourceError(f"{url} cannot be read: {error}") from error
    if not isinstance(tree, list):
        raise SourceError(f"{url} holds {short(tree)}, expected a list of references")
    known = {id_key(one.get("id")): one for records in index.annotations.values() for one in records}
    found: dict[str, tuple[dict[str, Any], list[Record]]] = {}
    for number, one in enumerate(tree):
        meant = id_key(one.get("ann_id")) if isinstance(one, dict) else ""
        if meant and meant in known:
            found.setdefault(meant, (known[meant], []))[1].append(one)  # type: ignore[arg-type]
        else:
            place = f"#annotation/ref/{one.get('ref_id', number) if isinstance(one, dict) else number}"
            problems.append((place, "dangling_id", f"ann_id {meant!r} is not among the annotations"))
    return found


def _give_texts(index: CocoIndex, instance: dict[str, Any], references: Sequence[Record]) -> list[Other]:
    """Let an instance have its class and what people called it as texts; what is none comes back."""
    briefs: dict[str, None] = {}
    others: list[Other] = []
    for reference in references:
        uri = f"#annotation/ref/{reference.get('ref_id')}"
        detail = f"split {reference.get('split')}"
        others.append(PassedOver(uri=uri, reason="not_kept", detail=detail, what="annotation"))
        for sentence in reference.get("sentences") or ():
            words = next((sentence[key] for key in _SENTENCE_KEYS if sentence.get(key)), "")
            text = clean_text(words) if isinstance(words, str) else ""
            if len(text) > MAX_TEXT_CHARS:
                others.append(too_long(uri, text))
            elif not text or text in briefs:
                others.append(PassedOver(uri=uri, reason="repeated" if text else "empty", what="annotation"))
            else:
                briefs[text] = None
    if phrase := index.categories.name(instance):
        texts = [{"kind": "brief", "text": text} for text in briefs]
        instance["fld_texts"] = [{"kind": "phrase", "text": phrase}, *texts]
    return others


@dataclass(frozen=True, slots=True)
class References:
    """Files by image, and how they are read."""

    files: Files
    exif: Exif

    @property
    def _coco(self) -> CocoLabels:
        return CocoLabels(self.files.instances, self.exif, "")

    @property
    def revision(self) -> str:
        return self.files.instances.revision

    @property
    def names(self) -> Collection[str]:
        return self._coco.names

    @property
    def problems(self) -> Sequence[Problem]:
        return self.files.instances.problems

    def count(self, name: str) -> int:
        return self._coco.count(name)

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Instances in the order of the file, each with its class and what people called it; then what is no text."""
        yield from self._coco.said(name, upright_wh, orientation)
        for image in self.files.instances.images[name]:
            for record in self.files.instances.annotations.get(image["fld_key"], ()):
                yield from self.files.others.get(id_key(record.get("id")), ())
