"""The training targets of one sample: as many of the fifteen tasks as its annotations allow.

An empty answer is never written: nothing kept is no proof that nothing is there, least of all in a family that failed.
Nothing is cut either. Where a target would be too long, a list of all that is seen goes without what does not fit;
a text, and an answer to a question about something named, is whole or no target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.sample import PhraseRegionEntry, RegionEntry, RegionTextEntry, Sample, TargetEntry
from fld_engine.schemas.target_language import (
    Instance,
    join_queries,
    location_tokens,
    most_tokens,
    normalise_label,
    normalise_text,
    write_answer,
    write_prompt,
)
from fld_engine.schemas.tasks import BANNED_PHRASES, TASKS, Task

CAPTION_TASKS: dict[Granularity, Task] = {
    "brief": "<CAPTION>",
    "detailed": "<DETAILED_CAPTION>",
    "more_detailed": "<MORE_DETAILED_CAPTION>",
}
Labelled = tuple[str, Instance]
"""An annotation id and what is said of it."""


def write_targets(sample: Sample, max_tokens: int) -> tuple[TargetEntry, ...]:
    """Targets in the order of the task table within each family; what cannot be said is left out, repeats too.

    Neither prompt nor target is longer than `max_tokens`, as `most_tokens` counts them.
    """
    speaker = _Speaker((sample.image.width, sample.image.height), max_tokens)
    unique: dict[tuple[str, str, str], TargetEntry] = {}
    for target in (
        *_captions(sample, speaker),
        *_objects(sample, speaker),
        *_scene_text(sample, speaker),
        *_groundings(sample, speaker),
    ):
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


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Says what is given to it of an image, unless nothing of it can be said or nothing fits."""

    image_wh: tuple[int, int]
    max_tokens: int

    def place(self, region: RegionEntry) -> str:
        """A region as a prompt names it."""
        return location_tokens(region.box, self.image_wh)

    def located(self, task: Task, items: Iterable[Labelled], input_: str = "") -> Iterator[TargetEntry]:
        """The target of a task that answers with locations."""
        ids, instances = [], []
        for annotation_id, instance in items:
            ids.append(annotation_id)
            instances.append(instance)
        written = write_answer(task, instances, self.image_wh, self.max_tokens)
        if not (written.too_long and TASKS[task].takes_input):
            yield from self._target(task, input_, written.target, [ids[i] for i in written.spoken])

    def words(self, task: Task, text: str, ids: Sequence[str]) -> Iterator[TargetEntry]:
        """The target of a task that answers with words."""
        yield from self._target(task, "", normalise_text(text), ids)

    def about(self, task: Task, region: RegionEntry, text: RegionTextEntry | None) -> Iterator[TargetEntry]:
        """The target of a task that asks for the words of a region."""
        if text is not None:
            yield from self._target(task, self.place(region), normalise_text(text.text), (region.id, text.id))

    def _target(self, task: Task, input_: str, target: str, ids: Sequence[str]) -> Iterator[TargetEntry]:
        prompt = write_prompt(task, input_)
        if target and max(most_tokens(prompt), most_tokens(target)) <= self.max_tokens:
            yield TargetEntry(task=task, prompt=prompt, target=target, annotation_ids=tuple(ids))


def _captions(sample: Sample, speaker: _Speaker) -> Iterator[TargetEntry]:
    for text in sample.texts:
        yield from speaker.words(CAPTION_TASKS[text.granularity], text.text, [text.id])


def _objects(sample: Sample, speaker: _Speaker) -> Iterator[TargetEntry]:
    objects = [region for region in sample.regions if region.kind == "object"]
    named = list(_named_boxes(objects, category))
    yield from speaker.located("<OD>", named)
    yield from speaker.located("<DENSE_REGION_CAPTION>", _named_boxes(objects, description))
    yield from speaker.located("<REGION_PROPOSAL>", [(r.id, Instance("", (r.box,))) for r in objects])
    yield from _queries(named, speaker)
    for region in objects:
        yield from speaker.about("<REGION_TO_CATEGORY>", region, category(region))
        yield from speaker.about("<REGION_TO_DESCRIPTION>", region, description(region))
        if region.mask:
            mask = [(region.id, Instance("", region.mask))]
            yield from speaker.located("<REGION_TO_SEGMENTATION>", mask, speaker.place(region))


def _queries(named: Sequence[Labelled], speaker: _Speaker) -> Iterator[TargetEntry]:
    """Open-vocabulary detection: all labels asked for at once, then each for itself."""
    by_label: dict[str, list[Labelled]] = {}
    for item in named:
        if label := normalise_label(item[1].label):
            by_label.setdefault(label, []).append(item)
    labels = sorted(by_label)
    if labels:
        yield from speaker.located("<OPEN_VOCABULARY_DETECTION>", named, join_queries(labels))
    if len(labels) > 1:
        for label in labels:
            yield from speaker.located("<OPEN_VOCABULARY_DETECTION>", by_label[label], label)


def _scene_text(sample: Sample, speaker: _Speaker) -> Iterator[TargetEntry]:
    read = [(region, text) for region in sample.regions if region.kind == "text" if (text := _ocr(region))]
    read.sort(key=lambda pair: (pair[0].box[1], pair[0].box[0]))  # raster order, as the target language writes quads
    words, ids, room = [], [], speaker.max_tokens
    for region, text in read:
        word = normalise_text(text.text)
        if word and len(word.encode()) <= room:
            room -= len(word.encode()) + 1
            words.append(word)
            ids.append(region.id)
    yield from speaker.words("<OCR>", " ".join(words), ids)
    quads = [(region.id, Instance(text.text, (region.quad or _corners(region.box),))) for region, text in read]
    yield from speaker.located("<OCR_WITH_REGION>", quads)
    for region, text in read:
        yield from speaker.about("<REGION_TO_OCR>", region, text)


def _groundings(sample: Sample, speaker: _Speaker) -> Iterator[TargetEntry]:
    texts = {text.id: normalise_text(text.text) for text in sample.texts}
    for grounding in sample.groundings:
        caption = texts.get(grounding.text_id, "")
        boxes = [(r.id, Instance(p.phrase, (r.box,))) for p in grounding.phrases for r in _raster(p.regions)]
        if caption:
            yield from speaker.located("<CAPTION_TO_PHRASE_GROUNDING>", boxes, caption)
        for phrase in grounding.phrases:
            label = normalise_label(phrase.phrase)
            whole = bool(phrase.regions) and all(region.mask for region in phrase.regions)
            if whole and label and label not in BANNED_PHRASES:
                masks = [(region.id, Instance("", region.mask)) for region in phrase.regions]
                yield from speaker.located("<REFERRING_EXPRESSION_SEGMENTATION>", masks, label)


def _named_boxes(
    regions: Iterable[RegionEntry], name: Callable[[RegionEntry], RegionTextEntry | None]
) -> Iterator[Labelled]:
    for region in regions:
        text = name(region)
        if text is not None:
            yield region.id, Instance(text.text, (region.box,))


def _ocr(region: RegionEntry) -> RegionTextEntry | None:
    return next((text for text in region.texts if text.kind == "ocr"), None)


def _raster(regions: Sequence[PhraseRegionEntry]) -> list[PhraseRegionEntry]:
    return sorted(regions, key=lambda region: (region.box[1], region.box[0]))


def _corners(box_xyxy: tuple[float, float, float, float]) -> tuple[float, ...]:
    x1, y1, x2, y2 = box_xyxy
    return x1, y1, x2, y1, x2, y2, x1, y2
