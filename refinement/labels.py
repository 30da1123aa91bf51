"""Tables as a round works on them: labelled images, what gold says, and what a student thought of both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.region_names import region_classes
from fld_engine.refinement.attached import NOTHING, Attached, attached_of
from fld_engine.refinement.dataset import Gold, LabelledImage, gold_split_of
from fld_engine.refinement.judging import Judgement, named_things
from fld_engine.refinement.merge_regions import RegionLabel
from fld_engine.refinement.merge_texts import TextLabel
from fld_engine.refinement.metrics_boxes import Boxes
from fld_engine.schemas.origins import Origin
from fld_engine.schemas.tables import ANNOTATION_TABLES

Row = dict[str, Any]
Tables = Mapping[str, pa.Table]


def labelled_images(
    images: pa.Table, gold: Iterable[str], labels: Tables, names: Sequence[str], *, seed: int
) -> list[LabelledImage]:
    """The images of a partition with the objects and texts that are said of them; `gold` are ids.

    Objects without a name and scene text are not what a round works on: they stay as they are.
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


def of_people(said: Tables) -> dict[str, pa.Table]:
    """The rows that people wrote: captions that were found on the web are nobody's reference."""
    return {
        name: table.filter(pc.equal(table["annotator"], Origin.HUMAN)) if "annotator" in table.schema.names else table
        for name, table in said.items()
    }


def gold_of(truth: Tables) -> dict[str, Gold]:
    """Image id → what these rows say of it; images of which they say nothing are not in it."""
    regions, texts, attached = _objects_of(truth), _texts_of(truth["texts"], ()), attached_of(truth)
    return {
        image: _gold(regions.get(image, ()), texts.get(image, ()), attached.get(image, NOTHING))
        for image in sorted({*regions, *texts, *attached})
    }


def _gold(regions: Sequence[RegionLabel], texts: Sequence[TextLabel], attached: Attached) -> Gold:
    boxes = np.array([region.box_xyxy for region in regions], dtype=np.float64).reshape(-1, 4)
    return Gold(
        Boxes(boxes, [region.label for region in regions]),
        tuple(text.text for text in texts if text.granularity == "brief"),
        tuple(attached.masks.get(region.id, ()) for region in regions),
        attached.read,
        attached.phrases,
    )


def count_names(labels: Tables) -> Counter[str]:
    """How often each name of an object occurs."""
    return Counter(region.label for regions in _objects_of(labels).values() for region in regions)


def judgements(images: Sequence[LabelledImage], said: Tables, names: Sequence[str]) -> dict[str, Judgement]:
    """What the student's output says of each image: its labels with the student's scores, and what it saw itself."""
    checks: dict[tuple[str, str], float] = {
        (row["subject_id"], row["question"]): row["score"] for row in said["checks"].to_pylist()
    }
    phrases: dict[str, list[Row]] = defaultdict(list)
    for row in said["region_texts"].to_pylist():
        phrases[row["region_id"]].append(row)
    seen: dict[str, list[RegionLabel]] = defaultdict(list)
    for row in said["regions"].to_pylist():
        seen[row["image_id"]].append(_sighting(row, phrases[row["id"]]))
    told: dict[str, list[TextLabel]] = defaultdict(list)
    for row in said["texts"].to_pylist():
        told[row["image_id"]].append(_text(row, named_things(row["text"], names)))
    return {
        image.id: Judgement(
            old=tuple(_judged(region, checks, phrases[region.id]) for region in image.regions),
            seen=tuple(seen[image.id]),
            old_texts=tuple(replace(text, p=checks.get((text.id, "holds"), 0.0)) for text in image.texts),
            seen_texts=tuple(told[image.id]),
        )
        for image in images
    }


def _judged(region: RegionLabel, checks: Mapping[tuple[str, str], float], rivals: Sequence[Row]) -> RegionLabel:
    rival, p_rival = (rivals[0]["text"], rivals[0]["score"]) if rivals else ("", 0.0)
    return replace(
        region,
        p=checks.get((region.id, "placed"), 0.0),
        p_label=checks.get((region.id, "holds"), 0.0),
        rival=rival,
        p_rival=p_rival,
        place_asked=(region.id, "placed") in checks,
    )


def _sighting(row: Row, phrases: Sequence[Row]) -> RegionLabel:
    """A region that the student saw: its first phrase is its name, a second one the rival."""
    name, *rivals = phrases
    rival, p_rival = (rivals[0]["text"], rivals[0]["score"]) if rivals else ("", 0.0)
    return RegionLabel(
        row["id"], _box(row), name["text"], row["score"], name["score"], rival=rival, p_rival=p_rival
    )  # fmt: skip


def _objects_of(labels: Tables) -> dict[str, list[RegionLabel]]:
    tables = {name: labels.get(name, schema.empty_table()) for name, schema in ANNOTATION_TABLES.items()}
    names = region_classes(tables["regions"], tables["region_texts"]).to_pylist()
    found: dict[str, list[RegionLabel]] = defaultdict(list)
    for row, name in zip(tables["regions"].to_pylist(), names, strict=True):
        if row["kind"] == "object" and name:
            protected = row["annotator"] == Origin.HUMAN
            found[row["image_id"]].append(
                RegionLabel(row["id"], _box(row), name, row["score"], row["score"], protected=protected)
            )
    return found


def _texts_of(texts: pa.Table, names: Sequence[str]) -> dict[str, list[TextLabel]]:
    found: dict[str, list[TextLabel]] = defaultdict(list)
    for row in texts.to_pylist():
        found[row["image_id"]].append(_text(row, named_things(row["text"], names)))
    return found


def _text(row: Row, named: tuple[str, ...]) -> TextLabel:
    return TextLabel(
        row["id"], row["granularity"], row["text"], named, row["score"], protected=row["annotator"] == Origin.HUMAN
    )


def _box(row: Row) -> tuple[float, float, float, float]:
    return row["x1"], row["y1"], row["x2"], row["y2"]
