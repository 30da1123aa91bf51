"""Groups of near-twins are those of a plain walk over all images, however the work is cut and in whatever order."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.stages.ingest import find_twins, near, twin_steps
from fld_engine.engine.stages.ingest.elect import turn
from fld_engine.engine.stages.ingest.near import MAX_DISTANCE, near_pairs
from fld_engine.engine.stages.ingest.tables import MATCHES, ScanResult
from fld_engine.engine.stages.ingest.twin_steps import EARLIER, MIN_BITS_SET, NEW, Steps, group

BUNDLES = (0x0F1E2D3C4B5A6978, 0xF0E1D2C3B4A59687, 0x0123456789ABCDEF)
"""Hashes that those of a test lie about; the second is far from the first in every bit."""

hashes_about_bundles = st.builds(
    lambda base, flipped: base ^ sum(1 << bit for bit in flipped),
    st.sampled_from((*BUNDLES, 0)),
    st.sets(st.integers(0, 9), max_size=6),
)


class Earlier(NamedTuple):
    hash: int
    id: str
    group: str


def apart(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def name_of(number: int) -> str:
    return f"{number:032x}"


# ------------------------------------------------------------------------------------------------ the reference


def groups_by_walking(new: Sequence[int], earlier: Sequence[Earlier], max_group: int) -> list[str]:
    """The group of each new image; the n-th is called `name_of(n)`."""
    size = Counter(image.group for image in earlier)
    leader_of: dict[str, int] = {}
    for image in earlier:
        leader_of.setdefault(image.group, image.hash)
    leader_of |= {image.group: image.hash for image in earlier if image.id == image.group}
    groups_with: dict[int, set[str]] = defaultdict(set)
    for image in earlier:
        groups_with[image.hash].add(image.group)

    def smallest(groups: set[str]) -> str:
        return min(groups, key=lambda name: (size[name], name))

    weight = Counter(h for h in new if h.bit_count() >= MIN_BITS_SET and h not in groups_with)
    reach = {h: sum(n for other, n in weight.items() if apart(h, other) <= 3) for h in weight}
    led = {h for h in leader_of.values() if h.bit_count() >= MIN_BITS_SET}
    leaders = set(led)
    for h in sorted(weight, key=lambda h: (-reach[h], int(turn(np.array([h], dtype=np.uint64))[0]))):
        if all(apart(h, leader) > 3 for leader in leaders):
            leaders.add(h)
    joined: dict[tuple[int, str], list[int]] = defaultdict(list)
    found = [name_of(n) for n in range(len(new))]
    for n, h in enumerate(new):
        if h.bit_count() < MIN_BITS_SET:
            continue
        if h in groups_with:
            name = smallest(groups_with[h])
            joined[leader_of[name], name].append(n)
            continue
        leader = min(leaders, key=lambda leader: (apart(h, leader), leader))
        at_leader = {name for name in groups_with[leader] if leader_of[name] == leader} if leader in led else set()
        joined[leader, smallest(at_leader) if at_leader else ""].append(n)
    for (leader, name), members in joined.items():
        members.sort(key=lambda n: (min(apart(new[n], leader), 4), new[n], n))
        room = max(max_group - size[name], 0) if name else max_group
        placed, rest = members[:room], defaultdict(list)
        for n in sorted(members[room:]):
            rest[new[n]].append(n)
        if not name:
            first = min(placed)
            name = name_of(first if all(apart(new[first], new[n]) <= 3 for n in placed) else placed[0])
        for n in placed:
            found[n] = name
        for same in rest.values():
            for start in range(0, len(same), max_group):
                for n in same[start : start + max_group]:
                    found[n] = name_of(same[start])
    return found


def shuffled_steps(
    new: Sequence[int], earlier: Sequence[Earlier], num_buckets: int, shuffle: random.Random
) -> list[str]:
    """The same by the steps of an ingest whose parts are done in any order; a scan has three images."""
    scans = range(0, max(len(new), 1), 3)
    runs = tuple(range(0, len(scans), 2))
    steps = Steps(find_twins.Memory(), num_buckets, runs)
    table = pa.table(
        [
            pa.array(new, pa.uint64()),
            [name_of(n) for n in range(len(new))],
            [n // 3 for n in range(len(new))],
            [n % 3 for n in range(len(new))],
        ],
        schema=NEW,
    )
    senders = list(range(len(runs)))
    shuffle.shuffle(senders)
    for sender in senders:
        steps.add_new(sender, table.slice(sender * 6, 6))
    steps.add_earlier(99, pa.table([list(c) for c in zip(*earlier, strict=True)] or [[], [], []], schema=EARLIER))

    def run(step: str, round_: int, num_parts: int) -> int:
        return sum(steps.do(step, round_, part) for part in shuffle.sample(range(num_parts), num_parts))

    group(run, num_buckets)
    return [name for run_ in range(len(runs)) for name in steps.twins(run_)["group"].to_pylist()]


# ------------------------------------------------------------------------------------------------ properties


@settings(deadline=None, max_examples=60)
@given(st.sets(hashes_about_bundles, max_size=60), st.sampled_from((2, 4096)))
def test_every_near_pair_is_found_once(hashes: set[int], crowd: int) -> None:
    """Whichever band it shares; also where so many share one that they are told apart by other bits."""
    values = np.array(sorted(hashes), dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "CROWD", max(crowd, 16))
        found = [tuple(sorted(p)) for a, b in near_pairs(values) for p in zip(a.tolist(), b.tolist(), strict=True)]
    listed = values.tolist()
    wanted = {(i, j) for j in range(len(listed)) for i in range(j) if apart(listed[i], listed[j]) <= MAX_DISTANCE}
    assert len(found) == len(wanted)
    assert set(found) == wanted


images_before = st.lists(st.tuples(hashes_about_bundles, st.integers(0, 8)), max_size=12)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(hashes_about_bundles, max_size=40),
    images_before,
    st.integers(1, 4),
    st.sampled_from((2, 5, 1000)),
    st.randoms(use_true_random=False),
)
def test_groups_are_those_of_a_walk_over_all_images(
    new: list[int], before: list[tuple[int, int]], num_buckets: int, max_group: int, shuffle: random.Random
) -> None:
    """However many parts there are, and in whatever order these are done.

    Earlier groups are arbitrary: chains as version 0.1.0 made them, flat ones, ones whose leader was removed.
    """
    ids = [name_of(1000 + number) for number in range(len(before))]
    earlier = [Earlier(h, ids[n], ids[min(to, n)] if to < 8 else name_of(7777)) for n, (h, to) in enumerate(before)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin_steps, "MAX_GROUP", max_group)
        found = shuffled_steps(new, earlier, num_buckets, shuffle)
    assert found == groups_by_walking(new, earlier, max_group)


@settings(deadline=None, max_examples=100)
@given(st.lists(hashes_about_bundles, max_size=60), st.integers(1, 3), st.sampled_from((2, 7)))
def test_each_member_is_within_reach_of_its_leader_and_no_group_passes_the_bound(
    hashes: list[int], num_ingests: int, max_group: int
) -> None:
    """Over several ingests: a group is named by an image of one of them, which is within reach of all others."""
    earlier: list[Earlier] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin_steps, "MAX_GROUP", max_group)
        for number in range(num_ingests):
            new = hashes[number::num_ingests]
            names = shuffled_steps(new, earlier, 2, random.Random(0))
            unique = {name_of(n): f"{number + 1:04d}{name_of(n)[4:]}" for n in range(len(new))}
            known = {image.id for image in earlier}
            earlier += [
                Earlier(h, unique[name_of(n)], name if name in known else unique[name])
                for n, (h, name) in enumerate(zip(new, names, strict=True))
            ]
    hash_of = {image.id: image.hash for image in earlier}
    assert all(apart(image.hash, hash_of[image.group]) <= MAX_DISTANCE for image in earlier)
    sizes = Counter(image.group for image in earlier)
    assert max(sizes.values(), default=0) <= max_group
    assert all(sizes[image.group] == 1 for image in earlier if image.hash.bit_count() < MIN_BITS_SET)


# ------------------------------------------------------------------------------------------------ through a root


def hashes_with_twins(num_images: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Random hashes, half of them within three bits of another one, and many of one image."""
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 2**64, num_images, dtype=np.uint64)
    half = num_images // 2
    flips = np.bitwise_or.reduce(np.uint64(1) << draw.integers(0, 64, (half, 3), dtype=np.uint64), axis=1)
    hashes[half : 2 * half] = hashes[draw.integers(0, half, half)] ^ flips
    hashes[::10] = hashes[0]
    return hashes


