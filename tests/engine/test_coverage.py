from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.coverage import Aggregate, aggregate, from_bytes, merge, to_bytes
from engine.coverage_boxes import AREA_EDGES, ASPECT_EDGES, HEAT_MAP_SIDE, count_boxes
from engine.decide import decide
from engine.view import PartitionView
from filters.phrase import PhraseConfidence
from filters.region import RegionConfidence
from filters.text import TextObjects
from schemas.annotations import GRANULARITIES
from tests.sentences import CAR, CHASE, TOWER
from tests.tables import annotations, parse, rows

IMAGES = rows(
    "images",
    {"id": "i1", "width": 100, "height": 100, "gold": False},
    {"id": "i2", "width": 200, "height": 100, "gold": False},
    {"id": "gold", "width": 100, "height": 100, "gold": True},
)


def tables() -> dict[str, pa.Table]:
    """What two images and a gold one hold, with one dropped region (r3) and one dropped phrase (p3)."""
    return annotations(
        texts=rows(
            "texts",
            {"id": "chase", "image_id": "i1", "granularity": "brief", "text": "A brown dog …"},
            {"id": "tower", "image_id": "i2", "granularity": "brief", "composed": True},
            {"id": "car", "image_id": "i2", "granularity": "detailed"},
            {"id": "unparsed", "image_id": "i2", "granularity": "detailed"},
            {"id": "of gold", "image_id": "gold", "granularity": "brief"},
        ),
        tokens=rows(
            "tokens",
            *parse("chase", CHASE, "i1"),
            *parse("tower", TOWER, "i2"),
            *parse("car", CAR, "i2"),
            *parse("of gold", CHASE, "gold"),
            *parse("n2", ["a/DET/det/1", "dog/NOUN/ROOT/1", "./PUNCT/punct/1"], "i1"),
        ),
        regions=rows(
            "regions",
            {"id": "r1", "image_id": "i1", "kind": "object", "score": 0.9, "box": (0, 0, 50, 50)},
            {"id": "r2", "image_id": "i1", "kind": "object", "score": 0.9, "box": (0, 0, 100, 100)},
            {"id": "r3", "image_id": "i2", "kind": "object", "score": 0.1, "box": (0, 0, 10, 10)},
            {"id": "r4", "image_id": "i2", "kind": "text", "score": 0.9, "box": (0, 0, 10, 10)},
            {"id": "r5", "image_id": "gold", "kind": "object", "score": 0.9, "box": (0, 0, 10, 10)},
        ),
        region_texts=rows(
            "region_texts",
            {"id": "n1", "image_id": "i1", "region_id": "r1", "kind": "phrase", "text": "traffic light"},
            {"id": "n2", "image_id": "i1", "region_id": "r1", "kind": "brief", "text": "a dog ."},
            {"id": "n3", "image_id": "i1", "region_id": "r2", "kind": "phrase", "text": "dog"},
            {"id": "n4", "image_id": "i2", "region_id": "r3", "kind": "phrase", "text": "dropped"},
            {"id": "n5", "image_id": "i2", "region_id": "r4", "kind": "ocr", "text": "NO  PARKING - 24h"},
            {"id": "n6", "image_id": "gold", "region_id": "r5", "kind": "phrase", "text": "dog"},
        ),
        phrases=rows(
            "phrases",
            phrase("p1", "chase", 0, 11, "A brown dog"),
            phrase("p2", "chase", 23, 37, "two white cats"),
            phrase("p3", "chase", 0, 1, "A", score=0.0),
            phrase("p4", "tower", 0, 16, "The Eiffel Tower", image_id="i2", derived=True),
        ),
        phrase_regions=rows(
            "phrase_regions",
            {"id": "b1", "image_id": "i1", "phrase_id": "p1", "region_id": "r1", "box": (0, 0, 50, 50)},
            {"id": "b2", "image_id": "i1", "phrase_id": "p2", "box": (0, 0, 25, 25)},
            {"id": "b3", "image_id": "i1", "phrase_id": "p2", "box": (50, 50, 75, 75)},
            {"id": "b4", "image_id": "i1", "phrase_id": "p3", "box": (0, 0, 1, 1)},
            {"id": "b5", "image_id": "i2", "phrase_id": "p4", "box": (0, 0, 200, 100)},
        ),
    )


def phrase(identity: str, text: str, start: int, end: int, words: str, **more: Any) -> dict[str, Any]:
    place = {"text_id": text, "start": start, "end": end, "phrase": words}
    return {"id": identity, "image_id": "i1", "score": 0.9, **place, **more}


