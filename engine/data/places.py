"""What each source says of an image: the places it was found at, each with its newest revision.

A place is a source and a URI in it. The tables `places` of a partition and of its additions hold what every place of an
image said when they were written; of several tables that speak of an image, the newest counts alone. Annotation tables
follow the same rule, so that older ones are history.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.partition import PartitionImages, revises, said_tables
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.origins import Origin
from fld_engine.schemas.tables import PLACES

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """What a source says of an image that it has under a URI. `annotations` is JSON of `Annotations`."""

    source: str
    uri: str
    source_label: str
    licence: str
    gold: bool
    annotations: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Place:
        """The place of a row of `PLACES`, or of a scanned image."""
        return cls(**{name: row[name] for name in cls.__slots__})

    def row(self, image_id: str) -> Row:
        return {"id": image_id, **{name: getattr(self, name) for name in self.__slots__}}

    def says_what(self, other: Place) -> bool:
        """Whether both say the same, wherever they stand and whatever revision of a file they were read from.

        A class that the place itself tells is that of `source_label`: places of older roots have no more of it.
        """
        marks = ("source_label", "licence", "gold")
        if any(getattr(self, name) != getattr(other, name) for name in marks):
            return False
        return self.annotations == other.annotations or self.words == other.words

    @property
    def words(self) -> str:
        """What is said of the image, but for what follows from `source_label`, as `content`."""
        return content(self.annotations, but_by=Origin.CLASS_FOLDER)


def content(annotations: str, *, but_by: str = "") -> str:
    """Annotations without the revisions of the files they were read from, and labels by `but_by`: canonical JSON."""
    said = json.loads(annotations)
    if but_by and said.get("labels"):
        said["labels"] = [label for label in said["labels"] if label["source"]["annotator"] != but_by]
    return canonical_json(_plain(said, None))


def _plain(value: Any, above: Mapping[str, Any] | None) -> Any:
    """JSON of annotations; a text, mask or phrase says who made it where that is not who made what it belongs to."""
    if isinstance(value, dict):
        own = value.get("source")
        maker = {key: item for key, item in own.items() if key != "revision"} if own else above
        plain = {key: _plain(item, maker) for key, item in value.items() if key != "source"}
        return plain if maker == above else {**plain, "source": maker}
    return [_plain(item, above) for item in value] if isinstance(value, list) else value


def read_places(store: Store, record: PartitionRecord, names: Collection[str] = ()) -> dict[str, list[Place]]:
    """The places of every image of a partition, in the order in which they were found; an image may have none left.

    Partitions of roots that were made before there were tables of places are told from their rows; `names` are sources
    that URIs may begin with.
    """
    additions = list(record.additions)
    if "places" in record.files:
        found: dict[str, list[Place]] = {i: [] for i in _ids(store, record.files)}
        _read_into(found, store, record.files)
    else:
        plain = [files for files in additions if not revises(files)]
        old = record.model_copy(update={"additions": tuple(plain)})
        found = _told_from_rows(PartitionImages(store, old, ImageLimits()).table, said_tables(store, old), names)
    for files in additions:
        if revises(files):
            for identity in _ids(store, files):
                found[identity] = []
            _read_into(found, store, files)
    return found


def _ids(store: Store, files: Mapping[str, Any]) -> list[str]:
    ids: list[str] = store.read_table(files["images"].path, ["id"])["id"].to_pylist()
    return ids


def _read_into(found: dict[str, list[Place]], store: Store, files: Mapping[str, Any]) -> None:
    for row in store.read_table(files["places"].path).to_pylist():
        found[row["id"]].append(Place.of(row))


def places_table(places: Mapping[str, Iterable[Place]]) -> pa.Table:
    """The table of some images' places, in order."""
    return pa.Table.from_pylist([p.row(i) for i, mine in places.items() for p in mine], schema=PLACES)


# ------------------------------------------------------------------------------------------------ roots without places


