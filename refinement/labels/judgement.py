"""A student's judgement of an image: scores of the labels there are, and what it detected and wrote itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel, named_things
from fld_engine.refinement.labels.ledger import Unit
from fld_engine.refinement.labels.tables import Row, Tables, box_of, text_of


@dataclass(frozen=True, slots=True)
class Judgement:
    """One image as a student judges it. Scores are raw, in the fields that calibration will fill with probabilities."""

    old: tuple[RegionLabel, ...]
    seen: tuple[RegionLabel, ...]
    old_texts: tuple[TextLabel, ...]
    seen_texts: tuple[TextLabel, ...]

    @property
    def not_asked(self) -> Counter[Unit]:
        """Labels of each unit, people's apart, that the student was not asked about, or not about name and place."""
        regions = [r for r in self.old if not r.protected and not (r.place_asked and r.name_asked)]
        texts = [text for text in self.old_texts if not text.protected and not text.asked]
        return Counter({"regions": len(regions), "texts": len(texts)})


def judgements(images: Sequence[LabelledImage], output: Tables, names: Sequence[str]) -> dict[str, Judgement]:
    """Read a student's output: by image, its labels with the student's scores, and the student's own detections."""
    checks: dict[tuple[str, str], float] = {
        (row["subject_id"], row["question"]): row["score"] for row in output["checks"].to_pylist()
    }
    phrases: dict[str, list[Row]] = defaultdict(list)
    for row in output["region_texts"].to_pylist():
        phrases[row["region_id"]].append(row)
    seen: dict[str, list[RegionLabel]] = defaultdict(list)
    for row in output["regions"].to_pylist():
        seen[row["image_id"]].append(_detection(row, phrases[row["id"]]))
    texts: dict[str, list[TextLabel]] = defaultdict(list)
    for row in output["texts"].to_pylist():
        text = text_of(row, named_things(row["text"], names))
        texts[row["image_id"]].append(replace(text, asked=text.p > 0))
    return {
        image.id: Judgement(
            old=tuple(_judged(region, checks, phrases[region.id]) for region in image.regions),
            seen=tuple(seen[image.id]),
            old_texts=tuple(
                replace(text, p=checks.get((text.id, "holds"), 0.0), asked=(text.id, "holds") in checks)
                for text in image.texts
            ),
            seen_texts=tuple(texts[image.id]),
        )
        for image in images
    }


def _judged(region: RegionLabel, checks: Mapping[tuple[str, str], float], others: Sequence[Row]) -> RegionLabel:
    runner_up, p_runner_up = (others[0]["text"], others[0]["score"]) if others else ("", 0.0)
    return replace(
        region,
        p=checks.get((region.id, "placed"), 0.0),
        p_label=checks.get((region.id, "holds"), 0.0),
        runner_up=runner_up,
        p_runner_up=p_runner_up,
        place_asked=(region.id, "placed") in checks,
        name_asked=(region.id, "holds") in checks,
    )


def _detection(row: Row, phrases: Sequence[Row]) -> RegionLabel:
    """A region that the student detected: its first phrase is its name, a second one the runner-up.

    What it could not be asked about has a score of 0, which no answer has.
    """
    name, *others = phrases
    runner_up, p_runner_up = (others[0]["text"], others[0]["score"]) if others else ("", 0.0)
    return RegionLabel(
        row["id"], box_of(row), name["text"], row["score"], name["score"], runner_up=runner_up, p_runner_up=p_runner_up,
        place_asked=row["score"] > 0, name_asked=name["score"] > 0,
    )  # fmt: skip
