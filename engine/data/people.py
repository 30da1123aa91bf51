"""What people said, once: the same thing in several files of labels, or twice in one, is one thing.

Rows stay as they were read; whoever reads people's rows reads them through `said_once`, so export, COCO, coverage, work
sets and gold agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import boxes_xyxy, codes, positions
from fld_engine.engine.data.geometry import Ints, pairwise_iou
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.things import is_kind_of, same_thing
from fld_engine.schemas.kinds import OWN_TEXTS
from fld_engine.schemas.names import name_key
from fld_engine.schemas.origins import Origin

ANOTHER_FILE_IOU = 0.7
"""From where boxes in two files are of one thing, drawn by two people or rounded by a tool."""
SAME_FILE_IOU = 0.95
"""From where boxes in one file are: whoever draws two things that hide each other draws two boxes."""

Tables = Mapping[str, pa.Table]


def said_once(tables: Tables) -> dict[str, pa.Table]:
    """Annotation tables without what people said a second time.

    Regions of one kind on one image are one where their names mean the same thing (`same_thing`; what is read must be
    the same words) and their boxes overlap by `ANOTHER_FILE_IOU`, or `SAME_FILE_IOU` in one file; of two files, each
    box of one goes with the one of the other that it overlaps best. The first stays, with the name that says most and
    the first mask. Equal texts are one, with the phrases of both. So are classes of one name, and absences, those that
    folders tell among them; a class that is said to be there and not to be there stays both.
    """
    return _once(tables)[0]


def said_again(tables: Tables) -> dict[str, str]:
    """Id of each region, text, phrase and name that `said_once` leaves out → id of that which stands for it."""
    return _once(tables)[1]


def _once(tables: Tables) -> tuple[dict[str, pa.Table], dict[str, str]]:
    once, again = _texts_once(_classes_once(tables))
    regions = once["regions"]
    rows = np.flatnonzero(pc.equal(regions["annotator"], Origin.HUMAN).to_numpy(zero_copy_only=False))
    leaders, namers = _groups(regions.take(pa.array(rows)), once["region_texts"])
    if (leaders == np.arange(len(rows))).all() and (namers == leaders).all():
        return once, again
    ids = regions["id"].take(pa.array(rows)).to_pylist()
    said = {identity: ids[leader] for identity, leader in zip(ids, leaders, strict=True)}
    unnamed = {identity for row, identity in enumerate(ids) if namers[leaders[row]] != row}
    gone = np.zeros(regions.num_rows, dtype=bool)
    gone[rows[leaders != np.arange(len(rows))]] = True
    once["regions"] = regions.filter(pa.array(~gone))
    named = _about(once["region_texts"], "region_id", said)
    once["region_texts"] = _about(_without(once["region_texts"], "region_id", unnamed), "region_id", said)
    once["masks"] = _first_of_each(once["masks"], "subject_id", said)
    once["phrase_regions"] = _about(once["phrase_regions"], "region_id", said)
    again |= {identity: leader for identity, leader in said.items() if identity != leader}
    return once, again | _names_again(named, once["region_texts"])


# ------------------------------------------------------------------------------------------------------- regions


def _groups(regions: pa.Table, region_texts: pa.Table) -> tuple[Ints, Ints]:
    """The first row of the thing that each row is, and for each of these the row whose name says most."""
    leaders = np.arange(regions.num_rows)
    namers = leaders.copy()
    names = _names(regions, region_texts)
    files = codes(regions["model"], regions["revision"])
    is_text = pc.equal(regions["kind"], "text").to_numpy(zero_copy_only=False)
    held = [{int(file)} for file in files]  # files that said the thing, by its leader
    for iou, first, second in _near(regions):
        a, b = sorted((int(leaders[first]), int(leaders[second])))
        same = names[first] == names[second] if is_text[first] else same_thing(names[first], names[second])
        if a == b or not names[first] or not same or (iou < SAME_FILE_IOU and held[a] & held[b]):
            continue
        leaders[leaders == b] = a
        held[a] |= held[b]
        mine, other = names[namers[a]], names[namers[b]]
        if not is_text[a] and is_kind_of(other, mine) and not is_kind_of(mine, other):
            namers[a] = namers[b]
    return leaders, namers


def _names(regions: pa.Table, region_texts: pa.Table) -> list[str]:
    """What each region is called, or what is read in it."""
    read = region_texts.filter(pc.equal(region_texts["kind"], OWN_TEXTS["text"]))
    place = positions(regions["id"], read["region_id"])
    words = read["text"].combine_chunks().take(pa.array(place, mask=place < 0)).fill_null("").to_pylist()
    classes = region_classes(regions, region_texts).to_pylist()
    return [name or " ".join(word.split()) for name, word in zip(classes, words, strict=True)]


def _names_again(named: pa.Table, left: pa.Table) -> dict[str, str]:
    """Id of each name that is left out → id of the first of the same kind that its region is left with."""
    stands: dict[tuple[str, str], str] = {}
    for row in left.select(["id", "region_id", "kind"]).to_pylist():
        stands.setdefault((row["region_id"], row["kind"]), row["id"])
    gone = named.filter(pc.invert(pc.is_in(named["id"], left["id"].combine_chunks())))
    keys = [(row["id"], (row["region_id"], row["kind"])) for row in gone.to_pylist()]
    return {identity: stands[key] for identity, key in keys if key in stands}


def _near(regions: pa.Table) -> Iterator[tuple[float, int, int]]:
    """(IoU, row, later row) of the regions of an image and kind that overlap, the closest first."""
    boxes, owner = boxes_xyxy(regions), codes(regions["image_id"], regions["kind"])
    order = np.argsort(owner, kind="stable")
    found: list[tuple[float, int, int]] = []
    for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
        if len(rows) > 1:
            iou = np.triu(pairwise_iou(boxes[rows], boxes[rows]), k=1)
            found += [(float(iou[i, j]), int(rows[i]), int(rows[j])) for i, j in np.argwhere(iou >= ANOTHER_FILE_IOU)]
    yield from sorted(found, key=lambda pair: (-pair[0], *pair[1:]))


# ------------------------------------------------------------------------------------------------------- classes


def _classes_once(tables: Tables) -> dict[str, pa.Table]:
    once = dict(tables)
    for name in ("labels", "absences"):
        table = once[name]
        seen: set[tuple[str, str, str]] = set()
        columns = (table[column].to_pylist() for column in ("image_id", "annotator", "label"))
        keep = [
            annotator not in (Origin.HUMAN, Origin.CLASS_FOLDER) or _is_new(seen, (image, annotator, name_key(label)))
            for image, annotator, label in zip(*columns, strict=True)
        ]
        once[name] = table if all(keep) else table.filter(pa.array(keep, pa.bool_()))
    return once


def _is_new(seen: set[tuple[str, str, str]], key: tuple[str, str, str]) -> bool:
    known = key in seen
    seen.add(key)
    return not known


# --------------------------------------------------------------------------------------------------------- texts


def _texts_once(tables: dict[str, pa.Table]) -> tuple[dict[str, pa.Table], dict[str, str]]:
    texts, phrases = tables["texts"], tables["phrases"]
    said = _same(texts, ("image_id", "granularity", "text"))
    if not said:
        return tables, {}
    tables["texts"] = _without(texts, "id", said.keys())
    phrases = _about(phrases, "text_id", said)
    same = _same(phrases, ("text_id", "start", "end"))
    tables["phrases"] = _without(phrases, "id", same.keys())
    tables["phrase_regions"] = _first_of_each(tables["phrase_regions"], "phrase_id", same)
    return tables, said | same


def _same(table: pa.Table, columns: Sequence[str]) -> dict[str, str]:
    """Id of each of people's rows that says what an earlier one says → id of that one."""
    first: dict[tuple[Any, ...], str] = {}
    found: dict[str, str] = {}
    for row in table.filter(pc.equal(table["annotator"], Origin.HUMAN)).select(["id", *columns]).to_pylist():
        leader = first.setdefault(tuple(row[column] for column in columns), row["id"])
        if leader != row["id"]:
            found[row["id"]] = leader
    return found


# ---------------------------------------------------------------------------------------------------------- rows


def _about(table: pa.Table, column: str, said: Mapping[str, str]) -> pa.Table:
    """The table with each subject in `said` called by what it is one with."""
    subjects = pa.array([said.get(subject, subject) for subject in table[column].to_pylist()], pa.string())
    return table.set_column(table.schema.get_field_index(column), table.schema.field(column), subjects)


def _without(table: pa.Table, column: str, gone: Iterable[str]) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table[column], pa.array(sorted(gone), pa.string()))))


def _first_of_each(table: pa.Table, column: str, said: Mapping[str, str]) -> pa.Table:
    """The same; of the rows about what was made one, those stay that came with the first that has any."""
    before, after = table[column].to_pylist(), _about(table, column, said)
    leaders = set(said.values())
    first: dict[str, str] = {}
    keep = [
        subject not in leaders or first.setdefault(subject, origin) == origin
        for subject, origin in zip(after[column].to_pylist(), before, strict=True)
    ]
    return after.filter(pa.array(keep, pa.bool_()))
