"""What chat models are asked, and how their answers are read: the same for a local model and for an endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from fld_engine.annotators.common.text_lengths import TARGET_WORDS
from fld_engine.annotators.common.views import View, around
from fld_engine.engine.plan.protocols import Sample
from fld_engine.engine.plan.selection import Selection
from fld_engine.schemas.annotations import Annotations, Box, Frozen, Phrase, Question, Region
from fld_engine.schemas.kinds import Kind
from fld_engine.schemas.origins import Origin

VERSION = 1
"""Part of the identity of everything that asks; raised when a prompt or a view changes."""

DetailedGranularity = Literal["detailed", "more_detailed"]
YES = ("Yes", "yes", "YES", " Yes", " yes")
NO = ("No", "no", "NO", " No", " no")
"""Annotator of what people said, which nobody doubts."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn: an image, or none, and a text."""

    text: str
    view: View | None


class FactParams(Frozen):
    """What a captioner is told of the image."""

    granularities: tuple[DetailedGranularity, ...] = Field(
        default=("detailed", "more_detailed"), min_length=1, description="texts to write, one request each"
    )
    share: float = Field(
        default=1.0, gt=0, le=1, description="of the images to write about, by hash of their twins; others get no text"
    )
    max_regions: int = Field(default=30, ge=0, description="objects that are told, the surest first; ours")
    max_read: int = Field(default=10, ge=0, description="pieces of read text that are told, the surest first; ours")


