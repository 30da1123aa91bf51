"""From scores to verdicts: filters in config order on survivors, and what follows from a dropped parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fld_engine.engine.data.columns import codes, equals, floats, positions
from fld_engine.engine.data.geometry import Bools, Floats, Ints
from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.plan.protocols import Filter, Verdicts
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.tables import FILTERS_METADATA, TABLES, VERDICT_TARGETS, owner_column, verdict_schema

PARENT = "parent:"
MISSING = PARENT + "missing"
"""Reason of a row whose parent is in no table."""
NO_REGION = "no_region"
"""Reason of a phrase without any kept region: it grounds nothing."""
CANDIDATES = ("phrase", "brief", "chunk", "ocr")
"""Which text of a region is chosen first where similarities are equal or missing."""


@dataclass(slots=True)
class _Ledger:
    """What is known about the rows of one target so far. A value is NaN where `asked` is False."""

    table: pa.Table
    kept: Bools
    reasons: npt.NDArray[np.object_]
    values: dict[str, tuple[Floats, Bools]] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pa.Table) -> _Ledger:
        return cls(table, np.ones(table.num_rows, dtype=bool), np.full(table.num_rows, "", dtype=object))

    def drop(self, rows: Bools, reason: str) -> None:
        """Drop rows; the first reason stands."""
        rows = rows & self.kept
        self.reasons[rows] = reason
        self.kept[rows] = False


def decide(
    images: pa.Table, annotations: Mapping[str, pa.Table], filters: Sequence[tuple[str, Filter]]
) -> dict[str, pa.Table]:
    """Verdict tables by target, each in the row order of the table it judges. `filters` are (config name, filter).

    Targets are judged parents first, whatever the config's order; within a target the filters run in config order,
    each on the rows that are still kept. Then, and in this order of precedence, so that the first reason stands:

    1. a row whose parent was dropped goes with `parent:<reason>`, the reason of the row that was judged itself; a
       phrase region goes with its phrase, and with the region it was matched to, if any;
    2. a row that a filter does not keep goes with the filter's reason;
    3. at last, a phrase without any kept region goes with `no_region`.

    Texts stay when their phrases go, and regions when their texts go: each is an annotation of its own. `chosen` marks
    one kept text of each region (`_most_similar`); elsewhere it equals `kept`.

    Raises `ConfigError` for a filter of an unknown target or table, a name that is not unique, and an answer that is
    not one bool and one float a row.
    """
    tables = {**annotations, "images": images}
    _check_filters(filters, tables)
    ledgers: dict[str, _Ledger] = {}
    for target in VERDICT_TARGETS:
        ledgers[target] = _Ledger.of(tables[target])
        _drop_with_parents(ledgers, target)
        for name, judge in filters:
            if judge.target == target:
                _ask(ledgers[target], name, judge, tables)
    phrases, boxes = ledgers["phrases"], ledgers["phrase_regions"]
    grounded = boxes.table["phrase_id"].filter(pa.array(boxes.kept))
    phrases.drop(positions(phrases.table["id"], grounded) < 0, NO_REGION)
    return {target: _verdicts(ledger, target, filters, tables) for target, ledger in ledgers.items()}


def _check_filters(filters: Sequence[tuple[str, Filter]], tables: Mapping[str, pa.Table]) -> None:
    taken = set(verdict_schema([]).names)
    for name, judge in filters:
        if name in taken:
            raise ConfigError(
                f"filter name {name!r} is taken by another column of the verdicts: rename it in `filters`"
            )
        taken.add(name)
        if judge.target not in VERDICT_TARGETS:
            raise ConfigError(f"filter {name!r} judges {judge.target!r}; expected one of {', '.join(VERDICT_TARGETS)}")
        if unknown := sorted(judge.requires - tables.keys()):
            raise ConfigError(f"filter {name!r} requires tables {unknown}; available: {', '.join(sorted(tables))}")


def _drop_with_parents(ledgers: Mapping[str, _Ledger], target: str) -> None:
    child = ledgers[target]
    for link in TABLES[target].links:
        (parent_name,) = link.parents
        parent = ledgers[parent_name]
        place = positions(child.table[link.column], parent.table["id"])
        has_parent = np.ones(len(child.kept), dtype=bool)
        if link.optional:
            has_parent = ~equals(child.table[link.column], "")
        child.drop(has_parent & (place < 0), MISSING)
        orphans = np.flatnonzero(has_parent & (place >= 0))
        orphans = orphans[~parent.kept[place[orphans]]]
        reasons = parent.reasons[place[orphans]]
        for reason in set(reasons.tolist()):
            rows = np.zeros(len(child.kept), dtype=bool)
            rows[orphans[reasons == reason]] = True
            child.drop(rows, PARENT + reason.removeprefix(PARENT))


def _ask(ledger: _Ledger, name: str, judge: Filter, tables: Mapping[str, pa.Table]) -> None:
    """Run one filter on the rows that are still kept."""
    asked = ledger.kept.copy()
    survivors = ledger.table.filter(pa.array(asked))
    verdicts = judge.decide({**{table: tables[table] for table in judge.requires}, judge.target: survivors})
    _check_verdicts(name, verdicts, survivors.num_rows)
    value = np.full(len(asked), np.nan)
    value[asked] = verdicts.value
    ledger.values[name] = (value, asked)
    dropped = np.zeros(len(asked), dtype=bool)
    dropped[asked] = ~verdicts.keep
    ledger.drop(dropped, verdicts.reason)


def _check_verdicts(name: str, verdicts: Verdicts, num_rows: int) -> None:
    if not isinstance(verdicts, Verdicts):
        raise ConfigError(
            f"filter {name!r} answered with {type(verdicts).__name__}; "
            "expected fld_engine.engine.plan.protocols.Verdicts"
        )
    given = {"keep": (verdicts.keep, np.bool_), "value": (verdicts.value, np.float64)}
    for what, (column, dtype) in given.items():
        is_array = isinstance(column, np.ndarray)
        if not is_array or column.shape != (num_rows,) or column.dtype != dtype:
            found = f"shape {column.shape} and type {column.dtype}" if is_array else f"type {type(column).__name__}"
            raise ConfigError(
                f"filter {name!r} answered with {what} of {found}; expected a numpy array of "
                f"shape {(num_rows,)}, one {np.dtype(dtype)} for every row it was shown"
            )
    if not verdicts.reason or verdicts.reason.startswith(PARENT):
        raise ConfigError(f"filter {name!r} gave the reason {verdicts.reason!r}; expected a code such as 'too_small'")


def _verdicts(
    ledger: _Ledger, target: str, filters: Sequence[tuple[str, Filter]], tables: Mapping[str, pa.Table]
) -> pa.Table:
    own = {name: judge for name, judge in filters if judge.target == target}
    chosen = _most_similar(ledger, tables["similarities"]) if target == "region_texts" else ledger.kept
    columns = {
        "id": ledger.table["id"],
        "image_id": ledger.table[owner_column(target)],
        "kept": ledger.kept,
        "reason": pa.array(ledger.reasons, pa.string()),
        "chosen": chosen,
        **{name: pa.array(value, mask=~asked) for name, (value, asked) in ledger.values.items()},
    }
    thresholds = {
        name: {
            "filter": _import_path(judge),
            "version": judge.version,
            "params": judge.params.model_dump(mode="json"),
        }
        for name, judge in own.items()
    }
    schema = verdict_schema(list(own)).with_metadata({FILTERS_METADATA: canonical_json(thresholds).encode()})
    return pa.table(columns, schema=schema)


def _import_path(judge: Filter) -> str:
    """Where the class of a filter is: ours without the package's name, as verdict tables have had it from the first."""
    return f"{type(judge).__module__.removeprefix('fld_engine.')}:{type(judge).__qualname__}"


def _most_similar(region_texts: _Ledger, similarities: pa.Table) -> Bools:
    """The kept text of each region with the highest similarity; then by `CANDIDATES`, then by row order.

    A text without a similarity comes after all that have one; of several similarities the first counts.
    """
    rows = np.flatnonzero(region_texts.kept)
    texts = region_texts.table.filter(pa.array(region_texts.kept))
    place = positions(texts["id"], similarities["subject_id"])
    scores = np.append(floats(similarities, "score"), -np.inf)  # the last is that of place -1
    rank: Ints = np.select(
        [equals(texts["kind"], kind) for kind in CANDIDATES], range(len(CANDIDATES)), len(CANDIDATES)
    )
    region = codes(texts["region_id"])
    order = np.lexsort((rows, rank, -scores[place], region))
    first = np.flatnonzero(np.diff(region[order], prepend=-1))
    chosen = np.zeros(len(region_texts.kept), dtype=bool)
    chosen[rows[order[first]]] = True
    return chosen
