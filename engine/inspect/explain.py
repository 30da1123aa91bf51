"""Why every annotation of an image was kept or dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from fld_engine.engine.data.kept_rows import judged_rows, status_of, thresholds_of, verdicts_of
from fld_engine.engine.data.partition import load_view, said_tables
from fld_engine.engine.data.people import said_again
from fld_engine.engine.data.places import read_places
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.inspect.find import find_image
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.stages.contamination.state import contaminated_at
from fld_engine.engine.stages.contamination.verdicts import rows_found
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.origins import Origin
from fld_engine.schemas.sample import CLASS_KEYS
from fld_engine.schemas.tables import VERDICT_TARGETS

Row = dict[str, Any]

SHOWN = {
    "images": ("width", "height"),
    "texts": ("granularity", "text"),
    "regions": ("kind", "x1", "y1", "x2", "y2"),
    "region_texts": ("kind", "text"),
    "phrases": ("phrase", "start", "end", "derived"),
    "phrase_regions": ("x1", "y1", "x2", "y2"),
}
"""Columns that say what an annotation is, by target."""


class ExplainedAnnotation(Frozen):
    """One annotation with its verdict. `values` holds what each filter decided on, for the filters that were asked.

    `said_in` names the source of what people said. Where they said it before, `one_with` is the id of the annotation
    that stands for it everywhere else; the verdict is that one's.
    """

    target: str
    id: str
    what: Mapping[str, Any]
    score: float | None
    source: str
    kept: bool
    reason: str
    values: Mapping[str, float]
    said_in: str = ""
    one_with: str = ""


class SaidClass(Frozen):
    """A class of the whole image: `said` is `labels`, or `absences` where it is said not to be on it.

    `source` is who says it: `human`, `class_folder`, a model's name, or an annotator.
    """

    said: str
    label: str
    score: float
    source: str


class Shown(Frozen):
    """What may not be trained on and the image shows: an entry of a list, or of gold, and how it was found.

    `how` is `bytes`, `hash` (`distance` in bits) or `picture` (`distance` is the share of it that differs).
    """

    list: str
    entry: str
    how: str
    distance: float


class Explanation(Frozen):
    """Everything about one image. `thresholds` are the filters' parameters by name.

    `classes` are those of the whole image, whoever says them. `shows` says why it is left out where it shows what may
    not be trained on.
    """

    image_id: str
    partition: str
    uris: Sequence[str]
    status: Mapping[str, str]
    thresholds: Mapping[str, Any]
    annotations: Sequence[ExplainedAnnotation]
    shows: Sequence[Shown] = ()
    classes: Sequence[SaidClass] = ()


def explain(plan: Plan, wanted: str) -> Explanation:
    """Explain one image, by its id, the beginning of one, or the name of a file that it was found as.

    Raises `ConfigError` where no image is meant, or several are, which are listed.
    """
    record, identity, _ = find_image(plan, wanted)
    view = load_view(plan.store, record, committed(plan, record))
    image = next(row for row in view.images.to_pylist() if row["id"] == identity)
    thresholds: dict[str, Any] = {}
    annotations: list[ExplainedAnnotation] = []
    said, speakers = said_tables(plan.store, record), _speakers(plan, record, identity)
    again = said_again(said)
    for target in VERDICT_TARGETS:
        thresholds |= thresholds_of(verdicts_of(view, target))
        judged = judged_rows(view, target, identity)
        annotations += [_explained(target, row, speakers) for row in judged]
        stands = {row["id"]: row for row in judged}
        if target in said:
            mine = said[target].filter(pc.equal(said[target]["image_id"], identity)).to_pylist()
            annotations += [
                _explained(target, {**stands[again[row["id"]]], **row}, speakers, one_with=again[row["id"]])
                for row in mine
                if again.get(row["id"]) in stands
            ]
    return Explanation(
        image_id=identity,
        partition=record.id,
        uris=image["uris"],
        status=status_of(view, identity),
        thresholds=thresholds,
        annotations=annotations,
        shows=_shows(plan, record, identity),
        classes=_classes(view, identity),
    )


def _classes(view: PartitionView, identity: str) -> list[SaidClass]:
    """Those of gold images, too: people's words are the reference."""
    return [
        SaidClass(said=name, label=row["label"], score=row["score"], source=row["annotator"])
        for name in CLASS_KEYS
        for table in (view.annotations[name], view.gold[name])
        for row in table.filter(pc.equal(table["image_id"], identity)).to_pylist()
    ]


def _shows(plan: Plan, record: PartitionRecord, identity: str) -> list[Shown]:
    lookup = contaminated_at(plan, record)
    rows = rows_found(plan.store, record, lookup) if lookup else []
    return [Shown(**{key: row[key] for key in Shown.model_fields}) for row in rows if row["image_id"] == identity]


def _explained(target: str, row: Row, speakers: Mapping[str, str], *, one_with: str = "") -> ExplainedAnnotation:
    source = row.get("annotator", row.get("source", ""))
    return ExplainedAnnotation(
        target=target,
        id=row["id"],
        what={name: row[name] for name in SHOWN[target]},
        score=row.get("score"),
        source=source,
        kept=row["kept"],
        reason=row["reason"],
        values=row["values"],
        said_in=speakers.get(row.get("revision", ""), "") if source == Origin.HUMAN else "",
        one_with=one_with,
    )


def _speakers(plan: Plan, record: PartitionRecord, identity: str) -> dict[str, str]:
    """Revision of a file of people's labels → the sources of the config that it came with, for one image."""
    names: dict[str, list[str]] = {}
    for place in read_places(plan.store, record, [spec.name for spec in plan.config.sources])[identity]:
        for revision in _revisions(json.loads(place.annotations)):
            names.setdefault(revision, []).append(place.source)
    return {revision: ", ".join(dict.fromkeys(found)) for revision, found in names.items()}


def _revisions(value: Any) -> Iterator[str]:
    """Revisions of files of people's labels in the JSON of annotations."""
    if isinstance(value, list):
        for item in value:
            yield from _revisions(item)
    elif isinstance(value, dict):
        if value.get("annotator") == Origin.HUMAN:
            yield value.get("revision", "")
        for item in value.values():
            yield from _revisions(item)