class CheckParams(Frozen):
    """What a verifier is asked."""

    questions: tuple[Question, ...] = Field(
        default=("holds", "complete"), min_length=1, description="holds: of regions; complete: of phrases"
    )
    max_regions: int = Field(default=20, ge=0, description="regions asked about per image, the surest first; ours")
    max_phrases: int = Field(default=10, ge=0, description="phrases asked about per image, the surest first; ours")


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question about one annotation, to be answered with yes or no."""

    subject_id: str
    question: Question
    prompt: Prompt


# ------------------------------------------------------------------------------------------------------ descriptions


def descriptions(sample: Sample, params: FactParams, *, with_image: bool) -> list[tuple[DetailedGranularity, Prompt]]:
    """A prompt for each granularity. What they share comes first, so that a server can keep it between requests.

    Without the image there is nothing to say about one of which nothing is known: no prompts. Nor for an image that is
    not in the share: refinement can make a specialist of the texts of a small one.
    """
    if not Selection(fraction=params.share).has(sample.twin_group or sample.id, sample.seed):
        return []
    known = facts(sample, params)
    if not known and not with_image:
        return []
    opening = "This is known about the image" if with_image else "This is known about an image that you cannot see"
    told = f"{opening}. Boxes are [left, top, right, bottom] as shares of its width and height.\n\n{known}\n\n"
    view = View() if with_image else None
    return [(name, Prompt((told if known else "") + _instruction(name), view)) for name in params.granularities]


def facts(sample: Sample, params: FactParams) -> str:
    """Brief texts, objects with their own descriptions, and read text, as lists; empty where nothing is known."""
    known, image_wh = sample.known, (sample.width, sample.height)
    briefs = {text.region_id: text.text for text in known.region_texts if text.kind == "brief"}
    objects, read = (_surest(known, kind) for kind in ("object", "text"))
    lists = {
        "Short descriptions of the image": [plain(text.text) for text in known.texts if text.granularity == "brief"],
        "Objects": [
            f"{plain(region.texts[0].text)} {_shares(region.box_xyxy, image_wh)}"
            + (f": {plain(briefs[region.id])}" if region.id in briefs else "")
            for region in objects[: params.max_regions]
        ],
        "Text that can be read": [
            f'"{plain(region.texts[0].text)}" {_shares(region.box_xyxy, image_wh)}'
            for region in read[: params.max_read]
        ],
    }
    return "\n\n".join(f"{name}:\n" + "\n".join(f"- {line}" for line in said) for name, said in lists.items() if said)


def described(answer: str, *, whole: bool) -> str:
    """The description in an answer: one paragraph; where the answer was cut off (not `whole`), its whole sentences."""
    text = " ".join(answer.split())
    if not whole:
        ends = [match.end() for match in re.finditer(r"[.!?][\"')\]]*(?=\s|$)", text)]
        text = text[: ends[-1]] if ends else ""
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _instruction(granularity: DetailedGranularity) -> str:
    words = round(TARGET_WORDS[granularity], -1)
    form = "two or three sentences" if granularity == "detailed" else "one paragraph"
    return (
        f"Describe the image in {form} of about {words} words: what is there, how it looks, what it does and where it "
        "is. Say only what you are sure of. Write plain text, without lists, without numbers of boxes, and without "
        "saying how you know. Answer with the description alone."
    )


# ------------------------------------------------------------------------------------------------------------ checks


def reads(params: CheckParams) -> tuple[frozenset[Kind], frozenset[Kind]]:
    """Kinds that a verifier requires, and those it asks about where they are there."""
    requires: set[Kind] = {"pixels"}
    if "holds" in params.questions:
        requires.add("objects")
    if "complete" in params.questions:
        requires.add("groundings")
    return frozenset(requires), frozenset({"scene_text"} if "holds" in params.questions else ())


def doubts(sample: Sample, params: CheckParams) -> list[Doubt]:
    """What to ask about the regions and the phrases of an image, the surest first.

    A region without a text, a phrase without a box, and what people said are not asked about.
    """
    found = []
    if "holds" in params.questions:
        named = [region for region in sample.known.regions if region.texts and not _by_human(region)]
        for region in sorted(named, key=lambda region: -region.score)[: params.max_regions]:
            found.append(Doubt(region.id, "holds", _holds(region, (sample.width, sample.height))))
    if "complete" in params.questions:
        placed = [phrase for phrase in sample.known.phrases if phrase.regions and not _by_human(phrase)]
        for phrase in sorted(placed, key=lambda phrase: -phrase.score)[: params.max_phrases]:
            found.append(Doubt(phrase.id, "complete", _complete(phrase)))
    return found


def _by_human(annotation: Region | Phrase) -> bool:
    return annotation.source is not None and annotation.source.annotator == Origin.HUMAN


def _holds(region: Region, image_wh: tuple[int, int]) -> Prompt:
    label = plain(region.texts[0].text)
    claim = f'the text in the red box reads "{label}"' if region.kind == "text" else f'the red box shows "{label}"'
    question = f"Look at the red box. Is it true that {claim}? Answer with yes or no."
    return Prompt(question, around(region.box_xyxy, image_wh))


def _complete(phrase: Phrase) -> Prompt:
    boxes = tuple(region.box_xyxy for region in phrase.regions)
    where = "the red box" if len(boxes) == 1 else f"one of the {len(boxes)} red boxes"
    return Prompt(
        f'Look for everything in the image that is meant by "{plain(phrase.phrase)}". '
        f"Is all of it inside {where}, with nothing missed? Answer with yes or no.",
        View(marks_xyxy=boxes),
    )


# ------------------------------------------------------------------------------------------------------------- words


def plain(text: str) -> str:
    """A label or read text on one line, without the brackets that chat templates mark their own tokens with."""
    return " ".join(re.sub(r"[<>\[\]|]", " ", text).split())


def _surest(known: Annotations, kind: str) -> Sequence[Region]:
    named = (region for region in known.regions if region.kind == kind and region.texts)
    return sorted(named, key=lambda region: -region.score)


def _shares(box_xyxy: Box, image_wh: tuple[int, int]) -> str:
    (x1, y1, x2, y2), (width, height) = box_xyxy, image_wh
    return f"[{x1 / width:.2f}, {y1 / height:.2f}, {x2 / width:.2f}, {y2 / height:.2f}]"
