"""Agreement, precision, overlap, sizes, values and changes, each on a few rows counted by hand."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fld_engine.engine.data.geometry import mask_area
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.filter.decide import decide
from fld_engine.engine.stages.report.agreement import agreement_counts, disagreement, reference_counts
from fld_engine.engine.stages.report.bins import NUM_VALUE_BINS, score_bins, value_bins, value_edge
from fld_engine.engine.stages.report.compare import Kept, compare_image
from fld_engine.engine.stages.report.pages.confidence import bounds_of
from fld_engine.engine.stages.report.scores import score_counts
from fld_engine.engine.stages.report.spatial import neighbours, size_classes
from fld_engine.engine.stages.report.vocabulary import ALL, TOP
from fld_engine.engine.stages.report.wordlist import read_words, terms_of, word_coverage
from fld_engine.filters.region import RegionConfidence, RegionNms
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.tables import STATUS
from tests.tables import annotations, rows

IMAGES = rows(
    "images",
    {"id": "i", "width": 100, "height": 100},
    {"id": "j", "width": 100, "height": 100},
    {"id": "gold", "width": 100, "height": 100, "gold": True},
)


def region(identity: str, by: str, box: tuple[float, ...], score: float = 0.9, image: str = "i") -> dict[str, Any]:
    return {"id": identity, "image_id": image, "kind": "object", "box": box, "score": score, "annotator": by}


def named(**names: str) -> pa.Table:
    return rows(
        "region_texts", *({"id": f"n{k}", "region_id": k, "kind": "phrase", "text": v} for k, v in names.items())
    )


def view(regions: pa.Table, names: pa.Table, done: dict[str, tuple[str, ...]], **more: Any) -> PartitionView:
    annotated = annotations(regions=regions, region_texts=names)
    status = {
        by: pa.Table.from_pylist(
            [{"image_id": i, "status": "done" if i in images else "failed", "count": 0, "reason": "", "isolated": False}
             for i in ("i", "j", "gold")],
            schema=STATUS,
        )
        for by, images in done.items()
    }  # fmt: skip
    verdicts = decide(IMAGES, annotated, [("region-confidence", RegionConfidence()), ("region-nms", RegionNms())])
    return PartitionView(
        id="p", images=IMAGES, annotations=annotated, status=status, verdicts=verdicts, producers={},
        gold=more.get("gold", annotations()),
    )  # fmt: skip


def cells(rows_: list[tuple[Any, ...]], measure: str) -> dict[tuple[Any, ...], int]:
    return {row[2:5]: row[5] for row in rows_ if row[0] == measure}


def test_agreement_counts_place_and_label_on_images_that_both_did() -> None:
    """a's r1 lies on b's r2 (equal boxes, same label); r3 touches none; image j was not done by b."""
    regions = rows(
        "regions",
        region("r1", "a", (0, 0, 50, 50)),
        region("r2", "b", (0, 0, 50, 50)),
        region("r3", "a", (60, 60, 90, 90)),
        region("r4", "a", (0, 0, 50, 50), image="j"),
        region("r5", "b", (0, 0, 40, 50), image="j"),
    )
    names = named(r1="dog", r2="dog", r3="dog", r4="dog", r5="dog")
    found = cells(agreement_counts(view(regions, names, {"a": ("i", "j"), "b": ("i",)}), frozenset()), "agreement")
    assert found == {
        ("a × b", "same label", 19): 1,
        ("a × b", "other label", 0): 1,
        ("b × a", "same label", 19): 1,
    }


def test_annotators_that_saw_each_other_are_marked_and_not_compared() -> None:
    regions = rows("regions", region("r1", "a", (0, 0, 50, 50)), region("r2", "b", (0, 0, 50, 50)))
    pairs = frozenset({("a", "b"), ("b", "a")})
    counted = agreement_counts(view(regions, named(r1="x", r2="x"), {"a": ("i",), "b": ("i",)}), pairs)
    assert cells(counted, "agreement") == {("a × b", "derived", 0): 1, ("b × a", "derived", 0): 1}


def test_precision_is_one_to_one_by_falling_score_and_sees_what_filters_dropped() -> None:
    """Gold: one dog. Found: the dog at 0.2 (IoU 1) and at 0.9 (IoU 0.8), a cat on the same place at 0.7."""
    gold = annotations(
        regions=rows("regions", region("g", "human", (0, 0, 100, 100), 1.0, "gold")), region_texts=named(g="dog")
    )
    regions = rows(
        "regions",
        region("r1", "a", (0, 0, 100, 100), 0.2, "gold"),
        region("r2", "a", (0, 0, 100, 80), 0.9, "gold"),
        region("r3", "a", (0, 0, 100, 100), 0.7, "gold"),
    )
    found = cells(
        reference_counts(view(regions, named(r1="dog", r2="dog", r3="cat"), {"a": ("gold",)}, gold=gold)), "calibration"
    )
    assert found == {("a", "hit", 18): 1, ("a", "miss", 4): 1, ("a", "miss", 14): 1, ("a", "found", 0): 1}


def test_values_tell_who_dropped_what() -> None:
    """Bound 0.35: r3 goes there; r2 passes it and goes with the later filter, r1 stays. A person's box has no value."""
    regions = rows(
        "regions",
        region("r1", "a", (0, 0, 50, 50), 0.9),
        region("r2", "a", (0, 0, 50, 49), 0.5),
        region("r3", "a", (0, 0, 9, 9), 0.1),
        region("r4", "human", (60, 60, 99, 99), 1.0),
    )
    seen = view(regions, named(r1="x", r2="x", r3="x", r4="y"), {"a": ("i",)})
    counted = score_counts(seen, keeps_low=("region-nms",))
    values = {
        (*row[1:4], round(value_edge(row[4], keeps_low=row[2] == "region-nms"), 2)): row[5]
        for row in counted
        if row[0] == "value"
    }
    assert values == {
        ("regions/a", "region-confidence", "kept", 0.9): 1,
        ("regions/a", "region-confidence", "dropped_later", 0.5): 1,
        ("regions/a", "region-confidence", "dropped_here", 0.1): 1,
        ("regions/a", "region-nms", "kept", 0.0): 1,
        ("regions/a", "region-nms", "dropped_here", 0.98): 1,
    }


