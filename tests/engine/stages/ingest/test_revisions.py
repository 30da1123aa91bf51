"""A source is taken at its last word: what it says of an image now, and nothing that it said before."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.engine.data.journal import read_journal, totals
from fld_engine.engine.stages.export.manifest import Manifest
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.stage import Remove
from tests.driving import ingest_here
from tests.engine.stages.ingest.sayings import (
    BOTH,
    LEFT,
    RIGHT,
    Box,
    config_of,
    lefts,
    partitions,
    photographs,
    photos_at,
    rows,
    write_coco,
)
from tests.roots import digest, opened, run_pipeline, write_photographs

# ------------------------------------------------------------------------------------------------------- any sequence

NUM_PHOTOS = 4
Revision = tuple[int, dict[int, tuple[Box, ...]], bool, str]
"""Which source, what it says of which photographs, whether it is gold, and under which licence."""

boxes = st.lists(st.sampled_from([*BOTH, (20, 20, 10, 10)]), max_size=2, unique=True).map(tuple)
revisions: st.SearchStrategy[Revision] = st.tuples(
    st.integers(0, 2),
    st.dictionaries(st.integers(0, NUM_PHOTOS - 1), boxes, min_size=1),
    st.booleans(),
    st.sampled_from(["", "CC-BY-4.0"]),
)


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(revisions, min_size=1, max_size=6), in_folder=st.booleans())
def test_any_sequence_of_revisions_ends_where_a_fresh_root_does(steps: list[Revision], in_folder: bool) -> None:
    """Whatever three sources said before, and whoever of them said it first."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = photographs(place / "photos", NUM_PHOTOS)
        first = [photos_at(place / "photos")] if in_folder else []
        sources: dict[int, dict[str, Any]] = {}
        ever: set[str] = set()
        for number, said, gold, licence in steps:
            written = write_coco(place / "photos", {names[i]: said[i] for i in sorted(said)}, f"labels-{number}")
            sources[number] = {**written, "gold": gold, "licence": licence}
            ever |= {names[i] for i in said}
            store, _ = ingest_here(place / "root", config_of(*first, *sources.values()))
        fresh, _ = ingest_here(place / "fresh", config_of(*first, *sources.values()))
        expected = {row["id"]: row for row in rows(fresh)}
        found = {row["id"]: row for row in rows(store)}
        assert expected.keys() <= found.keys(), "no image is ever lost"
        for identity, row in found.items():
            wanted = expected.get(identity, {"boxes": [], "gold": False})
            assert (row["boxes"], row["gold"]) == (wanted["boxes"], wanted["gold"])
            if in_folder:
                assert (row["source"], row["licence"]) == ("photos", "")
        journal = read_journal(store)
        assert all(r.found == r.new + r.duplicates + r.known + sum(r.quarantined.values()) for r in journal)
        assert ingest_here(place / "root", config_of(*first, *sources.values()))[1] is None


def test_gold_that_two_sources_took_back_one_after_the_other_is_none(tmp_path: Path) -> None:
    """While the other one still says gold, the first one's word changes nothing of the image, and must be kept."""
    (name,) = photographs(tmp_path / "photos", 1)
    one, two = (write_coco(tmp_path / "photos", {name: ()}, labels) for labels in ("one", "two"))
    for first, second in ((True, True), (False, True), (False, False)):
        config = config_of({**one, "gold": first}, {**two, "gold": second})
        store, _ = ingest_here(tmp_path / "root", config)
        assert [row["gold"] for row in rows(store)] == [first or second]


# ------------------------------------------------------------------------------------------------------ what is redone


def test_corrected_labels_give_the_very_export_of_a_root_that_never_had_the_mistake(tmp_path: Path) -> None:
    """Byte for byte; and no image is looked at again for it."""
    names = photographs(tmp_path / "photos", 6)
    photos = photos_at(tmp_path / "photos")
    labels = write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
    run_pipeline(tmp_path / "root", config_of(photos, labels))
    write_coco(tmp_path / "photos", dict.fromkeys(names, BOTH))
    continued = run_pipeline(tmp_path / "root", config_of(photos, labels))
    assert continued.work.images_read == 0
    run_pipeline(tmp_path / "fresh", config_of(photos, labels))
    shards = {
        root: {path: sha for path, sha in digest(tmp_path / root).items() if path.startswith("export/shards")}
        for root in ("root", "fresh")
    }
    assert shards["root"] == shards["fresh"]
    assert any(path.endswith(".tar") for path in shards["root"])


