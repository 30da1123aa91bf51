"""What a report keeps of the vocabulary: numbers of terms by frequency, growth, the most and least frequent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.stages.report.tables import EVIDENCE_KINDS, SHAPE_KINDS, select

NUM_TOP = 200
NUM_SHAPED = 50
GROWTH_BINS = 64

_string = pa.string()
SPECTRUM = pa.schema([("kind", _string), ("family", _string), ("occurrences", pa.int64()), ("terms", pa.int64())])
"""Number of terms that occur so often: enough for the vocabulary's size, its total and its entropy, all exact."""
GROWTH = pa.schema([("kind", _string), ("family", _string), ("bin", pa.int32()), ("terms", pa.int64())])
"""Terms by the share of images, in 64ths, at which they turned up first. Images are in the order of their ids, which
are hashes: any beginning of it is a random sample."""
TOP = pa.schema(
    [
        ("kind", _string),
        ("family", _string),
        ("term", _string),
        ("count", pa.int64()),
        ("images", pa.int64()),  # null where groups are taken together: an image may be in several
        ("small", pa.int64()),
        ("medium", pa.int64()),
        ("large", pa.int64()),
        ("first", _string),
    ]
)
ALL = ""
"""Group of a term's sum over all groups."""
_KEYS = ["kind", "family"]


class Vocabulary(NamedTuple):
    """Summaries of terms. `top` and `rare` hold up to `NUM_TOP` of each kind and group; `wanted` all asked for, as
    classes and as evidence (`EVIDENCE_KINDS`), which is nowhere else.

    `shapes` are the boxes of the `NUM_SHAPED` most frequent classes by bin of each shape.
    """

    spectrum: pa.Table
    growth: pa.Table
    top: pa.Table
    rare: pa.Table
    wanted: pa.Table
    shapes: pa.Table

    def merged(self) -> Vocabulary:
        """One row for each key, and the best of `top` and `rare`: what is left when parts are stacked."""
        top = _first(self.top, "descending")
        return Vocabulary(
            spectrum=_summed(self.spectrum, [*_KEYS, "occurrences"], SPECTRUM),
            growth=_summed(self.growth, [*_KEYS, "bin"], GROWTH),
            top=top,
            rare=_first(self.rare, "ascending"),
            wanted=self.wanted.sort_by([(key, "ascending") for key in (*_KEYS, "term")]),
            shapes=_of_frequent(self.shapes, top),
        )


class Richness(NamedTuple):
    """Of a kind and group: different terms, occurrences, terms that occur once, entropy in bits."""

    distinct: int
    total: int
    once: int
    entropy_bits: float


def summarise(terms: pa.Table, wanted: Sequence[str]) -> Vocabulary:
    """Sum up merged terms, each group and all together. `wanted` are words, and keys of classes."""
    is_shape = pc.is_in(terms["kind"], value_set=pa.array(SHAPE_KINDS))
    shapes, terms = terms.filter(is_shape), terms.filter(pc.invert(is_shape))
    is_evidence = pc.is_in(terms["kind"], value_set=pa.array(EVIDENCE_KINDS))
    is_wanted = pc.is_in(terms["term"], value_set=pa.array(list(wanted), _string))
    asked = terms.filter(pc.and_(is_wanted, pc.or_(is_evidence, pc.equal(terms["kind"], "class"))))
    rows = _with_sums(terms.filter(pc.invert(is_evidence)))
    spectrum = rows.group_by([*_KEYS, "count"]).aggregate([([], "count_all")])
    return Vocabulary(
        spectrum=spectrum.rename_columns(SPECTRUM.names).cast(SPECTRUM),
        growth=_growth(rows),
        top=rows,
        rare=rows,
        wanted=_with_sums(asked),
        shapes=shapes.select(TOP.names).cast(TOP),
    ).merged()


def richness(spectrum: pa.Table) -> Richness:
    """Of the rows of a `SPECTRUM`. Shannon's entropy, -Σ p log2 p; the sum is exact to rounding, in any order."""
    occurrences, terms = spectrum["occurrences"].to_pylist(), spectrum["terms"].to_pylist()
    total = sum(n * m for n, m in zip(occurrences, terms, strict=True))
    parts = [m * (n / total) * -math.log2(n / total) for n, m in zip(occurrences, terms, strict=True)]
    once = sum(m for n, m in zip(occurrences, terms, strict=True) if n == 1)
    return Richness(distinct=sum(terms), total=total, once=once, entropy_bits=math.fsum(parts) + 0.0)


def _with_sums(terms: pa.Table) -> pa.Table:
    """The rows, and one for each term's sum over all groups."""
    sums = ("count", "small", "medium", "large")
    merged = terms.group_by(["kind", "term"]).aggregate([*((name, "sum") for name in sums), ("first", "min")])
    columns = {
        **{name: merged[name] for name in ("kind", "term")},
        **{name: merged[f"{name}_sum"] for name in sums},
        "family": pa.repeat(ALL, merged.num_rows),
        "images": pa.nulls(merged.num_rows, pa.int64()),
        "first": merged["first_min"],
    }
    sums_table = pa.table([columns[name] for name in TOP.names], schema=TOP)
    return pa.concat_tables([terms.select(TOP.names).cast(TOP), sums_table])


def _of_frequent(shapes: pa.Table, top: pa.Table) -> pa.Table:
    """Shapes of the most frequent classes. A bucket holds all rows of its classes, so that nothing of them is lost."""
    classes = select(top, kind="class", family=ALL).sort_by([("count", "descending"), ("term", "ascending")])
    frequent = classes["term"].slice(0, NUM_SHAPED).combine_chunks()
    mine = shapes.filter(pc.is_in(shapes["term"], value_set=frequent))
    return mine.sort_by([(key, "ascending") for key in (*_KEYS, "term")])


def _growth(rows: pa.Table) -> pa.Table:
    first = np.array([int(image[:8], 16) for image in rows["first"].to_pylist()], dtype=np.int64)
    bins = pa.array(first * GROWTH_BINS // 2**32, pa.int32())
    counted = rows.select(_KEYS).append_column("bin", bins).group_by([*_KEYS, "bin"]).aggregate([([], "count_all")])
    return counted.rename_columns(GROWTH.names).cast(GROWTH)


def _summed(table: pa.Table, keys: list[str], schema: pa.Schema) -> pa.Table:
    merged = table.group_by(keys).aggregate([("terms", "sum")]).rename_columns([*keys, "terms"])
    return merged.sort_by([(key, "ascending") for key in keys]).cast(schema)


def _first(table: pa.Table, order: str) -> pa.Table:
    """The first `NUM_TOP` of each kind and group by count, equal ones by term."""
    ranked = table.sort_by([*((key, "ascending") for key in _KEYS), ("count", order), ("term", "ascending")])
    if not ranked.num_rows:
        return ranked
    kind, group = (ranked[key].combine_chunks().dictionary_encode().indices.to_numpy() for key in _KEYS)
    starts = np.flatnonzero((np.diff(kind, prepend=-1) != 0) | (np.diff(group, prepend=-1) != 0))
    rank = np.arange(ranked.num_rows) - np.repeat(starts, np.diff(starts, append=ranked.num_rows))
    return ranked.filter(pa.array(rank < NUM_TOP))
