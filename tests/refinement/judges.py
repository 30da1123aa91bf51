"""Judges whose eyes we know, and noisy labels of scenes for them to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.refinement.labels import ImageLabels, boxes_of, labelled, true_labels
from benchmarks.refinement.noise import NoiseRates, inject
from benchmarks.refinement.scenes import LABELS, PlainWorld
from fld_engine.refinement.labels.gold import Gold, gold_split_of
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel, named_things
from fld_engine.refinement.labels.judgement import Judgement

WORLD = PlainWorld(48)
NUM = 240
RNG = np.random.default_rng(4)
TRUTH = [true_labels(WORLD.draw(RNG, 1 + i % 3), str(i)) for i in range(NUM)]
NOISY = inject(TRUTH, NoiseRates(), WORLD, seed=9)


def images(num_gold: int = 120) -> list[LabelledImage]:
    splits = [gold_split_of(str(i), 0) if i < num_gold else "" for i in range(NUM)]
    return [
        labelled(labels, str(i), WORLD.image_px, split)
        for i, (labels, split) in enumerate(zip(NOISY.labels, splits, strict=True))
    ]


def gold(num_gold: int = 120) -> dict[str, Gold]:
    return {str(i): Gold(boxes_of(TRUTH[i]), (TRUTH[i].caption,)) for i in range(num_gold)}


def honest(labels: Sequence[ImageLabels]):  # type: ignore[no-untyped-def]
    """A judge to whom `labels` are the truth; it is sure of what it sees and doubts all else."""

    def score(region: RegionLabel, said: ImageLabels) -> RegionLabel:
        from benchmarks.refinement.accounting import _overlaps
        from benchmarks.refinement.labels import Named

        overlaps = _overlaps(Named(region.id, region.label, region.box_xyxy), said.regions)
        if not len(overlaps) or overlaps.max() < 0.3:
            return replace(region, p=0.1, p_label=0.2, runner_up="", p_runner_up=0.0)
        true = said.regions[int(overlaps.argmax())].label
        p = 0.9 if overlaps.max() >= 0.5 else 0.3
        if true == region.label:
            return replace(region, p=p, p_label=0.9, runner_up="other", p_runner_up=0.1)
        return replace(region, p=p, p_label=0.1, runner_up=true, p_runner_up=0.9)

    def judge(every: Sequence[LabelledImage]) -> Mapping[str, Judgement]:
        judged = {}
        for image in every:
            said = labels[int(image.id)]
            seen = [
                RegionLabel(f"{image.id}/seen {i}", r.box_xyxy, r.label, p=0.95, p_label=0.95)
                for i, r in enumerate(said.regions)
            ]
            text = TextLabel(f"{image.id}/said", "brief", said.caption, named_things(said.caption, LABELS), p=0.8)
            judged[image.id] = Judgement(
                old=tuple(score(region, said) for region in image.regions),
                seen=tuple(seen),
                old_texts=tuple(replace(t, p=0.8 if t.text == said.caption else 0.3) for t in image.texts),
                seen_texts=(text,),
            )
        return judged

    return judge
