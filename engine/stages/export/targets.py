"""The training targets of one sample: as many of the fifteen tasks as its annotations allow.

An empty answer is never written: nothing kept is no proof that nothing is there, least of all in a family that failed.
Nothing is cut either: an answer is whole or no target, for one that names some of what it is asked for would call
itself complete. Of a crowded picture there are the answers about one class, one region or one phrase that do fit. What
is in no target of a task is told beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from fld_engine.engine.stages.export.speaker import Labelled, Saying, Speaker
from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.sample import (
    PhraseRegionEntry,
    RegionEntry,
    RegionTextEntry,
    Sample,
    TargetEntry,
    UnsaidEntry,
)
from fld_engine.schemas.target_language import Instance, join_queries, normalise_label, normalise_text
from fld_engine.schemas.tasks import BANNED_PHRASES, Task
from fld_engine.schemas.tokens import TokenCount, num_tokens

CAPTION_TASKS: dict[Granularity, Task] = {
    "brief": "<CAPTION>",
    "detailed": "<DETAILED_CAPTION>",
    "more_detailed": "<MORE_DETAILED_CAPTION>",
}


class Told(NamedTuple):
    """What is said of a sample, and which of its annotations are not, by task and reason."""

    targets: tuple[TargetEntry, ...]
    unsaid: tuple[UnsaidEntry, ...]


def write_targets(
    sample: Sample, max_tokens: int, *, max_prompt_tokens: int | None = None, count: TokenCount = num_tokens
) -> Told:
    """Targets in the order of the task table within each family, each once.

    No target is longer than `max_tokens` and no prompt than the lesser of this and `max_prompt_tokens`, as `count` has
    them.
    """
    speaker = Speaker(
        (sample.image.width, sample.image.height),
        max_tokens,
        min(max_tokens, max_prompt_tokens or max_tokens),
        count,
    )
    targets: dict[tuple[str, str, str], TargetEntry] = {}
    unsaid: dict[UnsaidEntry, None] = {}
    for said in (
        *_captions(sample, speaker),
        *_objects(sample, speaker),
        *_scene_text(sample, speaker),
        *_groundings(sample, speaker),
    ):
        if isinstance(said, TargetEntry):
            targets.setdefault((said.task, said.prompt, said.target), said)
        else:
            unsaid[said] = None
    return Told(tuple(targets.values()), tuple(unsaid))


def category(region: RegionEntry) -> RegionTextEntry | None:
    """The text that names what an object is: its class, which stands first among its phrases."""
    return next((text for text in region.texts if text.kind == "phrase"), None)


def description(region: RegionEntry) -> RegionTextEntry | None:
    """The text that describes a region best: the chosen candidate, else its brief text, else its phrase."""
    chosen = [text for text in region.texts if text.chosen]
    briefs = [text for text in region.texts if text.kind == "brief"]
    return next(iter(chosen + briefs), category(region))


def _captions(sample: Sample, speaker: Speaker) -> Iterator[Saying]:
    for text in sample.texts:
        yield from speaker.words(CAPTION_TASKS[text.granularity], text.text, [text.id])


def _objects(sample: Sample, speaker: Speaker) -> Iterator[Saying]:
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


def _queries(named: Sequence[Labelled], speaker: Speaker) -> Iterator[Saying]:
    """Open-vocabulary detection: all labels asked for at once, then each for itself.

    What one of the two says is said.
    """
    by_label: dict[str, list[Labelled]] = {}
    for item in named:
        if label := normalise_label(item[1].label):
            by_label.setdefault(label, []).append(item)
    labels = sorted(by_label)
    task: Task = "<OPEN_VOCABULARY_DETECTION>"
    yield from speaker.not_representable(task, [id_ for id_, item in named if not normalise_label(item.label)])
    together: list[Saying] = []
    if labels:
        together = list(
            speaker.located(task, [one for label in labels for one in by_label[label]], join_queries(labels))
        )
    if len(labels) == 1 or any(isinstance(said, TargetEntry) for said in together):
        yield from together
    if len(labels) > 1:
        for label in labels:
            yield from speaker.located(task, by_label[label], label)


def _scene_text(sample: Sample, speaker: Speaker) -> Iterator[Saying]:
    read = [(region, text) for region in sample.regions if region.kind == "text" if (text := _ocr(region))]
    read.sort(key=lambda pair: (pair[0].box[1], pair[0].box[0]))  # raster order, as the target language writes quads
    words = [(region.id, word) for region, text in read if (word := normalise_text(text.text))]
    yield from speaker.not_representable("<OCR>", [r.id for r, text in read if not normalise_text(text.text)])
    if words:
        yield from speaker.words("<OCR>", " ".join(word for _, word in words), [id_ for id_, _ in words])
    quads = [(region.id, Instance(text.text, (region.quad or _corners(region.box),))) for region, text in read]
    yield from speaker.located("<OCR_WITH_REGION>", quads)
    for region, text in read:
        yield from speaker.about("<REGION_TO_OCR>", region, text)


def _groundings(sample: Sample, speaker: Speaker) -> Iterator[Saying]:
    texts = {text.id: normalise_text(text.text) for text in sample.texts}
    for grounding in sample.groundings:
        caption = texts.get(grounding.text_id, "")
        boxes = [(r.id, Instance(p.phrase, (r.box,))) for p in grounding.phrases for r in _raster(p.regions)]
        if caption:
            yield from speaker.located("<CAPTION_TO_PHRASE_GROUNDING>", boxes, caption)
        else:
            yield from speaker.not_representable("<CAPTION_TO_PHRASE_GROUNDING>", [id_ for id_, _ in boxes])
        for phrase in grounding.phrases:
            label = normalise_label(phrase.phrase)
            whole = bool(phrase.regions) and all(region.mask for region in phrase.regions)
            if not whole or label in BANNED_PHRASES:
                continue
            masks = [(region.id, Instance("", region.mask)) for region in phrase.regions]
            task: Task = "<REFERRING_EXPRESSION_SEGMENTATION>"
            if label:
                yield from speaker.located(task, masks, label)
            else:
                yield from speaker.not_representable(task, [id_ for id_, _ in masks])


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
