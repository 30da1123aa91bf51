"""Flat tables of one partition to nested samples: everything kept, and nothing else."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import annotation_id
from fld_engine.engine.data.kept_rows import kept
from fld_engine.engine.data.region_names import class_rank
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.export_settings import MAX_PROMPT_TOKENS, MAX_TARGET_TOKENS
from fld_engine.engine.plan.selection import EVERYTHING, Selection
from fld_engine.engine.stages.export.targets import write_targets
from fld_engine.schemas.annotations import GRANULARITIES
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.kinds import FAMILIES
from fld_engine.schemas.origins import Origin, origin_of
from fld_engine.schemas.sample import CLASS_KEYS, NOT_MEASURED, SAMPLE_VERSION, Sample
from fld_engine.schemas.tables import EXPORTED_TABLES
from fld_engine.schemas.tokens import TokenCount, num_tokens

Row = dict[str, Any]
Grouped = Mapping[str, list[Row]]

ORIGIN_RANK = {Origin.HUMAN: 0, Origin.SPECIALIST: 1, Origin.REFINEMENT: 1, Origin.WEB: 2, Origin.COMPOSED: 3}
"""Whose text is better, before any score is asked: scores of different origins are not comparable. A person, then a
captioning model, then text found beside the image on the web, then a text composed from other annotations."""


def split_of(twin_group: str, seed: int, fractions: Mapping[str, float]) -> str:
    """The split of a twin group: near-twins stay together, and nothing but seed and fractions moves them.

    The first 64 bits of `sha256("split:seed:twin_group")`, as a number in [0, 1), fall into one of the consecutive
    intervals of `fractions`. Raises `ConfigError` unless these are positive and sum to 1.
    """
    if not math.isclose(sum(fractions.values()), 1.0, abs_tol=1e-6) or min(fractions.values()) < 0:
        raise ConfigError(f"export.splits: expected shares of at least 0 that sum to 1, got {dict(fractions)}")
    digest = hashlib.sha256(f"split:{seed}:{twin_group}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    bound = 0.0
    name = ""
    for name, share in fractions.items():
        bound += share
        if place < bound:
            return name
    return name  # rounding of the last bound


def assemble(
    view: PartitionView,
    split_of_group: Callable[[str], str],
    max_target_tokens: int = MAX_TARGET_TOKENS,
    *,
    select: Selection = EVERYTHING,
    seed: int = 0,
    count: TokenCount = num_tokens,
    classes: bool = False,
) -> Iterator[Sample]:
    """Samples of a partition in partition order, with targets; gold and dropped images are left out.

    `select` leaves out more, by `seed`. `count` has the tokens of a target, of which there are `max_target_tokens` at
    most. With `classes`, samples have the keys `labels` and `absences`.

    `split_of_group` maps a twin group to its split. `image.sha256` is that of the original bytes until the image is
    re-encoded. Raises `pydantic.ValidationError` where a stored row is not what `schemas.tables` promises.
    """
    max_prompt_tokens = MAX_PROMPT_TOKENS if count is num_tokens else max_target_tokens  # another model has its own
    tables = {name: kept(view, name) for name in EXPORTED_TABLES}
    statuses = {family: family_status(view, family) for family in FAMILIES}
    position = {image: i for i, image in enumerate(view.images["id"].to_pylist())}
    grouped = _Grouped(tables)
    of_classes = {name: _group(view.of_sources[name], "image_id") for name in CLASS_KEYS if classes}
    for image in tables["images"].filter(pc.invert(tables["images"]["gold"])).to_pylist():
        if not select.has(image["twin_group"] or image["id"], seed):
            continue
        i = position[image["id"]]
        draft = {
            "schema": SAMPLE_VERSION,
            "id": image["id"],
            "image": _image(image, split_of_group(image["twin_group"] or image["id"])),
            "status": {family: statuses[family][i] for family in FAMILIES},
            "texts": grouped.texts(image["id"]),
            "regions": grouped.regions(image["id"]),
            "groundings": grouped.groundings(image["id"]),
            "targets": (),
            **{name: _classes(rows.get(image["id"], ())) for name, rows in of_classes.items()},
        }
        sample = select.of(Sample.model_validate(draft))
        told = write_targets(sample, max_target_tokens, max_prompt_tokens=max_prompt_tokens, count=count)
        wanted = {
            name: tuple(e for e in entries if select.has_task(e.task)) for name, entries in told._asdict().items()
        }
        yield sample.model_copy(update=wanted)


def family_status(view: PartitionView, family: str) -> list[str]:
    """Status of a family for every image, in partition order.

    `failed` where any of its producers failed; `done` where all are done; else, and with no producer, `not_run`.
    """
    producers = view.producers.get(family, ())
    if not producers or any(name not in view.status for name in producers):
        return ["not_run"] * view.images.num_rows
    columns = [view.status[name]["status"].to_numpy(zero_copy_only=False) for name in producers]
    stacked = np.stack(columns)
    status = np.where((stacked == "done").all(axis=0), "done", "not_run")
    return [str(s) for s in np.where((stacked == "failed").any(axis=0), "failed", status)]


def _group(table: pa.Table, key: str) -> Grouped:
    """Rows by the value of a column, each group in row order."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in table.to_pylist():
        groups[row[key]].append(row)
    return groups


