"""The proxy of gold: objects that two specialists see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fld_engine.engine.data.view import PartitionView
from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.gate.gating import JudgedPartition, decide_round
from fld_engine.refinement.gate.proxy_gold import AGREEMENT, agreed_objects, as_reference
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.merge.rules import MergeRules
from tests.engine.stages.export.view_builder import box, image_row, make_view, small_jpeg
from tests.refinement.judges import TRUTH, gold, honest, images

A, B = (image_row(small_jpeg(seed)) for seed in (1, 2))
Box = tuple[float, float, float, float]


def view(*seen: tuple[str, str, Box, float], dropped: Sequence[str] = ()) -> PartitionView:
    """(who, what, where, how sure) on image A."""
    regions: list[dict[str, Any]] = []
    names: list[dict[str, Any]] = []
    for i, (who, what, where, score) in enumerate(seen):
        common = {"image_id": A["id"], "annotator": who, "score": score}
        regions.append({"id": f"r{i}", "kind": "object", **box(*where), **common})
        names.append({"id": f"n{i}", "region_id": f"r{i}", "kind": "phrase", "text": what, **common})
    return make_view([A, B], {"regions": regions, "region_texts": names}, dropped=dropped)


def test_two_that_agree_count_once() -> None:
    found = agreed_objects(
        view(
            ("one", "cat", (1, 1, 9, 9), 0.9),
            ("other", "cat", (1, 1, 9, 10), 0.7),
            ("one", "dog", (10, 2, 20, 12), 0.8),
            ("other", "cow", (10, 2, 20, 12), 0.8),
            ("one", "car", (0, 10, 5, 15), 0.99),
        )
    )
    assert set(found) == {A["id"]}
    assert found[A["id"]].regions.labels == ["cat"]
    assert found[A["id"]].regions.xyxy.tolist() == [[1, 1, 9, 9]], "of the surer one"
    assert found[A["id"]].texts == ()


def test_one_specialist_agrees_with_nobody() -> None:
    assert agreed_objects(view(("one", "cat", (1, 1, 9, 9), 1.0), ("one", "cat", (1, 1, 9, 8), 0.9))) == {}


def test_what_a_filter_found_wanting_does_not_vote() -> None:
    two = (("one", "cat", (1.0, 1.0, 9.0, 9.0), 0.9), ("other", "cat", (1.0, 1.0, 9.0, 10.0), 0.1))
    assert agreed_objects(view(*two))
    assert agreed_objects(view(*two, dropped=["r1"])) == {}


def test_a_share_of_the_images_judges() -> None:
    every = [LabelledImage(f"{i}", f"{i}", (9, 9)) for i in range(400)]
    agreed = dict.fromkeys((f"{i}" for i in range(300)), gold()["0"])
    dealt = as_reference(every, agreed, share=0.5, seed=1)
    judging = {image.id for image in dealt if image.gold_split}
    assert judging <= set(agreed)
    assert len(judging) == pytest.approx(150, abs=45)  # 5 standard deviations
    assert {image.gold_split for image in dealt} == {"", "calibrate", "gate", "final"}


def test_every_metric_says_that_it_is_no_gold() -> None:
    decision = decide_round(
        [JudgedPartition(images(), honest(TRUTH)(images()), gold())],
        merge=MergeRules(),
        gate=GateRules(),
        round_=1,
        seed=0,
        prefix=AGREEMENT,
    )
    assert all(gate.metric.startswith("agreement-") for gate in decision.gates)
    assert all(gate.metric in gate.why for gate in decision.gates)
    assert decision.measured
    assert all(figure.metric.startswith("agreement-") for figure in decision.measured)
