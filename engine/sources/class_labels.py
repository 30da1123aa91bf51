"""Names of numbered classes, as Hugging Face keeps them: in a Parquet's metadata, `dataset_info.json` or a README.

https://huggingface.co/docs/datasets/about_dataset_features: a `ClassLabel` has `names`, in the order of their numbers.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.item import SourceChunk

Classes = Mapping[str, Sequence[str]]
"""Names in the order of their numbers, by the path of the field: `label`, `objects.category`."""

DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "README.md")
"""Files beside a set that name its classes, the first that does so counts."""


def is_description(path: str) -> bool:
    """Whether a file describes the set that it lies in the folder of; that folder may be a zip."""
    return path.rpartition("!/")[2] in DESCRIPTIONS


def names_in_schema(schema: pa.Schema) -> Classes:
    """Class names of a Parquet's own metadata; none where it has none, or they cannot be read."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"]
    except (ValueError, LookupError, TypeError):
        return {}
    return dict(_of_features(features, ""))


def names_in_description(name: str, data: bytes) -> Classes:
    """Class names of one of `DESCRIPTIONS`, of whatever configuration has any; none where it cannot be read."""
    try:
        text = data.decode("utf-8-sig")
        if posixpath.basename(name) == "README.md":
            front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
            told: Any = yaml.safe_load(front[1]).get("dataset_info") if front else None
        else:
            told = json.loads(text)
        configurations = told if isinstance(told, list) else [told, *(told or {}).values()]
        for one in configurations:
            if isinstance(one, Mapping) and "features" in one and (found := dict(_of_features(one["features"], ""))):
                return found
    except (ValueError, AttributeError, TypeError, yaml.YAMLError):
        pass
    return {}


def names_beside(chunk: SourceChunk, names: Sequence[str]) -> Classes:
    """Class names of the first of some descriptions among the files of a chunk that has any."""
    told = (names_in_description(name, read_whole(chunk.url(name))) for name in names)
    return next((found for found in told if found), {})


def _of_features(told: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    """Class names in a tree of features: JSON's objects by name with `_type`, or YAML's lists of `name` and type."""
    if isinstance(told, list):
        for one in told:
            if isinstance(one, Mapping) and "name" in one and len(one) > 1:
                yield from _of_features(
                    {key: value for key, value in one.items() if key != "name"}, _join(path, one["name"])
                )
            else:
                yield from _of_features(one, path)
    elif isinstance(told, Mapping):
        if told.get("_type") == "ClassLabel" and "names" in told:
            yield from _named(told["names"], path)
        elif "class_label" in told:
            yield from _named((told["class_label"] or {}).get("names"), path)
        else:
            for key, value in told.items():
                if isinstance(value, Mapping | list):
                    inside = key in ("feature", "dtype", "list", "sequence", "struct")
                    yield from _of_features(value, path if inside else _join(path, key))


def _named(names: Any, path: str) -> Iterator[tuple[str, list[str]]]:
    if isinstance(names, Mapping):  # YAML: by number
        names = [names[key] for key in sorted(names, key=lambda key: int(key))]
    if isinstance(names, list) and path:
        yield path, [str(name) for name in names]


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
