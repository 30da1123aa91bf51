"""Who made what label files say, and how sure they were: people, unless a file or `made_by` of the source says else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.sources.values import number
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.origins import ANNOTATOR_WORDS, Origin

MAKERS = frozenset({Origin.HUMAN, Origin.WEB})
"""Words of origins that may stand as `made_by`."""


def source_of(revision: str, *, made_by: str = "") -> Source:
    """The author of what label files of a revision say: people where nobody is named."""
    name = made_by or Origin.HUMAN
    return Source(annotator=name, model=name, revision=revision)


PEOPLE = source_of("")
"""People who said something beside an image itself, in no label file of a revision."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who made an annotation, with its score."""

    source: Source
    score: float


@dataclass(frozen=True, slots=True)
class Authors:
    """`made_by` is the source's setting; `is_ours`: the exporter `coco` wrote the json, and named who made what."""

    revision: str
    made_by: str = ""
    is_ours: bool = False

    def of(self, record: Mapping[str, Any]) -> Author:
        """The author of an annotation. Raises `ValueError` where its score is none."""
        named = record.get("fld_annotator", record.get("annotator") if self.is_ours else None)
        if isinstance(named, str) and named:
            given = record.get("fld_model"), record.get("fld_revision"), record.get("fld_round")
            model, revision, round_ = given
            source = Source(
                annotator=named,
                model=model if isinstance(model, str) else named,
                revision=revision if isinstance(revision, str) else self.revision,
                round=round_ if type(round_) is int and round_ >= 0 else 0,
            )
            return Author(source, score_of(record))
        return Author(source_of(self.revision, made_by=self.made_by), score_of(record) if self.made_by else 1.0)

    def part(self, record: Any, whole: Author) -> Author:
        """The author of a part of an annotation, such as a text of a region: that of the whole where it names none."""
        if not isinstance(record, dict):
            return whole
        if not isinstance(record.get("fld_annotator"), str):
            return Author(whole.source, score_of(record) if "score" in record else whole.score)
        return self.of(record)


def score_of(record: Mapping[str, Any]) -> float:
    """The score of an annotation, 1 where it has none. Raises `ValueError` where it is not from 0 to 1."""
    if record.get("score") is None:
        return 1.0
    score = number(record["score"])
    if not 0 <= score <= 1:
        raise ValueError(f"score {score} is not from 0 to 1; write it as a share")
    return score


def wrong_maker(made_by: str) -> bool:
    """Whether a name is one that no file of annotations may be made by."""
    return made_by in ANNOTATOR_WORDS - MAKERS
