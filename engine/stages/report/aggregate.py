"""The aggregates of one partition: everything a report needs of it, in tables that add up."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.class_keys import class_keys
from fld_engine.engine.data.kept_rows import exported, is_ordinary, judged
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.coverage.boxes import MAX_PER_IMAGE
from fld_engine.engine.stages.report.agreement import COVERED, agreement_counts, reference_counts
from fld_engine.engine.stages.report.candidates import candidates_of
from fld_engine.engine.stages.report.scores import score_counts
from fld_engine.engine.stages.report.semantic import mentions, semantic_counts, term_occurrences
from fld_engine.engine.stages.report.spatial import NO_MASK, SIZES, class_rows, spatial_counts
from fld_engine.engine.stages.report.tables import NUM_BUCKETS, SHAPE_KINDS, TERMS, counts_table, merge_terms


def report_tables(
    view: PartitionView, derived: frozenset[tuple[str, str]] = frozenset(), keeps_low: Collection[str] = ()
) -> dict[str, pa.Table]:
    """`counts`, `terms` and `candidates` of a partition, with the schemas of `engine.stages.report.tables`.

    `derived` are the pairs of annotators of which one has seen the other's answers, `keeps_low` the filters that keep
    low values.
    """
    kept, tokens = exported(view), view.annotations["tokens"]
    counts = counts_table(
        [
            *semantic_counts(kept, tokens),
            *spatial_counts(kept, view.annotations["masks"]),
            *score_counts(view, keeps_low),
            *agreement_counts(view, derived),
            *reference_counts(view),
            *_sources(kept["images"]),
        ]
    )
    occurrences = [term_occurrences(kept, tokens), mentions(kept, tokens), _dropped_classes(view)]
    words = _words(pa.concat_tables(occurrences), view.id)
    of_classes = class_rows(kept, view.annotations["masks"])
    classes = _classes(of_classes, view.id)
    shapes = [_words(_with_shape(of_classes, kind), view.id) for kind in SHAPE_KINDS]
    return {
        "counts": counts,
        "terms": merge_terms([words, classes, *shapes]),
        "candidates": candidates_of(view, kept, derived),
    }


def bucket_of(term: str) -> int:
    """Bucket of a term: the first byte of its sha256, the same on every machine."""
    return hashlib.sha256(term.encode()).digest()[0] % NUM_BUCKETS


def _sources(images: pa.Table) -> list[tuple[object, ...]]:
    counted = pc.value_counts(images["source"])
    return [("images", "", v["values"], "", 0, v["counts"]) for v in counted.to_pylist()]


def _dropped_classes(view: PartitionView) -> pa.Table:
    """Occurrences, by source, of the classes of object regions that were dropped, except for a better one's sake."""
    regions = judged(view, "regions").filter(is_ordinary(view, "regions"))
    gone = pc.and_(pc.invert(regions["kept"]), pc.not_equal(regions["reason"], COVERED))
    regions = regions.filter(pc.and_(gone, pc.equal(regions["kind"], "object")))
    names = class_keys(region_classes(regions, view.annotations["region_texts"]))
    image = pc.index_in(regions["image_id"], value_set=view.images["id"].combine_chunks())
    table = pa.table(
        {
            "kind": pa.repeat("dropped_class", regions.num_rows),
            "family": view.images["source"].take(image),
            "term": names,
            "image_id": regions["image_id"],
        }
    )
    return table.filter(pc.not_equal(table["term"], ""))


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


def _with_shape(rows: pa.Table, kind: str) -> pa.Table:
    """Rows (kind, family, term, image_id) of `class_rows`, the bin of a shape being the group, in two digits.

    The number of boxes of a class has a row for each image that holds it, not for each box.
    """
    if kind == "class_number":
        counted = rows.group_by(["term", "image_id"]).aggregate([([], "count_all")])
        rows, bins = counted, pc.min_element_wise(counted["count_all"], MAX_PER_IMAGE)
    else:
        rows = rows.filter(pc.not_equal(rows[kind], NO_MASK))
        bins = rows[kind]
    table = rows.select(["term", "image_id"]).append_column("kind", pa.array([kind] * rows.num_rows, pa.string()))
    return table.append_column("family", pc.utf8_lpad(pc.cast(bins, pa.string()), 2, "0"))


def _as_terms(
    named: pa.Table,
    kind: pa.ChunkedArray,
    group: pa.ChunkedArray,
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
        group,
        terms,
        count,
        named["image_id_count"],
        *(zeros if size is None else size for size in sizes),
        first,
    ]
    return pa.table(columns, schema=TERMS)
