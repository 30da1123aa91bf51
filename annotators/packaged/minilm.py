"""all-MiniLM-L6-v2: English sentences as 384-dimensional unit vectors (Reimers and Gurevych 2019, arXiv 1908.10084)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure, source_file
from fld_engine.annotators.packaged.onnx_session import OnnxSession, open_session
from fld_engine.engine.data.records import ModelIdentity

Floats = npt.NDArray[np.float32]

DIMENSIONS = 384
MAX_TOKENS = 128
"""Longer texts are cut; the model was trained on 128 word pieces, its model card says."""
CACHE_TEXTS = 8192
"""Class names and common phrases return all the time; 8,192 rows are 13 MB."""


class MiniLM:
    """Sentence embedder. Cheap to make; `load` before use."""

    model: ClassVar[ModelIdentity] = PACKAGED["minilm"].identity

    def __init__(self) -> None:
        self._embed_one: Callable[[str], Floats] | None = None

    def load(self) -> None:
        """Open the network and its tokenizer; raises `ModelError` when they were not fetched before."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(source_file("minilm", "model/tokenizer.json")))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        session = open_session(ensure("minilm", fetch=False))
        self._embed_one = lru_cache(CACHE_TEXTS)(lambda text: _embed(session, tokenizer, text))

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit rows (n, 384), the cosine of two texts is the dot product of their rows; no texts give (0, 384).

        Texts run one by one, unpadded, so that a row is a function of its text alone: neither what it is asked for
        with nor what is in the cache moves its last bit.
        """
        assert self._embed_one is not None, "load() comes before embed()"
        rows = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = self._embed_one(text)
        return rows


def _embed(session: OnnxSession, tokenizer: Any, text: str) -> Floats:
    ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
    (rows,) = session.run(["embeddings"], {"ids": ids})
    row: Floats = rows[0]
    return row
