"""Whose the annotations of label files are: a person's, or those of the machine that a source names."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from fld_engine.schemas.annotations import Source
from fld_engine.schemas.origins import ANNOTATOR_WORDS, Origin


def _of_a_machine(name: str) -> str:
    if name in ANNOTATOR_WORDS:
        raise ValueError(f"{name!r} is no machine's name: expected the model that made the annotations")
    return name.strip()


MadeBy = Annotated[str, AfterValidator(_of_a_machine)]
"""The machine that made the annotations of a source; empty: people did."""


def source_of(made_by: str, revision: str) -> Source:
    """The author of annotations that were read from label files of a revision."""
    name = made_by or Origin.HUMAN
    return Source(annotator=name, model=name, revision=revision)
