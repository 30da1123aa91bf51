"""The Hugging Face dataset card: explicit features, so that no reader infers types from the first samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import yaml

from engine.protocols import ModelIdentity
from schemas.sample import SAMPLE

BODY = """\
# Image annotations in three families

WebDataset shards made by fld-engine, in the annotation scheme of FLD-5B (Florence-2, arXiv 2311.06242). Every sample is
`<id>.jpg`, `<id>.json` and `<id>.txt`: the image, all annotations that were kept, and the best brief text.

- `texts`: descriptions of the whole image, brief to paragraph.
- `regions`: boxes of objects and scene text, each with its candidate texts; `chosen` marks the best of them.
- `groundings`: the phrases of each text with their boxes and masks.
- `targets`: prompt and answer pairs in the language of Florence-2, one training task each.

Coordinates are pixels of the image, `x1 y1 x2 y2`. `status` tells, per family, whether the image was annotated:
`failed` and `not_run` do not mean that nothing is there. `similarity` is -1.0 where it was not measured. `source` says
which annotator, model and revision made an annotation.

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")
```

`manifest.json` lists every shard with its size, counts and sha256; `fld verify` checks them all, and so does
`sha256sum -c SHA256SUMS`. Licences of the images stand in each sample under `image.licence`.
"""


def dataset_card(splits: Mapping[str, int], models: Mapping[str, ModelIdentity]) -> str:
    """The text of `README.md`. `splits` maps split → samples; `models` maps annotator → model."""
    header: dict[str, Any] = {
        "license": "other",
        "license_name": "per-image",
        "task_categories": ["image-to-text", "object-detection", "image-segmentation"],
        "tags": ["webdataset", "florence-2"],
        "dataset_info": {"features": features()},
    }
    if splits:
        data_files = [{"split": split, "path": f"shards/{split}-*.tar"} for split in sorted(splits)]
        header["configs"] = [{"config_name": "default", "data_files": data_files}]
    lines = [f"- `{name}`: {model.id} ({model.revision})" for name, model in sorted(models.items())]
    made_by = "\n".join(["## Made by", "", *lines, ""]) if lines else ""
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n{BODY}\n{made_by}"


def features() -> list[dict[str, Any]]:
    """Features of a row as `dataset_info` spells them: the members of a sample, then what the loader adds."""
    return [
        {"name": "jpg", "dtype": "image"},
        {"name": "json", "struct": [_named(field) for field in SAMPLE]},
        {"name": "txt", "dtype": "string"},
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
    ]


def _named(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, **_feature(field.type)}


def _feature(type_: pa.DataType) -> dict[str, Any]:
    """An Arrow type in the card's shorthand, where a list of values or of structs leaves its inner key out."""
    if pa.types.is_struct(type_):
        return {"struct": [_named(type_.field(i)) for i in range(type_.num_fields)]}
    if pa.types.is_list(type_):
        inner = _feature(type_.value_type)
        return {"list": inner.get("struct", inner.get("dtype", inner))}
    names = {pa.float64(): "float64", pa.int32(): "int32", pa.bool_(): "bool", pa.string(): "string"}
    return {"dtype": names[type_]}
