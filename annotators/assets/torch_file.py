"""Weights in files that old versions of PyTorch wrote, read without PyTorch.

Such a file is five pickles (a magic number, the protocol, sizes of numbers, the tensors, the keys of their numbers) and
the numbers of each key. Nothing is called that a pickle may name, but for what makes a tensor.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fld_engine.schemas.errors import ModelError

MAGIC = 0x1950A86A20F9469CFC6C
TYPES: Mapping[str, str] = {"FloatStorage": "<f4", "LongStorage": "<i8"}

Numbers = npt.NDArray[Any]


def read_torch_file(path: Path) -> dict[str, Numbers]:
    """Name → array of every tensor in the file. Raises `ModelError` for a file of another format."""
    storages: dict[str, Numbers] = {}
    with path.open("rb") as file:
        magic, _, _ = (_Pickle(file, storages).load() for _ in range(3))
        if magic != MAGIC:
            raise ModelError(f"{path} is no file of weights in PyTorch's older format")
        tensors = _Pickle(file, storages).load()
        for key in _Pickle(file, storages).load():
            size = int.from_bytes(file.read(8), "little")
            storages[key][:] = np.frombuffer(file.read(size * storages[key].itemsize), storages[key].dtype)
    return dict(tensors)


def _tensor(storage: Numbers, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Numbers:
    """A view of the numbers of a key, which are read later."""
    in_bytes = tuple(step * storage.itemsize for step in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, in_bytes, writeable=False)


class _Pickle(pickle.Unpickler):
    def __init__(self, file: IO[bytes], storages: dict[str, Numbers]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _tensor
            case "torch", _ if name in TYPES:
                return TYPES[name]
        raise ModelError(f"a file of weights names {module}.{name}, which no weights need: it is not read")

    def persistent_load(self, pid: Any) -> Numbers:
        _, dtype, key, _, size, *_ = pid
        return self._storages.setdefault(key, np.zeros(size, dtype))
