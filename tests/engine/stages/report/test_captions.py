"""The definitions of objects, attributes, actions, complexity, pairs and triples, on captions parsed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fld_engine.engine.data.semantics import parse_of
from fld_engine.engine.stages.report.semantic import semantic_counts
from fld_engine.engine.stages.report.words import mentions_of, terms_of
from tests.engine.stages.report.captions import CAPTIONS, Caption
from tests.tables import annotations, rows

IDS = pa.chunked_array([["t"]])


def tokens(caption: Caption, text_id: str = "t") -> list[dict[str, Any]]:
    """Rows of `tokens`, one space between words."""
    found, start = [], 0
    for index, word in enumerate(caption.words.split()):
        text, lemma, pos, dep, head = word.rsplit("/", 4)
        place = {"index": index, "start": start, "end": start + len(text), "head": int(head), "chunk": -1}
        found.append({"text_id": text_id, "text": text, "lemma": lemma, "pos": pos, "dep": dep, **place})
        start += len(text) + 1
    return found


@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda c: " ".join(w.split("/")[0] for w in c.words.split()))
def test_elements_of_a_caption(caption: Caption) -> None:
    table = rows("tokens", *tokens(caption))
    parse = parse_of(table, IDS)
    words = np.array(table["text"].to_pylist())

    def of(role: Sequence[bool]) -> list[str]:
        return list(words[np.array(role)])

    assert of(parse.object) == caption.objects.split()
    assert of(parse.attribute) == caption.attributes.split()
    assert of(parse.action) == caption.actions.split()
    assert of(parse.proper_noun) == caption.proper.split()
    assert tuple(parse.degree[parse.object]) == caption.object_degrees
    assert tuple(parse.degree[parse.action]) == caption.action_degrees
    found = {kind: tuple(terms) for kind, _, terms in terms_of(table, IDS)}
    assert found["adjective_noun"] == caption.pairs
    assert found["subject_verb_object"] == caption.triples


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        (5, "light, traffic light"),  # A traffic light
        (9, "hat, man, red hat"),  # A man in a red hat
        (12, "big old tree, old tree, tree"),  # A big old tree
        (24, "cat, mat, sleeping cat"),  # A sleeping cat lies on a mat
        (25, "city street, new york city street, street, york city street"),  # New York City streets
    ],
)
def test_names_of_things_are_found_with_the_words_that_modify_them(caption: int, names: str) -> None:
    """A word list has “traffic light” and “teddy bear”, which no single lemma is."""
    table = rows("tokens", *tokens(CAPTIONS[caption]))
    place, found = mentions_of(table.take(np.random.default_rng(0).permutation(table.num_rows)), IDS)
    assert place.tolist() == [0] * len(found)
    assert ", ".join(sorted(found)) == names


def test_there_are_thirty_captions_and_no_two_alike() -> None:
    assert len({caption.words for caption in CAPTIONS}) == len(CAPTIONS) >= 30


def test_distributions_hold_every_caption_once() -> None:
    """All captions together: histograms of numbers and of mean degrees, against the hand counts."""
    texts = [{"id": str(i), "granularity": "brief", "text": "x"} for i in range(len(CAPTIONS))]
    table = rows("tokens", *(row for i, caption in enumerate(CAPTIONS) for row in tokens(caption, str(i))))
    kept = {**annotations(), "texts": rows("texts", *texts)}
    counted = {(r[0], r[4]): r[5] for r in semantic_counts(kept, table) if r[1] == "brief" and r[0] != "pos"}
    for measure, name in (("objects", "objects"), ("attributes", "attributes"), ("actions", "actions")):
        numbers = [len(getattr(caption, name).split()) for caption in CAPTIONS]
        for number in range(5):
            assert counted.get((measure, number), 0) == numbers.count(number), (measure, number)
    means = [sum(c.object_degrees) / len(c.object_degrees) if c.object_degrees else 0.0 for c in CAPTIONS]
    for quarter in range(17):
        expected = sum(quarter / 4 <= mean < (quarter + 1) / 4 for mean in means)
        assert counted.get(("object_complexity", quarter), 0) == expected


def test_terms_of_other_texts_and_their_order_do_not_matter() -> None:
    """Heads are looked up by index, so rows may come in any order and with other texts between them."""
    mixed = [row for i in (3, 4) for row in tokens(CAPTIONS[i], f"t{i}")]
    shuffled = rows("tokens", *mixed).take(np.random.default_rng(0).permutation(len(mixed)))
    found = {kind: list(terms) for kind, _, terms in terms_of(shuffled, pa.chunked_array([["t4"]]))}
    assert found["subject_verb_object"] == ["dog chase cat"]
    assert sorted(found["noun"]) == ["cat", "dog"]
