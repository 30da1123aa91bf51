from __future__ import annotations

from fld_engine.refinement.gate.final import final_figures, final_of
from tests.refinement.judges import gold, images


def test_final_figures_are_those_of_the_final_split() -> None:
    final = final_of(images(), gold())
    assert len(final) == sum(image.gold_split == "final" for image in images()) > 20
    figures = final_figures(final, final)
    assert 0 < figures["f1@0.5"][0] == figures["f1@0.5"][1] < 1, "the labels are noisy"
