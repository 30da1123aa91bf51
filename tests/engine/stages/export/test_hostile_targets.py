"""Every target of any sample is short, whole, read back by the library and by us, and says what the sample says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fld_engine.engine.stages.export.targets import write_targets
from fld_engine.schemas.sample import SAMPLE_VERSION, Sample, TargetEntry
from fld_engine.schemas.target_language import normalise_text, parse_answer, quantise
from fld_engine.schemas.tasks import TASKS
from fld_engine.schemas.tokens import num_tokens
from tests.florence2_processor import build_processor, published_tokenizer

WH = (640, 480)
SOURCE = {"annotator": "a", "model": "m", "revision": "1", "round": 0}
WORDS = st.one_of(
    st.sampled_from([
        "cat", "a dog", "two dogs", "it", "the image", "a < b", "<loc_1>", "</s>", "<and>", "{input}", "a\r\nb",
        "\u2028", "日本", "café au lait", "🚗 car", "\u202egnirts", "e\u0301", "x" * 10_000, "word " * 2_000,
        "🚗" * 10_000, " ", "\0",
    ]),
    st.text(min_size=1, max_size=40),
)  # fmt: skip
COORDINATES = (st.floats(0, WH[0]), st.floats(0, WH[1]))
BOXES = st.tuples(*COORDINATES, *COORDINATES).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
POLYGONS = st.integers(3, 40).flatmap(
    lambda n: st.lists(st.tuples(*COORDINATES), min_size=n, max_size=n).map(lambda ps: [v for p in ps for v in p])
)
MASKS = st.lists(POLYGONS, max_size=2)


@pytest.fixture(scope="module")
def processor() -> Any:
    return build_processor()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return published_tokenizer()


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    ids = (f"{n:032x}" for n in range(10_000))
    texts = [
        {"id": next(ids), "granularity": granularity, "text": draw(WORDS), "score": 0.5, "source": SOURCE}
        for granularity in draw(st.lists(st.sampled_from(["brief", "detailed", "more_detailed"]), max_size=4))
    ]
    regions = [_region(draw, ids) for _ in range(draw(st.integers(0, 8)))]
    groundings = [_grounding(draw, ids, text) for text in texts if draw(st.booleans())]
    sha256 = hashlib.sha256(b"image").hexdigest()
    return Sample.model_validate({
        "schema": SAMPLE_VERSION,
        "id": sha256[:32],
        "image": {
            "width": WH[0], "height": WH[1], "sha256": sha256, "original_sha256": sha256, "reencoded": False,
            "source": "s", "uri": "u", "licence": "", "split": "train",
        },
        "status": {"texts": "done", "regions": "done", "groundings": "done"},
        "texts": texts,
        "regions": regions,
        "groundings": groundings,
        "targets": (),
    })  # fmt: skip


def _region(draw: st.DrawFn, ids: Iterator[str]) -> dict[str, Any]:
    kind = draw(st.sampled_from(["object", "text"]))
    kinds = ["phrase", "brief"] if kind == "object" else ["ocr"]
    texts = [
        {
            "id": next(ids), "kind": draw(st.sampled_from(kinds)), "text": draw(WORDS), "similarity": 0.1,
            "chosen": False, "source": SOURCE,
        }
        for _ in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    quad = draw(st.lists(st.tuples(*COORDINATES), min_size=4, max_size=4)) if kind == "text" else []
    return {
        "id": next(ids), "kind": kind, "box": draw(BOXES), "quad": [v for point in quad for v in point],
        "mask": draw(MASKS) if kind == "object" else [], "score": 0.5, "source": SOURCE, "texts": texts,
    }  # fmt: skip


def _grounding(draw: st.DrawFn, ids: Iterator[str], text: dict[str, Any]) -> dict[str, Any]:
    phrases = []
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text["text"]) - 1))
        end = draw(st.integers(start + 1, len(text["text"])))
        regions = [
            {"id": next(ids), "box": draw(BOXES), "mask": draw(MASKS), "score": 0.5}
            for _ in range(draw(st.integers(0, 3)))
        ]
        phrases.append({
            "id": next(ids), "phrase": text["text"][start:end], "start": start, "end": end, "score": 0.5,
            "regions": regions,
        })  # fmt: skip
    return {"id": next(ids), "text_id": text["id"], "source": SOURCE, "phrases": phrases}


def places_of(sample: Sample) -> dict[str, set[tuple[int, ...]]]:
    """Every annotation's shapes in bins, their corners in rising order: polygons may be turned round."""
    shapes: dict[str, list[tuple[float, ...]]] = {}
    for region in sample.regions:
        shapes[region.id] = [region.box, region.quad, *region.mask]
    for grounding in sample.groundings:
        for phrase in grounding.phrases:
            shapes |= {region.id: [region.box, *region.mask] for region in phrase.regions}
    return {id_: {corners(shape) for shape in found if shape} for id_, found in shapes.items()}


