"""Annotators without a model: a mask that fills its box, a phrase for each name in a text, one word that is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Mask, Phrase, PhraseRegion, Region, RegionText
from fld_engine.schemas.kinds import Kind

ENTRY_POINTS = """[fld_engine.annotators]
box-filler = tests.refinement.followers:BoxFiller
name-grounder = tests.refinement.followers:NameGrounder
word-reader = tests.refinement.followers:WordReader
"""


def install(folder: Path) -> None:
    """Make them known to what has `folder` on its path."""
    metadata = folder / "fld_followers-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fld-followers\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)


class BoxFiller:
    """Masks of objects."""

    class Params(Frozen):
        """It has none."""

    version = 1
    requires: frozenset[Kind] = frozenset({"objects"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"masks"})
    resources = Resources(memory_mb=100)
    batch_size = 16
    model = ModelIdentity(id="box-filler", revision="1")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [
            Annotations(masks=tuple(_filled(region.id, region.box_xyxy) for region in sample.known.regions))
            for sample in batch
        ]


class NameGrounder:
    """A name of a region that a text has in it is a phrase, and stands where the region does."""

    class Params(Frozen):
        """It has none."""

    version = 1
    requires: frozenset[Kind] = frozenset({"brief_texts", "objects"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"groundings"})
    resources = Resources(memory_mb=100)
    batch_size = 16
    model = ModelIdentity(id="name-grounder", revision="1")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [Annotations(phrases=_phrases(sample)) for sample in batch]


class WordReader:
    """Reads the same word at the same place of every image."""

    class Params(Frozen):
        """What it reads, and where, in pixels."""

        word: str
        box_xyxy: tuple[float, float, float, float]

    version = 1
    requires: frozenset[Kind] = frozenset()
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"scene_text"})
    resources = Resources(memory_mb=100)
    batch_size = 16
    model = ModelIdentity(id="word-reader", revision="1")

    def __init__(self, params: Params) -> None:
        self.params = params

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        word = RegionText(kind="ocr", text=self.params.word, score=0.9)
        region = Region(kind="text", box_xyxy=self.params.box_xyxy, score=0.9, texts=(word,))
        return [Annotations(regions=(region,)) for _ in batch]


def _filled(subject: str, box_xyxy: tuple[float, float, float, float]) -> Mask:
    x1, y1, x2, y2 = box_xyxy
    return Mask(subject_id=subject, polygons=((x1, y1, x2, y1, x2, y2, x1, y2),), score=0.9)


def _phrases(sample: Sample) -> tuple[Phrase, ...]:
    found = []
    for text in sample.known.texts:
        for region in sample.known.regions:
            name = region.texts[0].text
            start = text.text.find(name)
            if start >= 0:
                where = PhraseRegion(box_xyxy=region.box_xyxy, score=0.9, region_id=region.id)
                found.append(
                    Phrase(
                        text_id=text.id, phrase=name, start=start, end=start + len(name), score=0.9, regions=(where,)
                    )
                )
    return tuple(found)
