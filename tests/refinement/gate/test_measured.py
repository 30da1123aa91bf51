"""What gold says of masks, read text and groundings is measured where it says something, and weighs in the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fld_engine.refinement.gate.before_after import BeforeAfter, before_after
from fld_engine.refinement.gate.gate import GateDecision, GateRules
from fld_engine.refinement.gate.measured import Measured, measure
from fld_engine.refinement.gate.units import judge_gates
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.dependents import Dependents
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel

CAT, DOG = (0.0, 0.0, 20.0, 20.0), (30.0, 30.0, 50.0, 50.0)
NUM = 12
RULES = GateRules(num_resamples=200)
TRUTH = Gold(
    Boxes(np.array([CAT, DOG]), ["cat", "dog"]),
    texts=("a cat and a dog",),
    masks=(((0.0, 0.0, 20.0, 0.0, 20.0, 20.0, 0.0, 20.0),), ()),
    read=Boxes(np.array([[0.0, 40.0, 20.0, 50.0]]), ["STOP"]),
    phrases=(("a cat", np.array([CAT])), ("a dog", np.array([DOG]))),
)
FOUND = Dependents(
    masks={"cat": TRUTH.masks[0]},
    read=Boxes(np.array([[0.0, 41.0, 20.0, 50.0]]), ["ST0P"]),
    phrases=(("the cat", np.array([CAT])),),
)
LABELS = LabelledImage(
    "", "", (60, 60),
    regions=(RegionLabel("cat", CAT, "cat", 1.0, 1.0),),
    texts=(TextLabel("t", "brief", "a cat", (), 1.0),),
    gold_split="gate",
)  # fmt: skip
BETTER = replace(
    LABELS,
    regions=(*LABELS.regions, RegionLabel("dog", DOG, "dog", 1.0, 1.0)),
    texts=(replace(LABELS.texts[0], text="a cat and a dog"),),
)


def pairs(
    before: LabelledImage = LABELS,
    after: LabelledImage = BETTER,
    gold: Gold = TRUTH,
    dependents: tuple[Dependents, Dependents] | None = (FOUND, FOUND),
    num: int = NUM,
) -> BeforeAfter:
    """`num` images alike, but for texts of which one word differs: CIDEr tells nothing of texts that are all equal."""
    names = [str(i) for i in range(num)]

    def each(image: LabelledImage) -> list[LabelledImage]:
        return [
            replace(image, id=name, texts=tuple(replace(t, text=f"{t.text} {name}") for t in image.texts))
            for name in names
        ]

    truth = {name: replace(gold, texts=tuple(f"{text} {name}" for text in gold.texts)) for name in names}
    known: tuple[Mapping[str, Dependents], Mapping[str, Dependents]] | None = None
    if dependents:
        known = dict.fromkeys(names, dependents[0]), dict.fromkeys(names, dependents[1])
    return before_after(each(before), each(after), truth, known)


def figures(measured: tuple[Measured, ...]) -> dict[str, tuple[float, float]]:
    return {f"{one.unit} {one.metric}": (one.before, one.after) for one in measured}


def gates(of: BeforeAfter) -> dict[str, GateDecision]:
    return {gate.unit: gate for gate in judge_gates(of, RULES, seed=0)}


def test_every_figure_that_gold_has_something_for() -> None:
    lost = replace(FOUND, masks={}, phrases=(*FOUND.phrases, ("a dog", np.array([DOG]))))
    found = figures(measure(pairs(dependents=(FOUND, lost))))
    assert found["regions recall@0.5"] == (0.5, 1.0)
    assert found["regions mask_iou"] == (1.0, 0.0), "the mask of the cat; that of the dog nobody drew"
    assert found["regions character_error"] == (0.25, 0.25), "one of four; no round reads"
    assert found["texts grounding_recall@0.5"] == (0.5, 1.0)
    before, after = found["texts cider"]
    assert 0 < before < after


def test_what_gold_does_not_say_has_no_figure() -> None:
    regions = figures(measure(pairs(gold=Gold(TRUTH.regions))))
    assert set(regions) == {
        *(f"regions {name}@{iou}" for name in ("precision", "recall", "f1") for iou in (0.5, 0.75)),
        "regions ap", "regions ap50", "regions ap75",
    }  # fmt: skip
    assert set(figures(measure(pairs(dependents=None)))) == {*regions, "texts cider"}, "unknown is not absent"
    assert measure(pairs(num=0)) == ()


def test_gold_of_captions_alone_does_not_say_that_images_show_nothing() -> None:
    """Else the round that removes every box would be the best one."""
    emptied = replace(BETTER, regions=())
    said = pairs(after=emptied, gold=Gold(Boxes(np.zeros((0, 4)), []), TRUTH.texts))
    assert set(figures(measure(said))) == {"texts cider"}
    decided = gates(said)
    assert (decided["regions"].state, decided["regions"].num_images) == ("cannot_tell", 0)
    assert "nothing to judge regions by" in decided["regions"].why
    assert decided["texts"].accepted


def test_better_boxes_are_refused_where_they_cost_masks() -> None:
    assert gates(pairs())["regions"].accepted
    decided = gates(pairs(dependents=(FOUND, replace(FOUND, masks={}))))
    assert decided["regions"].state == "not_better"
    assert "mask_iou 1.0000 -> 0.0000" in decided["regions"].why
    assert decided["texts"].accepted, "texts hold no masks"


def test_better_texts_are_refused_where_they_cost_groundings() -> None:
    decided = gates(pairs(dependents=(FOUND, replace(FOUND, phrases=()))))
    assert decided["texts"].state == "not_better"
    assert "grounding_recall@0.5 0.5000 -> 0.0000" in decided["texts"].why
    assert decided["regions"].accepted


def test_a_mask_of_another_place_is_no_mask_of_the_object() -> None:
    elsewhere = replace(BETTER, regions=(replace(LABELS.regions[0], box_xyxy=(35.0, 0.0, 55.0, 20.0)),))
    assert figures(measure(pairs(after=elsewhere)))["regions mask_iou"] == (1.0, 0.0)


def test_every_brief_text_of_an_image_counts() -> None:
    """A second caption that a round spoils is not hidden behind the first."""
    two = replace(LABELS, texts=(LABELS.texts[0], TextLabel("u", "brief", "a cat and a dog", (), 1.0)))
    spoiled = replace(two, texts=(two.texts[0], replace(two.texts[1], text="a boat")))
    before, after = figures(measure(pairs(two, spoiled)))["texts cider"]
    assert after < before
    detailed = replace(LABELS, texts=(TextLabel("d", "detailed", "a boat", (), 1.0), *LABELS.texts))
    assert figures(measure(pairs(detailed, BETTER)))["texts cider"] == figures(measure(pairs()))["texts cider"]


@pytest.mark.parametrize("missing", ["regions", "texts"])
def test_a_family_without_labels_is_told_and_stops_nothing(missing: str) -> None:
    bare = replace(LABELS, **{missing: ()})  # type: ignore[arg-type]
    decided = gates(pairs(bare, bare))
    assert not decided[missing].accepted
    if missing == "texts":
        assert (decided["texts"].state, decided["texts"].num_images) == ("cannot_tell", 0)
        assert "nothing to judge texts by" in decided["texts"].why
    else:
        assert (decided["regions"].before, decided["regions"].after) == (0.0, 0.0)
    assert gates(pairs(bare, replace(BETTER, **{missing: ()})))[  # type: ignore[arg-type]
        "texts" if missing == "regions" else "regions"
    ].accepted, "the other family goes on"


def test_gold_of_three_images_says_what_it_sees_and_decides_nothing() -> None:
    decided = gates(pairs(num=3))
    assert {gate.state for gate in decided.values()} == {"cannot_tell"}
    assert (decided["regions"].before, decided["regions"].after) == (pytest.approx(2 / 3, abs=1e-4), 1.0)
    assert "3 gold images are too few to tell: at least 10" in decided["regions"].why
