"""Text in Arrow columns, however a tool stored it: as strings, bytes, categories, lists or structs of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TEXT_FIELDS = ("raw", "text", "caption")
"""Fields of a struct that hold its text, first match first: of Flickr30k's and COCO's `sentences`, and usual ones."""


def text_values(column: pa.Array, path: Sequence[str] = ()) -> list[Any]:
    """A value a row: text, `None`, or a list of such; anything else as it is, for the caller to refuse.

    `path` names the fields to follow through structs; without it, those that usually hold the text.

    Arrow does not check strings that it reads: what in them is not UTF-8 becomes replacement characters. A column of
    bytes promises no text: cells of it that are not UTF-8 come out as they are.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        words = text_values(column.dictionary, path)
        return [None if index is None else words[index] for index in column.indices.to_pylist()]
    if is_bytes(kind) or _is_string(kind):
        cells = column.cast(pa.large_binary()).to_pylist()
        return [None if cell is None else _decoded(cell, kind) for cell in cells]
    if is_list(kind):
        inside = iter(text_values(column.flatten(), path))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if length is None else [next(inside) for _ in range(length)] for length in lengths]
    if pa.types.is_struct(kind):
        names = path[:1] or TEXT_FIELDS
        name = next((name for name in names if kind.get_field_index(name) >= 0), None)
        return (
            [{}] * len(column) if name is None else text_values(column.flatten()[kind.get_field_index(name)], path[1:])
        )
    return list(column.to_pylist())


def byte_values(column: pa.Array) -> list[Any]:
    """A value a row: the bytes of a cell, `None`, a struct as it is, or a list of such for a list of images."""
    kind = column.type
    if not is_list(kind):
        return list(column.to_pylist())
    if pa.types.is_uint8(kind.value_type) or pa.types.is_int8(kind.value_type):  # Spark's and Polars' arrays of bytes
        cells = (None if not cell.is_valid else cell.values for cell in column)
        return [None if cell is None else cell.fill_null(0).to_numpy(zero_copy_only=False).tobytes() for cell in cells]
    return [None if not cell.is_valid else byte_values(cell.values) for cell in column]


def _decoded(cell: bytes, kind: pa.DataType) -> str | bytes:
    try:
        return cell.decode()
    except UnicodeDecodeError:
        return cell if is_bytes(kind) else cell.decode("utf-8", "replace")


def is_text(kind: pa.DataType) -> bool:
    """Strings, or categories of them."""
    return _is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Bytes, of whatever width their offsets have, or of a fixed size."""
    fixed = pa.types.is_fixed_size_binary(kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or fixed)


def is_list(kind: pa.DataType) -> bool:
    """Lists of any kind, views and those of a fixed size among them."""
    plain = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(plain or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
