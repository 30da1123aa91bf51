"""Counts of texts, region texts and groundings, for Tables 2 and 3 of FLD-5B.

A token is a word as `engine.data.semantics` has it: a spaCy token that is neither punctuation nor white space. Texts
that no parser reads (category phrases, scene text) count their pieces between spaces that hold a letter or a digit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import Column, equals, ints, positions
from fld_engine.engine.data.geometry import Bools, Ints
from fld_engine.engine.data.semantics import Parse, parse_of
from fld_engine.schemas.annotations import GRANULARITIES, REGION_TEXT_KINDS, Frozen, Granularity, RegionTextKind

MILLIONTHS = 1_000_000
"""Complexities are summed in millionths: integers add up to the same in any order."""
_WORD = r"\S*[\pL\pN]\S*"

Tables = Mapping[str, pa.Table]


class TextCounts(Frozen):
    """Texts of one granularity. All but `texts` and `composed` are sums over the `parsed` ones.

    Complexities are sums of each text's mean complexity in millionths, 0 for a text without objects (actions).
    """

    texts: int
    composed: int
    parsed: int
    tokens: int
    objects: int
    attributes: int
    actions: int
    proper_nouns: int
    object_complexity: int
    action_complexity: int


class RegionTextCounts(Frozen):
    """Texts of one kind: on how many images and regions they are, how many were chosen, and their tokens."""

    images: int
    regions: int
    texts: int
    chosen: int
    tokens: int


class GroundingCounts(Frozen):
    """Grounded phrases in texts of one granularity.

    `texts` have a grounded phrase, `text_tokens` is the sum over the `parsed_texts` among them. `region_tokens` counts
    the tokens of a phrase once for each of its regions.
    """

    texts: int
    parsed_texts: int
    text_tokens: int
    phrases: int
    regions: int
    region_tokens: int


def count_texts(texts: pa.Table, tokens: pa.Table) -> dict[Granularity, TextCounts]:
    """Counts of kept texts by granularity."""
    parse = parse_of(tokens, texts["id"])
    composed = texts["composed"].to_numpy().astype(bool)
    columns = {
        "parsed": parse.parsed,
        "tokens": parse.count(parse.word),
        "objects": parse.count(parse.object),
        "attributes": parse.count(parse.attribute),
        "actions": parse.count(parse.action),
        "proper_nouns": parse.count(parse.proper_noun),
        "object_complexity": _in_millionths(parse, parse.object),
        "action_complexity": _in_millionths(parse, parse.action),
    }
    counted: dict[Granularity, TextCounts] = {}
    for granularity in GRANULARITIES:
        mine = equals(texts["granularity"], granularity)
        sums = {name: int(column[mine].sum()) for name, column in columns.items()}
        counted[granularity] = TextCounts(texts=int(mine.sum()), composed=int(composed[mine].sum()), **sums)
    return counted


def count_region_texts(kept: Tables, tokens: pa.Table) -> dict[RegionTextKind, RegionTextCounts]:
    """Counts of kept region texts by kind. `kept["region_texts"]` has the column `chosen` of its verdicts too."""
    texts = kept["region_texts"]
    chosen = texts["chosen"].to_numpy().astype(bool)
    parse = parse_of(tokens, texts["id"])
    num_tokens = np.where(parse.parsed, parse.count(parse.word), _count_words(texts["text"]))
    counted: dict[RegionTextKind, RegionTextCounts] = {}
    for kind in REGION_TEXT_KINDS:
        mine = equals(texts["kind"], kind)
        of_kind = texts.filter(pa.array(mine))
        counted[kind] = RegionTextCounts(
            images=len(pc.unique(of_kind["image_id"])),
            regions=len(pc.unique(of_kind["region_id"])),
            texts=of_kind.num_rows,
            chosen=int(chosen[mine].sum()),
            tokens=int(num_tokens[mine].sum()),
        )
    return counted


def count_groundings(
    phrases: pa.Table, phrase_regions: pa.Table, texts: pa.Table, tokens: pa.Table
) -> dict[Granularity, GroundingCounts]:
    """Counts of kept phrases and their kept regions, by the granularity of their text.

    Regions of phrases that are not among `phrases` are left out, and phrases without a region.
    """
    parse = parse_of(tokens, texts["id"])
    text_words = parse.count(parse.word)
    phrase = positions(phrase_regions["phrase_id"], phrases["id"])
    num_regions = np.bincount(phrase[phrase >= 0], minlength=phrases.num_rows).astype(np.int64)
    text = positions(phrases["text_id"], texts["id"])
    num_tokens = _phrase_tokens(phrases, text, parse)
    counted: dict[Granularity, GroundingCounts] = {}
    for granularity in GRANULARITIES:
        of_granularity = np.append(equals(texts["granularity"], granularity), False)  # the last is that of place -1
        mine = of_granularity[text] & (num_regions > 0)
        grounded = np.unique(text[mine])
        counted[granularity] = GroundingCounts(
            texts=len(grounded),
            parsed_texts=int(parse.parsed[grounded].sum()),
            text_tokens=int(text_words[grounded].sum()),
            phrases=int(mine.sum()),
            regions=int(num_regions[mine].sum()),
            region_tokens=int((num_regions * num_tokens)[mine].sum()),
        )
    return counted


def _phrase_tokens(phrases: pa.Table, text: Ints, parse: Parse) -> Ints:
    """(n,) tokens of each phrase: those of its text that begin within its span."""
    in_span = parse.words_between(text, ints(phrases, "start"), ints(phrases, "end"))
    parsed = np.append(parse.parsed, False)[text]
    return np.where(parsed, in_span, _count_words(phrases["phrase"]))


def _count_words(texts: Column) -> Ints:
    """(n,) pieces of each text between spaces that hold a letter or a digit."""
    counted: Ints = pc.count_substring_regex(texts, _WORD).to_numpy().astype(np.int64)
    return counted


def _in_millionths(parse: Parse, role: Bools) -> Ints:
    """(num_texts,) mean degree of a role's tokens in millionths, rounded half up in whole numbers."""
    number = np.maximum(parse.count(role), 1)
    rounded: Ints = (2 * MILLIONTHS * parse.degrees(role) + number) // (2 * number)
    return rounded
