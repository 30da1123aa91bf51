"""A small builder of ONNX graphs, shared by the converters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

OPSET = 17
IR_VERSION = 8

Array = npt.NDArray[Any]
Tensor = str
Value = Tensor | Array | np.float32
"""An input of a node: the name of a tensor that flows, or an array or number that is constant."""
Shape = Sequence[int | str]
"""Dimensions of an input or output; a named one is free."""


class OnnxGraph:
    """Collects nodes in execution order; every tensor it names is unique."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def node(self, op: str, *inputs: Value, **attributes: Any) -> Tensor:
        """Add a node with one output and give the name of that output."""
        return self.nodes(op, inputs, 1, **attributes)[0]

    def nodes(self, op: str, inputs: Sequence[Value], num_outputs: int, **attributes: Any) -> list[Tensor]:
        """Add a node with several outputs and give their names."""
        from onnx import helper

        outputs = [f"{op}_{len(self._nodes)}_{i}" for i in range(num_outputs)]
        self._nodes.append(helper.make_node(op, [self._tensor(value) for value in inputs], outputs, **attributes))
        return outputs

    def model(
        self,
        inputs: Mapping[str, Shape],
        outputs: Mapping[str, tuple[Tensor, Shape]],
        *,
        input_dtype: npt.DTypeLike = np.float32,
    ) -> bytes:
        """Serialise the checked model, its outputs float32.

        `outputs` maps the name an output is read by to the tensor it comes from and its shape.
        """
        import onnx
        from onnx import TensorProto, helper

        input_type = helper.np_dtype_to_tensor_dtype(np.dtype(input_dtype))
        renames = [helper.make_node("Identity", [tensor], [name]) for name, (tensor, _) in outputs.items()]
        graph = helper.make_graph(
            self._nodes + renames,
            "graph",
            [helper.make_tensor_value_info(name, input_type, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _tensor(self, value: Value) -> Tensor:
        from onnx import numpy_helper

        if isinstance(value, str):
            return value
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name