def test_shards_without_a_revised_image_are_not_touched(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 12)  # three partitions, two groups of shards
    photos = photos_at(tmp_path / "photos")
    run_pipeline(tmp_path / "root", config_of(photos))
    before = shard_times(tmp_path / "root")
    gold = {**write_coco(tmp_path / "photos", {names[0]: LEFT}), "gold": True}
    pipeline = run_pipeline(tmp_path / "root", config_of(photos, gold))
    after = shard_times(tmp_path / "root")
    untouched = {group: times for group, times in after.items() if before[group] == times}
    assert before.keys() == after.keys()
    assert len(untouched) == len(before) - 1 > 0
    manifest: Manifest = pipeline.store.read_model("export/manifest.json", Manifest)
    assert manifest.samples == 11, "what is gold since is not exported any more"


def shard_times(root: Path) -> dict[str, dict[str, int]]:
    """Group of shards → when each of its files was written."""
    found: dict[str, dict[str, int]] = {}
    for path in (root / "export/shards").glob("*.tar"):
        found.setdefault(path.name.split("-")[1], {})[path.name] = path.stat().st_mtime_ns
    return found


def test_a_json_that_reads_the_same_revises_nothing(tmp_path: Path) -> None:
    """Rewritten by another tool, or copied with another time: found again, and nothing depends on it."""
    names = photographs(tmp_path / "photos", 3)
    config = config_of(write_coco(tmp_path / "photos", dict.fromkeys(names, BOTH)))
    store, _ = ingest_here(tmp_path / "root", config)
    before = partitions(store)
    path = tmp_path / "photos/labels.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    _, record = ingest_here(tmp_path / "root", config)
    assert record is not None
    assert (record.known, record.revised, record.additions) == (3, 0, ())
    for photo in (tmp_path / "photos").glob("*.jpg"):
        os.utime(photo, (1, 1))
    _, record = ingest_here(tmp_path / "root", config)
    assert record is not None
    assert (record.known, record.revised) == (3, 0)
    assert partitions(store) == before
    found = totals(read_journal(store))
    assert (found.found, found.new, found.known) == (6, 3, 3), "seen again twice, and counted once"


def test_only_images_of_which_something_else_is_said_are_revised(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 8)
    config = config_of(write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT)))
    store, _ = ingest_here(tmp_path / "root", config)
    before = partitions(store)
    write_coco(tmp_path / "photos", {**dict.fromkeys(names, LEFT), names[1]: RIGHT})
    _, record = ingest_here(tmp_path / "root", config)
    assert record is not None
    assert record.revised == 1
    changed = [
        a.annotations_fingerprint != b.annotations_fingerprint for a, b in zip(before, partitions(store), strict=True)
    ]
    assert sorted(changed) == [False, True]
    assert lefts(store) == [[8.0], [50.0], *[[8.0]] * 6]


def test_a_licence_changes_what_is_exported_and_not_what_annotators_read(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 2)
    labels = write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
    store, _ = ingest_here(tmp_path / "root", config_of(labels))
    (before,) = partitions(store)
    ingest_here(tmp_path / "root", config_of({**labels, "licence": "CC0-1.0"}))
    (after,) = partitions(store)
    assert after.annotations_fingerprint != before.annotations_fingerprint
    assert after.labels_fingerprint == before.annotations_fingerprint


def test_a_mark_of_gold_taken_back_leads_back_to_what_was_made_before(tmp_path: Path) -> None:
    """Who marked the wrong source by mistake pays for nothing twice."""
    names = photographs(tmp_path / "photos", 3)
    labels = write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
    store, _ = ingest_here(tmp_path / "root", config_of(labels))
    prints = [(r.annotations_fingerprint, r.labels_fingerprint or r.annotations_fingerprint) for r in partitions(store)]
    for gold in (True, False):
        ingest_here(tmp_path / "root", config_of({**labels, "gold": gold}))
        now = [(r.annotations_fingerprint, r.labels_fingerprint) for r in partitions(store)]
        assert (now == prints) == (not gold)
        assert {row["gold"] for row in rows(store)} == {gold}


# ------------------------------------------------------------------------------------------------------ who says what


def test_each_source_keeps_its_own_last_word(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 1)
    one = write_coco(tmp_path / "photos", {names[0]: LEFT}, "one")
    other = write_coco(tmp_path / "photos", {names[0]: ((40, 40, 9, 9),)}, "other")
    store, _ = ingest_here(tmp_path / "root", config_of(one, other))
    write_coco(tmp_path / "photos", {names[0]: RIGHT}, "one")
    ingest_here(tmp_path / "root", config_of(one, other))
    assert lefts(store) == [[40.0, 50.0]]
    write_coco(tmp_path / "photos", {names[0]: ()}, "other")
    ingest_here(tmp_path / "root", config_of(one, other))
    assert lefts(store) == [[50.0]]


