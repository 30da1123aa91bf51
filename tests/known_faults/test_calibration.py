"""What gold says of labels: a name is the same name however it is written."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.refinement.gate.metrics_boxes import count_matches
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, boxes_of
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.merge.calibration import calibrate
from fld_engine.refinement.merge.image import merge_image
from fld_engine.refinement.merge.rules import MergeRules

NUM_IMAGES, NUM_REGIONS = 60, 3


@pytest.mark.parametrize(
    "name",
    [
        "person",
        "Person",  # as Objects365 and Open Images write it
        "PERSON",
        " person ",  # as cells of a table come out
    ],
)
def test_right_labels_stay_whatever_the_case_of_gold(name: str) -> None:
    """Right: all 180 labels agree with gold, by F1, too, so their names are probably right, and a merge removes none.

    The places and names of the labels are those of gold but for letters' case. Where calibration takes them for wrong,
    their probability falls to nothing, and a round removes every right label of a dataset whose gold is Objects365's.
    """
    random = np.random.default_rng(0)
    images, judged, gold = [], {}, {}
    for number in range(NUM_IMAGES):
        regions = tuple(
            RegionLabel(
                f"{number}-{k}",
                (30.0 * k, 10.0, 30.0 * k + 25, 60.0),
                "person",
                *map(float, random.uniform(0.5, 0.9, 2)),
            )
            for k in range(NUM_REGIONS)
        )
        image = LabelledImage(str(number), str(number), (100, 100), regions, (), "calibrate")
        images.append(image)
        judged[image.id] = Judgement(regions, (), (), ())  # the student looked, and found none by itself
        gold[image.id] = Gold(Boxes(boxes_of(regions).xyxy, [name] * NUM_REGIONS))
    f1 = [count_matches(boxes_of(image.regions), gold[image.id].regions, min_iou=0.5).f1 for image in images]
    assert min(f1) == 1.0, "to the metrics, every label is right"
    curves = calibrate(images, judged, gold)
    (names,) = (curve for curve in curves if (curve.source, curve.family) == ("labels", "labels"))
    assert min(names.probabilities) > 0.9
    rules = MergeRules(admit_precision=None)
    edits = [edit for image in images for edit in merge_image(image, judged[image.id], curves, rules).edits]
    assert sum(edit.what == "removed" for edit in edits) == 0
