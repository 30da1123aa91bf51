"""EfficientNet-Lite0 as an ONNX graph, built from the published PyTorch weights.

The package ships weights and no network, so the network is written here: the stages of EfficientNet-B0 (Tan and Le
2019, arXiv 1905.11946, Table 1) without squeeze-and-excitation and with ReLU6 for swish, which is what `Lite` means.
Batch normalisations are folded into the convolutions before them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from fld_engine.annotators.assets.onnx_graph import Array, OnnxGraph, Tensor
from fld_engine.annotators.assets.torch_file import read_torch_file
from fld_engine.schemas.errors import ModelError

SIDE_PX = 224
NUM_CLASSES = 1000
BATCH_NORM_EPS = 1e-3
"""Epsilon of the TensorFlow network that the weights were trained in."""


class Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expand: int
    channels_in: int
    channels_out: int


STAGES = (
    Stage(1, 3, 1, 1, 32, 16),
    Stage(2, 3, 2, 6, 16, 24),
    Stage(2, 5, 2, 6, 24, 40),
    Stage(3, 3, 2, 6, 40, 80),
    Stage(3, 5, 1, 6, 80, 112),
    Stage(4, 5, 2, 6, 112, 192),
    Stage(1, 3, 1, 6, 192, 320),
)


def convert(folder: Path) -> bytes:
    """ONNX model: `images` (n, 3, 224, 224) float32 RGB, `(x - 127) / 128`, to `logits` (n, 1000)."""
    state = read_torch_file(folder / "models/efficientnet-lite0-57934424.pth")
    return build({name: array for name, array in state.items() if not name.endswith("num_batches_tracked")})


def build(weights: dict[str, Array]) -> bytes:
    """The graph for these weights by their published names; raises `ModelError` if one is left over or missing."""
    network = _Network(weights)
    x = network.convolution("images", "_conv_stem", "_bn0", stride=2, relu6=True)
    block = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            x = network.block(x, f"_blocks.{block}.", stage, first=repeat == 0)
            block += 1
    x = network.convolution(x, "_conv_head", "_bn1", relu6=True)
    logits = network.classifier(x)
    if network.weights:
        raise ModelError(f"EfficientNet-Lite0 weights hold unknown names: {', '.join(sorted(network.weights)[:5])}")
    return network.graph.model({"images": ("n", 3, SIDE_PX, SIDE_PX)}, {"logits": (logits, ("n", NUM_CLASSES))})


class _Network:
    """Layers that take their weights out of `weights`, so that what is left over was never used."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = dict(weights)
        self.graph = OnnxGraph()

    def block(self, x: Tensor, prefix: str, stage: Stage, *, first: bool) -> Tensor:
        """Inverted residual (Sandler et al. 2018): widen, depthwise, narrow; the input is added where shapes allow."""
        channels = stage.channels_in if first else stage.channels_out
        stride = stage.stride if first else 1
        y = x
        if stage.expand > 1:
            y = self.convolution(y, f"{prefix}_expand_conv", f"{prefix}_bn0", relu6=True)
        groups = channels * stage.expand
        y = self.convolution(y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, groups=groups, relu6=True)
        y = self.convolution(y, f"{prefix}_project_conv", f"{prefix}_bn2")
        return self.graph.node("Add", y, x) if stride == 1 and channels == stage.channels_out else y

    def convolution(
        self, x: Tensor, conv: str, bn: str, *, stride: int = 1, groups: int = 1, relu6: bool = False
    ) -> Tensor:
        """Convolution with TensorFlow SAME padding, its batch normalisation folded in (computed in float64)."""
        kernel = self._take(f"{conv}.weight").astype(np.float64)
        scale = self._take(f"{bn}.weight") / np.sqrt(
            self._take(f"{bn}.running_var").astype(np.float64) + BATCH_NORM_EPS
        )
        bias = self._take(f"{bn}.bias") - self._take(f"{bn}.running_mean") * scale
        y = self.graph.node(
            "Conv",
            x,
            (kernel * scale[:, None, None, None]).astype(np.float32),
            bias.astype(np.float32),
            auto_pad="SAME_UPPER",
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride, stride],
            group=groups,
        )
        return self.graph.node("Clip", y, np.float32(0), np.float32(6)) if relu6 else y

    def classifier(self, x: Tensor) -> Tensor:
        pooled = self.graph.node("Flatten", self.graph.node("GlobalAveragePool", x))
        return self.graph.node("Gemm", pooled, self._take("_fc.weight"), self._take("_fc.bias"), transB=1)

    def _take(self, name: str) -> Array:
        try:
            return self.weights.pop(name)
        except KeyError:
            raise ModelError(f"EfficientNet-Lite0 weights have no {name!r}: not the published network") from None