def view(images: pa.Table, annotated: dict[str, pa.Table]) -> PartitionView:
    filters = [("text", TextObjects()), ("region", RegionConfidence()), ("phrase", PhraseConfidence())]
    verdicts = decide(images, annotated, filters)
    return PartitionView(
        id="p", images=images, annotations=annotated, status={}, verdicts=verdicts, producers={}, gold=annotations()
    )


@pytest.fixture(scope="module")
def counts() -> Aggregate:
    return aggregate(view(IMAGES, tables()))


def test_texts_by_hand(counts: Aggregate) -> None:
    """See `tests.sentences` for the counts; texts of gold images are no part of an export."""
    brief = counts.texts["brief"]
    assert (brief.texts, brief.composed, brief.parsed) == (2, 1, 2)
    assert (brief.tokens, brief.objects, brief.attributes, brief.actions) == (8 + 5, 2 + 2, 3 + 0, 1 + 0)
    assert brief.proper_nouns == 2
    assert brief.object_complexity == (3 + 2) * 1_000_000
    assert brief.action_complexity == (4 + 0) * 1_000_000  # a text without an action counts as 0


def test_unparsed_texts_are_counted_and_not_averaged(counts: Aggregate) -> None:
    detailed = counts.texts["detailed"]
    assert (detailed.texts, detailed.parsed, detailed.tokens) == (2, 1, 9)
    assert counts.texts["more_detailed"].texts == 0


def test_region_texts_by_hand(counts: Aggregate) -> None:
    phrases, briefs, read = (counts.region_texts[kind] for kind in ("phrase", "brief", "ocr"))
    assert (phrases.images, phrases.regions, phrases.texts, phrases.tokens) == (1, 2, 2, 2 + 1)
    assert (briefs.regions, briefs.tokens) == (1, 2)  # of its parse, without the full stop
    assert (read.regions, read.tokens) == (1, 3)  # a dash alone is no token
    assert [counts.region_texts[kind].chosen for kind in ("phrase", "brief", "chunk", "ocr")] == [2, 0, 0, 1]


def test_groundings_by_hand(counts: Aggregate) -> None:
    brief = counts.groundings["brief"]
    assert (brief.texts, brief.text_tokens, brief.phrases, brief.regions) == (1, 8, 2, 3)
    assert brief.region_tokens == 1 * 3 + 2 * 3  # "A brown dog" on one region, "two white cats" on two


def test_groundings_that_agree_by_construction_stand_apart(counts: Aggregate) -> None:
    derived = counts.derived_groundings["brief"]
    assert (derived.texts, derived.phrases, derived.regions, derived.region_tokens) == (1, 1, 1, 3)
    assert counts.boxes["phrase-region"].boxes == 3
    assert counts.boxes["derived-phrase-region"].boxes == 1


def test_boxes_of_a_partition_by_hand(counts: Aggregate) -> None:
    objects = counts.boxes["region-text"]
    assert objects.boxes == 2  # neither the dropped one nor that of the gold image
    assert objects.per_image[:4] == (1, 0, 1, 0)  # one image without, one with two
    assert objects.area[-4] == 1  # a quarter of the image: 2^-2, the fourth half octave from the top
    assert objects.area[-1] == 1  # all of it
    assert counts.boxes["scene-text"].boxes == 1


def test_every_row_is_kept_or_dropped_for_a_reason(counts: Aggregate) -> None:
    given_tables = tables()
    for target, kept in counts.kept.items():
        total = IMAGES.num_rows if target == "images" else given_tables[target].num_rows
        assert kept + sum(counts.dropped[target].values()) == total, target
    assert counts.dropped["regions"] == {"low_confidence": 1}
    assert counts.dropped["region_texts"] == {"parent:low_confidence": 1}
    assert counts.dropped["phrase_regions"] == {"parent:low_confidence": 1}
    assert (counts.images, counts.gold_images) == (2, 1)


def test_nothing_judged_means_all_kept() -> None:
    judged = view(IMAGES, tables())
    bare = PartitionView(judged.id, judged.images, judged.annotations, {}, {}, {}, judged.gold)
    assert aggregate(bare).kept["regions"] == 5


