"""The labels after a round: tables as its edits leave them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.labels.tables import Labels, Row, without_orphans
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.tables import ANNOTATION_TABLES


def apply_edits(labels: Mapping[str, pa.Table], edits: Iterable[Edit], source: Source) -> Labels:
    """The labels after a round. What an edit touched bears `source`; what it made untrue of a label goes with it.

    A region that moved loses its mask and quadrilateral, for it moves only where both boxes were far apart
    (`MergeRules.settled_iou`); a text that changed loses its similarity, its parse and its grounding. Added labels
    stand after the others of the table.
    """
    editor = _Editor(source.model_dump())
    for edit in edits:
        editor.take(edit)
    edited = dict(labels)
    for name in ("regions", "region_texts", "texts"):
        edited[name] = editor.edited(name, labels[name])
    gone = pa.array(sorted(editor.stale), pa.string())
    for name, column in (("masks", "subject_id"), ("similarities", "subject_id"), ("tokens", "text_id"),
                         ("phrases", "text_id"), ("phrase_regions", "region_id")):  # fmt: skip
        edited[name] = labels[name].filter(pc.invert(pc.is_in(labels[name][column], gone)))
    return without_orphans(edited)


class _Editor:
    """Edits by the row that they change. `stale` are the ids of which what others say no longer holds."""

    def __init__(self, source: Row) -> None:
        self._source = source
        self._changes: dict[str, list[Callable[[Row], None]]] = defaultdict(list)
        self._removed: set[str] = set()
        self._added: dict[str, list[Row]] = defaultdict(list)
        self._names: dict[str, str] = {}
        self.stale: set[str] = set()

    def take(self, edit: Edit) -> None:
        identity = edit.annotation_id
        if edit.what == "added" and edit.table == "texts":
            text = {"granularity": edit.new["granularity"], "text": edit.new["text"], "composed": False}
            self._add("texts", edit, id=identity, **text)
        elif edit.what == "added":
            self._add("regions", edit, id=identity, kind="object", quad=[], **_box(edit.new["box"]))
            text = {"id": f"{identity}n", "region_id": identity, "kind": "phrase", "text": edit.new["label"]}
            self._add("region_texts", edit, **text)
        elif edit.what == "removed":
            self._removed.add(identity)
            self.stale.add(identity)
        elif edit.what == "moved":
            self._changes[identity].append(lambda row: row.update(_box(edit.new["box"]), quad=[]))
            self.stale.add(identity)
        elif edit.what == "relabelled":
            self._names[identity] = edit.new["label"]
        else:
            self._changes[identity].append(lambda row: row.update(text=edit.new["text"], composed=False))
            self.stale.add(identity)

    def edited(self, name: str, table: pa.Table) -> pa.Table:
        rows = []
        named: set[str] = set()
        for row in table.to_pylist():
            if row["id"] in self._removed:
                continue
            for change in self._changes.get(row["id"], ()):
                change(row)
                row.update(self._source)
            region = row.get("region_id", "")
            if row.get("kind") == "phrase" and region in self._names and region not in named:
                row.update(self._source, text=self._names[region])
                named.add(region)  # the first phrase of a region is its name
                self.stale.add(row["id"])
            rows.append(row)
        return pa.Table.from_pylist([*rows, *self._added[name]], schema=ANNOTATION_TABLES[name])

    def _add(self, table: str, edit: Edit, **columns: Any) -> None:
        score = round(edit.p_new, 4)
        self._added[table].append({"image_id": edit.image_id, "score": score, **self._source, **columns})


def _box(box_xyxy: Iterable[float]) -> Row:
    return dict(zip(("x1", "y1", "x2", "y2"), box_xyxy, strict=True))
