"""The tables behind a report: their schemas, and how two of them add up.

Every table merges by adding whole numbers and taking least values, so that partitions may be merged in any order and
grouping, to the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

VERSION = 3
"""Version of a partition's aggregates; bumped when the same tables give others."""

_string = pa.string()

COUNTS = pa.schema(
    [
        ("measure", _string),  # what is counted; see `engine.stages.report.definitions`
        ("family", _string),  # the group that is counted: a granularity, an annotation family, a verdict target, …
        ("by", _string),  # specialist, filter or pair of specialists; empty for all together
        ("label", _string),  # tag, relation, verdict or reason; empty where bins say all
        ("bin", pa.int32()),  # bin of the measure; 0 where it has none
        ("count", pa.int64()),
    ]
)
"""Distributions: their number of rows is bounded by the bins, tags and specialists, never by the data."""

TERMS = pa.schema(
    [
        ("bucket", pa.int32()),  # of the term's hash, in [0, `NUM_BUCKETS`)
        ("kind", _string),  # one of `KINDS`, `EVIDENCE_KINDS` or `SHAPE_KINDS`
        (
            "family",
            _string,
        ),  # the group: granularity of the text, source of the image (classes, evidence), bin of a shape
        ("term", _string),
        ("count", pa.int64()),
        ("images", pa.int64()),  # that hold it
        ("small", pa.int64()),  # boxes of a class by COCO's size classes; 0 for words
        ("medium", pa.int64()),
        ("large", pa.int64()),
        ("first", _string),  # least "image id/partition" among the images that hold it
    ]
)
"""Whatever has an open vocabulary. A term's least image id tells at which share of the images it turned up first."""

KINDS = ("noun", "verb", "adjective", "proper_noun", "adjective_noun", "subject_verb_object", "caption", "class")
EVIDENCE_KINDS = ("mention", "dropped_class")
"""What tells that a source shows something that is not kept: names in its texts, and classes of regions dropped there.

They are kept for the words of a word list alone.
"""
SHAPE_KINDS = ("class_area", "class_aspect", "class_overlap", "class_fill", "class_number", "class_centre")
"""Boxes (images, for `class_number`) of a class by bin of a shape, as terms whose group is the bin in two digits.

They are kept for frequent classes alone.
"""
NUM_BUCKETS = 256
"""Finest division of the vocabulary; a reduce task takes one bucket or a run of them."""

CANDIDATES = pa.schema(
    [
        ("stratum", _string),
        ("source", _string),
        ("value", pa.float64()),  # how unusual; the highest are shown first
        ("image_id", _string),
        ("partition", _string),
        ("note", _string),  # what is unusual, in words
    ]
)
"""Images that the gallery may show: the first few of every stratum and source."""

CANDIDATES_PER_STRATUM = 12

_COUNT_KEYS = ("measure", "family", "by", "label", "bin")
_TERM_KEYS = ("bucket", "kind", "family", "term")
_TERM_SUMS = ("count", "images", "small", "medium", "large")


def merge_counts(tables: Sequence[pa.Table]) -> pa.Table:
    """The sum of tables of schema `COUNTS`, sorted."""
    stacked = pa.concat_tables([COUNTS.empty_table(), *tables])
    merged = stacked.group_by(list(_COUNT_KEYS)).aggregate([("count", "sum")])
    return merged.rename_columns([*_COUNT_KEYS, "count"]).sort_by([(k, "ascending") for k in _COUNT_KEYS]).cast(COUNTS)


def merge_terms(tables: Sequence[pa.Table]) -> pa.Table:
    """The sum of tables of schema `TERMS`, sorted by bucket first."""
    stacked = pa.concat_tables([TERMS.empty_table(), *tables])
    sums = [(name, "sum") for name in _TERM_SUMS]
    merged = stacked.group_by(list(_TERM_KEYS)).aggregate([*sums, ("first", "min")])
    named = merged.rename_columns([*_TERM_KEYS, *_TERM_SUMS, "first"])
    return named.sort_by([(k, "ascending") for k in _TERM_KEYS]).cast(TERMS)


def merge_candidates(tables: Sequence[pa.Table]) -> pa.Table:
    """The first `CANDIDATES_PER_STRATUM` of each stratum and source: the highest values, equal ones by image id."""
    stacked = pa.concat_tables([CANDIDATES.empty_table(), *tables])
    order = [("stratum", "ascending"), ("source", "ascending"), ("value", "descending"), ("image_id", "ascending")]
    ranked = stacked.sort_by(order)
    keep: list[bool] = []
    seen: dict[tuple[str, str], int] = {}
    for key in zip(ranked["stratum"].to_pylist(), ranked["source"].to_pylist(), strict=True):
        seen[key] = seen.get(key, 0) + 1
        keep.append(seen[key] <= CANDIDATES_PER_STRATUM)
    return ranked.filter(pa.array(keep, pa.bool_()))


def count_rows(measure: str, group: str, by: str, label: str, counts: Sequence[int]) -> list[tuple[object, ...]]:
    """Rows of `COUNTS` from the counts of all bins; empty bins are left out."""
    return [(measure, group, by, label, i, int(n)) for i, n in enumerate(counts) if n]


def counts_table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """Rows of `COUNTS`, equal keys added up."""
    columns = zip(*rows, strict=True) if rows else [()] * len(COUNTS)
    return merge_counts([pa.table([list(c) for c in columns], schema=COUNTS)])


def select(table: pa.Table, **values: str) -> pa.Table:
    """Rows whose columns hold these values."""
    for name, value in values.items():
        table = table.filter(pc.equal(table[name], value))
    return table
