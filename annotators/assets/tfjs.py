"""TensorFlow.js graph models as ONNX: `model.json` with its weight shards in, an ONNX model out.

Covers the static graphs of the packaged models. TensorFlow keeps images as NHWC and ONNX convolves NCHW: every
convolution and pooling is wrapped in two transposes, which onnxruntime removes where they meet.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fld_engine.annotators.assets.onnx_graph import Array, OnnxGraph, Shape, Tensor, Value
from fld_engine.schemas.errors import ModelError

Attributes = Mapping[str, Any]


def convert(path: Path, outputs: Sequence[str] = ()) -> bytes:
    """Convert the graph at `path` (`model.json`), its weights beside it, to the bytes of an ONNX model.

    Inputs and outputs keep their names and their TensorFlow layout. `outputs` picks some of the signature's outputs;
    what only the others need is left out. Raises `ModelError` at an operation that is not covered.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    signature = document["signature"]
    shapes = {entry["name"].removesuffix(":0"): _shape(entry["tensorShape"]) for entry in signature["outputs"].values()}
    converter = _Converter(document["modelTopology"]["node"], read_weights(document, path.parent))
    wanted = {name: (converter.tensor(name), shapes[name]) for name in outputs or sorted(shapes)}
    return converter.graph.model(converter.inputs, wanted)


def read_weights(document: Mapping[str, Any], folder: Path) -> dict[str, Array]:
    """All weights of a TensorFlow.js manifest by name; half-precision and affine-quantised ones become float32."""
    weights: dict[str, Array] = {}
    for group in document["weightsManifest"]:
        data = b"".join((folder / shard).read_bytes() for shard in group["paths"])
        offset = 0
        for entry in group["weights"]:
            quantization = entry.get("quantization")
            stored = np.dtype(quantization["dtype"] if quantization else entry["dtype"])
            count = math.prod(entry["shape"])
            values = np.frombuffer(data, stored, count, offset).astype(entry["dtype"])
            if quantization and "scale" in quantization:
                values = values * np.float32(quantization["scale"]) + np.float32(quantization["min"])
            weights[entry["name"]] = values.reshape(entry["shape"])
            offset += count * stored.itemsize
        if offset != len(data):
            raise ModelError(f"weights {group['paths']} hold {len(data)} bytes, the manifest names {offset}")
    return weights


class _Converter:
    """Walks back from an output, so that a node is converted after everything it reads."""

    def __init__(self, nodes: Sequence[Mapping[str, Any]], weights: Mapping[str, Array]) -> None:
        self.graph = OnnxGraph()
        self.inputs: dict[str, Shape] = {}
        self._nodes = {node["name"]: node for node in nodes}
        self._weights = weights
        self._done: dict[str, list[Value]] = {}

    def tensor(self, reference: str) -> Tensor:
        value = self._value(reference)
        if not isinstance(value, str):
            raise ModelError(f"output {reference!r} of the graph is a constant")
        return value

    def _value(self, reference: str) -> Value:
        name, _, index = reference.partition(":")
        if name not in self._done:
            self._done[name] = self._convert(self._nodes[name])
        return self._done[name][int(index or 0)]

    def _convert(self, node: Mapping[str, Any]) -> list[Value]:
        op, name, attributes = node["op"], node["name"], node.get("attr", {})
        if op == "Const":
            return [self._weights[name]]
        if op == "Placeholder":
            self.inputs[name] = _shape(attributes["shape"]["shape"])
            return [name]
        inputs = [self._value(reference) for reference in node.get("input", ())]
        constants = [value for value in inputs if not isinstance(value, str)]
        if op in FOLDED and len(constants) == len(inputs):
            return [FOLDED[op](*constants)]
        if op not in OPERATIONS:
            raise ModelError(f"operation {op!r} of node {name!r} is not covered; covered: {', '.join(OPERATIONS)}")
        result = OPERATIONS[op](self.graph, inputs, attributes)
        return list(result) if isinstance(result, list) else [result]


# ---------------------------------------------------------------- constants that are computed


def _sparse_to_dense(indices: Array, shape: Array, values: Array, default: Array) -> Array:
    dense = np.full(shape.tolist(), default, dtype=np.int64)
    dense[tuple(indices.T)] = values
    return dense


FOLDED: Mapping[str, Callable[..., Array]] = {"Add": np.add, "AddV2": np.add, "SparseToDense": _sparse_to_dense}


# ---------------------------------------------------------------- one function per kind of operation

Operation = Callable[[OnnxGraph, list[Any], Attributes], Value | list[Tensor]]


def _plain(onnx_op: str) -> Operation:
    return lambda graph, inputs, attributes: graph.node(onnx_op, *inputs)


