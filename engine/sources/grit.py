"""GRIT of Kosmos-2: captions of COYO with noun chunks and referring expressions that models found boxes for.

A record has a `caption`, and in `noun_chunks` and `ref_exps` lists `[start, end, x1, y1, x2, y2, score]`: characters of
the caption, corners in fractions of the image, and how sure the detector (GLIP) was. The caption is the web's, the
boxes are the machine's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from fld_engine.engine.sources.coco.places import place_of, short
from fld_engine.engine.sources.item import PassedOver, Rejected, clean_span
from fld_engine.engine.sources.marks import by_machine, number, xywh_of
from fld_engine.schemas.annotations import Phrase, PhraseRegion, Source, Text

KEYS = ("noun_chunks", "ref_exps")
BOXES = Source(annotator="grit", model="grit", revision="")
"""Who found the boxes: a parser, GLIP and rules, by no version."""


def has_groundings(record: Mapping[str, Any]) -> bool:
    """Whether a record of an image is one of GRIT's."""
    return isinstance(record.get("caption"), str) and any(isinstance(record.get(key), list) for key in KEYS)


def ground(
    text: Text, record: Mapping[str, Any], uri: str, image_wh: tuple[int, int]
) -> Iterator[Text | Rejected | PassedOver]:
    """A record's caption, which is `text`, with its phrases in the order of their spans, and what is no grounding.

    A box that both lists give to one span is one.
    """
    boxes: dict[tuple[int, int], list[PhraseRegion]] = defaultdict(list)
    for key in KEYS:
        for index, values in enumerate(record.get(key) or ()):
            place = f"{uri}#{key}[{index}]"
            found = yield from _box(values, place, record["caption"], image_wh)
            if found is None:
                continue
            span, region = found
            if any(one.box_xyxy == region.box_xyxy for one in boxes[span]):
                yield PassedOver(uri=place, reason="repeated", what="annotation", by="web")
            else:
                boxes[span].append(region)
    phrases = tuple(
        Phrase(
            phrase=text.text[start:end],
            start=start,
            end=end,
            score=max(one.score for one in found),
            regions=tuple(found),
            source=BOXES,
        )
        for (start, end), found in sorted(boxes.items())
    )
    yield text.model_copy(update={"phrases": phrases})


def _box(
    values: Any, uri: str, caption: str, image_wh: tuple[int, int]
) -> Generator[Rejected, None, tuple[tuple[int, int], PhraseRegion] | None]:
    """(span in the cleaned caption, box) of one list of numbers; `None` after it was told why there is none."""
    try:
        start, end, x1, y1, x2, y2, score = map(number, values)
    except (TypeError, ValueError) as error:
        detail = f"{short(values)}: {error}; expected [start, end, x1, y1, x2, y2, score]"
        yield Rejected(uri=uri, reason="box_malformed", detail=detail, what="annotation", by="web")
        return None
    span = clean_span(caption, int(start), int(end)) if 0 <= start < end <= len(caption) else (0, 0)
    if span[0] >= span[1]:
        detail = f"[{start}, {end}) of a caption of {len(caption)} characters"
        yield Rejected(uri=uri, reason="bad_span", detail=detail, what="annotation", by="web")
        return None
    pixels = [value * side for value, side in zip((x1, y1, x2, y2), (*image_wh, *image_wh), strict=True)]
    what = caption[int(start) : int(end)]
    place = yield from by_machine(place_of({"bbox": xywh_of(pixels)}, uri, image_wh, outline=None, what=what))
    if place is None:
        return None
    return span, PhraseRegion(box_xyxy=place.box_xyxy, score=score, source=BOXES)