class Scanned(NamedTuple):
    results: list[ScanResult]
    matches: list[str]


def scanned(store: Store, hashes: Sequence[int], per_scan: int) -> Scanned:
    """What scans and deduplication leave of new images; every seventh is a duplicate of one in another place."""
    results, matches = [], []
    for index, start in enumerate(range(0, len(hashes), per_scan)):
        part = hashes[start : start + per_scan]
        ids = [name_of(start + n) for n in range(len(part))]
        table = pa.table({"id": ids, "phash": [f"{h:016x}" for h in part]})
        results.append(ScanResult(index=index, files={"scan": store.write_table(f"scans/{index}.parquet", table)}))
        status = ["duplicate" if (start + n) % 7 == 6 else "new" for n in range(len(part))]
        columns = {"id": ids, "scan": [index] * len(part), "row": range(len(part)), "status": status}
        matches.append(pa.table({**columns, "partition": [""] * len(part)}, schema=MATCHES))
    table = pa.concat_tables(matches)
    half = table.num_rows // 2
    files = [
        store.write_table(f"matches-{n}.parquet", t) for n, t in enumerate((table.slice(half), table.slice(0, half)))
    ]
    return Scanned(results, [file.path for file in files])


def partition(store: Store, number: int, images: Sequence[Earlier]) -> PartitionRecord:
    columns = {"id": [i.id for i in images], "phash": [f"{i.hash:016x}" for i in images]}
    table = pa.table({**columns, "twin_group": [i.group for i in images]})
    files: dict[str, FileRecord] = {"images": store.write_table(f"partitions/{number}.images.parquet", table)}
    fields = {"id": f"p{number:06d}", "ingest": 1, "fingerprint": "", "annotations_fingerprint": ""}
    return PartitionRecord(**fields, num_images=len(images), num_bytes=0, files=files)


