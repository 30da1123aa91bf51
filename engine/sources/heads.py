"""What label files are by how they begin, for tools name a json, an XML or a csv as they like."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from fld_engine.engine.sources.files import open_streamed
from fld_engine.engine.sources.label_files import stems_of
from fld_engine.engine.sources.listing import Listing
from fld_engine.schemas.errors import TransportError

HEAD_BYTES = 65_536
MAX_ASKED = 16
"""Files of an extension that are looked into; those that lie highest come first."""

_COCO = re.compile(rb'"(images|annotations|anns|imgs)"\s*:\s*[\[{]')
_COCO_ROW = re.compile(rb'"(file_name|image_id|coco_url)"\s*:')
_LABELME = re.compile(rb'"(shapes|imagePath)"\s*:')
_CVAT = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<annotations>\s*(<version>|<meta>|<image\s)")


def coco_files(listing: Listing) -> list[str]:
    """COCO jsons whose names no image shares: paths in order; the empty one where a json is the only file."""
    if [path for path, _ in listing.ending({"json"}) if not path]:
        return [""]
    images = {posixpath.basename(stem) for stem in stems_of(listing)}
    others = [path for path, _ in listing.ending({"json"}) if posixpath.basename(path)[: -len(".json")] not in images]
    return [path for path, head in _heads(listing, others) if _COCO.search(head) and _COCO_ROW.search(head)]


def cvat_files(listing: Listing) -> list[str]:
    """XML files that begin as CVAT's do, of those that no image shares its name with."""
    stems = stems_of(listing)
    others = [path for path, _ in listing.ending({"xml"}) if posixpath.splitext(path)[0] not in stems]
    return [path for path, head in _heads(listing, others) if _CVAT.match(head)]


def labelme_files(listing: Listing) -> list[str]:
    """Json files beside images, where all that are looked into are labelme's; else none."""
    stems = stems_of(listing)
    beside = [path for path, _ in listing.ending({"json"}) if posixpath.splitext(path)[0] in stems]
    asked = [len(set(_LABELME.findall(head))) == 2 for _, head in _heads(listing, beside)]
    return beside if asked and all(asked) else []


def first_lines(listing: Listing, extension: str) -> Iterator[tuple[str, bytes]]:
    """(path, first line) of files with an extension."""
    for path, head in _heads(listing, [path for path, _ in listing.ending({extension})]):
        yield path, head.partition(b"\n")[0]


def _heads(listing: Listing, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """(path, first bytes) of the files that lie highest, in order; what cannot be read is nothing that is known."""
    for path in sorted(sorted(paths, key=lambda path: path.count("/"))[:MAX_ASKED]):
        try:
            with open_streamed(listing.url(path)) as stream:
                yield path, stream.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        except TransportError:
            continue
