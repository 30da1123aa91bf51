"""What a folder of ImageNet says, by image: the WordNet id that it lies under, files of truth, and XML of boxes."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.classes import class_labels
from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.imagenet.truth import (
    GROUND_TRUTH,
    SOLUTIONS,
    Truth,
    marks_of,
    parse_ground_truth,
    parse_solution,
    stem_of,
    wnid_of,
)
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, Rejected, SourceSpec
from fld_engine.engine.sources.label_files import after, digests_of, read_label_files
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.regions.frames import Exif
from fld_engine.engine.sources.regions.marks import regions_of
from fld_engine.engine.sources.voc.pictures import parse_picture
from fld_engine.engine.sources.wordnet import class_name, is_wnid
from fld_engine.schemas.annotations import Frozen, Label
from fld_engine.schemas.errors import SourceError


class ImageNetParams(Frozen):
    """How files of truth are read.

    `synsets` is the URL of a text file with a WordNet id at the beginning of each line, in the order of the numbers of
    `ILSVRC2012_validation_ground_truth.txt` (`synsets` of the devkit's `meta.mat`). Without it that file is not read.
    """

    synsets: str = ""


@dataclass(frozen=True, slots=True)
class ImageNetIndex:
    """`names` are images by path. `truths` and `xmls`, of (path, content), are by the name of an image alone."""

    revision: str
    names: Collection[str]
    truths: Mapping[str, Truth]
    xmls: Mapping[str, tuple[str, bytes]]
    problems: tuple[Problem, ...]
    used: frozenset[str]
    exif: Exif

    def labels(self, path: str) -> tuple[Label, ...]:
        """The class of an image: of people where a file of truth has it, else of where the image lies."""
        truth = self.truths.get(stem_of(path))
        if truth is None or wnid_of(path):
            return class_labels(wnid_of(path))
        return (Label(label=class_name(truth.wnid), score=1.0, source=source_of(self.revision)),)

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """The class, then the boxes of the XML file, or where there is none those of a file of truth."""
        yield from self.labels(name)
        stem, source = stem_of(name), source_of(self.revision)
        path, data = self.xmls.get(stem, ("", b""))
        try:
            if path:
                picture = parse_picture(data, f"#annotation/{path}", source, "edges", difficult=True)
                marks = [replace(mark, what=class_name(mark.what)) for mark in picture.marks]
                yield from picture.others
                yield from regions_of(marks, picture.stated_wh, upright_wh, orientation, self.exif)
            elif stem in self.truths:
                marks = list(marks_of(self.truths[stem], f"#annotation/{stem}", source))
                yield from regions_of(marks, None, upright_wh, orientation, self.exif)
        except ValueError as error:
            uri = f"#annotation/{path or stem}"
            yield Rejected(uri=uri, reason="bad_record", detail=str(error), what="annotation")

    def count(self, name: str) -> int:
        path, data = self.xmls.get(stem_of(name), ("", b""))
        truth = self.truths.get(stem_of(name))
        boxes = data.count(b"<object>") if path else len(truth.groups) if truth else 0
        return boxes + (truth is not None and not wnid_of(name))


@lru_cache(maxsize=1)
def load_index(spec_json: str, params: ImageNetParams) -> ImageNetIndex:
    """The index of a source, made once in a process."""
    spec = SourceSpec.model_validate_json(spec_json)
    return read_index(spec, params, list_files(spec.url, spec.name, allow_outside=spec.allow_outside))


def read_index(spec: SourceSpec, params: ImageNetParams, listing: Listing) -> ImageNetIndex:
    """Everything that files beside the images say. Raises `SourceError`, `TransportError`."""
    files = [*xml_files(listing), *truth_files(listing)]
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    truths: dict[str, Truth] = {}
    xmls: dict[str, tuple[str, bytes]] = {}
    wnids = _synsets(params.synsets) if params.synsets else []
    by_file: dict[str, list[tuple[str, Truth | str]]] = defaultdict(list)
    for path, found in read_label_files(spec, listing, files):
        if isinstance(found, Rejected):
            problems.append((f"#annotation/{path}", found.reason, found.detail))
            continue
        contents[path] = found
        name, text = posixpath.basename(path), found.decode("utf-8-sig", "replace")
        if name in SOLUTIONS:
            by_file[path] += parse_solution(text)
        elif name == GROUND_TRUTH and wnids:
            by_file[path] += parse_ground_truth(text, wnids)
        elif name == GROUND_TRUTH:
            detail = "its numbers are classes of the devkit's meta.mat: set params.synsets to a file with their ids"
            problems.append((f"#annotation/{path}", "classes_unknown", detail))
        else:
            xmls[stem_of(path)] = (path, found)
    for path, lines in by_file.items():
        for image, said in lines:
            if isinstance(said, str):
                problems.append((f"#annotation/{path}/{image}", "bad_record", said))
            elif image not in truths or not truths[image].groups:
                truths[image] = said
    return ImageNetIndex(
        revision=joint_revision([*digests_of(contents), *wnids]),
        names=[path for path, _ in listing.ending(IMAGE_EXTENSIONS)],
        truths=truths,
        xmls=xmls,
        problems=tuple(problems),
        used=frozenset(path for path, _ in files),
        exif=spec.exif,
    )


def xml_files(listing: Listing) -> list[tuple[str, int]]:
    """XML files of the boxes, in `Annotations`."""
    return [file for file in listing.ending({"xml"}) if after(file[0], "Annotations") or wnid_of(file[0])]


def truth_files(listing: Listing) -> list[tuple[str, int]]:
    """Files that say of images by name what their classes are."""
    return [file for file in listing.files if posixpath.basename(file[0]) in (*SOLUTIONS, GROUND_TRUTH)]


def _synsets(url: str) -> list[str]:
    lines = read_whole(url).decode("utf-8-sig", "replace").splitlines()
    wnids = [line.split()[0] for line in lines if line.strip()]
    if not wnids or not all(map(is_wnid, wnids)):
        raise SourceError(f"synsets {url}: expected a WordNet id, such as n01440764, at the beginning of each line")
    return wnids
