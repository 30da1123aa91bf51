"""Annotators for the pictures of `pictures`, without a model: one that errs, and a student and a writer that know."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import ClassVar

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Check, Frozen, Region, RegionText, Text
from fld_engine.schemas.kinds import Kind
from tests.compatibility.pictures import seen
from tests.distributions import write_distribution

ANNOTATORS = "fld_engine.annotators"
USED = {
    "box-filler": "tests.refinement.followers:BoxFiller",
    "name-grounder": "tests.refinement.followers:NameGrounder",
    "word-reader": "tests.refinement.followers:WordReader",
    "colour-specialist": "tests.compatibility.stand_ins:ColourSpecialist",
}
"""What the configs of the old roots name, beside what the package brings."""
IN_THE_PLACE_OF_MODELS = {
    "student": "tests.compatibility.stand_ins:KnowingStudent",
    "florence2": "tests.compatibility.stand_ins:KnowingWriter",
}
"""Only while a root is made: they speak under the names and versions of the package's own."""

Box = tuple[float, float, float, float]


def install(folder: Path) -> None:
    """Make the annotators known to what has `folder` on its path."""
    write_distribution(folder, "fld-old-roots", {ANNOTATORS: USED})


def install_knowing(folder: Path) -> None:
    """The same, with those who know in the place of models, for what has `folder` first on its path.

    They stand in a copy of the package's own metadata, which is then found in its place: no two packages may bring the
    same name.
    """
    install(folder)
    ours: dict[str, dict[str, str]] = {}
    for entry in distribution("fld-engine").entry_points:
        ours.setdefault(entry.group, {})[entry.name] = entry.value
    ours[ANNOTATORS] |= IN_THE_PLACE_OF_MODELS
    write_distribution(folder, "fld-engine", ours)


class ColourSpecialist:
    """Calls every plum an apple, misses every bowl, sees a kite in the corner, and names one thing in its text."""

    class Params(Frozen):
        """It has none."""

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"objects", "brief_texts"})
    resources = Resources(memory_mb=100)
    batch_size = 16
    model = ModelIdentity(id="colour-specialist", revision="1")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [self._annotate_one(sample) for sample in batch]

    def _annotate_one(self, sample: Sample) -> Annotations:
        things = [("apple" if name == "plum" else name, box) for name, box in _seen(sample) if name != "bowl"]
        regions = [_region(name, box, 0.8) for name, box in [*things, ("kite", (0.0, 0.0, 5.0, 5.0))]]
        text = Text(granularity="brief", text=f"Some {things[0][0]}." if things else "Nothing.", score=0.5)
        return Annotations(regions=tuple(regions), texts=(text,))


class KnowingStudent:
    """A student that was taught well: it sees every thing as it is. Identity and parameters are those of `student`."""

    class Params(Frozen):
        """Those of the real one."""

        runtime: ClassVar[frozenset[str]] = frozenset({"folders"})
        folders: tuple[str, ...]
        weights: tuple[str, ...]
        names: tuple[str, ...]
        max_answer_tokens: int

    version = 2
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset({"objects", "brief_texts", "detailed_texts"})
    produces: frozenset[Kind] = frozenset({"objects", "brief_texts", "checks", "region_categories"})
    resources = Resources(memory_mb=100)
    batch_size = 8

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = ModelIdentity(id="student", revision=params.weights[0][:12], sha256=params.weights[0])

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [self._annotate_one(sample) for sample in batch]

    def _annotate_one(self, sample: Sample) -> Annotations:
        things = _seen(sample)
        checks, names = [], []
        for region in sample.known.regions:
            here = [name for name, box in things if _overlap(box, region.box_xyxy)]
            checks.append(Check(subject_id=region.id, question="placed", score=0.9 if here else 0.1))
            holds = here and here[0] == region.texts[0].text
            checks.append(Check(subject_id=region.id, question="holds", score=0.9 if holds else 0.1))
            if here and not holds:
                names.append(RegionText(region_id=region.id, kind="phrase", text=here[0], score=0.9))
        checks += [Check(subject_id=text.id, question="holds", score=0.2) for text in sample.known.texts]
        text = Text(granularity="brief", text=_caption(things), score=0.9)
        regions = tuple(_region(name, box, 0.9) for name, box in things)
        return Annotations(texts=(text,), regions=regions, region_texts=tuple(names), checks=tuple(checks))


class KnowingWriter:
    """Writes a detailed text of every image, in the place of `florence2`."""

    class Params(Frozen):
        """Those that the step of sparse tasks gives."""

        checkpoint: str
        tasks: tuple[str, ...]
        max_new_tokens: int

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"detailed_texts"})
    resources = Resources(memory_mb=100)
    batch_size = 8
    model = ModelIdentity(id="specialist", revision="1", sha256="5" * 64)

    def __init__(self, params: Params) -> None:
        self.params = params

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [
            Annotations(texts=(Text(granularity="detailed", text=f"In detail: {_caption(_seen(s))}", score=0.9),))
            for s in batch
        ]


def _seen(sample: Sample) -> list[tuple[str, Box]]:
    assert sample.pixels is not None, "it asks for pixels"
    return seen(sample.pixels)


def _caption(things: Sequence[tuple[str, Box]]) -> str:
    return f"A {' and a '.join(name for name, _ in things)}."


def _region(name: str, box: Box, score: float) -> Region:
    text = RegionText(kind="phrase", text=name, score=score)
    return Region(kind="object", box_xyxy=box, score=score, texts=(text,))


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
