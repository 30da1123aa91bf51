"""What a Pascal VOC folder says, by image: its XML files, and the lists of `ImageSets/Main`."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.item import PassedOver, Rejected, SourceSpec
from fld_engine.engine.sources.label_files import after, digests_of, image_of, read_label_files, stems_of
from fld_engine.engine.sources.label_folder import images_listing
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.regions.frames import Exif
from fld_engine.engine.sources.regions.marks import regions_of
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.voc.pictures import Corners, Picture, parse_picture
from fld_engine.schemas.annotations import Absence, Frozen, Label, Source

ANNOTATIONS, IMAGES, LISTS = "Annotations", "JPEGImages", "ImageSets/Main"
_LISTED = re.compile(r'"?(?P<name>.+?)"?(?:\s+(?P<said>-1|0|1))?')
_CLASS = re.compile(r"(?P<label>.+)_(?P<set>[^_]+)")
Listed = Mapping[str, str]
"""Class → `1`, `-1` or `0`, of one image; the empty class stands for a list of images alone."""


class VocParams(Frozen):
    """How XML files are read.

    `corners`: `pixels` are numbers from 1 of the first and the last pixel of a box, as the releases of the challenge
    have them, `edges` coordinates from 0 of its edges, as labelImg, CVAT and Roboflow write them; empty: by whether a
    file names `The VOC… Database`. `difficult`: whether objects that are marked so become regions.
    """

    corners: Corners = ""
    difficult: Literal["keep", "drop"] = "keep"


@dataclass(frozen=True, slots=True)
class VocIndex:
    """`xmls` by image: (path, content). `lists` by image, what lists say of it. `used` are all label files."""

    revision: str
    xmls: Mapping[str, tuple[tuple[str, bytes], ...]]
    lists: Mapping[str, Listed]
    problems: tuple[Problem, ...]
    used: frozenset[str]
    exif: Exif
    params: VocParams

    @property
    def names(self) -> Collection[str]:
        return self.xmls.keys() | self.lists.keys()

    @property
    def source(self) -> Source:
        return source_of(self.revision)

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Everything that XML files say, then the classes of lists, by name."""
        for path, data in self.xmls.get(name, ()):
            picture = self._picture(path, data)
            if isinstance(picture, Rejected):
                yield picture
                continue
            yield from picture.others
            yield from regions_of(picture.marks, picture.stated_wh, upright_wh, orientation, self.exif)
        for label, value in sorted(self.lists.get(name, {}).items()):
            if value == "1":
                yield Label(label=label, score=1.0, source=self.source)
            elif value == "-1":
                yield Absence(label=label, score=1.0, source=self.source)
            elif label:
                uri = f"#annotation/{LISTS}/{label}/{name}"
                yield PassedOver(uri=uri, reason="difficult", detail=label, what="annotation")

    def count(self, name: str) -> int:
        pictures = [self._picture(path, data) for path, data in self.xmls.get(name, ())]
        boxes = sum(1 if isinstance(one, Rejected) else len(one.marks) + len(one.others) for one in pictures)
        return boxes + sum(1 for label in self.lists.get(name, ()) if label)

    def _picture(self, path: str, data: bytes) -> Picture | Rejected:
        uri = f"#annotation/{path}"
        try:
            return parse_picture(data, uri, self.source, self.params.corners, difficult=self.params.difficult == "keep")
        except ValueError as error:
            return Rejected(uri=uri, reason="bad_record", detail=str(error), what="annotation")


@lru_cache(maxsize=1)
def load_index(spec_json: str, params: VocParams) -> VocIndex:
    """The index of a source, made once in a process."""
    spec = SourceSpec.model_validate_json(spec_json)
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    return read_index(spec, params, listing, images_listing(spec, listing))


def read_index(spec: SourceSpec, params: VocParams, listing: Listing, images: Listing) -> VocIndex:
    """Everything that the label files of a listing say. Raises `TransportError`."""
    stems = stems_of(images)
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    xmls: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    lists: dict[str, dict[str, str]] = defaultdict(dict)
    files = [*xml_files(listing), *list_files_of(listing)]
    for path, found in read_label_files(spec, listing, files):
        if isinstance(found, Rejected):
            problems.append((f"#annotation/{path}", found.reason, found.detail))
            continue
        contents[path] = found
        if path.endswith(".txt"):
            _add_list(path, found, stems, lists, problems)
        else:
            xmls[_image_of_xml(path, found, stems)].append((path, found))
    return VocIndex(
        revision=joint_revision(digests_of(contents)) if contents else sha256_hex(b"")[:12],
        xmls={name: tuple(found) for name, found in xmls.items()},
        lists=lists,
        problems=tuple(problems),
        used=frozenset(path for path, _ in files),
        exif=spec.exif,
        params=params,
    )


def xml_files(listing: Listing) -> list[tuple[str, int]]:
    """XML files of images: in a folder `Annotations`, or beside an image of the same name."""
    stems = stems_of(listing)
    found = listing.ending({"xml"})
    inside = [file for file in found if after(file[0], ANNOTATIONS)]
    beside = [file for file in found if posixpath.splitext(file[0])[0] in stems and not after(file[0], ANNOTATIONS)]
    return [*inside, *beside]


def list_files_of(listing: Listing) -> list[tuple[str, int]]:
    """Text files of `ImageSets/Main`."""
    return [file for file in listing.ending({"txt"}) if f"/{file[0]}".rpartition("/")[0].endswith(f"/{LISTS}")]


def _image_of_xml(path: str, data: bytes, stems: Mapping[str, str]) -> str:
    """The image that lies where an XML file says it by its own place, else the one that it names."""
    stem = posixpath.splitext(path)[0]
    folders = after(stem, ANNOTATIONS)
    places = [f"{folders[0]}{IMAGES}/{folders[1]}", f"{folders[0]}images/{folders[1]}", folders[1]] if folders else []
    if found := image_of(stems, [*places, stem], ""):
        return found
    named = re.search(rb"<filename>\s*(.*?)\s*</filename>", data, re.DOTALL)
    return clean_text(named[1].decode("utf-8", "replace")) if named and named[1] else posixpath.basename(stem)


def _add_list(
    path: str, data: bytes, stems: Mapping[str, str], lists: dict[str, dict[str, str]], problems: list[Problem]
) -> None:
    """What a list says: of its class where its lines end in 1, -1 or 0, else that there are such images."""
    root = f"/{path}".rpartition(f"/{LISTS}/")[0].removeprefix("/")
    root = f"{root}/" if root else ""
    lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    named = [match for line in lines if (match := _LISTED.fullmatch(line))]
    of_class = _CLASS.fullmatch(posixpath.splitext(posixpath.basename(path))[0])
    label = clean_text(of_class["label"]) if of_class and any(match["said"] for match in named) else ""
    for number, match in enumerate(named, 1):
        name, said = match["name"], match["said"]
        if label and not said:
            detail = f"{lines[number - 1]!r}: expected 1, -1 or 0 after the name of an image"
            problems.append((f"#annotation/{path}/line/{number}", "bad_record", detail))
            continue
        places = [f"{root}{IMAGES}/{name}", f"{root}{name}", name]
        lists[image_of(stems, places, name)][label] = said or ""
