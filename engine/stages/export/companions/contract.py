"""What an export promises of its samples, carried along: schemas for machines, and a reader in one file."""

from __future__ import annotations

import json
from pathlib import Path

from fld_engine.schemas import reader
from fld_engine.schemas.sample import SAMPLE, SAMPLE_MINOR, SAMPLE_VERSION, Sample

READER = "reader.py"
JSON_SCHEMA = "schema/sample.schema.json"
ARROW_SCHEMA = "schema/sample.arrow"


def contract_files() -> dict[str, bytes]:
    """Bytes by path: all follow from the types of `schemas.sample`, and nothing is written twice."""
    version = {"x-version": f"{SAMPLE_VERSION}.{SAMPLE_MINOR}"}
    described = {**Sample.model_json_schema(by_alias=True, mode="serialization"), **version}
    return {
        READER: Path(reader.__file__).read_bytes(),
        JSON_SCHEMA: json.dumps(described, indent=2, sort_keys=True).encode() + b"\n",
        ARROW_SCHEMA: SAMPLE.serialize().to_pybytes(),
    }