def _identity(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Value:
    value: Value = inputs[0]
    return value


def _relu6(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    return graph.node("Clip", inputs[0], np.float32(0), np.float32(6))


def _leaky_relu(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    return graph.node("LeakyRelu", inputs[0], alpha=float(attributes["alpha"]["f"]))


def _convolution(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    kernel = inputs[1].transpose(3, 2, 0, 1)  # height width in out → out in height width
    return _convolve(graph, inputs[0], kernel, inputs[2:], attributes, groups=1)


def _depthwise(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    height, width, channels, multiplier = inputs[1].shape
    kernel = inputs[1].transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    return _convolve(graph, inputs[0], kernel, inputs[2:], attributes, groups=channels)


def _convolve(
    graph: OnnxGraph, x: Tensor, kernel: Array, bias: list[Array], attributes: Attributes, *, groups: int
) -> Tensor:
    """Convolution of NHWC `x`, then the activations that TensorFlow fused into it."""
    y = graph.node(
        "Conv",
        _nchw(graph, x),
        kernel,
        *bias,
        **_window(attributes),
        kernel_shape=list(kernel.shape[2:]),
        dilations=_ints(attributes, "dilations")[1:3],
        group=groups,
    )
    for fused in attributes.get("fused_ops", {}).get("list", {}).get("s", ()):
        activation = _text(fused)
        if activation not in ("BiasAdd", "Relu"):
            raise ModelError(f"activation {activation!r} fused into a convolution is not covered")
        y = graph.node("Relu", y) if activation == "Relu" else y
    return _nhwc(graph, y)


def _transposed_convolution(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    output_shape, kernel, x = inputs
    y = graph.node(
        "ConvTranspose",
        _nchw(graph, x),
        kernel.transpose(3, 2, 0, 1),  # height width out in → in out height width
        **_window(attributes),
        kernel_shape=list(kernel.shape[:2]),
        output_shape=output_shape.tolist()[1:3],
    )
    return _nhwc(graph, y)


def _pool(onnx_op: str) -> Operation:
    def pool(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
        kernel_shape = _ints(attributes, "ksize")[1:3]
        y = graph.node(onnx_op, _nchw(graph, inputs[0]), **_window(attributes), kernel_shape=kernel_shape)
        return _nhwc(graph, y)

    return pool


def _pad(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Value:
    value: Array = inputs[2] if len(inputs) > 2 else np.zeros((), np.float32)
    pads = inputs[1].astype(np.int64).T.reshape(-1)  # all beginnings, then all ends
    return graph.node("Pad", inputs[0], pads, value)


def _concat(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    return graph.node("Concat", *inputs[:-1], axis=int(inputs[-1]))


def _split(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> list[Tensor]:
    x, sizes, axis = inputs
    return graph.nodes("Split", [x, sizes.astype(np.int64)], len(sizes), axis=int(axis))


def _transpose(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    return graph.node("Transpose", inputs[0], perm=inputs[1].tolist())


def _reshape(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    return graph.node("Reshape", inputs[0], inputs[1].astype(np.int64))


def _mean(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    keep = int(attributes["keep_dims"]["b"])
    return graph.node("ReduceMean", inputs[0], axes=inputs[1].reshape(-1).tolist(), keepdims=keep)


def _resize_bilinear(graph: OnnxGraph, inputs: list[Any], attributes: Attributes) -> Tensor:
    if attributes.get("align_corners", {}).get("b"):
        raise ModelError("ResizeBilinear with align_corners is not covered")
    centres = "half_pixel" if attributes.get("half_pixel_centers", {}).get("b") else "asymmetric"
    x = _nchw(graph, inputs[0])
    first_two = graph.node("Slice", graph.node("Shape", x), np.array([0]), np.array([2]))
    sizes = graph.node("Concat", first_two, inputs[1].astype(np.int64), axis=0)
    y = graph.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode=centres)
    return _nhwc(graph, y)


OPERATIONS: Mapping[str, Operation] = {
    "Add": _plain("Add"),
    "AddN": _plain("Sum"),
    "AddV2": _plain("Add"),
    "AvgPool": _pool("AveragePool"),
    "ConcatV2": _concat,
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _transposed_convolution,
    "DepthwiseConv2dNative": _depthwise,
    "FusedDepthwiseConv2dNative": _depthwise,
    "Identity": _identity,
    "LeakyRelu": _leaky_relu,
    "MaxPool": _pool("MaxPool"),
    "Mean": _mean,
    "Mul": _plain("Mul"),
    "Pad": _pad,
    "PadV2": _pad,
    "Relu": _plain("Relu"),
    "Relu6": _relu6,
    "Reshape": _reshape,
    "ResizeBilinear": _resize_bilinear,
    "Sigmoid": _plain("Sigmoid"),
    "SplitV": _split,
    "Transpose": _transpose,
    "_FusedConv2D": _convolution,
}
"""TensorFlow operation → what writes it as ONNX."""


# ---------------------------------------------------------------- reading attributes


def _nchw(graph: OnnxGraph, x: Tensor) -> Tensor:
    return graph.node("Transpose", x, perm=[0, 3, 1, 2])


def _nhwc(graph: OnnxGraph, x: Tensor) -> Tensor:
    return graph.node("Transpose", x, perm=[0, 2, 3, 1])


def _window(attributes: Attributes) -> dict[str, Any]:
    """Strides and padding; TensorFlow's SAME puts the odd pixel below and right, which is SAME_UPPER."""
    padding = _text(attributes["padding"]["s"])
    auto_pad = {"SAME": "SAME_UPPER", "VALID": "VALID"}[padding]
    return {"strides": _ints(attributes, "strides")[1:3], "auto_pad": auto_pad}


def _ints(attributes: Attributes, name: str) -> list[int]:
    return [int(value) for value in attributes[name]["list"]["i"]]


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode("ascii")


def _shape(tensor_shape: Mapping[str, Any]) -> list[int]:
    return [int(dimension["size"]) for dimension in tensor_shape["dim"]]
