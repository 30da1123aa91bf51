"""Synthetic samples for the benchmarks: annotated as photographs are, with bytes that do not compress."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from fld_engine.engine.plan.export_settings import MAX_TARGET_TOKENS
from fld_engine.engine.stages.export.shards import PreparedSample, prepare
from fld_engine.engine.stages.export.targets import write_targets
from fld_engine.schemas.sample import SAMPLE_VERSION, Sample

SOURCE = {"annotator": "detector", "model": "nanodet-plus-m", "revision": "1.0", "round": 0}
WORDS = ("a grey cat", "two dogs", "the red bicycle", "a wooden table", "people in the street", "a traffic light")


def make_samples(num: int, image_kb: int, seed: int) -> tuple[list[Sample], dict[str, bytes]]:
    """`num` samples with their targets, and the bytes of their images by id."""
    source = random.Random(seed)
    samples, images = [], {}
    for _ in range(num):
        data = b"\xff\xd8" + source.randbytes(int(image_kb * 1000 * source.uniform(0.5, 1.5)))
        sample = Sample.model_validate(_draft(hashlib.sha256(data).hexdigest(), source))
        samples.append(sample.model_copy(update=write_targets(sample, MAX_TARGET_TOKENS)._asdict()))
        images[sample.id] = data
    return samples, images


def prepare_all(samples: list[Sample]) -> list[PreparedSample]:
    return [prepare(sample) for sample in samples]


def _draft(sha256: str, source: random.Random) -> dict[str, Any]:
    """Six texts, ten regions with texts and every second with a mask, two groundings of three phrases."""
    ids = (f"{sha256[:16]}{n:08x}" for n in range(1000))
    texts = [_text(next(ids), granularity, source) for granularity in ("brief", "detailed", "more_detailed") * 2]
    return {
        "schema": SAMPLE_VERSION,
        "id": sha256[:32],
        "image": {
            "width": 640, "height": 480, "sha256": sha256, "original_sha256": sha256, "reencoded": False,
            "source": "synthetic", "uri": f"synthetic/{sha256[:8]}.jpg", "licence": "CC0-1.0", "split": "train",
        },
        "status": {"texts": "done", "regions": "done", "groundings": "done"},
        "texts": texts,
        "regions": [_region(next(ids), next(ids), source, mask=n % 2 == 0) for n in range(10)],
        "groundings": [_grounding(next(ids), text, [next(ids) for _ in range(6)], source) for text in texts[:2]],
        "targets": (),
    }  # fmt: skip


def _text(id_: str, granularity: str, source: random.Random) -> dict[str, Any]:
    words = ", ".join(source.sample(WORDS, 3))
    return {"id": id_, "granularity": granularity, "text": words, "score": source.random(), "source": SOURCE}


def _box(source: random.Random) -> tuple[float, float, float, float]:
    x, y = source.uniform(0, 500), source.uniform(0, 400)
    return x, y, x + source.uniform(10, 140), y + source.uniform(10, 80)


def _region(id_: str, text_id: str, source: random.Random, *, mask: bool) -> dict[str, Any]:
    x1, y1, x2, y2 = box = _box(source)
    polygon = [v for _ in range(20) for v in (source.uniform(x1, x2), source.uniform(y1, y2))]
    text = {
        "id": text_id, "kind": "phrase", "text": source.choice(WORDS), "similarity": source.random(), "chosen": True,
        "source": SOURCE,
    }  # fmt: skip
    masks = [polygon] if mask else []
    return {
        "id": id_, "kind": "object", "box": box, "quad": [], "mask": masks, "score": source.random(), "source": SOURCE,
        "texts": [text],
    }  # fmt: skip


def _grounding(id_: str, text: dict[str, Any], ids: list[str], source: random.Random) -> dict[str, Any]:
    phrases = []
    for n, phrase in enumerate(text["text"].split(", ")):
        start = text["text"].index(phrase)
        region = {"id": ids[2 * n], "box": _box(source), "mask": [], "score": source.random()}
        phrases.append({
            "id": ids[2 * n + 1], "phrase": phrase, "start": start, "end": start + len(phrase), "score": 0.5,
            "regions": [region],
        })  # fmt: skip
    return {"id": id_, "text_id": text["id"], "source": SOURCE, "phrases": phrases}
