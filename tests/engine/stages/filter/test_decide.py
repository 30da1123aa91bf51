from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fld_engine.engine.plan.protocols import Filter, Tables, Verdicts
from fld_engine.engine.stages.filter.decide import decide
from fld_engine.filters.phrase import PhraseBoxConfidence, PhraseConfidence
from fld_engine.filters.region import RegionConfidence, RegionNms
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.tables import VERDICT_TARGETS
from tests.drops import Drops
from tests.tables import annotations, rows


class Answers(Drops):
    """A filter that answers whatever it was made with."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        super().__init__("regions")
        self._answer = answer

    def decide(self, tables: Tables) -> Verdicts:
        answer: Verdicts = self._answer(tables["regions"].num_rows)
        return answer


IMAGES = rows("images", {"id": "i1"}, {"id": "i2"})


def scene() -> dict[str, pa.Table]:
    """Two images; on the first, a text whose two phrases share region r1, and region r2 with two texts."""
    return annotations(
        texts=rows("texts", {"id": "t1", "image_id": "i1"}, {"id": "t2", "image_id": "i2"}),
        regions=rows(
            "regions",
            {"id": "r1", "image_id": "i1", "score": 0.9},
            {"id": "r2", "image_id": "i1", "score": 0.4},
            {"id": "r3", "image_id": "i2", "score": 0.8},
        ),
        region_texts=rows(
            "region_texts",
            {"id": "n1", "image_id": "i1", "region_id": "r1", "kind": "phrase"},
            {"id": "n2", "image_id": "i1", "region_id": "r2", "kind": "phrase"},
            {"id": "n3", "image_id": "i1", "region_id": "r2", "kind": "brief"},
            {"id": "n4", "image_id": "i2", "region_id": "r3", "kind": "phrase"},
        ),
        phrases=rows(
            "phrases",
            {"id": "p1", "image_id": "i1", "text_id": "t1", "score": 0.9},
            {"id": "p2", "image_id": "i1", "text_id": "t1", "score": 0.8},
            {"id": "p3", "image_id": "i2", "text_id": "t2", "score": 0.7},
        ),
        phrase_regions=rows(
            "phrase_regions",
            {"id": "b1", "image_id": "i1", "phrase_id": "p1", "region_id": "r1", "score": 0.9},
            {"id": "b2", "image_id": "i1", "phrase_id": "p1", "region_id": "", "score": 0.6},  # matched to no region
            {"id": "b3", "image_id": "i1", "phrase_id": "p2", "region_id": "r1", "score": 0.8},
            {"id": "b4", "image_id": "i2", "phrase_id": "p3", "region_id": "r3", "score": 0.7},
        ),
    )


def reasons(verdicts: dict[str, pa.Table]) -> dict[str, str]:
    """Reason by id of everything that was dropped."""
    dropped: dict[str, str] = {}
    for table in verdicts.values():
        rows_ = zip(table["id"].to_pylist(), table["kept"].to_pylist(), table["reason"].to_pylist(), strict=True)
        for identity, kept, reason in rows_:
            assert kept == (reason == ""), f"{identity}: a dropped row has a reason and a kept one has none"
            if not kept:
                dropped[identity] = reason
    return dropped


def test_without_filters_everything_stays_in_the_order_of_its_table() -> None:
    verdicts = decide(IMAGES, scene(), [])
    assert tuple(verdicts) == VERDICT_TARGETS
    assert reasons(verdicts) == {}
    for target in VERDICT_TARGETS:
        table = IMAGES if target == "images" else scene()[target]
        assert verdicts[target]["id"].to_pylist() == table["id"].to_pylist()


@pytest.mark.parametrize(
    ("judge", "expected"),
    [
        # an image takes everything on it along
        (
            Drops("images", "i2", reason="too_small"),
            {"i2": "too_small"} | dict.fromkeys(("t2", "r3", "n4", "p3", "b4"), "parent:too_small"),
        ),
        # a text its phrases and their boxes, and no region
        (Drops("texts", "t2"), {"t2": "bad", "p3": "parent:bad", "b4": "parent:bad"}),
        # a region its texts, the boxes matched to it, and the phrases that have no other box
        (
            Drops("regions", "r1"),
            {"r1": "bad", "n1": "parent:bad", "b1": "parent:bad", "b3": "parent:bad", "p2": "no_region"},
        ),
        # a phrase its boxes alone
        (Drops("phrases", "p1"), {"p1": "bad", "b1": "parent:bad", "b2": "parent:bad"}),
        # a box is needed by its phrase when it is the last one
        (Drops("phrase_regions", "b1", "b3"), {"b1": "bad", "b3": "bad", "p2": "no_region"}),
        # a region stays without its texts
        (Drops("region_texts", "n1"), {"n1": "bad"}),
    ],
)
def test_what_goes_with_a_parent(judge: Filter, expected: dict[str, str]) -> None:
    assert reasons(decide(IMAGES, scene(), [("one", judge)])) == expected


def test_a_phrase_that_never_had_a_box_grounds_nothing() -> None:
    tables = scene()
    tables["phrase_regions"] = tables["phrase_regions"].slice(0, 3)
    assert reasons(decide(IMAGES, tables, [])) == {"p3": "no_region"}


def test_a_row_whose_parent_is_nowhere_is_dropped_and_says_so() -> None:
    tables = scene()
    tables["regions"] = tables["regions"].slice(0, 2)
    assert reasons(decide(IMAGES, tables, [])) == {"n4": "parent:missing", "b4": "parent:missing", "p3": "no_region"}


@pytest.mark.parametrize(
    ("table", "column", "expected"),
    [
        # a text of no region, a phrase of no text and a box of no phrase would be counted and never exported
        ("region_texts", "region_id", {"n1": "parent:missing"}),
        ("phrases", "text_id", {"p1": "parent:missing", "b1": "parent:missing", "b2": "parent:missing"}),
        ("phrase_regions", "phrase_id", {"b1": "parent:missing"}),
        # but a box need not be matched to a region
        ("phrase_regions", "region_id", {}),
    ],
)
def test_only_the_region_of_a_box_may_be_left_empty(table: str, column: str, expected: dict[str, str]) -> None:
    tables = scene()
    whole = tables[table].to_pylist()
    tables[table] = rows(table, {**whole[0], column: ""}, *whole[1:])
    assert reasons(decide(IMAGES, tables, [])) == expected


def test_a_region_that_goes_for_two_parents_has_the_reason_of_the_first() -> None:
    """`phrase_regions` lists its phrase before its region; `fld explain` must always name the same one."""
    filters = [("a", Drops("regions", "r1", reason="of region")), ("b", Drops("phrases", "p1", reason="of phrase"))]
    assert reasons(decide(IMAGES, scene(), filters))["b1"] == "parent:of phrase"


def test_filters_run_in_config_order_on_survivors_and_the_first_reason_stands() -> None:
    first, second = Drops("regions", "r2", reason="first"), Drops("regions", "r2", "r3", reason="second")
    verdicts = decide(IMAGES, scene(), [("a", first), ("b", second)])["regions"]
    assert first.shown == [["r1", "r2", "r3"]]
    assert second.shown == [["r1", "r3"]]
    assert verdicts["reason"].to_pylist() == ["", "first", "second"]
    assert verdicts["a"].to_pylist() == [1.0, 0.0, 1.0]
    assert verdicts["b"].to_pylist() == [1.0, None, 0.0]  # null where the row was gone before it was asked


def test_parents_are_judged_first_however_the_config_lists_them() -> None:
    """A region of a dropped image must not suppress or be counted anywhere."""
    regions = Drops("regions")
    decide(IMAGES, scene(), [("regions", regions), ("images", Drops("images", "i2"))])
    assert regions.shown == [["r1", "r2"]]


def test_a_filter_sees_what_it_requires_whole_and_its_target_cut() -> None:
    seen: dict[str, int] = {}

    class Looks(Drops):
        def decide(self, tables: Tables) -> Verdicts:
            seen.update({name: table.num_rows for name, table in tables.items()})
            return super().decide(tables)

    looks = Looks("region_texts", requires=("region_texts", "regions"))
    decide(IMAGES, scene(), [("drops", Drops("regions", "r2")), ("looks", looks)])
    assert seen == {"region_texts": 2, "regions": 3}


def test_thresholds_stand_once_in_the_metadata_of_their_target() -> None:
    verdicts = decide(IMAGES, scene(), [("sure", RegionConfidence()), ("boxes", PhraseBoxConfidence())])
    stored = json.loads(verdicts["regions"].schema.metadata[b"fld.filters"])
    assert stored == {
        "sure": {
            "filter": "filters.region:RegionConfidence",
            "version": 2,
            "params": {"objects": 0.35, "scene_text": 0.5, "annotators": {}, "classes": {}},
        }
    }
    assert list(json.loads(verdicts["phrase_regions"].schema.metadata[b"fld.filters"])) == ["boxes"]
    assert json.loads(verdicts["images"].schema.metadata[b"fld.filters"]) == {}


def test_a_tighter_threshold_changes_verdicts_and_no_annotation() -> None:
    tables = scene()
    before = {name: table.slice(0) for name, table in tables.items()}
    loose = decide(IMAGES, tables, [("sure", RegionConfidence())])
    tight = decide(IMAGES, tables, [("sure", RegionConfidence(RegionConfidence.Params(objects=0.85)))])
    assert all(tables[name].equals(before[name]) for name in tables)
    assert pc.sum(loose["regions"]["kept"]).as_py() == 3
    assert tight["regions"]["kept"].to_pylist() == [True, False, False]
    assert tight["regions"]["sure"].equals(loose["regions"]["sure"])  # the values are what they were
    assert decide(IMAGES, tables, [("sure", RegionConfidence())])["regions"].equals(loose["regions"])


# ---------------------------------------------------------------- chosen


def candidates(*texts: dict[str, Any], similarities: dict[str, float]) -> list[str]:
    """Ids of the chosen texts."""
    tables = annotations(
        regions=rows("regions", {"id": "r", "image_id": "i1"}, {"id": "other", "image_id": "i1"}),
        region_texts=rows("region_texts", *({"region_id": "r", "image_id": "i1"} | text for text in texts)),
        similarities=rows("similarities", *({"subject_id": i, "score": s} for i, s in similarities.items())),
    )
    table = decide(IMAGES, tables, [("drops", Drops("region_texts", "gone"))])["region_texts"]
    return [str(identity) for identity in table["id"].filter(table["chosen"]).to_pylist()]


PHRASE, BRIEF, CHUNK = ({"id": kind, "kind": kind} for kind in ("phrase", "brief", "chunk"))


@pytest.mark.parametrize(
    ("texts", "similarities", "expected"),
    [
        # the most similar
        ([PHRASE, BRIEF, CHUNK], {"phrase": 0.1, "brief": 0.2, "chunk": 0.3}, ["chunk"]),
        # equal: phrase, brief, chunk
        ([CHUNK, BRIEF, PHRASE], {"phrase": 0.2, "brief": 0.2, "chunk": 0.2}, ["phrase"]),
        ([CHUNK, BRIEF], {"brief": -0.2, "chunk": -0.2}, ["brief"]),
        # nothing was measured: the same order
        ([CHUNK, BRIEF, PHRASE], {}, ["phrase"]),
        # a measured one goes before one that is not, however unlike
        ([PHRASE, CHUNK], {"chunk": -0.9}, ["chunk"]),
        # equal in everything: the first row
        ([{"id": "a", "kind": "chunk"}, {"id": "b", "kind": "chunk"}], {}, ["a"]),
        # a dropped candidate is not chosen
        ([{"id": "gone", "kind": "chunk"}, PHRASE], {"gone": 0.9, "phrase": 0.1}, ["phrase"]),
        # the only reading of scene text
        ([{"id": "read", "kind": "ocr"}], {}, ["read"]),
        # each region has its own
        ([PHRASE, {"id": "x", "kind": "brief", "region_id": "other"}], {"phrase": 0.9}, ["phrase", "x"]),
    ],
)
def test_chosen(texts: list[dict[str, Any]], similarities: dict[str, float], expected: list[str]) -> None:
    assert candidates(*texts, similarities=similarities) == expected


def test_elsewhere_chosen_is_kept() -> None:
    verdicts = decide(IMAGES, scene(), [("drops", Drops("regions", "r1"))])
    for target in set(VERDICT_TARGETS) - {"region_texts"}:
        assert verdicts[target]["chosen"].equals(verdicts[target]["kept"])


# ---------------------------------------------------------------- what a filter may answer


def answer(keep: Any, value: Any, reason: str = "bad") -> Callable[[int], Verdicts]:
    return lambda num_rows: Verdicts(keep=keep(num_rows), value=value(num_rows), reason=reason)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        # too few rows, another type, another shape, and a reason that means nothing or something else
        (answer(lambda n: np.ones(n - 1, dtype=bool), np.zeros), r"keep of shape \(2,\).*expected .*shape \(3,\)"),
        (answer(lambda n: np.ones(n), np.zeros), "keep of shape .* type float64; .* one bool"),
        (answer(lambda n: np.ones(n, dtype=bool), lambda n: np.zeros((n, 1))), r"value of shape \(3, 1\)"),
        (answer(lambda n: np.ones(n, dtype=bool), lambda n: np.zeros(n, dtype=int)), "one float64"),
        # what a newcomer writes first: a list, an Arrow array, nothing at all
        (answer(lambda n: [True] * n, np.zeros), "keep of type list; expected a numpy array"),
        (answer(lambda n: np.ones(n, dtype=bool), lambda n: pa.array([0.0] * n)), "value of type DoubleArray"),
        (lambda n: None, "NoneType; expected fld_engine.engine.plan.protocols.Verdicts"),
        (answer(lambda n: np.ones(n, dtype=bool), np.zeros, reason=""), "reason ''"),
        (answer(lambda n: np.ones(n, dtype=bool), np.zeros, reason="parent:x"), "reason 'parent:x'"),
    ],
)
def test_a_wrong_answer_names_the_filter(given: Callable[[int], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"filter 'mine' .*{message}"):
        decide(IMAGES, scene(), [("mine", Answers(given))])


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ([("mine", Drops("masks"))], "filter 'mine' judges 'masks'; expected one of images"),
        ([("mine", Drops("regions", requires=("pixels",)))], r"requires tables \['pixels'\]; available: .*regions"),
        ([("kept", Drops("regions"))], "name 'kept' is taken"),
        ([("mine", RegionNms()), ("mine", PhraseConfidence())], "name 'mine' is taken"),
    ],
)
def test_a_filter_that_cannot_run_is_refused_before_any_runs(filters: list[tuple[str, Filter]], message: str) -> None:
    before = Drops("images")
    with pytest.raises(ConfigError, match=message):
        decide(IMAGES, scene(), [("before", before), *filters])
    assert before.shown == []
