"""A student looks at an image: what it sees freely, and what it thinks of the labels that are there.

Both are scored in one way, by teacher forcing, so that a label and a sighting can be weighed against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.hashing import annotation_id
from engine.protocols import RGB
from refinement.dataset import Images, LabelledImage, boxes_of
from refinement.merge_regions import RegionLabel
from refinement.merge_texts import TextLabel
from refinement.scoring import Scorer
from refinement.student import Student, encode
from schemas.target_language import parse_answer, parse_text, write_prompt
from schemas.tasks import Task

_WORD = re.compile(r"[\w'-]+")
MIN_SIDE_PX = 1.0
"""Boxes thinner than this are not sights but slips of the tongue."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One image as a student judges it. Scores are raw, in the fields that calibration will fill with probabilities."""

    old: tuple[RegionLabel, ...]
    seen: tuple[RegionLabel, ...]
    old_texts: tuple[TextLabel, ...]
    seen_texts: tuple[TextLabel, ...]


def judge_all(
    student: Student,
    images: Sequence[LabelledImage],
    read: Images,
    names: Sequence[str],
    *,
    round_: int,
    batch_size: int = 32,
    max_tokens: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Judgement]:
    """Judge images by id. `names` are all labels of the dataset; `progress` is told (done, of how many)."""
    scorer = Scorer(student)
    judged: dict[str, Judgement] = {}
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        pixels = [read(image.id) for image in part]
        boxes = answer(student, pixels, "<OD>", max_tokens=max_tokens)
        texts = answer(student, pixels, "<CAPTION>", max_tokens=max_tokens)
        for image, array, said, written in zip(part, pixels, boxes, texts, strict=True):
            judged[image.id] = judge(scorer, image, array, names, (said, written), round_=round_)
        if progress:
            progress(start + len(part), len(images))
    return judged


def judge(
    scorer: Scorer, image: LabelledImage, pixels: RGB, names: Sequence[str], answers: tuple[str, str], *, round_: int
) -> Judgement:
    """Score the labels of an image and the student's own `answers` to `<OD>` and `<CAPTION>`."""
    seen = _sightings(image, answers[0], round_)
    words = parse_text(answers[1])
    texts = [(text.granularity, text.text) for text in image.texts]
    *old_p, new_p = scorer.texts(pixels, [*texts, ("brief", words)])
    identity = annotation_id("texts", image.id, "student", round_, 0)
    written = TextLabel(identity, "brief", words, named_things(words, names), new_p)
    return Judgement(
        old=_scored(scorer, pixels, image.regions, names),
        seen=_scored(scorer, pixels, seen, names),
        old_texts=tuple(replace(text, p=max(p, 0.0)) for text, p in zip(image.texts, old_p, strict=True)),
        seen_texts=(written,) if words else (),
    )


def answer(student: Student, images: Sequence[RGB], task: Task, *, max_tokens: int) -> list[str]:
    """Greedy answers to a task without input, one an image, tokens of the target language included."""
    import torch

    inputs = encode(student, images, [(row, write_prompt(task)) for row in range(len(images))])
    inputs.pop("image_rows")
    student.model.eval()
    with torch.inference_mode():
        ids = student.model.generate(**inputs, max_new_tokens=max_tokens, num_beams=1, do_sample=False)
    texts: list[str] = student.processor.tokenizer.batch_decode(ids, skip_special_tokens=False)
    return texts


def _sightings(image: LabelledImage, said: str, round_: int) -> list[RegionLabel]:
    """The boxes of an answer, without repetitions."""
    found: dict[tuple[str, tuple[float, ...]], RegionLabel] = {}
    for thing in parse_answer("<OD>", said, image.image_wh):
        x1, y1, x2, y2 = (round(v, 2) for v in thing.shapes[0])
        if x2 - x1 >= MIN_SIDE_PX and y2 - y1 >= MIN_SIDE_PX:
            identity = annotation_id("regions", image.id, "student", round_, len(found))
            found.setdefault(
                (thing.label, (x1, y1, x2, y2)), RegionLabel(identity, (x1, y1, x2, y2), thing.label, 0.0, 0.0)
            )
    return list(found.values())


def _scored(
    scorer: Scorer, pixels: RGB, regions: Sequence[RegionLabel], names: Sequence[str]
) -> tuple[RegionLabel, ...]:
    boxes = boxes_of(regions)
    scores = scorer.regions(pixels, boxes.xyxy, boxes.labels, names)
    return tuple(
        replace(region, p=max(s.box, 0.0), p_label=max(s.label, 0.0), rival=s.rival, p_rival=s.p_rival)
        for region, s in zip(regions, scores, strict=True)
    )


def named_things(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """Words of a text that are the head noun of a known label, in order: what it says is on the image."""
    heads = {name.lower().split()[-1] for name in names if name.split()}
    return tuple(word for word in _WORD.findall(text.lower()) if word in heads)
