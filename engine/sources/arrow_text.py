"""Text in Arrow columns, however a tool stored it: as strings, bytes, categories, lists or structs of these."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TEXT_FIELDS = ("raw", "text", "caption")
"""Fields of a struct that hold its text, first match first: of Flickr30k's and COCO's `sentences`, and usual ones."""


def text_values(column: pa.Array) -> list[Any]:
    """A value a row: text, `None`, or a list of such; anything else as it is, for the caller to refuse.

    Arrow does not check strings that it reads: bytes that are not UTF-8 become replacement characters.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        words = text_values(column.dictionary)
        return [None if index is None else words[index] for index in column.indices.to_pylist()]
    if _is_bytes(kind) or _is_string(kind):
        cells = column.cast(pa.large_binary()).to_pylist()
        return [None if cell is None else cell.decode("utf-8", "replace") for cell in cells]
    if _is_list(kind):
        inside = iter(text_values(column.flatten()))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if length is None else [next(inside) for _ in range(length)] for length in lengths]
    if pa.types.is_struct(kind):
        name = next((name for name in TEXT_FIELDS if kind.get_field_index(name) >= 0), None)
        return [{}] * len(column) if name is None else text_values(column.flatten()[kind.get_field_index(name)])
    return list(column.to_pylist())


def flat(value: Any) -> list[Any]:
    """What is in lists of lists, in order."""
    return [one for item in value for one in flat(item)] if isinstance(value, list) else [value]


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    plain = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(plain or pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))
