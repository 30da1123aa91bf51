"""Classes of regions as they are compared."""

from __future__ import annotations

import pyarrow as pa

from fld_engine.schemas.names import name_key


def class_keys(classes: pa.Array) -> pa.Array:
    """(n,) key of each name: equal where two names are one, however they are written."""
    coded = classes.dictionary_encode()
    keys = pa.array([name_key(name) for name in coded.dictionary.to_pylist()], pa.string())
    return keys.take(coded.indices)
