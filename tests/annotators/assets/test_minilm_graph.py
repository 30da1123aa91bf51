"""The graph written for MiniLM is the published network, against transformers' own BERT."""

from __future__ import annotations

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from fld_engine.annotators.assets.prepare import source_file
from fld_engine.annotators.packaged.minilm import MiniLM

TEXTS = ["two people", "a man in a red jacket rides a brown horse along the beach", "word " * 200]


def test_the_graph_computes_what_transformers_computes() -> None:
    """Tokenizer, cut at 128 tokens, BERT, mean pooling and unit length, to 1e-5 of cosine similarity."""
    folder = source_file("minilm", "model/tokenizer.json").parent
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    bert = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    embedder = MiniLM()
    embedder.load()
    for text, row in zip(TEXTS, embedder.embed(TEXTS), strict=True):
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=128)
        with torch.no_grad():
            mean = bert(**tokens).last_hidden_state.mean(dim=1)
        expected = torch.nn.functional.normalize(mean, dim=1)[0].numpy()
        assert np.abs(row - expected).max() < 1e-5
