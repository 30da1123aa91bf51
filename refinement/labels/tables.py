"""Annotation tables of a partition: rows of some images or people, and the labelled images and gold that they hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.region_names import region_classes
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.dependents import NO_DEPENDENTS, Dependents, dependents_of
from fld_engine.refinement.labels.gold import Gold, gold_split_of
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel, named_things
from fld_engine.schemas.origins import Origin
from fld_engine.schemas.tables import ANNOTATION_TABLES

Row = dict[str, Any]
Tables = Mapping[str, pa.Table]
Labels = dict[str, pa.Table]
"""Annotation tables of one partition by name."""


def of_people(tables: Tables) -> dict[str, pa.Table]:
    """The rows that people wrote: captions that were found on the web are nobody's reference."""
    return {
        name: table.filter(pc.equal(table["annotator"], Origin.HUMAN)) if "annotator" in table.schema.names else table
        for name, table in tables.items()
    }


def of_images(labels: Mapping[str, pa.Table], ids: pa.Array) -> Labels:
    """The rows of some images."""
    return {name: table.filter(pc.is_in(table["image_id"], ids)) for name, table in labels.items()}


def without_orphans(labels: Mapping[str, pa.Table]) -> Labels:
    """Rows whose subject is there."""
    left = dict(labels)
    left["region_texts"] = _about(left["region_texts"], "region_id", left["regions"])
    left["tokens"] = _about(left["tokens"], "text_id", left["texts"], left["region_texts"])
    left["phrases"] = _about(left["phrases"], "text_id", left["texts"])
    left["phrase_regions"] = _about(left["phrase_regions"], "phrase_id", left["phrases"])
    left["similarities"] = _about(left["similarities"], "subject_id", left["texts"], left["region_texts"])
    left["masks"] = _about(left["masks"], "subject_id", left["regions"], left["phrase_regions"])
    return left


def _about(table: pa.Table, column: str, *subjects: pa.Table) -> pa.Table:
    known = pa.chunked_array([chunk for subject in subjects for chunk in subject["id"].chunks], pa.string())
    return table.filter(pc.is_in(table[column], known))


def labelled_images(
    images: pa.Table, gold: Iterable[str], labels: Tables, names: Sequence[str], *, seed: int
) -> list[LabelledImage]:
    """The images of a partition with their objects and texts; `gold` are ids.

    Objects without a name and scene text are left out: a round does not edit them.
    """
    reference = set(gold)
    texts, regions = _texts_of(labels["texts"], names), _objects_of(labels)
    found = []
    for row in images.select(["id", "width", "height", "twin_group"]).to_pylist():
        group = row["twin_group"] or row["id"]
        found.append(
            LabelledImage(
                id=row["id"],
                twin_group=group,
                image_wh=(row["width"], row["height"]),
                regions=tuple(regions.get(row["id"], ())),
                texts=tuple(texts.get(row["id"], ())),
                gold_split=gold_split_of(group, seed) if row["id"] in reference else "",
            )
        )
    return found


def gold_of(truth: Tables) -> dict[str, Gold]:
    """Image id → its gold in these rows; images without any are not in it."""
    regions, texts, dependents = _objects_of(truth), _texts_of(truth["texts"], ()), dependents_of(truth)
    return {
        image: _gold(regions.get(image, ()), texts.get(image, ()), dependents.get(image, NO_DEPENDENTS))
        for image in sorted({*regions, *texts, *dependents})
    }


def _gold(regions: Sequence[RegionLabel], texts: Sequence[TextLabel], dependents: Dependents) -> Gold:
    boxes = np.array([region.box_xyxy for region in regions], dtype=np.float64).reshape(-1, 4)
    return Gold(
        Boxes(boxes, [region.label for region in regions]),
        tuple(text.text for text in texts if text.granularity == "brief"),
        tuple(dependents.masks.get(region.id, ()) for region in regions),
        dependents.read,
        dependents.phrases,
    )


def count_names(labels: Tables) -> Counter[str]:
    """How often each name of an object occurs."""
    return Counter(region.label for regions in _objects_of(labels).values() for region in regions)


def _objects_of(labels: Tables) -> dict[str, list[RegionLabel]]:
    tables = {name: labels.get(name, schema.empty_table()) for name, schema in ANNOTATION_TABLES.items()}
    names = region_classes(tables["regions"], tables["region_texts"]).to_pylist()
    found: dict[str, list[RegionLabel]] = defaultdict(list)
    for row, name in zip(tables["regions"].to_pylist(), names, strict=True):
        if row["kind"] == "object" and name:
            protected = row["annotator"] == Origin.HUMAN
            found[row["image_id"]].append(
                RegionLabel(row["id"], box_of(row), name, row["score"], row["score"], protected=protected)
            )
    return found


def _texts_of(texts: pa.Table, names: Sequence[str]) -> dict[str, list[TextLabel]]:
    found: dict[str, list[TextLabel]] = defaultdict(list)
    for row in texts.to_pylist():
        found[row["image_id"]].append(text_of(row, named_things(row["text"], names)))
    return found


def text_of(row: Row, named: tuple[str, ...]) -> TextLabel:
    return TextLabel(
        row["id"], row["granularity"], row["text"], named, row["score"], protected=row["annotator"] == Origin.HUMAN
    )


def box_of(row: Row) -> tuple[float, float, float, float]:
    return row["x1"], row["y1"], row["x2"], row["y2"]
