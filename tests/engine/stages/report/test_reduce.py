"""The merge: the same bytes in any grouping, exact counts, and no term lost between buckets."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.report.aggregate import bucket_of
from fld_engine.engine.stages.report.pick import pick
from fld_engine.engine.stages.report.reduce import MergeResult, gather, read_vocabulary, reduce_terms, runs_of_buckets
from fld_engine.engine.stages.report.tables import (
    CANDIDATES,
    CANDIDATES_PER_STRATUM,
    COUNTS,
    NUM_BUCKETS,
    TERMS,
    merge_candidates,
    merge_counts,
    merge_terms,
    select,
)
from fld_engine.engine.stages.report.tasks import Gather, Reduce
from fld_engine.engine.stages.report.vocabulary import ALL, Vocabulary, richness

WORDS = [f"word {i}" for i in range(300)]


def terms(random: np.random.Generator, partition: str) -> tuple[pa.Table, Counter[tuple[str, str]]]:
    """A partition's terms, and how often each (group, term) is in it."""
    counted: Counter[tuple[str, str]] = Counter()
    for word in random.zipf(1.3, 400) % len(WORDS):
        counted[("brief", "detailed")[int(random.integers(2))], WORDS[word]] += 1
    rows = [
        (bucket_of(term), "noun", group, term, n, 1, 0, 0, 0, f"{random.integers(2**63):032x}/{partition}")
        for (group, term), n in counted.items()
    ]
    return pa.table([list(c) for c in zip(*rows, strict=True)], schema=TERMS), counted


def merged(folder: Path, parts: list[pa.Table], per_gather: int, runs: list[tuple[int, int]]) -> Vocabulary:
    """The whole merge through files, with groups of a chosen size."""
    store = Store(str(folder))
    store.write_table("counts", COUNTS.empty_table())
    store.write_table("candidates", CANDIDATES.empty_table())
    inputs = []
    for i, part in enumerate(parts):
        store.write_table(f"terms-{i}", part)
        inputs.append({"counts": "counts", "candidates": "candidates", "terms": f"terms-{i}"})
    gathered = [
        gather(store, Gather(inputs=tuple(inputs[i : i + per_gather]), out=f"gathered-{per_gather}-{i}"))
        for i in range(0, len(inputs), per_gather)
    ]
    paths = tuple(result.files["terms"] for result in gathered)
    reduced: list[MergeResult] = [
        reduce_terms(store, Reduce(terms=paths, low=low, high=high, out=f"reduced-{per_gather}-{low}-{high}"))
        for low, high in runs
    ]
    return read_vocabulary(store, reduced)


