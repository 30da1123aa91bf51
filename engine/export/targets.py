"""The training targets of one sample: as many of the fifteen tasks as its annotations allow.

An empty answer is never written: nothing kept is no proof that nothing is there, least of all in a family that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from schemas.annotations import Granularity
from schemas.sample import PhraseRegionEntry, RegionEntry, RegionTextEntry, Sample, TargetEntry
from schemas.target_language import (
    Instance,
    join_queries,
    location_tokens,
    normalise_label,
    normalise_text,
    write_answer,
    write_prompt,
)
from schemas.tasks import BANNED_PHRASES, Task

CAPTION_TASKS: dict[Granularity, Task] = {
    "brief": "<CAPTION>",
    "detailed": "<DETAILED_CAPTION>",
    "more_detailed": "<MORE_DETAILED_CAPTION>",
}
Labelled = tuple[str, Instance]
"""An annotation id and what is said of it."""


def write_targets(sample: Sample) -> tuple[TargetEntry, ...]:
    """Targets in the order of the task table within each family; what cannot be said is left out, repeats too."""
    unique: dict[tuple[str, str, str], TargetEntry] = {}
    for target in (*_captions(sample), *_objects(sample), *_scene_text(sample), *_groundings(sample)):
        unique.setdefault((target.task, target.prompt, target.target), target)
    return tuple(unique.values())


def category(region: RegionEntry) -> RegionTextEntry | None:
    """The text that names what an object is: its first phrase, the chosen one where there are several."""
    phrases = [text for text in region.texts if text.kind == "phrase"]
    return next((text for text in phrases if text.chosen), phrases[0] if phrases else None)


def description(region: RegionEntry) -> RegionTextEntry | None:
    """The text that describes a region best: the chosen candidate, else its brief text, else its phrase."""
    chosen = [text for text in region.texts if text.chosen]
    briefs = [text for text in region.texts if text.kind == "brief"]
    return next(iter(chosen + briefs), category(region))


def _captions(sample: Sample) -> Iterator[TargetEntry]:
    for text in sample.texts:
        words = normalise_text(text.text)
        if words:
            task = CAPTION_TASKS[text.granularity]
            yield TargetEntry(task=task, prompt=write_prompt(task), target=words, annotation_ids=(text.id,))


def _objects(sample: Sample) -> Iterator[TargetEntry]:
    objects = [region for region in sample.regions if region.kind == "object"]
    named = list(_named_boxes(objects, category))
    yield from _located(sample, "<OD>", named)
    yield from _located(sample, "<DENSE_REGION_CAPTION>", _named_boxes(objects, description))
    proposals = [(region.id, Instance("", (region.box,))) for region in objects]
    yield from _located(sample, "<REGION_PROPOSAL>", proposals)
    labels = sorted({normal for _, instance in named if (normal := normalise_label(instance.label))})
    if labels:
        yield from _located(sample, "<OPEN_VOCABULARY_DETECTION>", named, join_queries(labels))
    for region in objects:
        yield from _region_words(sample, "<REGION_TO_CATEGORY>", region, category(region))
        yield from _region_words(sample, "<REGION_TO_DESCRIPTION>", region, description(region))
        if region.mask:
            place = location_tokens(region.box, _wh(sample))
            yield from _located(sample, "<REGION_TO_SEGMENTATION>", [(region.id, Instance("", region.mask))], place)


def _scene_text(sample: Sample) -> Iterator[TargetEntry]:
    read = [(region, text) for region in sample.regions if region.kind == "text" if (text := _ocr(region))]
    read.sort(key=lambda pair: (pair[0].box[1], pair[0].box[0]))  # raster order, as the target language writes quads
    words = [(region.id, normal) for region, text in read if (normal := normalise_text(text.text))]
    if words:
        yield TargetEntry(
            task="<OCR>",
            prompt=write_prompt("<OCR>"),
            target=" ".join(word for _, word in words),
            annotation_ids=tuple(region_id for region_id, _ in words),
        )
    quads = [(region.id, Instance(text.text, (region.quad or _corners(region.box),))) for region, text in read]
    yield from _located(sample, "<OCR_WITH_REGION>", quads)
    for region, text in read:
        yield from _region_words(sample, "<REGION_TO_OCR>", region, text)


def _groundings(sample: Sample) -> Iterator[TargetEntry]:
    texts = {text.id: normalise_text(text.text) for text in sample.texts}
    for grounding in sample.groundings:
        caption = texts.get(grounding.text_id, "")
        boxes = [(r.id, Instance(p.phrase, (r.box,))) for p in grounding.phrases for r in _raster(p.regions)]
        if caption:
            yield from _located(sample, "<CAPTION_TO_PHRASE_GROUNDING>", boxes, caption)
        for phrase in grounding.phrases:
            label = normalise_label(phrase.phrase)
            whole = bool(phrase.regions) and all(region.mask for region in phrase.regions)
            if whole and label and label not in BANNED_PHRASES:
                masks = [(region.id, Instance("", region.mask)) for region in phrase.regions]
                yield from _located(sample, "<REFERRING_EXPRESSION_SEGMENTATION>", masks, label)


def _named_boxes(
    regions: Iterable[RegionEntry], name: Callable[[RegionEntry], RegionTextEntry | None]
) -> Iterator[Labelled]:
    for region in regions:
        text = name(region)
        if text is not None:
            yield region.id, Instance(text.text, (region.box,))


def _located(sample: Sample, task: Task, items: Iterable[Labelled], input_: str = "") -> Iterator[TargetEntry]:
    """The target of a task that answers with locations, unless nothing of it can be said."""
    ids, instances = [], []
    for annotation_id, instance in items:
        ids.append(annotation_id)
        instances.append(instance)
    written = write_answer(task, instances, _wh(sample))
    if written.target:
        spoken = tuple(ids[i] for i in written.spoken)
        yield TargetEntry(task=task, prompt=write_prompt(task, input_), target=written.target, annotation_ids=spoken)


def _region_words(
    sample: Sample, task: Task, region: RegionEntry, text: RegionTextEntry | None
) -> Iterator[TargetEntry]:
    words = normalise_text(text.text) if text else ""
    if text and words:
        prompt = write_prompt(task, location_tokens(region.box, _wh(sample)))
        yield TargetEntry(task=task, prompt=prompt, target=words, annotation_ids=(region.id, text.id))


def _ocr(region: RegionEntry) -> RegionTextEntry | None:
    return next((text for text in region.texts if text.kind == "ocr"), None)


def _raster(regions: Sequence[PhraseRegionEntry]) -> list[PhraseRegionEntry]:
    return sorted(regions, key=lambda region: (region.box[1], region.box[0]))


def _corners(box_xyxy: tuple[float, float, float, float]) -> tuple[float, ...]:
    x1, y1, x2, y2 = box_xyxy
    return x1, y1, x2, y1, x2, y2, x1, y2


def _wh(sample: Sample) -> tuple[int, int]:
    return sample.image.width, sample.image.height
