"""Figures on the gold split `final`, which is read once, after the last round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fld_engine.refinement.gate.before_after import before_after
from fld_engine.refinement.gate.measured import measure
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage

Final = Mapping[str, tuple[LabelledImage, Gold]]
"""The images of the `final` split by id, with their gold."""


def final_of(images: Sequence[LabelledImage], gold: Mapping[str, Gold]) -> Final:
    return {image.id: (image, gold[image.id]) for image in images if image.gold_split == "final" and image.id in gold}


def final_figures(first: Final, last: Final) -> dict[str, tuple[float, float]]:
    """Metric → (first, last) on the `final` split; nothing where there is no such image.

    Masks, read text and groundings are not among them: the labels alone are compared.
    """
    gold = {identity: truth for identity, (_, truth) in first.items()}
    before, after = ([labels[identity][0] for identity in gold] for labels in (first, last))
    return {figure.metric: (figure.before, figure.after) for figure in measure(before_after(before, after, gold))}
