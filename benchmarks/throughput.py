"""Images per second of the engine against a bare loop over the same annotators, side by side in one run.

    python benchmarks/throughput.py --images 200 --repeats 3

Three cases: the whole `laptop` recipe, the classifier alone, and a fake annotator of one millisecond. Each round runs,
one after another: the bare loop (one process, models loaded, one image decoded after another), the engine with one
local worker, the engine with two, and two bare loops at once, which is the machine's own ceiling for two processes.
Every contender starts cold in a process of its own; its clock starts when it does, and stops when the last annotation
is on disk (engine) or in memory (loop). Counts of images and annotations must agree before a speed is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.ingest.stage import Ingest

CASES: dict[str, dict[str, Any]] = {
    "whole recipe": {},
    "classifier alone": {"classifier": {"use": "efficientnet"}},
    "fake, 1 ms": {"fake": {"params": {"seconds": 0.001}}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        write_photographs(photographs, arguments.images)
        for case in arguments.cases:
            compare(case, photographs, Path(folder), arguments.images, arguments.repeats)


def write_photographs(folder: Path, num: int) -> None:
    """Crops of the sample photographs, 640 × 480 JPEGs, all different."""
    import numpy as np
    from PIL import Image

    from fld_engine.flows.samples import sample_sources

    sources = [Path(s["url"]) for s in sample_sources(folder.parent / "samples")]
    samples = [Image.open(p).convert("RGB") for p in sorted(sources[0].iterdir())]
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(num):
        sample = samples[i % len(samples)]
        left, top = (int(side * random.uniform(0, 0.3)) for side in sample.size)
        box = (left, top, int(sample.width * random.uniform(0.7, 1)), int(sample.height * random.uniform(0.7, 1)))
        sample.resize((640, 480), Image.Resampling.BICUBIC, box=box).save(folder / f"{i:05d}.jpg", quality=90)


def compare(case: str, photographs: Path, folder: Path, num: int, repeats: int) -> None:
    contenders = {"bare loop": ["loop", "1"], "engine, 1 worker": ["engine", "1"], "engine, 2 workers": ["engine", "2"]}
    seconds: dict[str, list[float]] = {name: [] for name in [*contenders, "two bare loops"]}
    for _ in range(repeats):
        answers = {}
        for name, (what, workers) in contenders.items():
            answers[name] = run(what, workers, case, photographs, folder)
            seconds[name].append(answers[name]["seconds"])
        counts = {(a["images"], a["annotations"]) for a in answers.values()}
        if len(counts) != 1 or next(iter(counts))[0] != num:
            raise SystemExit(f"{case}: the contenders did not do the same work: {answers}")
        seconds["two bare loops"].append(two_loops(case, photographs, folder))
    bare = statistics.median(seconds["bare loop"])
    print(f"\n{case}: {num} images, medians of {repeats}; images and annotations agree: {next(iter(counts))}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"  {name:<18} {num / median:8.1f} images/s   {bare / median:5.2f} x the bare loop   {median:7.1f} s")


def run(what: str, workers: str, case: str, photographs: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", what, workers, case, str(photographs), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def two_loops(case: str, photographs: Path, folder: Path) -> float:
    """Seconds for two bare loops to do half of the images each."""
    start = time.perf_counter()
    halves = [
        subprocess.Popen(
            [sys.executable, __file__, "--child", "loop", half, case, str(photographs), str(folder)],
            stdout=subprocess.DEVNULL,
        )
        for half in ("even", "odd")
    ]
    if any(half.wait() for half in halves):
        raise SystemExit("a bare loop failed")
    return time.perf_counter() - start


# ---------------------------------------------------------------- what runs in a process of its own


def child(what: str, how: str, case: str, photographs: str, folder: str) -> None:
    start = time.perf_counter()
    if what == "loop":
        images, annotations = loop(how, case, Path(photographs))
        elapsed = time.perf_counter() - start
    else:
        images, annotations, elapsed = engine(int(how), case, photographs, folder)
    print(json.dumps({"images": images, "annotations": annotations, "seconds": elapsed}))


def config_of(case: str, photographs: str, workers: int = 1) -> Any:
    from fld_engine.engine.plan.config import load_config

    extra: dict[str, Any] = {
        "sources": [{"url": photographs, "kind": "folder", "class_folders": False}],
        "runner": {"workers": workers},
    }
    if CASES[case]:
        extra["annotators"] = dict.fromkeys(load_config("laptop").annotators) | CASES[case]
    return load_config("laptop", extra=extra)


def engine(workers: int, case: str, photographs: str, folder: str) -> tuple[int, int, float]:
    """The annotate stage on a fresh root, its workers started and its models loaded within the time."""
    from fld_engine.engine.data.partition import read_output
    from fld_engine.engine.data.store import Store
    from fld_engine.engine.run.pipeline import Pipeline

    store = Store(tempfile.mkdtemp(dir=folder))
    store.open_root(create=True)
    config = config_of(case, photographs, workers)
    with Pipeline(store, config) as pipeline:
        pipeline.run(Ingest())
    with Pipeline(store, config) as pipeline:
        start = time.perf_counter()
        pipeline.run(Annotate())
        elapsed = time.perf_counter() - start
        plan = pipeline.plan()
    outputs = [
        read_output(store, name, record.id, plan.fingerprints[name, record.id])
        for name in plan.graph.order
        for record in plan.partitions
    ]
    rows = sum(f.rows for o in outputs for table, f in o.files.items() if table != "status")
    images = sum(o.done for o in outputs) // len(plan.graph.order)
    return images, rows, elapsed


def loop(part: str, case: str, photographs: Path) -> tuple[int, int]:
    """What one would write by hand: load, then decode and annotate batch after batch."""
    import os

    os.environ["OMP_NUM_THREADS"] = "1"
    from fld_engine.engine.data.hashing import image_id, sha256_hex
    from fld_engine.engine.data.images import ImageLimits, decode
    from fld_engine.engine.data.rows import RowWriter, annotations_by_image, concat
    from fld_engine.engine.data.work_set import cut_to_work_set, select_kinds
    from fld_engine.engine.plan.graph import build_graph
    from fld_engine.engine.plan.protocols import Sample
    from fld_engine.engine.plan.registry import build_annotator
    from fld_engine.schemas.annotations import Annotations, Source

    config = config_of(case, str(photographs))
    annotators = {name: build_annotator(name, c) for name, c in config.annotators.items()}
    order = build_graph(annotators).order
    for annotator in annotators.values():
        annotator.load()
    files = sorted(photographs.iterdir())
    files = files[::2] if part == "even" else files[1::2] if part == "odd" else files
    rows = 0
    for first in range(0, len(files), 8):
        data = [path.read_bytes() for path in files[first : first + 8]]
        images = [(image_id(sha256_hex(d)), decode(d, ImageLimits()).pixels) for d in data]
        tables = []
        for name in order:
            annotator = annotators[name]
            reads = annotator.requires | annotator.optional
            cut = cut_to_work_set(select_kinds(concat(tables), reads), config.annotators[name].work_set)
            known = annotations_by_image(cut) if reads - {"pixels"} else {}
            batch = [
                Sample(id=i, width=p.shape[1], height=p.shape[0], pixels=p, known=known.get(i, Annotations()))
                for i, p in images
            ]
            writer = RowWriter()
            source = Source(annotator=name, model=annotator.model.id, revision=annotator.model.revision)
            for at in range(0, len(batch), annotator.batch_size):
                some = batch[at : at + annotator.batch_size]
                for sample, said in zip(some, annotator.annotate(some), strict=True):
                    rows += writer.add(sample.id, said, source)
            tables.append(writer.tables())
    return len(files), rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