class _Grouped:
    """The rows of a partition, grouped once by what they belong to."""

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self._texts = _group(tables["texts"], "image_id")
        self._regions = _group(tables["regions"], "image_id")
        self._region_texts = _group(tables["region_texts"], "region_id")
        self._phrases = _group(tables["phrases"], "image_id")
        self._phrase_regions = _group(tables["phrase_regions"], "phrase_id")
        masks = _group(tables["masks"], "subject_id")
        self._masks = {subject: max(rows, key=lambda r: r["score"])["polygons"] for subject, rows in masks.items()}
        similarities = _group(tables["similarities"], "subject_id")
        self._similarities = {subject: rows[0]["score"] for subject, rows in similarities.items()}

    def texts(self, image_id: str) -> list[Row]:
        rows = sorted(self._texts.get(image_id, ()), key=_text_rank)
        return [{**_only(row, "id", "granularity", "text", "score"), "source": _source(row)} for row in rows]

    def regions(self, image_id: str) -> list[Row]:
        return [
            {
                **_only(row, "id", "kind", "quad", "score"),
                "box": _box(row),
                "mask": self._masks.get(row["id"], ()),
                "source": _source(row),
                "texts": [
                    self._region_text(text) for text in sorted(self._region_texts.get(row["id"], ()), key=class_rank)
                ],
            }
            for row in self._regions.get(image_id, ())
        ]

    def _region_text(self, row: Row) -> Row:
        similarity = self._similarities.get(row["id"], NOT_MEASURED)
        return {**_only(row, "id", "kind", "text", "chosen"), "similarity": similarity, "source": _source(row)}

    def groundings(self, image_id: str) -> list[Row]:
        """One per text and source, in row order of their first phrases."""
        grouped: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self._phrases.get(image_id, ()):
            grouped[row["text_id"], *_source(row).values()].append(row)
        return [
            {
                "id": annotation_id("groundings", text_id, str(source[0]), source[-1], 0),
                "text_id": text_id,
                "source": _source(rows[0]),
                "phrases": [self._phrase(row) for row in sorted(rows, key=lambda r: (r["start"], r["end"]))],
            }
            for (text_id, *source), rows in grouped.items()
        ]

    def _phrase(self, row: Row) -> Row:
        regions = [
            {
                **_only(region, "id", "score"),
                "box": _box(region),
                "mask": self._masks.get(region["id"]) or self._masks.get(region["region_id"], ()),
            }
            for region in self._phrase_regions.get(row["id"], ())
        ]
        return {**_only(row, "id", "phrase", "start", "end", "score"), "regions": regions}


def _classes(rows: Iterable[Row]) -> list[Row]:
    """Classes by people, by folders, then by models; of each, the surest first."""
    ranked = sorted(rows, key=lambda row: (*_class_rank(row["annotator"]), -row["score"], row["label"]))
    return [{**_only(row, "label", "score"), "source": _source(row)} for row in ranked]


def _class_rank(annotator: str) -> tuple[int, str]:
    order = (Origin.HUMAN, Origin.CLASS_FOLDER)
    return order.index(annotator) if annotator in order else len(order), annotator


def _text_rank(row: Row) -> tuple[int, int, float]:
    """Coarse before fine; within a granularity by origin, then by falling score."""
    origin = origin_of(row["annotator"], composed=row["composed"])
    return GRANULARITIES.index(row["granularity"]), ORIGIN_RANK[origin], -row["score"]


def _image(row: Row, split: str) -> Row:
    return {
        **_only(row, "width", "height", "sha256", "source", "uri"),
        "original_sha256": row["sha256"],
        "reencoded": not row["plain_jpeg"],
        "licence": row["licence"] or "",
        "split": split,
    }


def _only(row: Row, *names: str) -> Row:
    return {name: row[name] for name in names}


def _box(row: Row) -> tuple[float, float, float, float]:
    return row["x1"], row["y1"], row["x2"], row["y2"]


def _source(row: Row) -> Row:
    return _only(row, "annotator", "model", "revision", "round")