def test_gold_images_are_in_no_score() -> None:
    regions = rows("regions", region("r1", "a", (0, 0, 50, 50), 0.9, "gold"))
    assert [row for row in score_counts(view(regions, named(r1="x"), {"a": ("gold",)})) if row[0] == "score"] == []


@pytest.mark.parametrize("bound", [0.0, 0.01, 0.29, 0.35, 0.57, 0.58, 0.99, 1.0, 1.15, 2.3, 10.0, 85.0, 200.0])
def test_a_bound_lies_on_the_edge_of_its_bin(bound: float) -> None:
    """Else a slider set to a run's own bound would not give the run's own numbers."""
    (its_bin,) = value_bins(np.array([bound]))
    assert value_edge(int(its_bin)) == pytest.approx(bound, abs=1e-9)
    assert value_bins(np.array([bound - 1e-4])) == its_bin - 1
    (below,) = value_bins(np.array([bound]), keeps_low=True)
    assert value_edge(int(below), keeps_low=True) == pytest.approx(bound, abs=1e-9)
    assert value_bins(np.array([bound + 1e-4]), keeps_low=True) == below + 1


def test_values_beyond_all_edges_are_counted() -> None:
    assert value_bins(np.array([-0.5, 1e9])).tolist() == [0, NUM_VALUE_BINS - 1]
    assert score_bins(np.array([-1.0, 0.29, 1.0])).tolist() == [0, 29, 99]


def test_overlap_is_with_another_box_of_the_same_image() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10]], dtype=np.float64)
    assert neighbours(boxes, np.array([0, 0, 1])).tolist() == [0.5, 0.5, 0.0]


def test_sizes_follow_coco() -> None:
    sides = np.array([31.9, 32.0, 95.9, 96.0])
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    assert size_classes(boxes).tolist() == [0, 1, 1, 2]


def test_area_of_a_mask_of_two_parts_in_either_direction() -> None:
    assert mask_area([[0, 0, 4, 0, 4, 4, 0, 4], [10, 10, 10, 12, 12, 12]]) == 16 + 2


def test_changes_of_an_image() -> None:
    """The dog moved (IoU 0.8), the car is now a truck, the cup went, a cat came, the bed stayed."""
    before = Kept(
        [("object", "dog", (0, 0, 10, 10)), ("object", "car", (50, 50, 90, 90)), ("object", "cup", (0, 60, 5, 65)),
         ("object", "bed", (20, 20, 40, 40))],
        ["brief: a dog", "brief: a dog"], ["a dog"],
    )  # fmt: skip
    now = Kept(
        [("object", "dog", (0, 0, 10, 8)), ("object", "truck", (50, 50, 90, 90)), ("object", "cat", (90, 0, 99, 9)),
         ("object", "bed", (20, 20, 40, 40))],
        ["brief: a dog", "brief: a cat"], ["a dog", "a cat"],
    )  # fmt: skip
    found = compare_image(before, now)
    assert found["region-text"] == {"moved": 1, "relabelled": 1, "removed": 1, "added": 1, "same": 1}
    assert +found["text"] == {"same": 1, "added": 1, "removed": 1}
    assert +found["phrase"] == {"same": 1, "added": 1}
    assert found["scene-text"].total() == 0


def test_equal_labels_are_matched_before_others_on_the_same_place() -> None:
    place = (0.0, 0.0, 10.0, 10.0)
    both = Kept([("object", "man", place), ("object", "person", place)], [], [])
    turned = Kept([("object", "person", place), ("object", "man", place)], [], [])
    assert compare_image(both, turned)["region-text"] == {"same": 2, "added": 0, "removed": 0}


