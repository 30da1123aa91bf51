"""Flat rows become the sample a trainer reads: what was dropped must not come back, what was kept must not be lost."""

from __future__ import annotations

from collections import Counter

import pytest

from fld_engine.engine.stages.export.assemble import assemble, family_status, split_of
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.sample import NOT_MEASURED, Sample
from tests.engine.stages.export.view_builder import box, image_row, make_view, small_jpeg

A, B, C = (image_row(small_jpeg(n)) for n in range(3))


def to_train(twin_group: str) -> str:
    return "train"


def only(view: object) -> Sample:
    (sample,) = assemble(view, to_train)  # type: ignore[arg-type]
    return sample


def text(id_: str, granularity: str = "brief", **columns: object) -> dict[str, object]:
    return {"id": id_, "image_id": A["id"], "granularity": granularity, "text": f"text {id_}", **columns}


def region(id_: str, image: dict[str, object] = A, **columns: object) -> dict[str, object]:
    return {"id": id_, "image_id": image["id"], "kind": "object", **box(1, 2, 11, 12), **columns}


def test_gold_and_dropped_images_are_not_exported() -> None:
    """Gold in the training shards would make every later measurement on it worthless."""
    view = make_view([A, {**B, "gold": True}, C], dropped=[A["id"]])
    assert [sample.id for sample in assemble(view, to_train)] == [C["id"]]


def test_rows_reach_their_own_image_and_parent() -> None:
    tables = {
        "regions": [region("r1"), region("r2", B), region("r3", B)],
        "region_texts": [
            {"id": "t1", "image_id": B["id"], "region_id": "r3", "kind": "phrase", "text": "cat"},
            {"id": "t2", "image_id": A["id"], "region_id": "r1", "kind": "phrase", "text": "dog"},
            {"id": "t3", "image_id": B["id"], "region_id": "r3", "kind": "brief", "text": "a grey cat"},
        ],
        "similarities": [{"id": "s", "image_id": B["id"], "subject_id": "t3", "score": 0.25}],
    }
    first, second = assemble(make_view([A, B], tables, chosen=["t3"]), to_train)
    assert [[t.text for t in r.texts] for r in first.regions] == [["dog"]]
    assert [[t.text for t in r.texts] for r in second.regions] == [[], ["cat", "a grey cat"]]
    phrase, brief = second.regions[1].texts
    assert (phrase.similarity, phrase.chosen) == (NOT_MEASURED, False)
    assert (brief.similarity, brief.chosen) == (0.25, True)


def test_dropped_annotations_are_gone_and_kept_candidates_stay() -> None:
    tables = {
        "regions": [region("r1"), region("r2")],
        "region_texts": [
            {"id": f"t{n}", "image_id": A["id"], "region_id": "r1", "kind": "phrase", "text": f"t{n}"} for n in range(3)
        ],
    }
    sample = only(make_view([A], tables, dropped=["r2", "t1"], chosen=["t2"]))
    assert [r.id for r in sample.regions] == ["r1"]
    assert [t.id for t in sample.regions[0].texts] == ["t0", "t2"]


def test_masks_come_through_the_region_or_the_phrase_region() -> None:
    triangle, square = [0.0, 0.0, 9.0, 0.0, 9.0, 9.0], [1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]
    tables = {
        "texts": [text("t")],
        "regions": [region("r1")],
        "masks": [
            {"id": "m0", "image_id": A["id"], "subject_id": "r1", "polygons": [square], "score": 0.2},
            {"id": "m1", "image_id": A["id"], "subject_id": "r1", "polygons": [triangle], "score": 0.9},
            {"id": "m2", "image_id": A["id"], "subject_id": "g2", "polygons": [square], "score": 0.9},
        ],
        "phrases": [{"id": "p", "image_id": A["id"], "text_id": "t", "phrase": "cat", "start": 2, "end": 5}],
        "phrase_regions": [
            {"id": "g1", "image_id": A["id"], "phrase_id": "p", "region_id": "r1", **box(1, 2, 11, 12)},
            {"id": "g2", "image_id": A["id"], "phrase_id": "p", "region_id": "r1", **box(1, 2, 11, 12)},
            {"id": "g3", "image_id": A["id"], "phrase_id": "p", **box(1, 2, 11, 12)},
        ],
    }
    sample = only(make_view([A], tables))
    assert sample.regions[0].mask == (tuple(triangle),)  # the mask with the higher score
    (grounding,) = sample.groundings
    assert [r.mask for r in grounding.phrases[0].regions] == [(tuple(triangle),), (tuple(square),), ()]


