"""Spans of a caption with boxes, as GRIT has them: `[start, end, x1, y1, x2, y2, score]`, corners in fractions.

https://huggingface.co/datasets/zzliang/GRIT: `noun_chunks` are noun phrases, `ref_exps` the same phrases with what
describes them; both were found by models in captions from the web.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fld_engine.engine.sources.item import Rejected
from fld_engine.engine.sources.regions.place import short
from fld_engine.engine.sources.texts import clean_span, clean_text
from fld_engine.schemas.annotations import Phrase, PhraseRegion, Source

SPAN_NAMES = ("noun_chunks", "ref_exps")
GRIT = Source(annotator="grit", model="grit", revision="")


def phrases_of(
    record: Mapping[str, Any], uri: str, image_wh: tuple[int, int]
) -> tuple[str, list[Phrase], list[Rejected]]:
    """(the caption as it is stored, its phrases in order, spans that are none); boxes in pixels of the image."""
    caption = record["caption"]
    text = clean_text(caption)
    boxes: dict[tuple[int, int], dict[tuple[float, ...], PhraseRegion]] = {}
    rejected = []
    for name in SPAN_NAMES:
        spans = record.get(name)
        for number, span in enumerate(spans if isinstance(spans, list) else ()):
            found = _place(span, caption, image_wh)
            if found is None:
                detail = f"{short(span)}: expected [start, end, x1, y1, x2, y2, score], corners in fractions"
                place = f"{uri}/{name}/{number}"
                rejected.append(Rejected(uri=place, reason="bad_span", detail=detail, what="annotation", by="web"))
            else:
                known = boxes.setdefault(found[0], {})
                known.setdefault(found[1].box_xyxy, found[1])
    phrases = [
        Phrase(
            phrase=text[start:end],
            start=start,
            end=end,
            score=max(region.score for region in found.values()),
            regions=tuple(found.values()),
            source=GRIT,
        )
        for (start, end), found in sorted(boxes.items())
    ]
    return text, phrases, rejected


def _place(span: Any, caption: str, image_wh: tuple[int, int]) -> tuple[tuple[int, int], PhraseRegion] | None:
    if not isinstance(span, list) or len(span) < 6 or not all(type(value) in (int, float) for value in span):
        return None
    if not all(map(math.isfinite, span)):
        return None
    start, end = int(span[0]), int(span[1])
    if not 0 <= start < end <= len(caption):
        return None
    first, last = clean_span(caption, start, end)
    corners = [min(max(value, 0.0), 1.0) for value in span[2:6]]
    x1, y1, x2, y2 = (round(corner * side, 2) for corner, side in zip(corners, (*image_wh, *image_wh), strict=True))
    if first >= last or x1 >= x2 or y1 >= y2:
        return None
    score = min(max(float(span[6]), 0.0), 1.0) if len(span) > 6 else 1.0
    return (first, last), PhraseRegion(box_xyxy=(x1, y1, x2, y2), score=score, source=GRIT)
