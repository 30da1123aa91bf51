"""What a student says about images when it is asked freely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.protocols import RGB
from refinement.metrics_boxes import Boxes
from refinement.student import Student, encode
from schemas.target_language import parse_answer, write_prompt


def detect(student: Student, images: Sequence[RGB], *, batch_size: int = 32, max_tokens: int = 48) -> list[Boxes]:
    """Greedy answers to `<OD>`, parsed; scores are 1."""
    import torch

    tokenizer = student.processor.tokenizer
    student.model.eval()
    found: list[Boxes] = []
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        inputs = encode(student, part, [(row, write_prompt("<OD>")) for row in range(len(part))])
        inputs.pop("image_rows")
        with torch.inference_mode():
            ids = student.model.generate(**inputs, max_new_tokens=max_tokens, num_beams=1, do_sample=False)
        for pixels, row in zip(part, ids, strict=True):
            text = tokenizer.decode(row, skip_special_tokens=False)
            things = parse_answer("<OD>", text, (pixels.shape[1], pixels.shape[0]))
            xyxy = np.array([thing.shapes[0] for thing in things], dtype=np.float64).reshape(-1, 4)
            found.append(Boxes(xyxy, [thing.label for thing in things]))
    return found
