"""Semantic coverage of a partition: distributions of elements per text, tags and relations, and the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import equals, positions
from fld_engine.engine.data.semantics import parse_of
from fld_engine.engine.stages.report.bins import COMPLEXITY_BINS, COUNT_BINS, complexity_bins, number_bins
from fld_engine.engine.stages.report.tables import count_rows
from fld_engine.engine.stages.report.words import Found, mentions_of, terms_of
from fld_engine.schemas.annotations import GRANULARITIES

ELEMENTS = ("objects", "attributes", "actions", "proper_nouns")
ROLES = {"objects": "object", "attributes": "attribute", "actions": "action", "proper_nouns": "proper_noun"}
COMPLEX = ("object", "action", "attribute")
SPECIALISTS_TEXTS = "texts_by"

Rows = list[tuple[object, ...]]


def semantic_counts(kept: Mapping[str, pa.Table], tokens: pa.Table) -> Rows:
    """Rows of `COUNTS` over kept texts: elements, complexities and tokens per text, tags, relations, who wrote them."""
    texts = kept["texts"]
    parse = parse_of(tokens, texts["id"])
    place = positions(tokens["text_id"], texts["id"])
    rows: Rows = []
    for granularity in GRANULARITIES:
        of_granularity = equals(texts["granularity"], granularity)
        mine = of_granularity & parse.parsed
        for element in ELEMENTS:
            numbers = parse.count(getattr(parse, ROLES[element]))[mine]
            rows += _distribution(element, granularity, number_bins(numbers), COUNT_BINS)
        rows += _distribution("tokens", granularity, number_bins(parse.count(parse.word)[mine]), COUNT_BINS)
        for name in COMPLEX:
            role = getattr(parse, name)
            quarters = complexity_bins(parse.degrees(role)[mine], parse.count(role)[mine])
            rows += _distribution(f"{name}_complexity", granularity, quarters, COMPLEXITY_BINS)
        in_text = np.append(of_granularity, False)[place]
        for measure, column in (("pos", "pos"), ("relation", "dep")):
            counted = pc.value_counts(tokens[column].filter(pa.array(in_text)))
            rows += [(measure, granularity, "", v["values"], 0, v["counts"]) for v in counted.to_pylist()]
        writers = pc.value_counts(texts["annotator"].filter(pa.array(of_granularity)))
        rows += [(SPECIALISTS_TEXTS, granularity, v["values"], "", 0, v["counts"]) for v in writers.to_pylist()]
    return rows


def term_occurrences(kept: Mapping[str, pa.Table], tokens: pa.Table) -> pa.Table:
    """Every occurrence of a term in kept texts: kind, family (its group: the granularity), term, image_id."""
    texts = kept["texts"]
    image, granularity = _objects(texts["image_id"]), _objects(texts["granularity"])
    captions = _objects(pc.utf8_trim_whitespace(pc.utf8_lower(texts["text"])))
    found: list[Found] = [*terms_of(tokens, texts["id"]), ("caption", np.arange(texts.num_rows), captions)]
    tables = [
        pa.table(
            {
                "kind": pa.repeat(kind, len(place)),
                "family": pa.array(granularity[place], pa.string()),
                "term": pa.array(terms, pa.string()),
                "image_id": pa.array(image[place], pa.string()),
            }
        )
        for kind, place, terms in found
    ]
    return pa.concat_tables(tables)


def mentions(kept: Mapping[str, pa.Table], tokens: pa.Table) -> pa.Table:
    """Every name of a thing in kept texts, with the source of its image for a group; columns as above."""
    texts, images = kept["texts"], kept["images"]
    place, names = mentions_of(tokens, texts["id"])
    image = texts["image_id"].take(pa.array(place))
    source = images["source"].take(pa.array(positions(image, images["id"])))
    columns = {"kind": pa.repeat("mention", len(place)), "family": source, "term": pa.array(names, pa.string())}
    return pa.table({**columns, "image_id": image})


def _distribution(measure: str, group: str, bins: np.ndarray, num_bins: int) -> Rows:
    return count_rows(measure, group, "", "", np.bincount(bins, minlength=num_bins).tolist())


def _objects(column: pa.ChunkedArray) -> np.ndarray:
    found: np.ndarray = column.to_numpy(zero_copy_only=False).astype(object)
    return found
