"""Captions with their groundings, in the layout of MDETR that GoldG and Grounding DINO took over.

A record of `images` has a `caption`, and the same file may have further records with other captions. An annotation of
such a record has a `bbox` and `tokens_positive`: spans [start, end) of characters of the caption as it stands in the
json. Spans with nothing but white space between them are one phrase, for its words may be listed one by one; else each
is a phrase of its own, for a caption may name a thing twice. Boxes of the same span belong to one phrase. The category
of these annotations is `object` for all of them, and is not read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from fld_engine.engine.sources.authors import Author
from fld_engine.engine.sources.coco.annotations import parse_caption
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.place import Record, place_of, short
from fld_engine.engine.sources.texts import clean_span
from fld_engine.schemas.annotations import Phrase, PhraseRegion, Text

Span = tuple[int, int]


def parse_grounded_caption(
    image: Record, uri: str, records: Sequence[tuple[str, Record]], image_wh: tuple[int, int], author: Author
) -> Iterator[Text | Rejected | PassedOver]:
    """The caption of an image record as a text, with the phrases that annotations ground in it, or what is wrong.

    `records` are annotations with their URIs. The phrases stand in the order of their spans.
    """
    text: Text | None = None
    for found in parse_caption(image, uri, author) if isinstance(image.get("caption"), str) else ():
        if isinstance(found, Text):
            text = found
        else:
            yield found
    boxes: dict[Span, list[PhraseRegion]] = defaultdict(list)
    for place_uri, record in records:
        if text is None:
            detail = "the image's record has no caption that its tokens_positive could be of"
            yield Rejected(uri=place_uri, reason="no_caption", detail=detail, what="annotation")
            continue
        spans = _phrase_spans(record.get("tokens_positive"), image["caption"])
        if not spans:
            detail = (
                f"tokens_positive {short(record.get('tokens_positive'))}: expected [[start, end], …] around words of "
                f"a caption of {len(image['caption'])} characters"
            )
            yield Rejected(uri=place_uri, reason="bad_span", detail=detail, what="annotation")
            continue
        what = text.text[slice(*spans[0])]
        place = yield from place_of(record, place_uri, image_wh, outline=record.get("segmentation"), what=what)
        if place is not None:
            region = PhraseRegion(
                box_xyxy=place.box_xyxy, score=author.score, masks=place.masks(author), source=author.source
            )
            for span in spans:
                boxes[span].append(region)
    if text is not None:
        phrases = (
            Phrase(
                phrase=text.text[start:end], start=start, end=end, score=1.0, regions=tuple(found), source=author.source
            )
            for (start, end), found in sorted(boxes.items(), key=lambda item: item[0])
        )
        yield text.model_copy(update={"phrases": tuple(phrases)})


def _phrase_spans(tokens_positive: Any, caption: str) -> list[Span]:
    """Spans of phrases in the cleaned caption; none where anything is no span, or has no word in it.

    One span may stand alone, as GLIP's files have it.
    """
    if _is_span(tokens_positive, len(caption)):
        tokens_positive = [tokens_positive]
    if not isinstance(tokens_positive, list) or not all(_is_span(span, len(caption)) for span in tokens_positive):
        return []
    joined: list[Span] = []
    for start, end in sorted(map(tuple, tokens_positive)):
        if joined and not caption[joined[-1][1] : start].strip():
            first, last = joined.pop()
            start, end = first, max(last, end)
        joined.append((start, end))
    spans = [clean_span(caption, start, end) for start, end in joined]
    return spans if all(start < end for start, end in spans) else []


def _is_span(span: Any, length: int) -> bool:
    is_pair = isinstance(span, list) and len(span) == 2 and all(type(place) is int for place in span)
    return is_pair and 0 <= span[0] < span[1] <= length
