"""A student judges an image: it detects and describes freely, and scores the labels that are there.

Both are scored in one way, by teacher forcing, so that a label and a detection can be weighed against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fld_engine.engine.data.hashing import annotation_id
from fld_engine.refinement.labels.image import Images, LabelledImage, RegionLabel, TextLabel, boxes_of, named_things
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.student.image_features import answer, extract_features
from fld_engine.refinement.student.model import Student
from fld_engine.refinement.student.scoring import NOT_ASKED, Regions, Scorer
from fld_engine.schemas.target_language import parse_answer, parse_text

MIN_SIDE_PX = 1.0
"""Thinner boxes are dropped: no object is that thin, and a student without training often writes one."""


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
    """Judge images by id. `names` are all labels of the dataset; `progress` is called with (done, of how many)."""
    judged: dict[str, Judgement] = {}
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        features = extract_features(student, [read(image.id) for image in part])
        boxes, texts = (answer(features, task, max_tokens=max_tokens) for task in ("<OD>", "<CAPTION>"))
        judgements = judge(Scorer(features), part, names, list(zip(boxes, texts, strict=True)), round_=round_)
        judged.update(zip([image.id for image in part], judgements, strict=True))
        if progress:
            progress(start + len(part), len(images))
    return judged


def judge(
    scorer: Scorer,
    images: Sequence[LabelledImage],
    names: Sequence[str],
    answers: Sequence[tuple[str, str]],
    *,
    round_: int,
) -> list[Judgement]:
    """Score the labels of the images of the scorer and the student's own `answers` to `<OD>` and `<CAPTION>`."""
    seen = [_detections(image, boxes, round_) for image, (boxes, _) in zip(images, answers, strict=True)]
    written = [_captions(image, text, names, round_) for image, (_, text) in zip(images, answers, strict=True)]
    regions = _scored(scorer, [*enumerate(image.regions for image in images), *enumerate(seen)], names)
    texts = _scored_texts(scorer, [*enumerate(image.texts for image in images), *enumerate(written)])
    num = len(images)
    return [Judgement(*parts) for parts in zip(regions[:num], regions[num:], texts[:num], texts[num:], strict=True)]


def _detections(image: LabelledImage, answered: str, round_: int) -> list[RegionLabel]:
    """The boxes of an answer, without repetitions."""
    found: dict[tuple[str, tuple[float, ...]], RegionLabel] = {}
    for thing in parse_answer("<OD>", answered, image.image_wh):
        x1, y1, x2, y2 = (round(v, 2) for v in thing.shapes[0])
        if x2 - x1 >= MIN_SIDE_PX and y2 - y1 >= MIN_SIDE_PX:
            identity = annotation_id("regions", image.id, "student", round_, len(found))
            found.setdefault(
                (thing.label, (x1, y1, x2, y2)), RegionLabel(identity, (x1, y1, x2, y2), thing.label, 0.0, 0.0)
            )
    return list(found.values())


def _captions(image: LabelledImage, answered: str, names: Sequence[str], round_: int) -> tuple[TextLabel, ...]:
    words = parse_text(answered)
    identity = annotation_id("texts", image.id, "student", round_, 0)
    return (TextLabel(identity, "brief", words, named_things(words, names), 0.0),) if words else ()


def _scored(
    scorer: Scorer, groups: Sequence[tuple[int, Sequence[RegionLabel]]], names: Sequence[str]
) -> list[tuple[RegionLabel, ...]]:
    """Groups of regions, each with the row of its image, with the scores of the student."""
    boxes = [(row, boxes_of(regions)) for row, regions in groups]
    scores = scorer.regions([Regions(row, group.xyxy, group.labels) for row, group in boxes], names)
    return [
        tuple(
            replace(
                region,
                p=max(s.box, 0.0),
                p_label=max(s.label, 0.0),
                runner_up=s.runner_up,
                p_runner_up=s.p_runner_up,
                place_asked=s.box != NOT_ASKED,
                name_asked=s.label != NOT_ASKED,
            )
            for region, s in zip(regions, group, strict=True)
        )
        for (_, regions), group in zip(groups, scores, strict=True)
    ]


def _scored_texts(scorer: Scorer, groups: Sequence[tuple[int, Sequence[TextLabel]]]) -> list[tuple[TextLabel, ...]]:
    """The same for texts."""
    scores = iter(scorer.texts([(row, text.granularity, text.text) for row, texts in groups for text in texts]))
    return [
        tuple(replace(text, p=max(p, 0.0), asked=p != NOT_ASKED) for text in texts for p in [next(scores)])
        for _, texts in groups
    ]
