"""ODVG: a json object a line for each image, with boxes that have a class, or a caption and its phrases with theirs.

The format is that of Open-GroundingDINO and of MM-Grounding-DINO: `detection.instances` and `grounding.regions`, boxes
as corners x1 y1 x2 y2 in pixels. A region may have one box or a list of them; its phrase is at `tokens_positive` in the
caption, or wherever it stands there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.marks import Mark
from fld_engine.engine.sources.regions.place import Record, short, xywh_of
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import finite, whole
from fld_engine.schemas.annotations import Source

KNOWN = frozenset({"filename", "file_name", "height", "width", "detection", "grounding", "image_id", "dataset"})
"""Keys of a line that are read, or say nothing about its image."""


def parse_line(line: str) -> Record:
    """A line as an object with a `filename`. Raises `ValueError`."""
    try:
        record = json.loads(line)
    except RecursionError as error:
        raise ValueError("not JSON: it is nested too deeply") from error
    if not isinstance(record, dict) or not isinstance(name_of(record), str):
        raise ValueError("expected an object with 'filename', and 'detection' or 'grounding'")
    if not isinstance(record.get("detection"), dict) and not isinstance(record.get("grounding"), dict):
        raise ValueError(f"expected 'detection' or 'grounding' beside {', '.join(record)}")
    return record


def name_of(record: Record) -> Any:
    """The image of a line: `filename`, which some write as COCO does."""
    return record.get("filename", record.get("file_name"))


def parse_label_map(text: str) -> dict[int, str]:
    """Classes by number: `{"0": "person", …}`. Raises `ValueError`."""
    tree = json.loads(text)
    if not isinstance(tree, dict):
        raise ValueError("a label map is an object of classes by number")
    numbered = {whole(key): clean_text(str(name)) for key, name in tree.items()}
    return {key: name for key, name in numbered.items() if key is not None and name}


def count_in(record: Record) -> int:
    """How many annotations a line has: boxes with a class, boxes of phrases, and the caption."""
    regions = _list(record, "grounding", "regions")
    boxes = sum(len(_boxes(one.get("bbox"))) if isinstance(one, dict) else 1 for one in regions)
    return len(_list(record, "detection", "instances")) + boxes + ("grounding" in record)


def instances_of(
    record: Record, uri: str, names: Mapping[int, str], source: Source
) -> Iterator[Mark | Rejected | PassedOver]:
    """Boxes with a class; `names` are those of the label map, for instances without a `category`."""
    for index, found in enumerate(_list(record, "detection", "instances")):
        place = f"{uri}/instance[{index}]"
        if not isinstance(found, dict):
            yield Rejected(uri=place, reason="bad_record", detail="expected an object", what="annotation")
            continue
        given, key = found.get("category"), whole(found.get("label"))
        name = clean_text(given) if isinstance(given, str) else names.get(-1 if key is None else key, "")
        xywh = _xywh(found.get("bbox"))
        if not name:
            detail = f"label {short(found.get('label'))} has no category, and no name in the label map"
            yield Rejected(uri=place, reason="dangling_id", detail=detail, what="annotation")
        elif isinstance(xywh, tuple):
            yield Rejected(uri=place, reason=xywh[0], detail=f"{name!r}: {xywh[1]}", what="annotation")
        else:
            score = found.get("score", 1.0)
            yield Mark(place, name, {"bbox": xywh}, source, float(score) if isinstance(score, int | float) else 1.0)


def has_scores(record: Record) -> bool:
    """Whether instances or regions have a `score`, as a model's do."""
    found = [*_list(record, "detection", "instances"), *_list(record, "grounding", "regions")]
    return any(isinstance(one, dict) and "score" in one for one in found)


def groundings_of(record: Record, uri: str) -> tuple[str, list[tuple[str, Record]], list[Rejected]]:
    """(caption, MDETR's records of its phrases with their URIs, what cannot be read); no caption is an empty one.

    A phrase that stands in the caption several times is all of them only where `tokens_positive` says so: else it is
    the first that no phrase before it has taken.
    """
    grounding = record.get("grounding")
    caption = grounding.get("caption") if isinstance(grounding, dict) else None
    if not isinstance(caption, str):
        caption = ""
    records: list[tuple[str, Record]] = []
    rejected: list[Rejected] = []
    taken: dict[str, list[int]] = {}
    for index, found in enumerate(_list(record, "grounding", "regions")):
        place = f"{uri}/region[{index}]"
        if not isinstance(found, dict):
            rejected.append(Rejected(uri=place, reason="bad_record", detail="expected an object", what="annotation"))
            continue
        spans = found.get("tokens_positive") or _found(found.get("phrase"), caption, taken)
        if not spans:
            detail = f"phrase {short(found.get('phrase'))} is not in the caption {short(caption)}"
            rejected.append(Rejected(uri=place, reason="bad_span", detail=detail, what="annotation"))
            continue
        for number_of_box, bbox in enumerate(_boxes(found.get("bbox"))):
            xywh = _xywh(bbox)
            at = f"{place}/box[{number_of_box}]"
            if isinstance(xywh, tuple):
                rejected.append(Rejected(uri=at, reason=xywh[0], detail=xywh[1], what="annotation"))
            else:
                records.append((at, {"bbox": xywh, "tokens_positive": spans, "score": found.get("score", 1.0)}))
    return caption, records, rejected


def _found(phrase: Any, caption: str, taken: dict[str, list[int]]) -> list[list[int]]:
    """Spans of a phrase, or of each of a list of them, in a caption; none where one is not there.

    Two regions of one phrase are of one span, unless the phrase stands there once more for each of them.
    """
    spans = []
    for one in phrase if isinstance(phrase, list) else [phrase]:
        if not isinstance(one, str) or not one.strip():
            return []
        places = _places(one.strip(), caption)
        if not places:
            return []
        before = taken.setdefault(one.strip().lower(), [])
        start = places[min(len(before), len(places) - 1)]
        before.append(start)
        spans.append([start, start + len(one.strip())])
    return spans


def _places(phrase: str, caption: str) -> list[int]:
    """Where a phrase begins in a caption, whatever its letters' case: between words, or else anywhere."""
    written = re.escape(phrase)
    found = [match.start() for match in re.finditer(rf"(?<!\w){written}(?!\w)", caption, re.IGNORECASE)]
    return found or [match.start() for match in re.finditer(written, caption, re.IGNORECASE)]


def _boxes(bbox: Any) -> list[Any]:
    """One box, or a list of them, as a list."""
    nested = isinstance(bbox, list) and bbox and all(isinstance(one, list) for one in bbox)
    return list(bbox) if nested else [bbox]


def _xywh(corners: Any) -> list[float] | tuple[str, str]:
    """COCO's box of four corners, or (reason, detail) why there is none."""
    try:
        sides: Sequence[float] = [finite(side) for side in corners]
    except (TypeError, ValueError) as error:
        return "box_malformed", f"bbox {short(corners)}: {error}"
    if len(sides) != 4:
        return "box_malformed", f"bbox {short(corners)} is not x1 y1 x2 y2"
    if max(sides) <= 1:
        return "box_in_fractions", f"bbox {short(corners)}: write corners in pixels"
    return xywh_of(sides)


def _list(record: Record, field: str, key: str) -> list[Any]:
    part = record.get(field)
    found = part.get(key) if isinstance(part, dict) else None
    return found if isinstance(found, list) else []
