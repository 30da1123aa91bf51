"""What an export promises of its samples, carried along: schemas for machines, and a reader in one file."""

from __future__ import annotations

import json
from pathlib import Path

from fld_engine.schemas import reader
from fld_engine.schemas.sample import SAMPLE_MINOR, SAMPLE_VERSION, Sample, sample_schema

READER = "reader.py"
JSON_SCHEMA = "schema/sample.schema.json"
ARROW_SCHEMA = "schema/sample.arrow"


def contract_files(*, classes: bool) -> dict[str, bytes]:
    """Bytes by path: all follow from the types of `schemas.sample`, and nothing is written twice.

    With `classes`, samples have the keys of classes that sources tell.
    """
    version = {"x-version": f"{SAMPLE_VERSION}.{SAMPLE_MINOR}"}
    described = {**Sample.model_json_schema(by_alias=True, mode="serialization"), **version}
    return {
        READER: Path(reader.__file__).read_bytes(),
        JSON_SCHEMA: json.dumps(described, indent=2, sort_keys=True).encode() + b"\n",
        ARROW_SCHEMA: sample_schema(classes=classes).serialize().to_pybytes(),
    }