@pytest.mark.parametrize(
    ("box", "area_bin", "aspect_bin", "cell"),
    [
        ((0, 0, 100, 100), 39, 10, (16, 16)),  # the whole image: share 1 is in the last bin, its centre in the middle
        ((0, 0, 50, 50), 36, 10, (8, 8)),  # a quarter
        ((75, 0, 100, 100), 36, 6, (28, 16)),  # the right quarter: width by height 2^-2
        ((0, 99, 100, 100), 26, 19, (16, 31)),  # a line at the bottom: 100 to 1 is beyond 2^5; share 0.01 > 2^-7
        ((0, 0, 0.01, 0.01), 0, 10, (0, 0)),  # 1e-8 of the image is below 2^-20
    ],
)
def test_bins_of_a_box(box: tuple[float, ...], area_bin: int, aspect_bin: int, cell: tuple[int, int]) -> None:
    images = rows("images", {"id": "i", "width": 100, "height": 100})
    found = count_boxes(rows("regions", {"image_id": "i", "box": box}), images)
    assert (np.flatnonzero(found.area).tolist(), np.flatnonzero(found.aspect).tolist()) == ([area_bin], [aspect_bin])
    assert np.flatnonzero(found.centres).tolist() == [cell[1] * HEAT_MAP_SIDE + cell[0]]


def test_edges_are_half_octaves() -> None:
    assert AREA_EDGES[-1] == 1.0
    assert ASPECT_EDGES[10] == 1.0
    for edges in (AREA_EDGES, ASPECT_EDGES):
        assert np.allclose(np.diff(np.log2(edges)), 0.5)


def test_crowded_images_are_in_the_last_bin() -> None:
    images = rows("images", {"id": "i", "width": 9, "height": 9})
    found = count_boxes(rows("regions", *[{"image_id": "i", "box": (0, 0, 9, 9)}] * 70), images)
    assert found.per_image[-1] == 1


# ---------------------------------------------------------------- merging


def _partition(seed: int) -> Aggregate:
    """The aggregate of a partition with random boxes, scores and texts."""
    draw = random.Random(seed)
    number = draw.randrange(6)
    images = rows(
        "images", *({"id": f"i{i}", "width": 64, "height": 48, "gold": draw.random() < 0.2} for i in range(3))
    )
    sentences = {"chase": CHASE, "tower": TOWER, "car": CAR}
    texts = [{"id": f"t{i}", "image_id": f"i{i}", "granularity": draw.choice(GRANULARITIES)} for i in range(3)]
    tokens = [row for i in range(3) for row in parse(f"t{i}", draw.choice([*sentences.values()]), f"i{i}")]
    regions = [
        {
            "id": f"r{i}",
            "image_id": f"i{draw.randrange(3)}",
            "kind": draw.choice(["object", "text"]),
            "score": draw.random(),
            "box": (draw.uniform(0, 30), draw.uniform(0, 20), draw.uniform(31, 64), draw.uniform(21, 48)),
        }
        for i in range(number)
    ]
    given_tables = annotations(
        texts=rows("texts", *texts), tokens=rows("tokens", *tokens), regions=rows("regions", *regions)
    )
    return aggregate(view(images, given_tables))


PARTITIONS = [_partition(seed) for seed in range(6)]


@given(st.permutations(PARTITIONS), st.integers(0, len(PARTITIONS)))
def test_partitions_merge_to_the_same_bytes_in_any_order_and_grouping(order: list[Aggregate], cut: int) -> None:
    expected = to_bytes(merge(PARTITIONS))
    assert to_bytes(merge(order)) == expected
    assert to_bytes(merge([merge(order[:cut]), merge(order[cut:])])) == expected
    assert to_bytes(merge(from_bytes(to_bytes(one)) for one in order)) == expected


def test_a_partition_cut_in_two_counts_the_same() -> None:
    whole, first, rest = tables(), {}, {}
    for name, table in whole.items():
        in_first = pa.array([image == "i1" for image in table["image_id"].to_pylist()], pa.bool_())
        first[name] = table.filter(in_first)
        rest[name] = table.filter(pa.compute.invert(in_first))
    parts = [aggregate(view(IMAGES.slice(0, 1), first)), aggregate(view(IMAGES.slice(1), rest))]
    assert to_bytes(merge(parts)) == to_bytes(merge([aggregate(view(IMAGES, whole))]))


def test_merging_nothing_is_the_zero() -> None:
    zero = merge([])
    assert (zero.images, zero.texts["brief"].texts, sum(zero.boxes["region-text"].area)) == (0, 0, 0)
    assert merge([zero, PARTITIONS[0]]) == merge([PARTITIONS[0]])


def test_bytes_of_another_kind_are_refused() -> None:
    with pytest.raises(ValidationError):
        from_bytes(b'{"counts": {}}')
