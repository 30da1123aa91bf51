"""Exporter `coco`: kept regions and captions as COCO json, for pycocotools and whatever else imports it.

Two files: `instances.json` holds object regions with their category phrase, box `[x y width height]`, polygons and
area; `captions.json` holds texts. Both list the same images, with their licences. One category stands for all spellings
of a name (`name_key`), under the first. The source `coco` reads both again, with who made what.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, ClassVar

from pydantic import Field, ValidationError

from fld_engine.engine.data.hashing import canonical_json, fingerprint
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.stages.coco.rows import CocoPartition, CocoPiece, Row, write_piece
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import name_key

FOLDER = "coco"
RECORD = "coco.json"
CLASSES = ("fld_labels", "fld_absences")
"""Fields of images that stand in `instances.json` alone, so that whoever reads both files reads them once."""
VERSION = 2
"""Version of what is written of the same tables."""


class CocoSummary(Frozen):
    """What was written."""

    images: int
    regions: int
    captions: int
    categories: int


class CocoRecord(Frozen):
    """What the files beside it were made from, and what they hold."""

    fingerprint: str
    summary: CocoSummary


class CocoExporter:
    """Writes `coco/instances.json` and `captions.json`, and with `images` also `images/ID.jpg`.

    Numbers of images, annotations and categories are theirs in partition order, from 1.
    """

    class Params(Frozen):
        images: bool = Field(default=False, description="write the image files too, as upright JPEGs")

    name: ClassVar[str] = "coco"
    after: ClassVar[tuple[str, ...]] = ("coverage",)
    every_run: ClassVar[bool] = False
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 40
    holdings: ClassVar[tuple[Holding, ...]] = (Holding(glob=FOLDER, how="whole"),)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def is_current(self, plan: Plan) -> bool:
        return self._made(plan) is not None

    def run(self, driver: Driver) -> CocoSummary:
        """Write the files, unless they are those of this plan. Memory holds one partition and the category names."""
        plan = driver.plan()
        if (made := self._made(plan)) is not None:
            return made
        folder = self.folder(plan)
        tasks = [
            Task(
                stage=self.name,
                root=plan.store.url,
                label=record.id,
                payload=CocoPartition(
                    partition=record,
                    reads=committed(plan, record),
                    images=record.limits or plan.config.images,
                    images_folder=f"{folder}/images" if self.params.images else "",
                    out=f"{folder}/pieces/{record.id}.json",
                    metadata=plan.config.export.metadata,
                ),
            )
            for record in plan.partitions
        ]
        lane = Lane(name=self.name, resources=ARITHMETIC, tasks=tasks)
        pieces = {task.label: piece.path for task, piece in driver.answers(lane, CocoPiece)}
        out = plan.store.within(folder)
        summary = _put_together(
            out, plan.config.name, (plan.store.read_bytes(pieces[record.id]) for record in plan.partitions)
        )
        plan.store.delete_folder(f"{folder}/pieces")
        out.write_model(RECORD, CocoRecord(fingerprint=self._identity(plan), summary=summary))
        return summary

    def numbers(self, result: CocoSummary) -> Mapping[str, int]:
        return {"regions": result.regions, "captions": result.captions, "images": result.images}

    def folder(self, plan: Plan) -> str:
        """Where the files of a plan go, in the root."""
        return plan.folder + FOLDER

    def work(self, task: Task, worker: Worker) -> CocoPiece:
        assert isinstance(task.payload, CocoPartition), "a task of another stage"
        return write_piece(worker.store, task.payload)

    def _identity(self, plan: Plan) -> str:
        reads = [[record.fingerprint, committed(plan, record).fingerprint] for record in plan.partitions]
        parts = {"version": VERSION, "name": plan.config.name, "images": self.params.images, "partitions": reads}
        if self.params.images:
            parts["metadata"] = plan.config.export.metadata
        return fingerprint(parts)

    def _made(self, plan: Plan) -> CocoSummary | None:
        """The summary of the files that are there, where they are those of this plan."""
        try:
            record: CocoRecord = plan.store.read_model(f"{self.folder(plan)}/{RECORD}", CocoRecord)
        except (FileNotFoundError, ValidationError):
            return None
        return record.summary if record.fingerprint == self._identity(plan) else None


def _put_together(out: Store, name: str, pieces: Iterator[bytes]) -> CocoSummary:
    categories: dict[str, int] = {}
    spelled: list[str] = []
    licences: dict[str, int] = {}
    counts = {"images": 0, "regions": 0, "captions": 0}
    with _List() as images, _List() as bare, _List() as regions, _List() as captions:
        for piece in pieces:
            rows = json.loads(piece)
            numbers = {}
            for row in rows["images"]:
                counts["images"] += 1
                numbers[row["fld_id"]] = counts["images"]
                if licence := row.pop("licence"):
                    row["license"] = licences.setdefault(licence, len(licences) + 1)
                images.add({"id": counts["images"], **row})
                bare.add({"id": counts["images"], **{key: row[key] for key in row if key not in CLASSES}})
            for row in rows["regions"]:
                counts["regions"] += 1
                label = row.pop("name")
                category = categories.setdefault(name_key(label), len(categories) + 1)
                if category > len(spelled):  # the first spelling is that of the category
                    spelled.append(label)
                image = numbers[row.pop("image")]
                regions.add({"id": counts["regions"], "image_id": image, "category_id": category, **row})
            for row in rows["captions"]:
                counts["captions"] += 1
                captions.add({"id": counts["captions"], "image_id": numbers[row.pop("image")], **row})
        named = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(spelled, start=1)]
        info = {"description": f"fld-engine, {name}", "version": "1.0"}
        licenses = [{"id": number, "name": name, "url": ""} for name, number in licences.items()]
        head = {"info": info, "licenses": licenses}
        _write(out, "instances.json", head, images, regions, {"categories": named})
        _write(out, "captions.json", head, bare, captions, {})
    return CocoSummary(**counts, categories=len(categories))


class _List:
    """JSON objects on their way into a file, on disk."""

    def __init__(self) -> None:
        self._stream: IO[bytes] = tempfile.TemporaryFile(prefix="fld-coco-")  # noqa: SIM115 - closed by __exit__
        self._empty = True

    def __enter__(self) -> _List:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(self, row: Row) -> None:
        self._stream.write((b"" if self._empty else b",\n") + canonical_json(row).encode())
        self._empty = False

    def blocks(self) -> Iterator[bytes]:
        self._stream.seek(0)
        while block := self._stream.read(1 << 20):
            yield block


def _write(store: Store, name: str, head: Row, images: _List, annotations: _List, more: Mapping[str, Any]) -> None:
    with store.open_commit(name) as stream:
        stream.write(json.dumps(head, ensure_ascii=False)[:-1].encode() + b',"images":[\n')
        stream.writelines(images.blocks())
        stream.write(b'\n],"annotations":[\n')
        stream.writelines(annotations.blocks())
        stream.write(b"\n]")
        for key, value in more.items():
            stream.write(f",{json.dumps(key)}:{json.dumps(value, ensure_ascii=False)}".encode())
        stream.write(b"}\n")