def test_best_text_comes_first() -> None:
    """The first brief text is the `.txt` a CLIP trainer reads: a person's beats a composed one, whatever the score."""
    tables = {
        "texts": [
            text("composed", composed=True, annotator="composed-captioner", score=1.0),
            text("paragraph", "more_detailed", score=1.0),
            text("web", annotator="web", score=1.0),
            text("model-low", annotator="blip", score=0.3),
            text("model-high", annotator="blip", score=0.8),
            text("human", annotator="human", score=0.1),
        ]
    }
    sample = only(make_view([A], tables))
    assert [t.id for t in sample.texts] == ["human", "model-high", "model-low", "web", "composed", "paragraph"]


def test_phrases_of_one_text_and_source_are_one_grounding_in_text_order() -> None:
    def phrase(id_: str, text_id: str, start: int, **columns: object) -> dict[str, object]:
        row = {"id": id_, "image_id": A["id"], "text_id": text_id, "phrase": id_, "start": start, "end": start + 2}
        return {**row, **columns}

    tables = {
        "texts": [text("t1"), text("t2")],
        "phrases": [
            phrase("late", "t1", 20),
            phrase("early", "t1", 0),
            phrase("other text", "t2", 0),
            phrase("other source", "t1", 5, annotator="grounding-dino"),
        ],
    }
    sample = only(make_view([A], tables))
    assert [[p.id for p in g.phrases] for g in sample.groundings] == [
        ["early", "late"],
        ["other text"],
        ["other source"],
    ]
    assert len({g.id for g in sample.groundings}) == 3
    again = only(make_view([A], tables, dropped=["late"]))
    assert again.groundings[0].id == sample.groundings[0].id  # a retuned filter must not rename what stays


@pytest.mark.parametrize(
    ("first", "second", "family"),
    [
        ("done", "done", "done"),
        ("done", "failed", "failed"),
        ("not_run", "failed", "failed"),
        ("done", "not_run", "not_run"),
    ],
)
def test_family_is_done_only_when_all_its_producers_are(first: str, second: str, family: str) -> None:
    """A failed image read as "nothing is there" would teach a detector to see nothing."""
    view = make_view(
        [A, B],
        status={"nanodet": {B["id"]: first}, "rapidocr": {B["id"]: second}},
        producers={"texts": (), "regions": ("nanodet", "rapidocr")},
    )
    assert family_status(view, "regions") == ["done", family]
    assert family_status(view, "texts") == ["not_run", "not_run"]
    assert [s.status.regions for s in assemble(view, to_train)] == ["done", family]


def test_split_follows_the_twin_group() -> None:
    """Twins in both splits would leak the validation set into training."""
    splits = {"train": 0.9, "val": 0.1}
    images = [{**A, "twin_group": "twins"}, {**B, "twin_group": "twins"}]
    samples = list(assemble(make_view(images), lambda group: split_of(group, 3, splits)))
    assert len({s.image.split for s in samples}) == 1
    share = Counter(split_of(f"group {n}", 0, splits) for n in range(4000))["val"] / 4000
    assert 0.08 < share < 0.12  # four standard deviations of a fair draw


def test_split_shares_must_sum_to_one() -> None:
    with pytest.raises(ConfigError, match=r"export\.splits"):
        split_of("a", 0, {"train": 0.9, "val": 0.2})
