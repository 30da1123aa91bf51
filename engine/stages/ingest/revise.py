"""Revisions: what sources say now of images that are in the root already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import AdditionResult
from fld_engine.engine.data.partition import PartitionImages, revises
from fld_engine.engine.data.places import Place, content, places_table, read_places
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.rows import RowWriter
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.ingest.gone import files_of
from fld_engine.engine.stages.ingest.pack import occurrences
from fld_engine.engine.stages.ingest.tasks import RevisePartition
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.tables import IMAGES

Row = dict[str, Any]
Places = Mapping[str, Sequence[Place]]

FOUND = ("duplicate", "known")
"""Statuses of scanned images that are in the root already."""
REVISED = ("id", "source", "uri", "uris", "source_label", "licence", "gold")
"""Columns of images that follow from their places."""


def revise(store: Store, task: RevisePartition) -> AdditionResult:
    """Write everything that is now said of the images of which something else is said than before.

    The newest revision of a place takes the place of earlier ones; places stay in the order in which they were found.
    A file that breaks off revises nothing: of its last image, part is missing. What reads the same as at first is taken
    from there, revision of the json included, so that it has the same bytes.
    """
    before = read_places(store, task.record, task.names)
    images = {row["id"]: row for row in PartitionImages(store, task.record, ImageLimits()).table.to_pylist()}
    first, unrevised = _at_first(store, task.record, task.names)
    found = occurrences(store, task.scans, task.matches, task.record.id, FOUND)
    gone, broken = _gone(store, task), set(task.broken)
    revised: dict[str, list[Place]] = {}
    rows: dict[str, Row] = {}
    for identity, image in images.items():
        if identity not in found and identity not in gone:
            continue
        said = [Place.of(row) for row in found.get(identity, ())]
        known = {(place.source, place.uri) for place in before[identity]}
        sound = [p for p in said if (p.source, p.uri) not in known or not broken.intersection(files_of(p.uri))]
        places = _revised(before[identity], sound, gone.get(identity, {}), task.names)
        places = [_as_at_first(place, first[identity]) for place in places]
        row = _row(image, places, [place.uri for place in said])
        if row != _only(image) or not _say_the_same(places, before[identity]):
            revised[identity], rows[identity] = places, row
    if not revised:
        return AdditionResult(partition=task.record.id, files={})
    now = {**before, **revised}
    new_images = {identity: {**image, **rows.get(identity, {})} for identity, image in images.items()}
    everything = _state(new_images, now, unrevised, first, task.unrevised, labels=False)
    labels = _state(new_images, now, unrevised, first, task.unrevised, labels=True)
    prefix = f"partitions/{task.record.id}-{fingerprint({'ingest': task.ingest, 'said': everything})}+{task.ingest}"
    writer = RowWriter()
    for identity, places in revised.items():
        for place in places:
            writer.add(identity, Annotations.model_validate_json(place.annotations))
    schema = pa.schema([IMAGES.field(name) for name in REVISED])
    tables = {
        "images": pa.Table.from_pylist(list(rows.values()), schema=schema),
        "places": places_table(revised),
        **writer.tables(),
    }
    return AdditionResult(
        partition=task.record.id,
        files={n: store.write_table(f"{prefix}.{n}.parquet", t) for n, t in tables.items()},
        annotations_fingerprint=everything,
        labels_fingerprint=labels,
    )


def _at_first(
    store: Store, record: PartitionRecord, names: Sequence[str]
) -> tuple[dict[str, list[Place]], dict[str, Row]]:
    """Places and images of a partition before any revision."""
    plain = tuple(files for files in record.additions if not revises(files))
    bare = record.model_copy(update={"additions": plain})
    images = PartitionImages(store, bare, ImageLimits()).table.to_pylist()
    return read_places(store, bare, names), {row["id"]: row for row in images}


def _gone(store: Store, task: RevisePartition) -> dict[str, dict[str, bool]]:
    """Image → URIs that no longer say anything → whether that holds only where the image has moved in its source."""
    gone: dict[str, dict[str, bool]] = {}
    for path in task.gone:
        for row in store.read_table(path, filters=[("partition", "=", task.record.id)]).to_pylist():
            gone.setdefault(row["id"], {})[row["uri"]] = row["moved"]
    return gone


def _revised(
    before: Sequence[Place], said: Sequence[Place], gone: Mapping[str, bool], names: Sequence[str]
) -> list[Place]:
    """The places of an image after an ingest that found some of them, and found that others are no more."""
    places = list(before)
    once = {(place.source, place.uri): place for place in reversed(said)}
    for new in reversed(once.values()):
        where = next((i for i, old in enumerate(places) if (old.source, old.uri) == (new.source, new.uri)), None)
        if where is None:
            where = next((i for i, old in enumerate(places) if _renamed(old, new, names)), None)
        elif places[where].says_what(new):
            continue
        if where is None:
            places.append(new)
        else:
            places[where] = new
    standing = {place.source for place in places if place.uri not in gone}
    return [p for p in places if p.uri not in gone or (gone[p.uri] and p.source not in standing)]


def _say_the_same(places: Sequence[Place], others: Sequence[Place]) -> bool:
    """Whether the same places say the same. A mark that another place has, too, must be known to be gone here."""
    return [(p.source, p.uri) for p in places] == [(p.source, p.uri) for p in others] and all(
        place.says_what(other) for place, other in zip(places, others, strict=True)
    )


def _renamed(old: Place, new: Place, names: Sequence[str]) -> bool:
    """Whether a place is one of a source under another name, which the config has no more: it says the very same."""
    return old.source not in names and old.words != _NOTHING and old.says_what(new)


def _as_at_first(place: Place, first: Sequence[Place]) -> Place:
    same = (p for p in first if (p.source, p.uri) == (place.source, place.uri) and p.says_what(place))
    return next(same, place)


def _row(image: Row, places: Sequence[Place], uris: Sequence[str]) -> Row:
    """What is said of an image; one that is at no place any more keeps its origin, and is not gold."""
    row = {**_only(image), "gold": any(place.gold for place in places)}
    row["uris"] = list(dict.fromkeys([*image["uris"], *uris]))
    if places:
        row |= {name: getattr(places[0], name) for name in ("source", "uri", "source_label", "licence")}
    return row


def _only(image: Row) -> Row:
    return {name: image[name] for name in REVISED}


def _words(places: Sequence[Place]) -> list[str]:
    """The annotations of an image, in order, whoever says them."""
    said = [content(place.annotations) for place in places]
    return [words for words in said if words != _NOTHING]


_NOTHING = content(Annotations().model_dump_json())


def _state(
    images: Mapping[str, Row],
    now: Places,
    first_images: Mapping[str, Row],
    first: Places,
    unrevised: str,
    *,
    labels: bool,
) -> str:
    """The fingerprint of all that is said of a partition's images: that of before any revision where it is the same.

    With `labels`, of annotations and gold marks alone; else what images carry counts, too, but for `uris`.
    """
    different = []
    for identity, image in images.items():
        if now[identity] == first[identity] and image == first_images[identity]:
            continue
        was, is_ = (
            [_words(places), row["gold"], *(() if labels else (row[name] for name in REVISED if name != "uris"))]
            for places, row in ((first[identity], first_images[identity]), (now[identity], image))
        )
        if is_ != was:
            different.append([identity, is_])
    return fingerprint({"of": unrevised, "revised": different}) if different else unrevised
