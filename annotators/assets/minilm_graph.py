"""all-MiniLM-L6-v2 as an ONNX graph, built from the published weights: BERT, mean pooling, unit length.

BERT is Devlin et al. 2018, arXiv 1810.04805; sizes are those of the model's `config.json`, pooling and normalisation
those of its `modules.json`. The graph has no attention mask: it is given texts of one length without padding.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fld_engine.annotators.assets.onnx_graph import Array, OnnxGraph, Tensor


def convert(folder: Path) -> bytes:
    """ONNX model: `ids` (n, t) int64 token numbers to `embeddings` (n, 384) float32 of unit length."""
    from safetensors.numpy import load_file

    config = json.loads((folder / "model/config.json").read_text(encoding="utf-8"))
    return build(load_file(folder / "model/model.safetensors"), config)


def build(weights: dict[str, Array], config: dict[str, Any]) -> bytes:
    """The graph for these weights by their published names."""
    bert = _Bert(weights, config["num_attention_heads"], config["layer_norm_eps"])
    x = bert.embed("ids")
    for layer in range(config["num_hidden_layers"]):
        x = bert.layer(x, f"encoder.layer.{layer}.")
    mean = bert.graph.node("ReduceMean", x, axes=[1], keepdims=0)
    length = bert.graph.node("ReduceL2", mean, axes=[1], keepdims=1)
    unit = bert.graph.node("Div", mean, length)
    return bert.graph.model(
        {"ids": ("n", "t")}, {"embeddings": (unit, ("n", config["hidden_size"]))}, input_dtype=np.int64
    )


class _Bert:
    """Layers by the prefix of their weights."""

    def __init__(self, weights: dict[str, Array], num_heads: int, norm_eps: float) -> None:
        self.graph = OnnxGraph()
        self._weights = weights
        self._num_heads = num_heads
        self._norm_eps = norm_eps

    def embed(self, ids: Tensor) -> Tensor:
        """Sum of word, position and segment embeddings; one text is always segment 0."""
        words = self.graph.node("Gather", self._weights["embeddings.word_embeddings.weight"], ids)
        num_tokens = self.graph.node("Shape", ids, start=1, end=2)
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        table = self._weights["embeddings.position_embeddings.weight"] + segment
        positions = self.graph.node("Slice", table, np.array([0]), num_tokens)
        return self._norm(self.graph.node("Add", words, positions), "embeddings.LayerNorm")

    def layer(self, x: Tensor, prefix: str) -> Tensor:
        """Self-attention, then a feed-forward network, each added to its input and normalised."""
        attended = self._linear(self._attention(x, prefix + "attention.self."), prefix + "attention.output.dense")
        x = self._norm(self.graph.node("Add", attended, x), prefix + "attention.output.LayerNorm")
        widened = self._gelu(self._linear(x, prefix + "intermediate.dense"))
        narrowed = self._linear(widened, prefix + "output.dense")
        return self._norm(self.graph.node("Add", narrowed, x), prefix + "output.LayerNorm")

    def _attention(self, x: Tensor, prefix: str) -> Tensor:
        width = self._weights[prefix + "query.weight"].shape[0]
        head_width = width // self._num_heads
        query, value = (self._heads(x, prefix + name, head_width, [0, 2, 1, 3]) for name in ("query", "value"))
        key = self._heads(x, prefix + "key", head_width, [0, 2, 3, 1])
        similarity = self.graph.node("Mul", self.graph.node("MatMul", query, key), np.float32(head_width**-0.5))
        mixed = self.graph.node("MatMul", self.graph.node("Softmax", similarity, axis=-1), value)
        return self.graph.node("Reshape", self.graph.node("Transpose", mixed, perm=[0, 2, 1, 3]), _sizes(0, 0, width))

    def _heads(self, x: Tensor, prefix: str, head_width: int, perm: list[int]) -> Tensor:
        """Projection cut into heads: (n, t, width) to (n, t, heads, head width), axes then permuted."""
        cut = self.graph.node("Reshape", self._linear(x, prefix), _sizes(0, 0, self._num_heads, head_width))
        return self.graph.node("Transpose", cut, perm=perm)

    def _linear(self, x: Tensor, prefix: str) -> Tensor:
        product = self.graph.node("MatMul", x, self._weights[prefix + ".weight"].T)
        return self.graph.node("Add", product, self._weights[prefix + ".bias"])

    def _norm(self, x: Tensor, prefix: str) -> Tensor:
        scale, bias = self._weights[prefix + ".weight"], self._weights[prefix + ".bias"]
        return self.graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=self._norm_eps)

    def _gelu(self, x: Tensor) -> Tensor:
        """x · (1 + erf(x / √2)) / 2, the exact form that BERT was trained with."""
        erf = self.graph.node("Erf", self.graph.node("Div", x, np.float32(2**0.5)))
        doubled = self.graph.node("Mul", x, self.graph.node("Add", erf, np.float32(1)))
        return self.graph.node("Mul", doubled, np.float32(0.5))


def _sizes(*sizes: int) -> Array:
    """A shape for Reshape; 0 keeps the size that is there."""
    return np.array(sizes, dtype=np.int64)
