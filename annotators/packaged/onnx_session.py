"""ONNX models on one CPU thread, the same way for every annotator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fld_engine.schemas.errors import ModelError


class OnnxSession(Protocol):
    """What is used of `onnxruntime.InferenceSession`; `run` gives the named outputs in order, all of them for None."""

    def run(
        self, output_names: list[str] | None, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> list[npt.NDArray[np.float32]]: ...


def open_session(path: Path, threads: int = 1) -> OnnxSession:
    """Open an ONNX file on the CPU with `threads` threads; raises `ModelError` when it is not a readable model.

    One thread per worker and one worker per core is faster than more threads in fewer workers, and with one thread
    the order of every sum is fixed: the same input gives the same bytes.
    """
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    unreadable = (states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf, states.NoSuchFile)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors only
    try:
        session: OnnxSession = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except unreadable as error:
        raise ModelError(
            f"{path} is not a readable ONNX model ({error}): delete it and run `fld models pull`"
        ) from error
    return session