def test_counts_are_exact_however_the_work_is_cut(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    parts, truth = [], Counter[tuple[str, str]]()
    for number in range(7):
        part, counted = terms(random, f"p{number}")
        parts.append(part)
        truth.update(counted)
    whole = merged(tmp_path, parts, 7, [(0, NUM_BUCKETS)])
    cut = merged(tmp_path, parts, 2, [(0, 1), (1, 100), (100, 256)])
    for name in whole._fields:
        assert getattr(whole, name).equals(getattr(cut, name)), name
    of_brief = {term: n for (group, term), n in truth.items() if group == "brief"}
    found = richness(select(whole.spectrum, kind="noun", family="brief"))
    total = sum(of_brief.values())
    assert (found.distinct, found.total) == (len(of_brief), total)
    assert found.once == sum(n == 1 for n in of_brief.values())
    assert found.entropy_bits == pytest.approx(-sum(n / total * math.log2(n / total) for n in of_brief.values()))
    top = select(whole.top, kind="noun", family="brief")
    expected = sorted(of_brief.items(), key=lambda item: (-item[1], item[0]))[:200]
    assert list(zip(top["term"].to_pylist(), top["count"].to_pylist(), strict=True)) == expected


def test_growth_counts_every_term_at_its_first_image(tmp_path: Path) -> None:
    """Terms first met at shares 0, 1/2 and nearly 1 of the images: bins 0, 32 and 63."""
    rows = [
        (bucket_of(term), "noun", "brief", term, 1, 1, 0, 0, 0, f"{prefix}{'0' * 24}/p")
        for term, prefix in (("a", "00000000"), ("b", "80000000"), ("c", "ffffffff"), ("b", "f0000000"))
    ]
    part = merge_terms([pa.table([list(c) for c in zip(*rows, strict=True)], schema=TERMS)])
    growth = select(merged(tmp_path, [part], 1, [(0, NUM_BUCKETS)]).growth, kind="noun", family=ALL)
    assert dict(zip(growth["bin"].to_pylist(), growth["terms"].to_pylist(), strict=True)) == {0: 1, 32: 1, 63: 1}


def test_shapes_of_the_most_frequent_classes_are_whole(tmp_path: Path) -> None:
    """60 classes with 1 to 60 boxes, a box a bin: the 50 most frequent keep all their bins, whatever the cut."""
    rows = []
    for i in range(60):
        name, first = f"class {i:02d}", f"{i:032x}/p"
        rows.append((bucket_of(name), "class", "web", name, i + 1, 1, i + 1, 0, 0, first))
        rows += [(bucket_of(name), "class_area", f"{b:02d}", name, 1, 1, 0, 0, 0, first) for b in range(i + 1)]
    part = merge_terms([pa.table([list(c) for c in zip(*rows, strict=True)], schema=TERMS)])
    shapes = merged(tmp_path, [part], 1, [(0, 80), (80, 256)]).shapes
    found = Counter(shapes["term"].to_pylist())
    assert found == {f"class {i:02d}": i + 1 for i in range(10, 60)}


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 9)), max_size=6), max_size=5)
)
def test_counts_merge_in_any_grouping(parts: list[list[tuple[str, int, int]]]) -> None:
    tables = [
        pa.table([[c for c, _, _ in p], [""] * len(p), [""] * len(p), [""] * len(p), [b for _, b, _ in p],
                  [n for _, _, n in p]], schema=COUNTS)
        for p in parts
    ]  # fmt: skip
    at_once = merge_counts(tables)
    one_by_one = COUNTS.empty_table()
    for table in reversed(tables):
        one_by_one = merge_counts([table, one_by_one])
    assert at_once.equals(one_by_one)
    assert (pc.sum(at_once["count"]).as_py() or 0) == sum(n for part in parts for _, _, n in part)


def test_runs_of_buckets_tile_all_buckets() -> None:
    for num_terms in (0, 1, 5_000_000, 10**12):
        runs = runs_of_buckets(num_terms)
        assert [bucket for low, high in runs for bucket in range(low, high)] == list(range(NUM_BUCKETS))


def test_candidates_keep_the_highest_of_each_stratum_and_source() -> None:
    rows = [("most boxes", source, float(i), f"{i:03d}", "p", "") for i in range(30) for source in ("x", "y")]
    table = pa.table([list(c) for c in zip(*rows, strict=True)], schema=CANDIDATES)
    in_parts = merge_candidates([merge_candidates([table.slice(0, 20)]), merge_candidates([table.slice(20)])])
    assert in_parts.equals(merge_candidates([table]))
    assert select(in_parts, source="y")["value"].to_pylist() == [
        float(v) for v in range(29, 29 - CANDIDATES_PER_STRATUM, -1)
    ]


def test_strata_and_sources_take_turns() -> None:
    rows = [("sample", "big", 0.0, f"b{i}", "p", "") for i in range(9)] + [("sample", "small", 0.0, "s0", "p", "")]
    candidates = pa.table([list(c) for c in zip(*rows, strict=True)], schema=CANDIDATES)
    rare = pa.table({"term": ["odd dog"], "count": [1], "first": ["b8/p"]})
    picked = pick(candidates, rare, 4)
    assert [image for _, image in picked] == ["b8", "b0", "s0", "b1"]
    assert picked["p", "b8"][0]["note"] == "“odd dog” is in 1 text"
