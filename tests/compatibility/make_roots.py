"""Make the old roots again: `python -m tests.compatibility.make_roots plain|refined FOLDER`.

Those that are committed were made by version 0.1.0, as of commit fdc9998. Whoever makes them anew
makes roots of today, which say nothing about the code of then: do so only to add a root beside the old ones, for what
a root has learned to hold since.

`plain` is what the commands leave: ingests of every kind of source, a removal, a replay, a second ingest that adds to
images that are there, an export with one beside it, COCO json and a report. `refined` has gone through a round that
changed labels, and one of sparse tasks; `stand_ins` speaks in the place of the students, whose weights would be large.

Pages of the report are left out, as they carry a library of 1 MB, and so are times and hosts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import parse_config
from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coco.stage import CocoExporter
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.flows.report import make_report
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.sparse import GENERAL, SPECIALIST, SparseStep
from fld_engine.refinement.student.kept_student import RECORD, KeptStudent
from fld_engine.refinement.training.teaching import student_folder
from tests.commands import FLD
from tests.compatibility import stand_ins
from tests.compatibility.old_roots import ROOT, SOURCES, pack, sources_at
from tests.compatibility.pictures import Picture, pictures, write_coco, write_folder, write_parquet, write_tar

ABLATION = [
    option
    for setting in ("folder=exports/half", "select.fraction=0.6", "select.level=region", "max_samples=3")
    for option in ("--set", f"export.{setting}")
]
REPORT = ["--images", "4", "--words", "coco"]
BROKEN = "broken"
"""A file beside the root: while it is there, an annotator fails on one image."""
HOST = "a-host"


# -------------------------------------------------------------------------------------------------------------- plain


def make_plain(folder: Path) -> None:
    drawn = pictures(24, seed=1)
    failing, removed = (_image_id(drawn[i]) for i in (2, 4))
    first = write_plain_sources(folder / SOURCES, drawn)
    stand_ins.install(folder / "site")
    (folder / BROKEN).touch()
    config = plain_config(first, failing)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    _fld(folder, "run", "config.yaml", "--root", ROOT)
    (folder / "ids.txt").write_text(removed)
    _fld(folder, "remove", "--ids", "ids.txt", "--root", ROOT)
    (folder / BROKEN).unlink()
    _fld(folder, "replay", "--root", ROOT)
    config["sources"] = [*first, *add_plain_sources(folder / SOURCES, drawn)]
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    _fld(folder, "run", "config.yaml", "--root", ROOT)
    for more in ABLATION, ["--format", "coco"]:
        _fld(folder, "export", "--root", ROOT, *more)
    _forget_times(folder / ROOT / "run.json")
    _fld(folder, "report", ROOT, *REPORT, "--against", ROOT)


def write_plain_sources(folder: Path, drawn: list[Picture]) -> list[dict[str, Any]]:
    """A folder of classes with a file that is no image and one that is there twice, tars, Parquet, COCO and gold."""
    write_folder(folder / "photos", drawn[:6], classes=True)
    (folder / "photos/no-image.png").write_bytes(b"not an image")
    (folder / "photos/twice.png").write_bytes(drawn[0].data)
    write_tar(folder / "web/00.tar", drawn[6:8])
    write_tar(folder / "web/01.tar", drawn[8:10])
    write_parquet(folder / "table/part.parquet", drawn[10:13])
    told, gold = (dict(zip(("0.png", "1.png", "2.png"), part, strict=True)) for part in (drawn[13:16], drawn[16:19]))
    for name, part in (("told", told), ("gold", gold)):
        for file, picture in part.items():
            (folder / name).mkdir(exist_ok=True)
            (folder / name / file).write_bytes(picture.data)
        write_coco(folder / name / "labels.json", part)
    return [
        {"url": "dir://photos"},
        {"url": "dir://web/{00..01}.tar", "licence": "unknown"},
        {"url": "dir://table/part.parquet", "name": "table", "licence": "CC-BY-4.0", "caption_columns": ["caption"]},
        {"url": "dir://told/labels.json", "name": "told", "kind": "coco"},
        {"url": "dir://gold/labels.json", "name": "gold", "gold": True},
    ]


def add_plain_sources(folder: Path, drawn: list[Picture]) -> list[dict[str, Any]]:
    """A photograph in the folder that is known, new ones in another, and what people say of some that are there."""
    write_folder(folder / "photos/later", drawn[19:20])
    write_folder(folder / "more", drawn[20:24])
    name = drawn[1].things[0][0]
    write_coco(folder / "again.json", {f"{name}/001.png": drawn[1]})
    return [
        {"url": "dir://more", "kind": "folder", "class_folders": False},
        {"url": "dir://again.json", "name": "again", "images_url": "dir://photos"},
    ]


def plain_config(sources: list[dict[str, Any]], failing: str) -> dict[str, Any]:
    return {
        "name": "plain",
        "seed": 7,
        "sources": sources,
        "images": {"max_pixels": 1_000_000},
        "partitions": {"max_images": 5},
        "annotators": {
            "first": {
                "use": "fake",
                "params": {"regions": 3, "raise_on": [failing], "raise_while": BROKEN},
                "batch_size": 3,
            },
            "colours": {"use": "colour-specialist", "resources": {"memory_mb": 50}},
            "masks": {"use": "box-filler", "work_set": {"min_score": 0.5, "max_regions": 6}},
            "grounder": {"use": "name-grounder"},
            "reader": {"use": "word-reader", "params": {"word": "STOP", "box_xyxy": [40.0, 50.0, 62.0, 62.0]}},
        },
        "filters": {
            "size": {"use": "image-size"},
            "sure": {"use": "region-confidence", "params": {"objects": 0.4}},
            "region-nms": {},
            "text-repetition": {},
            "phrase-box-confidence": {},
        },
        "export": {"max_samples": 5, "group_partitions": 2, "splits": {"train": 0.7, "val": 0.3}},
        "limits": {"batch_timeout_s": 60, "max_failed_share": 1.0, "max_quarantined_share": 1.0},
    }


# ------------------------------------------------------------------------------------------------------------ refined


def make_refined(folder: Path) -> None:
    write_refined_sources(folder / SOURCES)
    stand_ins.install_knowing(folder / "site")
    sys.path.insert(0, str(folder / "site"))  # before the package's own, whose student it stands in for
    config = parse_config(REFINED, where="refined")
    store = Store(str(folder / ROOT))
    store.open_root(create=True)
    (folder / ROOT / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    with Pipeline(store, config) as pipeline:
        for stage in (Ingest(), Annotate(), Filter()):
            pipeline.run(stage)
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        assert loop.settings.sparse is not None
        step = SparseStep(loop, loop.settings.sparse)
        rounds = [loop.initial_round()]
        _keep_students(store, 1, *map(str, range(loop.settings.num_students)))
        rounds.append(loop.round(1, rounds[0]))
        loop.final(rounds)
        _keep_students(store, 2, GENERAL, SPECIALIST)
        rounds.append(step.round(2, rounds[1]))
    _check(rounds)
    for number in (1, 2):
        with Pipeline(store, config, round_=number) as pipeline:
            for stage in (Annotate(), Filter(), Export()):
                pipeline.run(stage)
            if number == 2:
                pipeline.run(CocoExporter())
                make_report(pipeline, num_images=2, about=f"round {number}")


def _keep_students(store: Store, number: int, *names: str) -> None:
    """Students that need no teaching: their records are there, and no weights."""
    for name in names:
        weights = KeptStudent(weights=sha256_hex(f"{number} {name}".encode()))
        store.write_model(f"{student_folder(number, name)}/{RECORD}", weights)


def _check(rounds: list[RoundRecord]) -> None:
    """That the root holds what it is kept for."""
    edits = rounds[1].details["edits"]
    print(json.dumps({"edits": edits, "gates": rounds[1].details["gates"]}, indent=1))
    assert all(edits[what] for what in ("added", "removed", "relabelled")), edits
    assert rounds[2].details["sparse"]["written"]["detailed"], rounds[2].details["sparse"]


def write_refined_sources(folder: Path) -> None:
    """Pictures, some with a detailed text by people, and as many with gold of everything."""
    drawn, gold = pictures(12, seed=2), pictures(36, seed=3)
    write_folder(folder / "plain", drawn)
    write_coco(folder / "texts.json", {f"{i:03d}.png": drawn[i] for i in range(4)}, longer="A picture of some boxes.")
    write_folder(folder / "gold", gold)
    write_coco(folder / "gold/gold.json", {f"{i:03d}.png": picture for i, picture in enumerate(gold)})


REFINED: dict[str, Any] = {
    "name": "refined",
    "seed": 3,
    "sources": [
        {"url": "dir://plain", "kind": "folder", "class_folders": False},
        {"url": "dir://gold/gold.json", "name": "gold", "gold": True},
        {"url": "dir://texts.json", "name": "texts", "images_url": "dir://plain"},
    ],
    "partitions": {"max_images": 30},
    "annotators": {
        "specialist": {"use": "colour-specialist"},
        "masks": {"use": "box-filler"},
        "grounder": {"use": "name-grounder"},
    },
    "filters": {"region-confidence": {}, "text-repetition": {}, "phrase-confidence": {}},
    "export": {"splits": {"train": 0.8, "val": 0.2}},
    "limits": {"batch_timeout_s": 60},
    "refine": {
        "student": {"preset": "tiny"},
        "training": {
            "num_steps": 8,
            "curriculum": [{"from_share": 0.0, "max_regions": 2, "task_weights": {"<OD>": 2.0}}],
        },
        "rules": {"gate": {"min_images": 3}, "merge": {"rewrite_margin": 0.2}},
        "drift": {"entropy_ratio": 0.5},
        "max_names": 8,
        "sparse": {"granularities": ["detailed"], "min_texts": 2, "training": {"num_steps": 4}},
    },
}


# --------------------------------------------------------------------------------------------------------------- both


def _fld(folder: Path, *arguments: str) -> None:
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(folder / "site")])
    subprocess.run([*FLD, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": path}, check=True)


def _image_id(picture: Picture) -> str:
    return hashlib.sha256(picture.data).hexdigest()[:32]


def _forget_times(runs: Path) -> None:
    """Say nothing of where and when it was; the report has tables of that."""
    attempts = json.loads(runs.read_text())
    for attempt in attempts:
        attempt.update(host=HOST, pid=1, started=0.0, ended=0.0)
        attempt["summary"].update(root=ROOT, seconds=dict.fromkeys(attempt["summary"]["seconds"], 1.0))
        attempt["summary"]["images_per_s"] = dict.fromkeys(attempt["summary"]["images_per_s"], 1.0)
    runs.write_text(json.dumps(attempts, indent=1))


def _strip(root: Path) -> None:
    """Leave out pages, the lease, and working tables that no finished ingest reads again."""
    (root / "lease.json").unlink(missing_ok=True)
    for tables in root.glob("ingest/*/"):
        shutil.rmtree(tables)
    for page in root.rglob("report/*.html"):
        page.unlink()


def main() -> None:
    """Make one root in a folder, and pack it."""
    name, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with sources_at(folder / SOURCES):
        {"plain": make_plain, "refined": make_refined}[name](folder)
    _strip(folder / ROOT)
    pack(folder, folder / f"{name}.tar.xz")


if __name__ == "__main__":
    main()
