"""One image of Visual Genome's files to our types.

Keys are those of releases 1.2 and 1.4, beside those of 1.0 in which a record has `id` where later ones have `image_id`,
`region_id` or `object_id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fld_engine.engine.sources.item import PassedOver, Rejected, too_long
from fld_engine.engine.sources.regions.place import place_of, short
from fld_engine.engine.sources.regions.relations import Thing, relation_text
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, clean_text
from fld_engine.schemas.annotations import Region, RegionText, Source, Text

Record = Mapping[str, Any]
Wh = tuple[int, int]
Said = Text | Region | Rejected | PassedOver


def id_of(record: Record, *names: str) -> Any:
    """The first of these keys that a record has, else its `id`."""
    return next((record[name] for name in (*names, "id") if name in record), None)


def parse_description(record: Record, uri: str, image_wh: Wh, source: Source) -> Iterator[Region | Rejected]:
    """A record of `region_descriptions.json`: a region with its phrase as brief text, and no class."""
    text = clean_text(str(record.get("phrase") or ""))
    if not text:
        yield Rejected(uri=uri, reason="bad_text", detail=f"phrase {short(record.get('phrase'))}", what="annotation")
    elif len(text) > MAX_TEXT_CHARS:
        yield too_long(uri, text)
    else:
        yield from _region(
            record, uri, image_wh, [RegionText(kind="brief", text=text, score=1.0, source=source)], source
        )


def parse_object(record: Record, uri: str, image_wh: Wh, source: Source) -> Iterator[Region | Rejected]:
    """A record of `objects.json`: a region with its names as phrases, the first of which is its class."""
    names = names_of(record)
    if not names:
        detail = f"names {short(record.get('names', record.get('name')))}"
        yield Rejected(uri=uri, reason="no_class", detail=detail, what="annotation")
        return
    texts = [RegionText(kind="phrase", text=name, score=1.0, source=source) for name in names]
    yield from _region(record, uri, image_wh, texts, source)


def parse_relationship(
    record: Record, uri: str, image_wh: Wh, objects: Mapping[Any, Record], source: Source
) -> Iterator[Text | Rejected]:
    """A record of `relationships.json` as a text `man wears shirt` with both boxes.

    `objects` are those of `objects.json` by id, which release 1.0 needs: its relationships name their objects alone.
    """
    things = []
    for end in ("subject", "object"):
        stated = record.get(end)
        found = stated if isinstance(stated, Mapping) else objects.get(record.get(f"{end}_id", stated))
        names = names_of(found) if found is not None else []
        if found is None or not names:
            detail = f"{end} {short(stated)} has no name"
            yield Rejected(uri=uri, reason="dangling_id", detail=detail, what="annotation")
            return
        things.append(Thing(names[0], xywh_of(found)))
    yield from relation_text(things[0], str(record.get("predicate") or ""), things[1], uri, image_wh, source)


def names_of(record: Record) -> list[str]:
    """Names of an object, without repetition: `names` of `objects.json`, `name` of later relationships."""
    names = record.get("names", record.get("name"))
    given = names if isinstance(names, Sequence) and not isinstance(names, str) else [names]
    return list(dict.fromkeys(text for name in given if isinstance(name, str) and (text := clean_text(name))))


def xywh_of(record: Record) -> list[Any]:
    """x, y, width and height, which objects call `w` and `h`."""
    return [
        record.get("x"),
        record.get("y"),
        record.get("width", record.get("w")),
        record.get("height", record.get("h")),
    ]


def _region(
    record: Record, uri: str, image_wh: Wh, texts: Sequence[RegionText], source: Source
) -> Iterator[Region | Rejected]:
    place = yield from place_of({"bbox": xywh_of(record)}, uri, image_wh, outline=None, what=texts[0].text)
    if place is not None:
        yield Region(kind="object", box_xyxy=place.box_xyxy, score=1.0, texts=tuple(texts), source=source)
