"""Scores of labels by a student: their likelihood under teacher forcing.

A student that detects poorly can still judge: given the image and the label as its answer, it gives every token of the
label a probability. A region's name is asked through `<REGION_TO_CATEGORY>`, its box through `<OD>`,
a text through its caption task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.stages.export.targets import CAPTION_TASKS
from fld_engine.refinement.student.image_features import AnswerScore, ImageFeatures, Question
from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.names import name_key, same_name
from fld_engine.schemas.target_language import (
    Instance,
    location_tokens,
    normalise_label,
    normalise_text,
    write_answer,
    write_prompt,
)

NOT_ASKED = -1.0
"""Score of a label that the target language cannot say, or not within the tokens of an answer."""


@dataclass(frozen=True, slots=True)
class RegionScore:
    """The student's scores of one region.

    `box` is the probability of its coordinates (geometric mean of the four), `label` that of its name among the
    candidates, `runner_up` the likeliest other candidate, of probability `p_runner_up`.
    """

    box: float
    label: float
    runner_up: str
    p_runner_up: float


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of the image at row `image` of the features: (n, 4) boxes in pixels and their n labels."""

    image: int
    boxes_xyxy: Floats
    labels: Sequence[str]


class Scorer:
    """Scores labels of a batch of images, all questions of a kind together, `batch_size` answers at a time."""

    def __init__(self, features: ImageFeatures, *, batch_size: int = 32) -> None:
        self._features, self._batch_size = features, batch_size

    # ------------------------------------------------------------------------------------------------ regions

    def regions(self, asked: Sequence[Regions], candidates: Sequence[str]) -> list[list[RegionScore]]:
        """Scores of each group of regions; a label is compared with those of its group and all `candidates`.

        Of several spellings of a name one competes, the first of the candidates or else of the group. A name of which
        the target language would say something else competes not at all.
        """
        supports = self.boxes(asked)
        competing = [_competing((*candidates, *group.labels)) for group in asked]
        names = self.names(asked, [sorted(map(normalise_label, spelled.values())) for spelled in competing])
        return [
            [
                _region_score(box, own, spelled, likely)
                for box, own, likely in zip(boxes, group.labels, all_, strict=True)
            ]
            for group, boxes, spelled, all_ in zip(asked, supports, competing, names, strict=True)
        ]

    def names(self, asked: Sequence[Regions], candidates: Sequence[Sequence[str]]) -> list[list[Mapping[str, float]]]:
        """For each box of each group, the probability of every candidate name of the group; they sum to 1.

        A name is scored with its end mark, so that "cat" is not the beginning of "cat food".
        """
        questions = [
            Question(group.image, prompt, name)
            for group, names in zip(asked, candidates, strict=True)
            for prompt in self._prompts(group)
            for name in names
        ]
        scores = iter(self._score(questions))
        return [
            [_shares(names, [float(next(scores).logs.sum()) for _ in names]) for _ in group.labels]
            for group, names in zip(asked, candidates, strict=True)
        ]

    def boxes(self, asked: Sequence[Regions]) -> list[list[float]]:
        """Support of each box in the answer that holds all of its group; `NOT_ASKED` where it cannot be written.

        Everything before a box is given as the label has it, so a false neighbour costs only itself.
        """
        scores = [[NOT_ASKED] * len(group.labels) for group in asked]
        written = []
        for row, group in enumerate(asked):
            boxes = zip(group.labels, group.boxes_xyxy.tolist(), strict=True)
            instances = [Instance(name, (tuple(box),)) for name, box in boxes]
            answer = write_answer("<OD>", instances, self._features.sizes_wh[group.image])
            if answer.target:
                written.append((row, answer))
        questions = [Question(asked[row].image, write_prompt("<OD>"), answer.target) for row, answer in written]
        for (row, answer), score in zip(written, self._score(questions), strict=True):
            whole = score.support[: len(score.support) // 4 * 4].reshape(-1, 4)  # a long answer may be cut
            for region, support in zip(answer.spoken, whole, strict=False):
                scores[row][region] = float(support.prod() ** 0.25)
        return scores

    def _prompts(self, group: Regions) -> list[str]:
        wh = self._features.sizes_wh[group.image]
        return [write_prompt("<REGION_TO_CATEGORY>", location_tokens(box, wh)) for box in group.boxes_xyxy.tolist()]

    # -------------------------------------------------------------------------------------------------- texts

    def texts(self, asked: Sequence[tuple[int, Granularity, str]]) -> list[float]:
        """Probability a token of texts of images, the geometric mean.

        `NOT_ASKED` where a text cannot be written, or is cut because it has more tokens than an answer may have.
        """
        scores = [NOT_ASKED] * len(asked)
        rows = [row for row, (_, _, text) in enumerate(asked) if normalise_text(text)]
        questions = []
        for row in rows:
            image, granularity, text = asked[row]
            questions.append(Question(image, write_prompt(CAPTION_TASKS[granularity]), normalise_text(text)))
        for row, score in zip(rows, self._score(questions), strict=True):
            if len(score.logs) < self._features.student.max_target_tokens - 1:  # the start mark is not scored
                scores[row] = float(np.exp(score.logs.mean()))
        return scores

    def _score(self, questions: Sequence[Question]) -> list[AnswerScore]:
        from fld_engine.refinement.student.teacher_forcing import score_answers  # torch, when a model is loaded

        return score_answers(self._features, questions, batch_size=self._batch_size)


def _competing(names: Iterable[str]) -> dict[str, str]:
    """Key → the first spelling, of the names that the target language can say."""
    spelled: dict[str, str] = {}
    for name in names:
        if (said := normalise_label(name)) and same_name(said, name):
            spelled.setdefault(name_key(name), name)
    return spelled


def _region_score(box: float, own: str, spelled: Mapping[str, str], likely: Mapping[str, float]) -> RegionScore:
    """`likely` has what is said of the names `spelled`. Where its own name was not asked, a region has no runner-up."""
    key = name_key(own)
    if key not in spelled:
        return RegionScore(box, NOT_ASKED, "", 0.0)
    shares = {other: likely[normalise_label(name)] for other, name in spelled.items()}
    rivals = sorted((normalise_label(spelled[other]), other) for other in spelled if other != key)
    _, runner_up = max(rivals, key=lambda rival: shares[rival[1]], default=("", ""))
    return RegionScore(box, shares[key], spelled.get(runner_up, ""), shares.get(runner_up, 0.0))


def _shares(names: Sequence[str], likelihoods: Sequence[float]) -> Mapping[str, float]:
    """Log-likelihoods of names as shares of one probability."""
    logs = np.array(likelihoods, dtype=np.float64)
    shifted = np.exp(logs - logs.max(initial=-np.inf))
    return dict(zip(names, (shifted / shifted.sum()).tolist(), strict=True))
