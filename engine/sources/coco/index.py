"""A COCO json by image, in COCO's own forms, with what in it leads nowhere.

Two layouts are read: COCO's own lists, and the objects of COCO-Text and TextOCR, in which images and annotations stand
under their ids (`imgs`, `anns`; that `imgToAnns` repeats the `image_id` of annotations is not needed). Annotations may
stand inside of the records of their images. Ids are compared without their types (`values.id_key`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.coco.categories import Categories, read_categories
from fld_engine.engine.sources.coco.forms import Row, bring_into_form, is_crowd
from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.labelled import Problem, unchanged
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import Ids, id_key, number, side
from fld_engine.schemas.errors import SourceError, TransportError

Record = Mapping[str, Any]

EXPECTED = (
    "expected an object with lists 'images', 'annotations' and 'categories', "
    "or, as COCO-Text and TextOCR have them, with objects 'imgs' and 'anns'"
)
OWN_IDS = ("id", "image_id", "imgid", "cocoid")
"""Fields that hold the id of an image's record, likeliest first; Karpathy's splits have the last two."""
OF_OURS = "fld-engine"
"""How the description of a json begins that the exporter `coco` wrote."""


@dataclass(frozen=True, slots=True)
class CocoIndex:
    """`images` by name; `annotations` by the key of their image, in file order; `licences` by that of the image.

    A file has several records in `images` where each is about another caption of it, or several people labelled it.
    The key of a record is its `fld_key`. `revision` is the first twelve hex digits of the json's sha256. `num_scored`
    annotations have a score and nobody who gave it, as a model's predictions have.
    """

    revision: str
    images: Mapping[str, Sequence[Record]]
    annotations: Mapping[str, Sequence[Record]]
    categories: Categories
    licences: Mapping[str, str]
    problems: Sequence[Problem]
    num_scored: int
    is_ours: bool


def read_index(url: str, crowd: str = "") -> CocoIndex:
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
    if isinstance(tree, list) and tree and isinstance(tree[0], dict) and "image_id" in tree[0]:
        raise SourceError(
            f"source {url} is a list of results, which names neither its images nor its categories: put it as "
            "'annotations' into the json of its images, and set made_by on the source to the name of the model"
        )
    lists = _lists(tree)
    if lists is None:
        raise SourceError(f"source {url} is not COCO json: {EXPECTED}")
    images, annotations, categories = lists
    problems: list[Problem] = []
    by_key = _images(images, problems)
    annotations = [*annotations, *_nested(by_key)]
    found = _annotations(annotations, by_key, problems)
    flat = [record for records in found.values() for record in records]
    bring_into_form(flat, {key: (side(one.get("width")), side(one.get("height"))) for key, one in by_key.items()})
    for record in flat:
        if "iscrowd" in record:
            record["iscrowd"] = is_crowd(record, crowd)
    described = tree.get("info")
    is_ours = isinstance(described, dict) and str(described.get("description")).startswith(OF_OURS)
    return CocoIndex(
        revision=sha256_hex(data)[:12],
        images=_by_name(by_key),
        annotations=found,
        categories=read_categories(categories, flat),
        licences=_licences(tree.get("licenses"), by_key),
        problems=problems,
        num_scored=sum(_is_scored(record, is_ours) for record in flat),
        is_ours=is_ours,
    )


@lru_cache(maxsize=1)
def load_index(url: str, revision: str, crowd: str = "") -> CocoIndex:
    """The index that a chunk was listed from, parsed once per worker. Raises `SourceError` where it has changed."""
    return unchanged(read_index(url, crowd), revision, url)


def _lists(tree: Any) -> list[list[Any]] | None:
    """Images, annotations and categories of either layout; `None` where it is neither."""
    if not isinstance(tree, dict):
        return None
    categories = tree.get("categories") or []
    if isinstance(categories, dict):
        categories = [
            {"id": key, **one} if isinstance(one, dict) else {"id": key, "name": one} for key, one in categories.items()
        ]
    if "images" in tree:
        lists: list[Any] = [tree["images"], tree.get("annotations") or [], categories]
        return lists if all(isinstance(entries, list) for entries in lists) else None
    imgs, anns = tree.get("imgs"), tree.get("anns", {})
    if not isinstance(imgs, dict) or not isinstance(anns, dict) or not isinstance(categories, list):
        return None
    return [list(imgs.values()), list(anns.values()), categories]


def _images(records: Sequence[Any], problems: list[Problem]) -> dict[str, Row]:
    """Key → record, which gets its `fld_key` and `fld_name`."""
    paths = _full_names(records)
    found: dict[str, Row] = {}
    ambiguous: set[str] = set()
    for position, record in enumerate(records):
        name = paths.get(position) or (_name(record) if isinstance(record, dict) else "")
        key = next(filter(None, (id_key(record.get(field)) for field in OWN_IDS)), "") if name else ""
        if name and not key and ("sentences" in record or "annotations" in record):
            key = f"#{position}"
        if not name or not key:
            problems.append((f"#images[{position}]", "bad_record", "expected an object with 'id' and 'file_name'"))
        elif key in found and found[key]["fld_name"] != name:
            problems.append((f"#{name}", "duplicate_key", f"image id {key!r} was used before"))
            ambiguous.add(key)
        elif key not in found:
            found[key] = {**record, "fld_key": key, "fld_name": name}
    for key in ambiguous:
        found[key]["fld_ambiguous"] = True
    return found


def _name(record: Row) -> str:
    """What a record calls its file, in any of the fields that tools use for it."""
    folder, name = record.get("filepath"), record.get("filename")
    if isinstance(folder, str) and isinstance(name, str) and folder and name and not folder.endswith(name):
        return f"{folder}/{name}"  # Karpathy
    for field in ("file_name", "filename", "path", "filepath", "file", "image_path", "img_path", "image", "name"):
        if isinstance(record.get(field), str) and record[field].strip():
            return str(record[field])
    for field in ("coco_url", "url", "flickr_url"):
        if isinstance(record.get(field), str) and (path := urlsplit_path(record[field])):
            return "/".join(path.split("/")[-2:])  # LVIS: the last two parts are folder and name
    return ""


def urlsplit_path(url: str) -> str:
    """The path of an address, without its first slash; empty where it is none."""
    try:
        return urlsplit(url).path.strip("/")
    except ValueError:
        return ""


def _full_names(records: Sequence[Any]) -> dict[int, str]:
    """Position → `path` of records that share their `file_name` with another of another `path` (coco-annotator)."""
    paths: dict[str, set[str]] = defaultdict(set)
    plain = [(n, r) for n, r in enumerate(records) if isinstance(r, dict)]
    named = [(n, r["file_name"], r["path"]) for n, r in plain if _are_text(r.get("file_name"), r.get("path"))]
    for _, name, path in named:
        paths[name].add(path)
    return {position: path for position, name, path in named if len(paths[name]) > 1}


def _are_text(*values: Any) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _by_name(by_key: Mapping[str, Row]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in by_key.values():
        found[record["fld_name"]].append(record)
    return dict(found)


def _nested(by_key: Mapping[str, Row]) -> list[Any]:
    """Annotations inside of the records of their images."""
    made: list[Any] = []
    for key, image in by_key.items():
        inside = image.pop("annotations", None)
        if isinstance(inside, list):
            made += [{**one, "image_id": key} if isinstance(one, dict) else one for one in inside]
    return made


def _annotations(records: Sequence[Any], images: Mapping[str, Row], problems: list[Problem]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    ids = Ids(images)
    names = Counter(image["fld_name"] for image in images.values())
    keys = {image["fld_name"]: key for key, image in images.items() if names[image["fld_name"]] == 1}
    for number_, record in enumerate(records):
        if not isinstance(record, dict):
            problems.append((f"#annotations[{number_}]", "bad_record", "expected an object"))
            continue
        told = record.get("image_id")
        key = ids.find(told) or (keys.get(told, "") if isinstance(told, str) else "")
        place = f"#annotation/{record.get('id', number_)}"
        if not key:
            problems.append((place, "dangling_id", f"image_id {told!r} is not among the usable images"[:400]))
        elif "fld_ambiguous" in images[key]:
            problems.append((place, "ambiguous_id", f"image_id {told!r} is that of several images; number them anew"))
        else:
            record["image_id"] = key
            found[key].append(record)
    return dict(found)


def _licences(licenses: Any, by_key: Mapping[str, Row]) -> dict[str, str]:
    """Key of an image → its licence by name, else by address; images without one are left out."""
    named: dict[str, str] = {}
    for one in licenses if isinstance(licenses, list) else ():
        if isinstance(one, dict) and (key := id_key(one.get("id"))):
            told = next((one[field] for field in ("name", "url") if isinstance(one.get(field), str) and one[field]), "")
            named[key] = clean_text(told)
    ids = Ids(named)
    found = {key: ids.find(image.get("license")) for key, image in by_key.items()}
    return {key: named[one] for key, one in found.items() if one and named[one]}


def _is_scored(record: Row, is_ours: bool) -> bool:
    try:
        number(record.get("score"))
    except (ValueError, OverflowError):
        return False
    return "fld_annotator" not in record and not (is_ours and "annotator" in record)
