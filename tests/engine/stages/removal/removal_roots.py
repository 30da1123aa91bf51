"""A root that knows a lot about one image, and ways to look for it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fld_engine.annotators.endpoint.answers import Answers
from fld_engine.engine.plan.config import RunConfig
from tests.roots import fake_config, run_pipeline, write_photographs

VICTIM = 2
CAPTION = "a zanzibarite juggler aims an old theodolite at the aqueduct"
WEB_CAPTION = "quixotic pelicans over the harbour"
CATEGORY = "theodolite"
CROWD = "marimbas"
ANSWER = "the juggler wears a burgundy fez"
FAKE: dict[str, Any] = {"first": {"use": "fake", "params": {"regions": 3}}}
GROUNDING: dict[str, Any] = {**FAKE, "parser": {"use": "spacy-parser"}, "grounder": {"use": "phrase-matcher"}}


def write_coco(folder: Path, names: list[str]) -> Path:
    """Captions and boxes for every photograph; the victim's are unlike all others, one of them unusable."""
    images = [{"id": n, "file_name": name, "width": 96, "height": 72} for n, name in enumerate(names)]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": CATEGORY}, {"id": 3, "name": CROWD}]
    annotations: list[dict[str, Any]] = []
    for n in range(len(names)):
        text = CAPTION if n == VICTIM else f"a dog on the grass, number {n}"
        category = 2 if n == VICTIM else 1
        annotations.append({"id": 10 * n, "image_id": n, "caption": text})
        annotations.append({"id": 10 * n + 1, "image_id": n, "category_id": category, "bbox": [5, 5, 30, 30]})
    crowd = {"id": 999, "image_id": VICTIM, "category_id": 3, "bbox": [5, 5, 30, 30], "iscrowd": 1}
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": [*annotations, crowd]}))
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def annotated_root(folder: Path, annotators: dict[str, Any]) -> tuple[Path, RunConfig, list[str]]:
    """Root, config and ids of a run in two ingests: the second found the victim again, with another caption."""
    photos = folder / "photos"
    ids = write_photographs(photos, 9)
    names = sorted(path.name for path in photos.iterdir())
    (photos / names[VICTIM]).rename(photos / "photo-0-002-rendezvous.jpg")
    names[VICTIM] = "photo-0-002-rendezvous.jpg"
    coco = {"url": str(write_coco(photos, names)), "name": "labelled", "licence": "CC-BY-4.0"}
    root = folder / "root"
    run_pipeline(root, fake_config(photos, sources=[coco], annotators=annotators))
    victim = (photos / names[VICTIM]).read_bytes()
    write_tar(folder / "web.tar", {"smorgasbord.jpg": victim, "smorgasbord.txt": WEB_CAPTION.encode()})
    config = fake_config(photos, sources=[coco, {"url": str(folder / "web.tar"), "name": "web"}], annotators=annotators)
    run_pipeline(root, config)
    answer: Any = {"choices": [{"message": {"content": ANSWER}}]}
    Answers(f"{root}/answers/captioner").keep(ids[VICTIM], {"model": "m"}, answer)
    Answers(f"{root}/answers/captioner").keep(ids[0], {"model": "m"}, answer)
    return root, config, ids


def leave_unfinished_files(root: Path, data: bytes) -> None:
    """What killed workers leave: a half-written partition, an output that nobody recorded, an unfinished ingest."""
    (root / "partitions/p000000-aa.tar.12345678.tmp").write_bytes(data)
    (root / "partitions/p000077-bb.tar").write_bytes(data)
    (root / "stages/first/p000000-cc.dead.texts.parquet").write_bytes(CAPTION.encode())
    (root / "export/shards/train-00000-0099.tar.12345678.tmp").write_bytes(data)
    (root / "export/shards/train-00007-0000.tar").write_bytes(data)
    for folder in ("report", "coco/images", "stages/report-merge"):
        (root / folder).mkdir(parents=True)
        (root / folder / "some").write_bytes(data + CAPTION.encode())
    (root / "ingest/000003").mkdir()
    (root / "ingest/000003/ee.scan.parquet").write_bytes(CAPTION.encode())


def traces(root: Path, what: bytes) -> list[str]:
    """Files of a root that hold these bytes, in their name or in what they hold; tables are read, not just grepped."""
    return [path for path, data in _everything(root) if what in path.encode() or what in data]


def _everything(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if data[:4] == b"PAR1":
            table = pq.read_table(path)
            data += json.dumps(table.to_pylist(), ensure_ascii=False, default=str).encode() + str(table.schema).encode()
        yield str(path.relative_to(root)), data


def samples(root: Path) -> dict[str, bytes]:
    """Member → bytes of all shards."""
    found = {}
    for shard in sorted((root / "export/shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                assert stream is not None
                found[member.name] = stream.read()
    return found
