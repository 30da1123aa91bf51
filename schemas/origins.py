"""Who said an annotation."""

from __future__ import annotations

from enum import StrEnum


class Origin(StrEnum):
    """Where an annotation comes from. The words are those on disk.

    Rows of people, of the web and of refinement have the word as their `annotator`; a specialist has its own name
    there. A composed text is a specialist's too, and is told by its column `composed`.
    """

    HUMAN = "human"  # drawn or written by a person, in a source of annotations
    CLASS_FOLDER = "class_folder"  # the name of the folder that the image lies in
    WEB = "web"  # found beside the image, in a tar or a Parquet file
    SPECIALIST = "specialist"  # seen by an annotator of the run
    REFINEMENT = "refinement"  # edited by the students of a round
    COMPOSED = "composed"  # written by rule from what specialists saw


ANNOTATOR_WORDS = frozenset({Origin.HUMAN, Origin.CLASS_FOLDER, Origin.WEB, Origin.REFINEMENT})
"""Origins that stand as `annotator` on rows: no annotator of a config may have such a name."""


def origin_of(annotator: str, *, composed: bool = False) -> Origin:
    """The origin of a row, from its columns `annotator` and `composed`."""
    if composed:
        return Origin.COMPOSED
    return Origin(annotator) if annotator in ANNOTATOR_WORDS else Origin.SPECIALIST
