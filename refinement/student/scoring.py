"""What a student thinks of labels that are there already: their likelihood when it is made to say them.

A student that detects poorly can still judge: it is shown the image, made to say the label (teacher forcing), and
every token it says has a probability. A region's name is asked through `<REGION_TO_CATEGORY>`, its box through `<OD>`,
a text through its caption task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fld_engine.engine.export.targets import CAPTION_TASKS
from fld_engine.engine.geometry import Floats
from fld_engine.refinement.student.image_features import Question, Said, Sight
from fld_engine.schemas.annotations import Granularity
from fld_engine.schemas.target_language import (
    Instance,
    location_tokens,
    normalise_label,
    normalise_text,
    write_answer,
    write_prompt,
)

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


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions of the image at row `image` of a sight: (n, 4) boxes in pixels and their n labels."""

    image: int
    boxes_xyxy: Floats
    labels: Sequence[str]


class Scorer:
    """Scores labels of the images of a sight, all questions of a kind together, `batch_size` answers at a time."""

    def __init__(self, sight: Sight, *, batch_size: int = 32) -> None:
        self._sight, self._batch_size = sight, batch_size

    # ------------------------------------------------------------------------------------------------ regions

    def regions(self, asked: Sequence[Regions], candidates: Sequence[str]) -> list[list[RegionScore]]:
        """Scores of each group of regions; a label is compared with those of its group and all `candidates`."""
        supports = self.boxes(asked)
        names = self.names(
            asked, [sorted({*map(normalise_label, (*group.labels, *candidates))} - {""}) for group in asked]
        )
        scores = []
        for group, boxes, likely in zip(asked, supports, names, strict=True):
            owns = map(normalise_label, group.labels)
            scores.append([_region_score(*one) for one in zip(boxes, owns, likely, strict=True)])
        return scores

    def names(self, asked: Sequence[Regions], candidates: Sequence[Sequence[str]]) -> list[list[Mapping[str, float]]]:
        """For each box of each group, the probability of every candidate name of the group; they sum to 1.

        The whole name is said with its end, so that "cat" is not the beginning of "cat food".
        """
        questions = [
            Question(group.image, prompt, name)
            for group, names in zip(asked, candidates, strict=True)
            for prompt in self._prompts(group)
            for name in names
        ]
        said = iter(self._force(questions))
        return [
            [_shares(names, [float(next(said).logs.sum()) for _ in names]) for _ in group.labels]
            for group, names in zip(asked, candidates, strict=True)
        ]

    def boxes(self, asked: Sequence[Regions]) -> list[list[float]]:
        """Support of each box in the answer that holds all of its group; `NOT_ASKED` where it cannot be said.

        Everything before a box is given as the label has it, so a false neighbour costs only itself.
        """
        scores = [[NOT_ASKED] * len(group.labels) for group in asked]
        written = []
        for row, group in enumerate(asked):
            boxes = zip(group.labels, group.boxes_xyxy.tolist(), strict=True)
            instances = [Instance(name, (tuple(box),)) for name, box in boxes]
            answer = write_answer("<OD>", instances, self._sight.sizes_wh[group.image])
            if answer.target:
                written.append((row, answer))
        questions = [Question(asked[row].image, write_prompt("<OD>"), answer.target) for row, answer in written]
        for (row, answer), said in zip(written, self._force(questions), strict=True):
            whole = said.support[: len(said.support) // 4 * 4].reshape(-1, 4)  # a long answer may be cut
            for region, support in zip(answer.spoken, whole, strict=False):
                scores[row][region] = float(support.prod() ** 0.25)
        return scores

    def _prompts(self, group: Regions) -> list[str]:
        wh = self._sight.sizes_wh[group.image]
        return [write_prompt("<REGION_TO_CATEGORY>", location_tokens(box, wh)) for box in group.boxes_xyxy.tolist()]

    # -------------------------------------------------------------------------------------------------- texts

    def texts(self, asked: Sequence[tuple[int, Granularity, str]]) -> list[float]:
        """Probability a token of texts of images, the geometric mean; `NOT_ASKED` where it cannot be said."""
        scores = [NOT_ASKED] * len(asked)
        rows = [row for row, (_, _, text) in enumerate(asked) if normalise_text(text)]
        questions = []
        for row in rows:
            image, granularity, text = asked[row]
            questions.append(Question(image, write_prompt(CAPTION_TASKS[granularity]), normalise_text(text)))
        for row, said in zip(rows, self._force(questions), strict=True):
            scores[row] = float(np.exp(said.logs.mean()))
        return scores

    def _force(self, questions: Sequence[Question]) -> list[Said]:
        from fld_engine.refinement.student.teacher_forcing import force

        return force(self._sight, questions, batch_size=self._batch_size)


def _region_score(box: float, own: str, likely: Mapping[str, float]) -> RegionScore:
    rival = max((name for name in likely if name != own), key=lambda name: likely[name], default="")
    return RegionScore(box, likely.get(own, NOT_ASKED), rival, likely.get(rival, 0.0))


def _shares(names: Sequence[str], likelihoods: Sequence[float]) -> Mapping[str, float]:
    """Log-likelihoods of names as shares of one probability."""
    logs = np.array(likelihoods, dtype=np.float64)
    shifted = np.exp(logs - logs.max(initial=-np.inf))
    return dict(zip(names, (shifted / shifted.sum()).tolist(), strict=True))
