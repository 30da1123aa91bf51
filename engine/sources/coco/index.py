"""A COCO json by image, with what in it leads nowhere.

Two layouts are read: COCO's own lists, and the objects of COCO-Text and TextOCR, in which images and annotations stand
under their ids (`imgs`, `anns`; that `imgToAnns` repeats the `image_id` of annotations is not needed).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.item import clean_text
from fld_engine.engine.sources.labelled import Problem, unchanged
from fld_engine.schemas.errors import SourceError, TransportError

Record = Mapping[str, Any]

EXPECTED = (
    "expected an object with lists 'images', 'annotations' and 'categories', "
    "or, as COCO-Text and TextOCR have them, with objects 'imgs' and 'anns'"
)


@dataclass(frozen=True, slots=True)
class CocoIndex:
    """`images` by file name; `annotations` by the id of their image, in file order; `categories` by id.

    A file has several records in `images` where each is about another caption of it. `revision` is the first twelve
    hex digits of the json's sha256.
    """

    revision: str
    images: Mapping[str, Sequence[Record]]
    annotations: Mapping[int | str, Sequence[Record]]
    categories: Mapping[int | str, str]
    problems: Sequence[Problem]


def read_index(url: str) -> CocoIndex:
    """Raises `SourceError` where the json is not there or is no COCO json, `TransportError` where it cannot be had."""
    try:
        data = read_whole(url)
        tree = json.loads(data)
    except TransportError as error:
        if error.kind == "gone":
            raise SourceError(f"source {url} does not exist; give the path of a COCO json") from error
        raise
    except ImportError as error:
        raise SourceError(f"source {url} cannot be read: {error}; check the URL and the access rights") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"source {url} is not JSON: {error}; {EXPECTED}") from error
    lists = _lists(tree)
    if lists is None:
        raise SourceError(f"source {url} is not COCO json: {EXPECTED}")
    images, annotations, categories = lists
    problems: list[Problem] = []
    by_id = _images(images, problems)
    by_name: dict[str, list[Record]] = defaultdict(list)
    for record in by_id.values():
        by_name[record["file_name"]].append(record)
    return CocoIndex(
        revision=sha256_hex(data)[:12],
        images=dict(by_name),
        annotations=_annotations(annotations, by_id, problems),
        categories={
            c["id"]: clean_text(c["name"]) for c in categories if _has_id(c) and clean_text(str(c.get("name") or ""))
        },
        problems=problems,
    )


@lru_cache(maxsize=1)
def load_index(url: str, revision: str) -> CocoIndex:
    """The index that a chunk was listed from, parsed once per worker. Raises `SourceError` where it has changed."""
    return unchanged(read_index(url), revision, url)


def _lists(tree: Any) -> list[list[Any]] | None:
    """Images, annotations and categories of either layout; `None` where it is neither."""
    if not isinstance(tree, dict):
        return None
    if "images" in tree:
        lists = [tree.get(key, []) for key in ("images", "annotations", "categories")]
        return lists if all(isinstance(entries, list) for entries in lists) else None
    imgs, anns = tree.get("imgs"), tree.get("anns", {})
    if not isinstance(imgs, dict) or not isinstance(anns, dict):
        return None
    return [list(imgs.values()), list(anns.values()), []]


def _images(records: Sequence[Any], problems: list[Problem]) -> dict[int | str, Record]:
    """Image id → record."""
    found: dict[int | str, Record] = {}
    names: set[str] = set()
    for number, record in enumerate(records):
        name = record.get("file_name") if isinstance(record, dict) else None
        if not _has_id(record) or not isinstance(name, str) or not name:
            problems.append((f"#images[{number}]", "bad_record", "expected an object with 'id' and 'file_name'"))
        elif record["id"] in found or (name in names and not isinstance(record.get("caption"), str)):
            problems.append(
                (f"#{name}", "duplicate_key", f"image id {record['id']!r} or its file_name was used before")
            )
        else:
            found[record["id"]] = record
            names.add(name)
    return found


def _annotations(
    records: Sequence[Any], images: Mapping[int | str, Record], problems: list[Problem]
) -> dict[int | str, list[Record]]:
    found: dict[int | str, list[Record]] = defaultdict(list)
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            problems.append((f"#annotations[{number}]", "bad_record", "expected an object"))
            continue
        image = record.get("image_id")
        if isinstance(image, (int, str)) and image in images:
            found[image].append(record)
        else:
            place = f"#annotation/{record.get('id', number)}"
            problems.append((place, "dangling_id", f"image_id {image!r} is not among the usable images"))
    return dict(found)


def _has_id(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("id"), (int, str))
