from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.protocols import Filter
from fld_engine.engine.stages.coverage.aggregates import Aggregate, aggregate, from_bytes, merge, to_bytes
from fld_engine.engine.stages.coverage.report import figures_table, report
from fld_engine.engine.stages.filter.decide import decide
from fld_engine.filters.image import ImageAspect, ImageCrowding, ImageSize
from fld_engine.filters.phrase import PhraseBlacklist, PhraseBoxConfidence, PhraseConfidence
from fld_engine.filters.region import RegionConfidence, RegionNms, RegionSureImage, RegionVotes
from fld_engine.filters.text import TextActionComplexity, TextObjectComplexity, TextObjects
from fld_engine.schemas.annotations import GRANULARITIES
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


FILTERS = (
    *(ImageSize, ImageAspect, ImageCrowding, TextObjects, TextObjectComplexity, TextActionComplexity),
    *(RegionConfidence, RegionSureImage, RegionNms, RegionVotes),
    *(PhraseConfidence, PhraseBlacklist, PhraseBoxConfidence),
)
EVERY_FILTER: list[tuple[str, Filter]] = [(judge.__name__, judge()) for judge in FILTERS]


@pytest.mark.parametrize(
    "missing",
    [
        *([name] for name in tables()),  # one annotator failed on the whole partition, or is not in the recipe
        list(tables()),  # all of them
    ],
    ids=lambda missing: "all" if len(missing) > 1 else missing[0],
)
def test_a_partition_without_a_table_is_judged_and_counted(missing: list[str]) -> None:
    """One picture without text, regions or parse must not stop a run of millions."""
    found = annotations(**{name: table for name, table in tables().items() if name not in missing})
    verdicts = decide(IMAGES, found, EVERY_FILTER)
    counted = aggregate(PartitionView("p", IMAGES, found, {}, verdicts, {}, annotations()))
    for target, kept in counted.kept.items():
        assert (
            kept + sum(counted.dropped[target].values()) == (IMAGES if target == "images" else found[target]).num_rows
        )
    assert (counted.images, counted.gold_images) == (2, 1)
    assert from_bytes(to_bytes(counted)) == counted
    assert figures_table(report(counted).table2).num_rows == figures_table(report(merge([])).table2).num_rows


@pytest.mark.parametrize(
    ("family", "text", "figure", "expected"),
    [
        ("text", "brief", "annotations", 2),  # chase and tower; that of the gold image is not exported
        ("text", "brief", "tokens", (8 + 5) / 2),
        ("text", "detailed", "annotations", 2),  # car, and one that nobody parsed
        ("text", "detailed", "tokens", 9),  # of car alone
        ("text", "more_detailed", "annotations", 0),
        ("text", "more_detailed", "tokens", None),
        ("region-text", "phrase", "annotations", 1),  # image i1
        ("region-text", "phrase", "regions_per_annotation", 2),
        ("region-text", "phrase", "tokens_per_region", (2 + 1) / 2),  # "traffic light", "dog"
        ("region-text", "brief", "tokens_per_region", 2),  # "a dog" without its full stop
        ("phrase-region", "brief", "annotations", 1),  # tower has a derived grounding only
        ("phrase-region", "brief", "tokens", 8),
        ("phrase-region", "brief", "regions_per_annotation", 3),  # one of the dog, two of the cats
        ("phrase-region", "brief", "tokens_per_region", (3 + 3 + 3) / 3),
        ("phrase-region, derived", "brief", "regions_per_annotation", 1),
        ("phrase-region, derived", "brief", "tokens", 5),
    ],
)
def test_table_2_by_hand(counts: Aggregate, family: str, text: str, figure: str, expected: float | None) -> None:
    found = [f.ours for f in report(counts).table2 if (f.family, f.text, f.figure) == (family, text, figure)]
    assert found == [expected]


@pytest.mark.parametrize(
    ("element", "brief", "detailed"),
    [
        # chase and tower, of car alone
        ("objects", (2 + 2) / 2, 2),
        ("attributes", (3 + 0) / 2, 3),
        ("actions", (1 + 0) / 2, 0),
        ("proper_nouns", (0 + 2) / 2, 0),
        ("object_complexity", (3 + 2) / 2, 3.5),
        ("action_complexity", (4 + 0) / 2, 0),
    ],
)
def test_table_3_by_hand(counts: Aggregate, element: str, brief: float, detailed: float) -> None:
    ours = {f.text: f.ours for f in report(counts).table3 if f.figure == element}
    assert ours == {"brief": brief, "detailed": detailed, "more_detailed": None}


def test_nothing_judged_means_all_kept() -> None:
    judged = view(IMAGES, tables())
    bare = PartitionView(judged.id, judged.images, judged.annotations, {}, {}, {}, judged.gold)
    assert aggregate(bare).kept["regions"] == 5


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
MERGED = to_bytes(merge(PARTITIONS))


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(len(PARTITIONS))), st.integers(0, len(PARTITIONS)))
def test_partitions_merge_to_the_same_bytes_in_any_order_and_grouping(places: list[int], cut: int) -> None:
    order = [PARTITIONS[place] for place in places]
    assert to_bytes(merge(order)) == MERGED
    assert to_bytes(merge([merge(order[:cut]), merge(order[cut:])])) == MERGED
    assert to_bytes(merge(from_bytes(to_bytes(one)) for one in order)) == MERGED


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