def corners(shape: tuple[float, ...]) -> tuple[int, ...]:
    bins = quantise(shape, WH)
    return tuple(q for point in sorted(zip(bins[::2], bins[1::2], strict=True)) for q in point)


def check(processor: Any, sample: Sample, target: TargetEntry) -> None:
    task = target.task
    read = processor.post_process_generation(text=target.target, task=task, image_size=WH)[task]
    if TASKS[task].answer == "text":
        assert read == target.target == normalise_text(target.target)
        return
    parsed = parse_answer(task, target.target, WH)
    theirs = read.get("quad_boxes") or read.get("polygons") or read["bboxes"]
    assert len(parsed) == len(theirs) == len(target.annotation_ids)
    known = places_of(sample)
    for id_, instance, place in zip(target.annotation_ids, parsed, theirs, strict=True):
        assert {corners(shape) for shape in instance.shapes} <= known[id_], (
            "it stands where the sample has it, to a bin"
        )
        nested = place if isinstance(place[0], list) else [place]
        assert nested == [[int(v) for v in shape] for shape in instance.shapes]
    labels = read.get("bboxes_labels") or read.get("polygons_labels") or read.get("labels") or []
    assert [label for label in labels if label] == [i.label for i in parsed if i.label]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(samples(), st.sampled_from([12, 60, 300, 1000]))
def test_targets_of_any_sample(processor: Any, tokenizer: Any, sample: Sample, max_tokens: int) -> None:
    targets, unsaid = write_targets(sample, max_tokens, max_prompt_tokens=50)
    assert len({(t.task, t.prompt, t.target) for t in targets}) == len(targets)
    for target in targets:
        for text in (target.prompt, target.target):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert len(ids) <= num_tokens(text) <= max_tokens, "never longer than was said"
            assert "\n" not in text
        assert num_tokens(target.prompt) <= 50
        check(processor, sample, target)
    assert write_targets(sample, max_tokens, max_prompt_tokens=50) == (targets, unsaid)
    check_all_told(sample, [target.task for target in targets], [entry.task for entry in unsaid])


def check_all_told(sample: Sample, said: list[str], unsaid: list[str]) -> None:
    """Of every annotation there is a target of its task, or word that there is none."""
    granularities = {"brief": "<CAPTION>", "detailed": "<DETAILED_CAPTION>", "more_detailed": "<MORE_DETAILED_CAPTION>"}
    for text in sample.texts:
        assert granularities[text.granularity] in said + unsaid
    for region in sample.regions:
        if region.texts and region.kind == "text":
            assert {"<OCR>", "<OCR_WITH_REGION>", "<REGION_TO_OCR>"} <= {*said, *unsaid}
        if region.kind == "object":
            assert "<REGION_PROPOSAL>" in said + unsaid
        if region.kind == "object" and any(text.kind == "phrase" for text in region.texts):
            assert {"<OD>", "<OPEN_VOCABULARY_DETECTION>", "<REGION_TO_CATEGORY>"} <= {*said, *unsaid}


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(samples())
def test_a_shorter_limit_says_less_and_nothing_else(sample: Sample) -> None:
    """An answer is whole or not there: one that names some of what is asked for would teach to stop early."""
    longer = write_targets(sample, 100_000).targets
    shorter = write_targets(sample, 80)
    assert set(shorter.targets) <= set(longer)
    missing = {target.task for target in longer} - {target.task for target in shorter.targets}
    assert missing <= {entry.task for entry in shorter.unsaid if entry.reason == "too_long"}
