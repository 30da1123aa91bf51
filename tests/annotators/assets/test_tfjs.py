"""Converted TensorFlow.js graphs compute what TensorFlow defines."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from fld_engine.annotators.assets.tfjs import convert, read_weights
from fld_engine.schemas.errors import ModelError

Array = np.ndarray[Any, np.dtype[np.float32]]


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def ints(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


def shape(*sizes: int) -> dict[str, Any]:
    return {"dim": [{"size": str(size)} for size in sizes]}


def write_graph(
    folder: Path, op: str, constants: dict[str, Array], attributes: dict[str, Any], x: Array, output: tuple[int, ...]
) -> Path:
    """A graph of one operation on input `x` and then constants, as the TensorFlow.js converter writes it."""
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"shape": {"shape": shape(*x.shape)}}},
        *({"name": name, "op": "Const"} for name in constants),
        {"name": "y", "op": op, "input": ["x", *constants], "attr": attributes},
    ]
    weights = [{"name": n, "shape": list(v.shape), "dtype": str(v.dtype)} for n, v in constants.items()]
    (folder / "model.bin").write_bytes(b"".join(value.tobytes() for value in constants.values()))
    document = {
        "signature": {"outputs": {"y": {"name": "y:0", "tensorShape": shape(*output)}}},
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["model.bin"], "weights": weights}],
    }
    path = folder / "model.json"
    path.write_text(json.dumps(document))
    return path


def run(model: bytes, x: Array) -> Array:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {"x": x})[0]
    return result


def same_padded(x: Array, kernel: int, stride: int) -> Array:
    """TensorFlow's SAME: output ceil(size / stride); the odd pixel of padding goes below and to the right."""
    total = max((-(-x.shape[1] // stride) - 1) * stride + kernel - x.shape[1], 0)
    return np.pad(x, ((0, 0), (total // 2, total - total // 2), (total // 2, total - total // 2), (0, 0)))


def windows(x: Array, kernel: int, stride: int) -> Array:
    """(rows, columns, kernel, kernel, channels) of a padded (1, h, w, c)."""
    view = np.lib.stride_tricks.sliding_window_view(x[0], (kernel, kernel), axis=(0, 1))
    return view[::stride, ::stride].transpose(0, 1, 3, 4, 2)


@pytest.fixture
def image() -> Array:
    return np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype(np.float32)


def test_strided_convolution_pads_like_tensorflow(tmp_path: Path, image: Array) -> None:
    """On even sizes TensorFlow pads one side only; symmetric padding would shift every detection by a pixel."""
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 5)).astype(np.float32)
    attributes = {"strides": ints(1, 2, 2, 1), "dilations": ints(1, 1, 1, 1), "padding": text("SAME")}
    path = write_graph(tmp_path, "Conv2D", {"w": kernel}, attributes, image, (1, 3, 3, 5))
    expected = np.einsum("rcijk,ijko->rco", windows(same_padded(image, 3, 2), 3, 2), kernel)[None]
    assert np.allclose(run(convert(path), image), expected, atol=1e-5)


def test_depthwise_convolution_keeps_channels_apart(tmp_path: Path, image: Array) -> None:
    kernel = np.random.default_rng(2).normal(size=(3, 3, 3, 2)).astype(np.float32)
    attributes = {"strides": ints(1, 1, 1, 1), "dilations": ints(1, 1, 1, 1), "padding": text("SAME")}
    path = write_graph(tmp_path, "DepthwiseConv2dNative", {"w": kernel}, attributes, image, (1, 6, 6, 6))
    expected = np.einsum("rcijk,ijkm->rckm", windows(same_padded(image, 3, 1), 3, 1), kernel).reshape(1, 6, 6, 6)
    assert np.allclose(run(convert(path), image), expected, atol=1e-5)


def test_transposed_convolution_doubles_the_size(tmp_path: Path, image: Array) -> None:
    kernel = np.random.default_rng(3).normal(size=(2, 2, 1, 3)).astype(np.float32)
    sizes = np.array([1, 12, 12, 1], dtype=np.int32)
    attributes = {"strides": ints(1, 2, 2, 1), "padding": text("SAME")}
    path = write_graph(tmp_path, "Conv2DBackpropInput", {"s": sizes, "w": kernel}, attributes, image, (1, 12, 12, 1))
    document = json.loads(path.read_text())
    document["modelTopology"]["node"][-1]["input"] = ["s", "w", "x"]  # TensorFlow's order
    path.write_text(json.dumps(document))
    blocks = np.einsum("rck,ijok->ricjo", image[0], kernel)
    assert np.allclose(run(convert(path), image), blocks.reshape(1, 12, 12, 1), atol=1e-5)


def test_bilinear_resize_has_half_pixel_centres(tmp_path: Path) -> None:
    """A ramp 0, 1 doubled: 0, 0.25, 0.75, 1 with half-pixel centres; 0, 0.5, 1, 1 without."""
    ramp = np.array([0, 1], dtype=np.float32).reshape(1, 1, 2, 1)
    for centres, expected in ((True, [0, 0.25, 0.75, 1]), (False, [0, 0.5, 1, 1])):
        attributes = {"half_pixel_centers": {"b": centres}, "align_corners": {"b": False}}
        sizes = {"s": np.array([1, 4], dtype=np.int32)}
        path = write_graph(tmp_path, "ResizeBilinear", sizes, attributes, ramp, (1, 1, 4, 1))
        assert np.allclose(run(convert(path), ramp).reshape(-1), expected)


def test_an_operation_that_is_not_covered_is_named(tmp_path: Path, image: Array) -> None:
    path = write_graph(tmp_path, "Softplus", {}, {}, image, (1, 6, 6, 3))
    with pytest.raises(ModelError, match="'Softplus' of node 'y'"):
        convert(path)


def test_weights_shorter_or_longer_than_their_manifest_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 10)
    document = {"weightsManifest": [{"paths": ["w.bin"], "weights": [{"name": "w", "shape": [2], "dtype": "float32"}]}]}
    with pytest.raises(ModelError, match="hold 10 bytes, the manifest names 8"):
        read_weights(document, tmp_path)


def test_quantised_weights_come_back_to_scale(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([0, 255], dtype=np.uint8).tobytes() + np.float16(1.5).tobytes())
    affine = {"dtype": "uint8", "scale": 0.01, "min": -1.0}
    entries = [
        {"name": "affine", "shape": [2], "dtype": "float32", "quantization": affine},
        {"name": "half", "shape": [], "dtype": "float32", "quantization": {"dtype": "float16"}},
    ]
    weights = read_weights({"weightsManifest": [{"paths": ["w.bin"], "weights": entries}]}, tmp_path)
    assert np.allclose(weights["affine"], [-1.0, 1.55])
    assert weights["half"] == 1.5
