"""Sentence vectors: near in meaning is near in angle, whatever else is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.packaged.minilm import DIMENSIONS, MiniLM


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    embedder = MiniLM()
    embedder.load()
    return embedder


def test_a_paraphrase_is_nearer_than_another_subject(embedder: MiniLM) -> None:
    rider, horseback, plate = embedder.embed(["a man riding a horse", "a person on horseback", "a plate of food"])
    assert rider @ horseback > 0.6
    assert rider @ plate < 0.3


def test_rows_have_unit_length(embedder: MiniLM) -> None:
    rows = embedder.embed(["a cat", "", "word " * 300])
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(embedder: MiniLM) -> None:
    assert embedder.embed([]).shape == (0, DIMENSIONS)


def test_a_row_depends_on_its_text_alone(embedder: MiniLM) -> None:
    """Workers see texts in different company and have different caches; their files must be identical."""
    fresh = MiniLM()
    fresh.load()
    texts = ["a cat", "a very long description of a street in the rain with many people", "two dogs"]
    assert np.array_equal(embedder.embed(texts)[2], fresh.embed(["two dogs"])[0])
    assert np.array_equal(embedder.embed(texts)[2], fresh.embed(["two dogs"])[0])  # from both caches


def test_rows_may_be_changed_without_spoiling_the_cache(embedder: MiniLM) -> None:
    embedder.embed(["a bench"])[:] = 0
    assert np.linalg.norm(embedder.embed(["a bench"])) > 0.9
