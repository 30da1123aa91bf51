"""The aggregates of one partition: everything a report needs of it, in tables that add up."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from engine.report.agreement import agreement_counts, reference_counts
from engine.report.candidates import candidates_of
from engine.report.exported import exported
from engine.report.scores import score_counts
from engine.report.semantic import semantic_counts, term_occurrences
from engine.report.spatial import SIZES, class_rows, spatial_counts
from engine.report.tables import NUM_BUCKETS, SHAPE_KINDS, TERMS, counts_table, merge_terms
from engine.view import PartitionView


def report_tables(view: PartitionView, derived: frozenset[tuple[str, str]] = frozenset()) -> dict[str, pa.Table]:
    """`counts`, `terms` and `candidates` of a partition, with the schemas of `engine.report.tables`.

    `derived` are the pairs of annotators of which one has seen the other's answers.
    """
    kept, tokens = exported(view), view.annotations["tokens"]
    counts = counts_table(
        [
            *semantic_counts(kept, tokens),
            *spatial_counts(kept, view.annotations["masks"]),
            *score_counts(view),
            *agreement_counts(view, derived),
            *reference_counts(view),
            *_sources(kept["images"]),
        ]
    )
    words = _words(term_occurrences(kept, tokens), view.id)
    of_classes = class_rows(kept)
    classes = _classes(of_classes, view.id)
    shapes = [_shapes(of_classes, kind, view.id) for kind in SHAPE_KINDS]
    return {
        "counts": counts,
        "terms": merge_terms([words, classes, *shapes]),
        "candidates": candidates_of(view, kept),
    }


def bucket_of(term: str) -> int:
    """Bucket of a term: the first byte of its sha256, the same on every machine."""
    return hashlib.sha256(term.encode()).digest()[0] % NUM_BUCKETS


def _sources(images: pa.Table) -> list[tuple[object, ...]]:
    counted = pc.value_counts(images["source"])
    return [("images", "", v["values"], "", 0, v["counts"]) for v in counted.to_pylist()]


def _words(occurrences: pa.Table, partition: str) -> pa.Table:
    keys = ["kind", "family", "term"]
    counted = occurrences.group_by([*keys, "image_id"]).aggregate([([], "count_all")])
    named = counted.group_by(keys).aggregate([("count_all", "sum"), ("image_id", "count"), ("image_id", "min")])
    return _as_terms(named, named["kind"], named["family"], named["count_all_sum"], (None, None, None), partition)


def _classes(rows: pa.Table, partition: str) -> pa.Table:
    keys = ["source", "term"]
    ones = [pc.cast(pc.equal(rows["size"], i), pa.int64()) for i in range(len(SIZES))]
    for name, column in zip(SIZES, ones, strict=True):
        rows = rows.append_column(name, column)
    sums = [(name, "sum") for name in SIZES]
    counted = rows.group_by([*keys, "image_id"]).aggregate([([], "count_all"), *sums])
    sums = [(f"{name}_sum", "sum") for name in SIZES]
    named = counted.group_by(keys).aggregate([("count_all", "sum"), ("image_id", "count"), ("image_id", "min"), *sums])
    sizes = tuple(named[f"{name}_sum_sum"] for name in SIZES)
    kind = pa.repeat("class", named.num_rows)
    return _as_terms(named, kind, named["source"], named["count_all_sum"], sizes, partition)


def _shapes(rows: pa.Table, kind: str, partition: str) -> pa.Table:
    """Boxes of each class by bin of its shape; the bin is the family, in two digits."""
    family = pc.utf8_lpad(pc.cast(rows[kind], pa.string()), 2, "0")
    table = rows.select(["term", "image_id"]).append_column("family", family)
    counted = table.group_by(["family", "term", "image_id"]).aggregate([([], "count_all")])
    named = counted.group_by(["family", "term"]).aggregate(
        [("count_all", "sum"), ("image_id", "count"), ("image_id", "min")]
    )
    kinds = pa.repeat(kind, named.num_rows)
    return _as_terms(named, kinds, named["family"], named["count_all_sum"], (None, None, None), partition)


def _as_terms(
    named: pa.Table,
    kind: pa.ChunkedArray,
    family: pa.ChunkedArray,
    count: pa.ChunkedArray,
    sizes: tuple[pa.ChunkedArray | None, ...],
    partition: str,
) -> pa.Table:
    terms = named["term"].to_pylist()
    zeros = pa.repeat(pa.scalar(0, pa.int64()), len(terms))
    first = [f"{image}/{partition}" for image in named["image_id_min"].to_pylist()]
    columns = [
        [bucket_of(term) for term in terms],
        kind,
        family,
        terms,
        count,
        named["image_id_count"],
        *(zeros if size is None else size for size in sizes),
        first,
    ]
    return pa.table(columns, schema=TERMS)