def test_words_that_are_absent_or_rare_and_who_would_fill_them() -> None:
    """12 dogs on 100 web images are fewer an image than 3 on 10 photographs: photographs would fill it."""

    def row(kind: str, group: str, term: str, count: int) -> dict[str, Any]:
        sizes = {"small": 0, "medium": 0, "large": 0}
        return {"kind": kind, "family": group, "term": term, "count": count, "images": None, "first": "", **sizes}

    wanted = pa.Table.from_pylist(
        [row("class", "web", "dog", 12), row("class", "photos", "dog", 3), row("class", ALL, "dog", 15),
         row("mention", ALL, "zebra", 2), row("mention", "web", "zebra", 2),
         row("mention", ALL, "fire hydrant", 9), row("mention", "web", "fire hydrant", 9),
         row("class", ALL, "t shirt", 11), row("class", "web", "t shirt", 11),
         row("dropped_class", ALL, "fire hydrant", 1), row("dropped_class", "photos", "fire hydrant", 1)],
        schema=TOP,
    )  # fmt: skip
    words = ["dog", "zebra", "fire hydrant", "unicorn", "t-shirt"]
    assert terms_of(words) == [*words, "t shirt"], "texts have it as it is written, classes by their key"
    assert [tuple(w) for w in word_coverage(wanted, words, {"web": 100, "photos": 10}, floor=10)] == [
        ("dog", 15, 0, 0, "covered", "photos", "kept regions"),
        ("zebra", 0, 0, 2, "under the floor", "web", "its texts"),
        ("fire hydrant", 0, 1, 9, "under the floor", "photos", "dropped regions"),
        ("unicorn", 0, 0, 0, "absent", "", ""),
        ("t-shirt", 11, 0, 0, "covered", "web", "kept regions"),
    ]


def test_a_word_list_is_read_line_by_line(tmp_path: Any) -> None:
    lines = "# classes\nDog,dog/1\nTraffic light\tx\n\nDog\nbow_tie_(garment)\n"
    (tmp_path / "names.txt").write_text(lines, encoding="utf-8")
    assert read_words(str(tmp_path / "names.txt")) == ["dog", "traffic light", "bow tie"]
    with pytest.raises(ConfigError, match="does not exist"):
        read_words(str(tmp_path / "none.txt"))


@pytest.mark.parametrize(("name", "num", "one"), [("lvis", 1203, "traffic light"), ("openimages", 601, "sea turtle")])
def test_shipped_lists_are_whole_and_say_whose_they_are(name: str, num: int, one: str) -> None:
    text = resources.files("fld_engine.engine.stages.report").joinpath("wordlists", f"{name}.txt").read_text("utf-8")
    assert sum(not line.startswith("#") for line in text.splitlines()) == num
    assert "CC BY 4.0" in text
    assert one in read_words(name)


@pytest.mark.parametrize(
    ("params", "by", "kinds", "expected"),
    [
        ({"objects": 0.35, "scene_text": 0.5, "annotators": {}, "classes": {}}, "detector", ["object"], [0.35]),
        ({"objects": 0.35, "scene_text": 0.5, "annotators": {}, "classes": {}}, "ocr", ["text"], [0.5]),
        ({"objects": 0.35, "scene_text": 0.5, "annotators": {}, "classes": {}}, "texture", ["object"], [0.35]),
        ({"objects": 0.35, "scene_text": 0.5, "annotators": {}}, "student", ["text", "object"], [0.5, 0.35]),
        ({"objects": 0.35, "scene_text": 0.5, "annotators": {"ocr": 0.7}}, "ocr", ["text"], [0.7]),
        ({"brief": 10.0, "detailed": 40.0}, "detailed", [], [40.0]),
        ({"abstract": True, "extra": ()}, "grounder", [], []),
    ],
)
def test_bounds_are_those_of_what_a_specialist_draws(
    params: dict[str, Any], by: str, kinds: list[str], expected: list[float]
) -> None:
    """Whatever its name is: a bound beside the one that decides would mislead."""
    assert bounds_of(params, by, kinds) == expected


def test_disagreement_counts_what_no_independent_specialist_has() -> None:
    """a and b have the same dog, of which the filters keep one; a's other box is alone. c reads what a writes."""
    regions = rows(
        "regions",
        region("r1", "a", (0, 0, 50, 50), 0.9),
        region("r2", "b", (0, 0, 50, 48), 0.8),
        region("r3", "a", (60, 60, 90, 90)),
        region("r4", "c", (60, 60, 90, 90)),
        region("r5", "a", (0, 0, 9, 9), image="j"),
    )
    names = named(r1="dog", r2="dog", r3="dog", r4="cat", r5="dog")
    seen = view(regions, names, {"a": ("i", "j"), "b": ("i",), "c": ("i",)})
    assert disagreement(seen, frozenset({("a", "c"), ("c", "a")})) == {"i": 2}
    assert disagreement(seen, frozenset()) == {"i": 0}
