"""What a student thinks of labels that are there already: their likelihood when it is made to say them.

A student that detects poorly can still judge: it is shown the image, made to say the label (teacher forcing), and
every token it says has a probability. A region's name is asked through `<REGION_TO_CATEGORY>`, its box through `<OD>`,
a text through its caption task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.export.targets import CAPTION_TASKS
from engine.geometry import Floats
from engine.protocols import RGB
from refinement.student import IGNORED, Student, encode, encode_targets
from schemas.annotations import Granularity
from schemas.target_language import (
    NUM_BINS,
    Instance,
    location_tokens,
    normalise_label,
    normalise_text,
    write_answer,
    write_prompt,
)

BOX_TOLERANCE = 0.05
"""A coordinate is supported by all the probability within this share of the axis: the exact one of 1,000 bins says
more about the student's sharpness than about the label."""
NOT_ASKED = -1.0
"""Score of a label that the target language cannot say."""


@dataclass(frozen=True, slots=True)
class RegionScore:
    """What the student thinks of one region.

    `box` is the probability of its coordinates (geometric mean of the four), `label` that of its name among the
    candidates, `rival` the likeliest other candidate, of probability `p_rival`.
    """

    box: float
    label: float
    rival: str
    p_rival: float


class Scorer:
    """Scores labels with a student. Batches hold one question each; the vision tower runs once an image."""

    def __init__(self, student: Student, *, batch_size: int = 32) -> None:
        from refinement.step import ForcedAnswers

        self._student, self._batch_size = student, batch_size
        self._forced = ForcedAnswers(student.model).eval()
        vocabulary = student.processor.tokenizer
        self._first_bin = int(vocabulary.convert_tokens_to_ids("<loc_0>"))

    # ------------------------------------------------------------------------------------------------ regions

    def regions(
        self, pixels: RGB, boxes_xyxy: Floats, labels: Sequence[str], candidates: Sequence[str]
    ) -> list[RegionScore]:
        """Score the (n, 4) boxes and n labels of one image; a label is also compared with all `candidates`."""
        if not len(labels):
            return []
        boxes = self.boxes(pixels, boxes_xyxy, labels)
        names = self.names(pixels, boxes_xyxy, sorted({*map(normalise_label, (*labels, *candidates))} - {""}))
        scores = []
        for box, label, likely in zip(boxes, labels, names, strict=True):
            own = normalise_label(label)
            rival = max((name for name in likely if name != own), key=lambda name: likely[name], default="")
            scores.append(RegionScore(box, likely.get(own, NOT_ASKED), rival, likely.get(rival, 0.0)))
        return scores

    def names(self, pixels: RGB, boxes_xyxy: Floats, candidates: Sequence[str]) -> list[Mapping[str, float]]:
        """For each of (n, 4) boxes, the probability of every candidate name; they sum to 1.

        The whole name is said with its end, so that "cat" is not the beginning of "cat food".
        """
        wh = (pixels.shape[1], pixels.shape[0])
        prompts = [write_prompt("<REGION_TO_CATEGORY>", location_tokens(box, wh)) for box in boxes_xyxy.tolist()]
        asked = [(prompt, name) for prompt in prompts for name in candidates]
        likelihoods = self._log_likelihoods(pixels, asked).reshape(len(prompts), len(candidates))
        shifted = np.exp(likelihoods - likelihoods.max(axis=1, keepdims=True, initial=-np.inf))
        shares = shifted / shifted.sum(axis=1, keepdims=True)
        return [dict(zip(candidates, row.tolist(), strict=True)) for row in shares]

    def boxes(self, pixels: RGB, boxes_xyxy: Floats, labels: Sequence[str]) -> list[float]:
        """Support of each of (n, 4) boxes in the answer that holds all of them; `NOT_ASKED` where it cannot be said.

        Everything before a box is given as the label has it, so a false neighbour costs only itself.
        """
        wh = (pixels.shape[1], pixels.shape[0])
        instances = [Instance(n, (tuple(b),)) for n, b in zip(labels, boxes_xyxy.tolist(), strict=True)]
        written = write_answer("<OD>", instances, wh)
        scores = [NOT_ASKED] * len(labels)
        if not written.target:
            return scores
        (said, probabilities), *_ = self._probabilities(pixels, [(write_prompt("<OD>"), written.target)])
        bins = said - self._first_bin
        places = np.flatnonzero((bins >= 0) & (bins < NUM_BINS))
        reach = int(BOX_TOLERANCE * NUM_BINS)
        for rank in range(min(len(places) // 4, len(written.spoken))):
            support = [
                _mass(probabilities[place, self._first_bin : self._first_bin + NUM_BINS], int(bins[place]), reach)
                for place in places[4 * rank : 4 * rank + 4]
            ]
            scores[written.spoken[rank]] = math.prod(support) ** 0.25
        return scores

    # -------------------------------------------------------------------------------------------------- texts

    def texts(self, pixels: RGB, texts: Sequence[tuple[Granularity, str]]) -> list[float]:
        """Probability a token of each text, the geometric mean; `NOT_ASKED` where it cannot be said."""
        scores = [NOT_ASKED] * len(texts)
        asked, rows = [], []
        for row, (granularity, text) in enumerate(texts):
            if words := normalise_text(text):
                asked.append((write_prompt(CAPTION_TASKS[granularity]), words))
                rows.append(row)
        for row, value in zip(rows, self._log_likelihoods(pixels, asked, per_token=True), strict=True):
            scores[row] = float(np.exp(value))
        return scores

    # ------------------------------------------------------------------------------------------------ forcing

    def _log_likelihoods(self, pixels: RGB, asked: Sequence[tuple[str, str]], *, per_token: bool = False) -> Floats:
        """(n,) log-likelihoods of (prompt, target) pairs, summed over tokens or their mean; the start mark is free."""
        import torch

        found: list[float] = []
        for inputs, labels in self._batches(pixels, asked):
            with torch.inference_mode():
                losses = self._forced(inputs, labels)[:, 1:]
            said = (labels[:, 1:] != IGNORED).sum(dim=1).clamp(min=1)
            total = -losses.sum(dim=1)
            found.extend((total / said if per_token else total).tolist())
        return np.array(found, dtype=np.float64)

    def _probabilities(self, pixels: RGB, asked: Sequence[tuple[str, str]]) -> list[tuple[Any, Any]]:
        """For each pair, (t,) ids of the answer and (t, vocabulary) probabilities of what could stand there."""
        import torch

        found: list[tuple[Any, Any]] = []
        for inputs, labels in self._batches(pixels, asked):
            with torch.inference_mode():
                shares = self._forced.logits(inputs, labels).softmax(dim=-1)
            found.extend(zip(labels.numpy(), shares.numpy(), strict=True))
        return found

    def _batches(self, pixels: RGB, asked: Sequence[tuple[str, str]]) -> Any:
        for start in range(0, len(asked), self._batch_size):
            part = asked[start : start + self._batch_size]
            inputs = encode(self._student, [pixels], [(0, prompt) for prompt, _ in part])
            yield inputs, encode_targets(self._student, [target for _, target in part])


def _mass(probabilities: Floats, middle: int, reach: int) -> float:
    """Probability within `reach` bins of the middle."""
    return float(probabilities[max(middle - reach, 0) : middle + reach + 1].sum())
