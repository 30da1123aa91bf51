"""Classes of images as places tell them: the folder that an image lies in, the `.cls` of a tar, a WordNet id."""

from __future__ import annotations

from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.wordnet import class_name
from fld_engine.schemas.annotations import Label, Source
from fld_engine.schemas.origins import Origin

OF_FOLDER = Source(annotator=Origin.CLASS_FOLDER, model=Origin.CLASS_FOLDER, revision="")
"""Author of a class that is told by where an image lies: nobody looked at the image to say it."""


def class_labels(written: str) -> tuple[Label, ...]:
    """The class that a place tells of its image, by its name where it is a WordNet id; none where nothing is written.

    What was written stays in `source_label`.
    """
    name = class_name(clean_text(written))
    return (Label(label=name, score=1.0, source=OF_FOLDER),) if name else ()