def test_an_image_that_a_json_mentions_no_more_has_nothing_said_by_it(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 3)
    photos = photos_at(tmp_path / "photos")
    gold = {**write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT)), "gold": True}
    store, _ = ingest_here(tmp_path / "root", config_of(photos, gold))
    write_coco(tmp_path / "photos", dict.fromkeys(names[1:], LEFT))
    ingest_here(tmp_path / "root", config_of(photos, gold))
    assert lefts(store) == [[], [8.0], [8.0]]
    assert sorted(row["gold"] for row in rows(store)) == [False, True, True]


def test_a_source_that_is_dropped_or_whose_files_are_gone_has_said_what_it_said(tmp_path: Path) -> None:
    """Sources are deleted when they are ingested, to make room; that takes nothing back."""
    names = photographs(tmp_path / "photos", 2)
    labels = write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
    store, _ = ingest_here(tmp_path / "root", config_of(labels))
    (tmp_path / "photos" / names[0]).unlink()
    ingest_here(tmp_path / "root", config_of(labels))
    assert lefts(store) == [[8.0], [8.0]]
    photographs(tmp_path / "more", 1)
    ingest_here(tmp_path / "root", config_of(photos_at(tmp_path / "more")))
    assert [row["boxes"] for row in rows(store) if row["source"] == "labels"] == [[(8.0, 8.0, 38.0, 38.0)]] * 2


def test_a_source_under_another_name_or_at_another_place_says_nothing_twice(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 2)
    labels = write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
    store, _ = ingest_here(tmp_path / "root", config_of(labels))
    moved = tmp_path / "elsewhere"
    (tmp_path / "photos").rename(moved)
    ingest_here(tmp_path / "root", config_of({**labels, "url": str(moved / "labels.json")}))
    assert lefts(store) == [[8.0], [8.0]]
    ingest_here(tmp_path / "root", config_of({**labels, "url": str(moved / "labels.json"), "name": "renamed"}))
    assert lefts(store) == [[8.0], [8.0]]
    assert {row["source"] for row in rows(store)} == {"renamed"}
    write_coco(moved, dict.fromkeys(names, RIGHT))
    ingest_here(tmp_path / "root", config_of({**labels, "url": str(moved / "labels.json"), "name": "renamed"}))
    assert lefts(store) == [[50.0], [50.0]]


def test_an_image_in_another_class_folder_is_of_that_class(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos/kitten", 2)
    config = config_of({"url": str(tmp_path / "photos"), "name": "photos", "kind": "folder"})
    store, _ = ingest_here(tmp_path / "root", config)
    (tmp_path / "photos/puppy").mkdir()
    wrong = next((tmp_path / "photos/kitten").glob("*.jpg"))
    wrong.rename(tmp_path / "photos/puppy" / wrong.name)
    ingest_here(tmp_path / "root", config)
    assert sorted(row["source_label"] for row in rows(store)) == ["kitten", "puppy"]
    ingest_here(tmp_path / "root", config_of(photos_at(tmp_path / "photos")))
    assert {row["source_label"] for row in rows(store)} == {""}


# ------------------------------------------------------------------------------------------------------------- removal


@pytest.mark.long
def test_a_removed_image_leaves_its_history_too(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 3)
    labels = write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
    config = config_of(labels)
    run_pipeline(tmp_path / "root", config)
    for boxes in (RIGHT, BOTH):
        write_coco(tmp_path / "photos", dict.fromkeys(names, boxes))
        pipeline = run_pipeline(tmp_path / "root", config)
    before = partitions(pipeline.store)
    gone = rows(pipeline.store)[0]
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Remove([gone["id"]]))
        assert not [s for s in pipeline.plan().graph.order if pipeline.plan().missing(s)]
        after = partitions(pipeline.store)
        assert [p.annotations_fingerprint for p in after] == [p.annotations_fingerprint for p in before]
        assert [len(row["boxes"]) for row in rows(pipeline.store)] == [2, 2]
    for path in (tmp_path / "root").rglob("*.parquet"):
        told = str(pq.read_table(path).to_pylist())
        assert gone["id"] not in told
        assert gone["uri"] not in told, path
    with opened(tmp_path / "root", config) as pipeline:
        write_coco(tmp_path / "photos", dict.fromkeys(names, LEFT))
        record = pipeline.run(Ingest())
    assert record is not None
    assert (record.revised, record.new) == (2, 0)
    assert [row["boxes"] for row in rows(pipeline.store)] == [[(8.0, 8.0, 38.0, 38.0)]] * 2
