from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fld_engine.annotators.composed.captioner import ComposedCaptioner
from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.data.rows import RowWriter
from fld_engine.engine.plan.protocols import Filter, Sample
from fld_engine.filters.repetition import TextRepetition
from fld_engine.filters.text import TextActionComplexity, TextObjectComplexity, TextObjects
from fld_engine.schemas.annotations import Annotations, Label, Region, RegionText, Source
from tests.sentences import CAR, CHASE, TOWER
from tests.tables import parse, rows

BARE = ["dogs/NOUN/ROOT/0"]
COLOURS = ["red/ADJ/ROOT/0", "and/CCONJ/cc/0", "blue/ADJ/conj/0"]


@pytest.mark.parametrize(
    ("judge", "words", "granularity", "value", "kept"),
    [
        # two objects, one too many
        (TextObjects(TextObjects.Params(brief=1)), CHASE, "brief", 2, False),
        # the bound itself is allowed
        (TextObjects(TextObjects.Params(brief=2)), CHASE, "brief", 2, True),
        # each granularity has its own bound
        (TextObjects(TextObjects.Params(brief=1, detailed=2)), CHASE, "detailed", 2, True),
        # dog 3, cats 3
        (TextObjectComplexity(TextObjectComplexity.Params(brief=3)), CHASE, "brief", 3, True),
        # Tower 3, night 1
        (TextObjectComplexity(TextObjectComplexity.Params(brief=2.5)), TOWER, "brief", 2, False),
        # a bare word says nothing of its object
        (TextObjectComplexity(), BARE, "brief", 0, False),
        # nor does a text without one
        (TextObjectComplexity(), COLOURS, "brief", 0, False),
        # chasing 4
        (TextActionComplexity(TextActionComplexity.Params(brief=4)), CHASE, "brief", 4, True),
        (TextActionComplexity(TextActionComplexity.Params(brief=4.5)), CHASE, "brief", 4, False),
        # a brief text needs no action, longer ones do
        (TextActionComplexity(), TOWER, "brief", 0, True),
        (TextActionComplexity(), CAR, "detailed", 0, False),
        (TextActionComplexity(), CAR, "more_detailed", 0, False),
    ],
)
def test_rules(judge: Filter, words: list[str], granularity: str, value: float, kept: bool) -> None:
    texts = rows("texts", {"id": "t", "granularity": granularity})
    verdicts = judge.decide({"texts": texts, "tokens": rows("tokens", *parse("t", words))})
    assert verdicts.value.tolist() == [value]
    assert verdicts.keep.tolist() == [kept]


@pytest.mark.parametrize("judge", [TextObjects(), TextObjectComplexity(), TextActionComplexity()])
def test_texts_that_nobody_parsed_pass(judge: Filter) -> None:
    """A parser that failed on an image must not empty it."""
    texts = rows("texts", {"id": "t", "granularity": "more_detailed"})
    verdicts = judge.decide({"texts": texts, "tokens": rows("tokens")})
    assert np.isnan(verdicts.value).tolist() == [True]
    assert verdicts.keep.tolist() == [True]


@pytest.mark.parametrize("judge", [TextObjects(), TextObjectComplexity(), TextActionComplexity()])
def test_no_text_is_no_problem(judge: Filter) -> None:
    """Region briefs are parsed too: an image without texts still has tokens."""
    verdicts = judge.decide({"texts": rows("texts"), "tokens": rows("tokens", *parse("a region's", BARE))})
    assert (verdicts.keep.shape, verdicts.keep.dtype, verdicts.value.dtype) == ((0,), bool, float)


def test_texts_of_people_stay() -> None:
    texts = rows("texts", *({"id": by, "granularity": "brief", "annotator": by} for by in ("human", "web")))
    tokens = rows("tokens", *parse("human", BARE), *parse("web", BARE))
    verdicts = TextObjectComplexity().decide({"texts": texts, "tokens": tokens})
    assert verdicts.value.tolist() == [0, 0]
    assert verdicts.keep.tolist() == [True, False]


def test_composed_captions_pass_the_defaults() -> None:
    """Otherwise the packaged models would make a dataset without texts."""
    texts, tokens = _captions()
    assert {"brief", "detailed"} <= set(texts["granularity"].to_pylist())
    for judge in (TextObjects(), TextObjectComplexity(), TextActionComplexity(), TextRepetition()):
        verdicts = judge.decide({"texts": texts, "tokens": tokens})
        dropped = [text for text, kept in zip(texts["text"].to_pylist(), verdicts.keep, strict=True) if not kept]
        assert not dropped, f"{type(judge).__name__} drops {dropped}"


def _captions() -> tuple[pa.Table, pa.Table]:
    """Texts and their parse for a few scenes."""
    captioner, parser, writer = ComposedCaptioner(), SpacyParser(), RowWriter()
    parser.load()
    scenes = [("dog", "cat"), ("person", "person", "bicycle"), ("boat",), ("person", "dog", "bench", "car", "car")]
    for number, phrases in enumerate(scenes):
        regions = tuple(_region(phrase, i) for i, phrase in enumerate(phrases))
        known = Annotations(regions=regions, labels=(Label(label="park bench", score=0.9),))
        sample = Sample(id=f"image{number}", width=640, height=480, known=known)
        texts = tuple(
            text.model_copy(update={"id": f"{number}-{i}"})
            for i, text in enumerate(captioner.annotate([sample])[0].texts)
        )
        shown = Sample(id=sample.id, width=640, height=480, known=Annotations(texts=texts))
        writer.add(sample.id, Annotations(texts=texts), Source(annotator="captioner", model="m", revision="r"))
        writer.add(sample.id, parser.annotate([shown])[0], Source(annotator="parser", model="m", revision="r"))
    tables = writer.tables()
    return tables["texts"], tables["tokens"]


def _region(phrase: str, place: int) -> Region:
    text = RegionText(kind="phrase", text=phrase, score=0.8)
    return Region(
        id=f"r{place}",
        kind="object",
        box_xyxy=(20 + 110 * place, 200, 120 + 110 * place, 400),
        score=0.8,
        texts=(text,),
    )
