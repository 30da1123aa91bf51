"""From scores to verdicts: filters in config order on survivors, and what follows from a dropped parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.geometry import Bools, Floats
from engine.hashing import canonical_json
from engine.protocols import Filter, Verdicts
from schemas.errors import ConfigError
from schemas.tables import PARENTS, VERDICT_TARGETS, verdict_schema

METADATA = "fld.filters"
"""Key of a verdict file's metadata: its filters with version and parameters, as canonical JSON."""
NO_REGION = "no_region"
"""Reason of a phrase that is left without any kept region: it grounds nothing."""
KIND_ORDER = {"phrase": 0, "brief": 1, "chunk": 2, "ocr": 3}
"""Which candidate text of a region is taken where similarities are equal or missing."""


@dataclass(slots=True)
class _Judged:
    """The state of one target: rows, who is kept, first reasons, and a value column per filter."""

    table: pa.Table
    kept: Bools
    reasons: list[str]
    values: dict[str, Floats] = field(default_factory=dict)

    def drop(self, rows: Sequence[int], reason: str) -> None:
        for row in rows:
            if self.kept[row]:
                self.kept[row] = False
                self.reasons[row] = reason


def decide(
    images: pa.Table, annotations: Mapping[str, pa.Table], filters: Sequence[tuple[str, Filter]]
) -> dict[str, pa.Table]:
    """Verdict tables by target, each in the row order of the table it judges.

    Targets are judged parents first; the filters of a target run in config order on the rows that are still kept, so
    the first reason stands. A dropped parent drops its children with `parent:<reason>`, its reason without a prefix of
    its own. After the filters, a phrase that had regions and keeps none is dropped with `no_region`. `chosen` marks the
    most similar kept text of each region, and is `kept` for other targets.

    Raises `ConfigError` for a filter with an unknown target or an answer of the wrong shape.
    """
    for name, one in filters:
        if one.target not in VERDICT_TARGETS:
            raise ConfigError(f"filter {name!r} judges {one.target!r}; a target is one of {', '.join(VERDICT_TARGETS)}")
    tables = {**annotations, "images": images}
    judged: dict[str, _Judged] = {}
    for target in VERDICT_TARGETS:
        table = tables[target]
        judged[target] = _Judged(table, np.ones(table.num_rows, dtype=bool), [""] * table.num_rows)
        _drop_orphans(judged, target)
        for name, one in filters:
            if one.target == target:
                _ask(judged[target], name, one, tables)
    _drop_ungrounded(judged)
    metadata = {METADATA: _thresholds(filters)}
    return {
        target: _table(judged[target], target, tables, filters).replace_schema_metadata(metadata)
        for target in VERDICT_TARGETS
    }


def _ask(judged: _Judged, name: str, one: Filter, tables: Mapping[str, pa.Table]) -> None:
    """Run one filter on the rows that are still kept."""
    alive = np.flatnonzero(judged.kept)
    shown = {other: tables[other] for other in one.requires} | {one.target: judged.table.take(pa.array(alive))}
    verdicts = one.decide(shown)
    _check(name, verdicts, len(alive))
    judged.values[name] = np.full(judged.table.num_rows, np.nan)
    judged.values[name][alive] = verdicts.value
    judged.drop(alive[~verdicts.keep].tolist(), verdicts.reason)


def _check(name: str, verdicts: Verdicts, expected: int) -> None:
    if len(verdicts.keep) != expected or len(verdicts.value) != expected or verdicts.keep.dtype != np.bool_:
        raise ConfigError(
            f"filter {name!r} gave {len(verdicts.keep)} decisions of type {verdicts.keep.dtype} and "
            f"{len(verdicts.value)} values for {expected} rows: expected one bool and one float a row"
        )


def _drop_orphans(judged: Mapping[str, _Judged], target: str) -> None:
    """Drop the children of dropped parents."""
    for parent, column in PARENTS[target]:
        lost = {
            row: reason
            for row, reason, kept in zip(
                judged[parent].table["id"].to_pylist(), judged[parent].reasons, judged[parent].kept, strict=True
            )
            if not kept
        }
        if lost:
            for row, owner in enumerate(judged[target].table[column].to_pylist()):
                if owner in lost:
                    judged[target].drop([row], f"parent:{lost[owner].removeprefix('parent:')}")


def _drop_ungrounded(judged: Mapping[str, _Judged]) -> None:
    phrases, regions = judged["phrases"], judged["phrase_regions"]
    owners = regions.table["phrase_id"].to_pylist()
    had = set(owners)
    keeps = {owner for owner, kept in zip(owners, regions.kept, strict=True) if kept}
    ids = phrases.table["id"].to_pylist()
    phrases.drop([row for row, phrase in enumerate(ids) if phrase in had and phrase not in keeps], NO_REGION)


def _table(
    judged: _Judged, target: str, tables: Mapping[str, pa.Table], filters: Sequence[tuple[str, Filter]]
) -> pa.Table:
    names = [name for name, one in filters if one.target == target]
    chosen = _most_similar(judged, tables["similarities"]) if target == "region_texts" else judged.kept
    columns: dict[str, object] = {
        "id": judged.table["id"],
        "image_id": judged.table["id" if target == "images" else "image_id"],
        "kept": judged.kept,
        "reason": judged.reasons,
        "chosen": chosen,
        **{name: pa.array(judged.values[name], from_pandas=True) for name in names},
    }
    return pa.table(columns, schema=verdict_schema(names))


def _most_similar(judged: _Judged, similarities: pa.Table) -> Bools:
    """The kept text of each region with the highest similarity; then by `KIND_ORDER`, then by row order."""
    similarity = dict(zip(similarities["subject_id"].to_pylist(), similarities["score"].to_pylist(), strict=True))
    best: dict[str, tuple[float, int, int]] = {}
    columns = (judged.table[name].to_pylist() for name in ("id", "region_id", "kind"))
    for row, (text, region, kind) in enumerate(zip(*columns, strict=True)):
        if judged.kept[row]:
            rank = (-similarity.get(text, -2.0), KIND_ORDER.get(kind, len(KIND_ORDER)), row)
            best[region] = min(best.get(region, rank), rank)
    chosen = np.zeros(len(judged.kept), dtype=bool)
    chosen[[row for _, _, row in best.values()]] = True
    return chosen


def _thresholds(filters: Sequence[tuple[str, Filter]]) -> str:
    return canonical_json(
        {
            name: {"filter": type(one).__name__, "version": one.version, "params": one.params.model_dump(mode="json")}
            for name, one in filters
        }
    )


def dropped_by_reason(verdicts: pa.Table) -> dict[str, int]:
    """Number of dropped rows by reason, sorted."""
    counted = pc.value_counts(verdicts["reason"].filter(pc.invert(verdicts["kept"]))).to_pylist()
    return dict(sorted((row["values"], row["counts"]) for row in counted))
