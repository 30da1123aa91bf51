"""Names derived from content: image ids, annotation ids and fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FINGERPRINT_CHARS = 16
ANNOTATION_ID_CHARS = 24


def sha256_hex(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()


def image_id(sha256: str) -> str:
    """First 128 bits, hex, of the sha256 of an image's original bytes."""
    return sha256[:32]


def annotation_id(table: str, image: str, annotator: str, round_: int, ordinal: int) -> str:
    """Deterministic 96-bit id of the `ordinal`-th row that an annotator wrote into `table` for an image.

    96 bits keep the chance of one collision among 5 billion annotations below 1e-9.
    """
    key = f"{table}\0{image}\0{annotator}\0{round_}\0{ordinal}"
    return hashlib.sha256(key.encode()).hexdigest()[:ANNOTATION_ID_CHARS]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Short name of everything an output depends on."""
    return sha256_hex(canonical_json(parts).encode())[:FINGERPRINT_CHARS]
