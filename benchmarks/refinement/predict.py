"""What a student says about images when it is asked freely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fld_engine.engine.data.images import RGB
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.student.image_features import answer, extract_features
from fld_engine.refinement.student.model import Student
from fld_engine.schemas.target_language import parse_answer


def detect(student: Student, images: Sequence[RGB], *, batch_size: int = 32, max_tokens: int = 48) -> list[Boxes]:
    """Greedy answers to `<OD>`, parsed; scores are 1."""
    found: list[Boxes] = []
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        for pixels, said in zip(
            part, answer(extract_features(student, part), "<OD>", max_tokens=max_tokens), strict=True
        ):
            things = parse_answer("<OD>", said, (pixels.shape[1], pixels.shape[0]))
            xyxy = np.array([thing.shapes[0] for thing in things], dtype=np.float64).reshape(-1, 4)
            found.append(Boxes(xyxy, [thing.label for thing in things]))
    return found