def _told_from_rows(images: pa.Table, said: Mapping[str, pa.Table], names: Collection[str]) -> dict[str, list[Place]]:
    """Places of images that have only `uris`, and rows that nobody's name is on.

    What one author (people of one json, or the web) said is put down to one place: a json's to those with a `#` behind
    the source's name, the web's to those inside a file; so are gold marks. With one place there is no question.
    """
    rows = {name: _by_image(table) for name, table in said.items()}
    found: dict[str, list[Place]] = {}
    for image in images.to_pylist():
        mine = {name: by_image[image["id"]] for name, by_image in rows.items() if image["id"] in by_image}
        statements = _statements(mine)
        spoken: dict[str, Annotations] = {}
        for (annotator, _), statement in statements.items():
            uri = _speaker(image["uris"], annotator == "human", spoken)
            spoken[uri] = _joined(spoken[uri], statement) if uri in spoken else statement
        by_people = [uri for uri in image["uris"] if _of_json(uri)]
        found[image["id"]] = [
            Place(
                source=image["source"] if number == 0 else source_of(uri, names),
                uri=uri,
                source_label=image["source_label"] if number == 0 else "",
                licence=image["licence"] if number == 0 else "",
                gold=image["gold"] and (uri in by_people or not by_people),
                annotations=spoken.get(uri, Annotations()).model_dump_json(),
            )
            for number, uri in enumerate(image["uris"])
        ]
    return found


def source_of(uri: str, names: Collection[str]) -> str:
    """The source of a URI among some; its first part where it is of none of them."""
    mine = [name for name in names if uri == name or uri.startswith((f"{name}/", f"{name}#"))]
    return max(mine, key=len, default=uri.partition("#")[0].partition("/")[0])


def _speaker(uris: Sequence[str], human: bool, spoken: Collection[str]) -> str:
    """The place that most likely said something, those first that have said nothing yet."""
    places = [uri for uri in uris if _of_json(uri) == human and ("#" in uri or "!" in uri)]
    return next((u for u in places if u not in spoken), places[-1] if places else uris[0])


def _of_json(uri: str) -> bool:
    """Whether a URI is that of an image in a COCO json: the `#` stands right behind the source's name."""
    return "#" in uri and "/" not in uri.partition("#")[0]


def _by_image(table: pa.Table) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        grouped[row["image_id"]].append(row)
    return grouped


def _statements(rows: Mapping[str, list[Row]]) -> dict[tuple[str, str], Annotations]:
    """The rows of one image as sources wrote them, by annotator and revision, in the order of their first row."""
    found: dict[tuple[str, str], dict[str, list[Row]]] = {}
    masks = _under(rows, "masks", "subject_id")
    boxes = _under(rows, "phrase_regions", "phrase_id")
    phrases = _under(rows, "phrases", "text_id")
    texts = _under(rows, "region_texts", "region_id")
    for row in rows.get("texts", ()):
        grounded = [
            {
                **_said(phrase, "phrase", "start", "end", "score", "derived"),
                "regions": [
                    {**_box(box), "region_id": box["region_id"], "masks": [_mask(m) for m in masks[box["id"]]]}
                    for box in boxes[phrase["id"]]
                ],
            }
            for phrase in phrases[row["id"]]
        ]
        text = {**_said(row, "granularity", "text", "score", "composed"), "phrases": grounded}
        found.setdefault(_author(row), defaultdict(list))["texts"].append({**text, "source": _source(row)})
    for row in rows.get("regions", ()):
        region = {
            **_box(row),
            "kind": row["kind"],
            "quad": row["quad"] or None,
            "texts": [_said(text, "kind", "text", "score") for text in texts[row["id"]]],
            "masks": [_mask(m) for m in masks[row["id"]]],
        }
        found.setdefault(_author(row), defaultdict(list))["regions"].append({**region, "source": _source(row)})
    for row in rows.get("labels", ()):
        label = {**_said(row, "label", "score"), "source": _source(row)}
        found.setdefault(_author(row), defaultdict(list))["labels"].append(label)
    for row in rows.get("absences", ()):
        absence = {**_said(row, "label", "score"), "source": _source(row)}
        found.setdefault(_author(row), defaultdict(list))["absences"].append(absence)
    return {author: Annotations.model_validate(kinds) for author, kinds in found.items()}


def _joined(first: Annotations, second: Annotations) -> Annotations:
    return Annotations(
        texts=first.texts + second.texts,
        regions=first.regions + second.regions,
        labels=first.labels + second.labels,
        absences=first.absences + second.absences,
    )


def _under(rows: Mapping[str, list[Row]], table: str, column: str) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows.get(table, ()):
        grouped[row[column]].append(row)
    return grouped


def _said(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


def _box(row: Row) -> Row:
    return {"box_xyxy": [row[name] for name in ("x1", "y1", "x2", "y2")], "score": row["score"]}


def _mask(row: Row) -> Row:
    return _said(row, "polygons", "score")


def _author(row: Row) -> tuple[str, str]:
    return row["annotator"], row["revision"]


def _source(row: Row) -> Row:
    return _said(row, "annotator", "model", "revision", "round")
