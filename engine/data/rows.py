"""Annotations to flat tables and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import annotation_id
from fld_engine.engine.data.region_names import class_rank
from fld_engine.schemas.annotations import (
    Absence,
    Annotations,
    Check,
    Label,
    Mask,
    Phrase,
    PhraseRegion,
    Region,
    RegionText,
    Similarity,
    Source,
    Text,
    Token,
)
from fld_engine.schemas.kinds import OWN_TEXTS
from fld_engine.schemas.tables import ANNOTATION_TABLES

Row = dict[str, Any]


class RowWriter:
    """Flattens annotations into rows with ids, in the order they are added.

    `scope` keeps the ids of rows apart that the same annotator wrote about the same image on another occasion.
    """

    def __init__(self, scope: str = "") -> None:
        self._scope = scope
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._ordinals: dict[tuple[str, str, str], int] = defaultdict(int)

    def add(self, image_id: str, annotations: Annotations, source: Source | None = None) -> int:
        """Add what one annotator said about one image; returns the number of rows written.

        An annotation's own `source` wins over `source`; one of the two must be there.
        """
        before = sum(map(len, self._rows.values()))
        for text in annotations.texts:
            text_id = self._put("texts", image_id, text, source)
            for phrase in text.phrases:
                self._add_phrase(image_id, phrase, text.source or source, text_id=text_id)
        for region in annotations.regions:
            self._add_region(image_id, region, source)
        for region_text in annotations.region_texts:
            self._put("region_texts", image_id, region_text, source)
        for mask in annotations.masks:
            self._put("masks", image_id, mask, source)
        for similarity in annotations.similarities:
            self._put("similarities", image_id, similarity, source)
        for phrase in annotations.phrases:
            self._add_phrase(image_id, phrase, source)
        for token in annotations.tokens:
            self._rows["tokens"].append({"image_id": image_id, **token.model_dump()})
        for label in annotations.labels:
            self._put("labels", image_id, label, source)
        for absence in annotations.absences:
            self._put("absences", image_id, absence, source)
        for check in annotations.checks:
            self._put("checks", image_id, check, source)
        return sum(map(len, self._rows.values())) - before

    def tables(self) -> dict[str, pa.Table]:
        """The tables that have rows, with their full schemas."""
        return {
            name: pa.Table.from_pylist(self._rows[name], schema=schema)
            for name, schema in ANNOTATION_TABLES.items()
            if self._rows.get(name)
        }

    def _put(self, table: str, image_id: str, annotation: Any, source: Source | None, **columns: Any) -> str:
        said_by = annotation.source or source
        assert said_by is not None, "an annotation without a source reached the writer"
        key = (table, image_id, said_by.annotator)
        identity = annotation_id(table, image_id, said_by.annotator + self._scope, said_by.round, self._ordinals[key])
        self._ordinals[key] += 1
        fields = annotation.model_dump(exclude={"id", "source", "texts", "masks", "regions", "phrases", "box_xyxy"})
        row = {"id": identity, "image_id": image_id, **fields, **said_by.model_dump(), **columns}
        if "box_xyxy" in type(annotation).model_fields:
            row.update(zip(("x1", "y1", "x2", "y2"), annotation.box_xyxy, strict=True))
        self._rows[table].append(row)
        return identity

    def _add_region(self, image_id: str, region: Region, source: Source | None) -> None:
        region_id = self._put("regions", image_id, region, source, quad=list(region.quad or ()))
        for text in region.texts:
            self._put("region_texts", image_id, text, region.source or source, region_id=region_id)
        for mask in region.masks:
            self._put("masks", image_id, mask, region.source or source, subject_id=region_id)

    def _add_phrase(self, image_id: str, phrase: Phrase, source: Source | None, **columns: Any) -> None:
        phrase_id = self._put("phrases", image_id, phrase, source, **columns)
        for region in phrase.regions:
            said_by = phrase.source or source
            region_id = self._put("phrase_regions", image_id, region, said_by, phrase_id=phrase_id)
            for mask in region.masks:
                self._put("masks", image_id, mask, said_by, subject_id=region_id)


def annotations_by_image(tables: Mapping[str, pa.Table]) -> dict[str, Annotations]:
    """Annotations of every image that has rows, each kind in row order.

    Regions carry their phrases, their class first, or read text; briefs and chunks stand in `region_texts`, masks in
    `masks`, the phrases of texts in `phrases`.
    """
    rows = {name: tables[name].to_pylist() if name in tables else [] for name in ANNOTATION_TABLES}
    nested = OWN_TEXTS.values()
    own_texts: dict[str, list[RegionText]] = defaultdict(list)
    grouped: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows["region_texts"], key=class_rank):
        if row["kind"] in nested:
            own_texts[row["region_id"]].append(_build(RegionText, row))
        else:
            grouped[row["image_id"]]["region_texts"].append(_build(RegionText, row))
    for row in rows["regions"]:
        region = _build(
            Region, row, box_xyxy=_box(row), quad=tuple(row["quad"]) or None, texts=tuple(own_texts[row["id"]])
        )
        grouped[row["image_id"]]["regions"].append(region)
    grounded: dict[str, list[PhraseRegion]] = defaultdict(list)
    for row in rows["phrase_regions"]:
        grounded[row["phrase_id"]].append(_build(PhraseRegion, row, box_xyxy=_box(row)))
    for row in rows["phrases"]:
        grouped[row["image_id"]]["phrases"].append(_build(Phrase, row, regions=tuple(grounded[row["id"]])))
    plain: Sequence[tuple[str, Any]] = (
        ("texts", Text), ("masks", Mask), ("similarities", Similarity), ("tokens", Token), ("labels", Label),
        ("absences", Absence), ("checks", Check),
    )  # fmt: skip
    for name, kind in plain:
        for row in rows[name]:
            grouped[row["image_id"]][name].append(_build(kind, row))
    return {image: Annotations(**{k: tuple(v) for k, v in kinds.items()}) for image, kinds in grouped.items()}


def _box(row: Row) -> tuple[float, float, float, float]:
    return row["x1"], row["y1"], row["x2"], row["y2"]


def _build(kind: Any, row: Row, **extra: Any) -> Any:
    """A typed annotation from a stored row; stored rows were validated when they were made."""
    fields = {name: row[name] for name in kind.model_fields if name in row and name != "source"}
    if "annotator" in row:
        fields["source"] = Source(
            annotator=row["annotator"], model=row["model"], revision=row["revision"], round=row["round"]
        )
    return kind.model_construct(**{**fields, **extra})


def concat(tables: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Stack tables of several outputs by name; every annotation table is there, empty where nothing wrote it."""
    return {
        name: pa.concat_tables([t[name] for t in tables if name in t] or [schema.empty_table()]).combine_chunks()
        for name, schema in ANNOTATION_TABLES.items()
    }