def groups_found(
    store: Store, found: Scanned, earlier: list[PartitionRecord], shuffle: random.Random, told: list[int]
) -> list[str]:
    """The groups that ingest finds, where its tasks cross processes and are done in any order.

    Tells of each task how many files of images it is given.
    """

    def answers(lane: Lane, kind: Any) -> Iterator[tuple[Task, Any]]:
        for task in shuffle.sample(lane.tasks, len(lane.tasks)):
            payload: Any = type(task.payload).model_validate_json(task.payload.model_dump_json())
            told.append(sum(len(one.scans) + len(one.images) for one in payload.inputs))
            answer = find_twins.group_twins(store, payload)
            yield task, kind.model_validate_json(answer.model_dump_json())

    driver: Any = SimpleNamespace(store=store, answers=answers)
    folder = find_twins.find_twins(driver, "ingest/000002", found.results, found.matches, earlier)
    groups: list[str] = []
    for index, result in enumerate(found.results):
        rows = [n for n in range(result.files["scan"].rows) if (index * 40 + n) % 7 != 6]
        groups += find_twins.twins_of(store, folder, index, rows)
    return groups


def test_many_parts_on_files_find_what_one_part_finds_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of 120 rows, as of two million, and one of all give the groups that the walk gives.

    Each part reads about its share of scans and earlier partitions, and none all.
    """
    store = Store(str(tmp_path))
    hashes = [int(h) for h in hashes_with_twins(320, seed=0)]
    ids = [name_of(5000 + n) for n in range(160)]
    earlier = [Earlier(h, ids[n], ids[n // 5 * 5]) for n, h in enumerate([*hashes[:80], *hashes[240:]])]
    records = [partition(store, n, earlier[40 * n : 40 * n + 40]) for n in range(4)]
    found = scanned(store, hashes, per_scan=40)
    told: list[int] = []
    whole = groups_found(store, found, records, random.Random(0), told)
    assert told == [len(found.results) + len(records)]
    monkeypatch.setattr(find_twins, "ROWS_PER_BUCKET", 120)
    told.clear()
    assert groups_found(store, found, records, random.Random(1), told) == whole
    assert len(told) > 30
    assert max(told) == 120 // 40
    new = [n for n in range(len(hashes)) if n % 7 != 6]
    name = {name_of(i): name_of(n) for i, n in enumerate(new)}
    walked = groups_by_walking([hashes[n] for n in new], earlier, twin_steps.MAX_GROUP)
    assert whole == [name.get(group, group) for group in walked]
