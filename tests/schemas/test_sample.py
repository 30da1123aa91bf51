"""The json that leaves the house: the same keys and types in every sample, and one way to write it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fld_engine.schemas.sample import SAMPLE, Sample, best_brief, canonical_json, parse_sample

WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
NUMBERS = st.one_of(st.integers(-5, 5000).map(float), st.floats(-1e6, 1e6).map(lambda v: round(v, 2)))
SOURCES = st.fixed_dictionaries({"annotator": WORDS, "model": WORDS, "revision": WORDS, "round": st.integers(0, 9)})
BOXES = st.lists(NUMBERS, min_size=4, max_size=4)
MASKS = st.lists(st.lists(NUMBERS, min_size=6, max_size=6), max_size=2)
IMAGES = st.fixed_dictionaries(
    {
        "width": st.integers(1, 9999),
        "height": st.integers(1, 9999),
        **dict.fromkeys(("sha256", "original_sha256", "source", "uri", "licence", "split"), WORDS),
        "reencoded": st.booleans(),
    }
)
REGION_TEXTS = st.fixed_dictionaries(
    {
        "id": WORDS,
        "kind": st.sampled_from(["phrase", "brief", "chunk", "ocr"]),
        "text": WORDS,
        "similarity": NUMBERS,
        "chosen": st.booleans(),
        "source": SOURCES,
    }
)
REGIONS = st.fixed_dictionaries(
    {
        "id": WORDS,
        "kind": st.sampled_from(["object", "text"]),
        "box": BOXES,
        "quad": st.one_of(st.just([]), st.lists(NUMBERS, min_size=8, max_size=8)),
        "mask": MASKS,
        "score": NUMBERS,
        "source": SOURCES,
        "texts": st.lists(REGION_TEXTS, max_size=2),
    }
)
PHRASES = st.fixed_dictionaries(
    {
        "id": WORDS,
        "phrase": WORDS,
        "start": st.integers(0, 50),
        "end": st.integers(51, 99),
        "score": NUMBERS,
        "regions": st.lists(
            st.fixed_dictionaries({"id": WORDS, "box": BOXES, "mask": MASKS, "score": NUMBERS}), max_size=2
        ),
    }
)
STATUSES = st.sampled_from(["done", "failed", "not_run"])
SAMPLES = st.fixed_dictionaries(
    {
        "schema": st.just(1),
        "id": WORDS,
        "image": IMAGES,
        "status": st.fixed_dictionaries({"texts": STATUSES, "regions": STATUSES, "groundings": STATUSES}),
        "texts": st.lists(
            st.fixed_dictionaries(
                {
                    "id": WORDS,
                    "granularity": st.sampled_from(["brief", "detailed", "more_detailed"]),
                    "text": WORDS,
                    "score": NUMBERS,
                    "source": SOURCES,
                }
            ),
            max_size=2,
        ),
        "regions": st.lists(REGIONS, max_size=2),
        "groundings": st.lists(
            st.fixed_dictionaries(
                {"id": WORDS, "text_id": WORDS, "source": SOURCES, "phrases": st.lists(PHRASES, max_size=2)}
            ),
            max_size=2,
        ),
        "targets": st.lists(
            st.fixed_dictionaries(
                {
                    "task": st.just("<OD>"),
                    "prompt": WORDS,
                    "target": WORDS,
                    "annotation_ids": st.lists(WORDS, max_size=2),
                }
            ),
            max_size=2,
        ),
    },
    optional={
        name: st.lists(st.fixed_dictionaries({"label": WORDS, "score": NUMBERS, "source": SOURCES}), max_size=2)
        for name in ("labels", "absences")
    },
)


def plain() -> dict[str, Any]:
    """The smallest sample, as a dict that a test may spoil."""
    return {
        "schema": 1,
        "id": "a" * 32,
        "image": {
            "width": 640,
            "height": 480,
            "sha256": "a" * 64,
            "original_sha256": "a" * 64,
            "reencoded": False,
            "source": "photos",
            "uri": "a.jpg",
            "licence": "",
            "split": "train",
        },
        "status": {"texts": "done", "regions": "done", "groundings": "not_run"},
        "texts": [],
        "regions": [],
        "groundings": [],
        "targets": [],
    }


@settings(max_examples=80)
@given(SAMPLES)
def test_canonical_json_round_trips_and_keeps_types(tree: dict[str, Any]) -> None:
    sample = Sample.model_validate(tree)
    data = canonical_json(sample)
    assert parse_sample(data) == sample
    assert canonical_json(parse_sample(data)) == data
    decoded = json.loads(data)
    assert decoded == json.loads(json.dumps(tree))
    for region in decoded["regions"]:  # an integer here makes some readers read every later 1.5 as 1
        rows = [region["box"], region["quad"], [region["score"]], *region["mask"]]
        assert all(type(v) is float for row in rows for v in row)
    pa.Table.from_pylist([decoded], schema=SAMPLE).validate(full=True)


def test_canonical_json_is_compact_utf8_with_decimal_points() -> None:
    tree = plain()
    tree["image"]["uri"] = "café.jpg"
    tree["texts"] = [
        {
            "id": "t",
            "granularity": "brief",
            "text": "un café",
            "score": 1,
            "source": {"annotator": "a", "model": "m", "revision": "r", "round": 0},
        }
    ]
    data = canonical_json(Sample.model_validate(tree))
    assert data.startswith(b'{"schema":1,"id":"')
    assert "un café".encode() in data
    assert b'"score":1.0,' in data
    assert b": " not in data
    assert best_brief(parse_sample(data)) == "un café"


def test_arrow_schema_has_the_keys_of_the_json() -> None:
    """A column that one of the two lacks is lost, or read as null, by whoever loads the shards as a table."""

    def keys(model: Any) -> Any:
        schema = model.model_json_schema(by_alias=True)
        definitions = schema["$defs"]

        def walk(node: Any) -> Any:
            if "$ref" in node:
                node = definitions[node["$ref"].rsplit("/", 1)[-1]]
            if node.get("type") == "object":
                return {name: walk(child) for name, child in node["properties"].items()}
            if node.get("type") == "array":
                return [walk(node.get("items") or node["prefixItems"][0])]
            return {"const": "integer"}.get(next(iter(node)), node["type"])

        return walk(schema)

    def columns(type_: Any) -> Any:
        if pa.types.is_struct(type_):
            return {type_.field(i).name: columns(type_.field(i).type) for i in range(type_.num_fields)}
        if pa.types.is_list(type_):
            return [columns(type_.value_type)]
        return {pa.string(): "string", pa.float64(): "number", pa.int32(): "integer", pa.bool_(): "boolean"}[type_]

    assert columns(pa.struct(list(SAMPLE))) == keys(Sample)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("extra",), 1),
        (("image", "width"), 0),
        (("image", "licence"), None),
        (("status", "texts"), "maybe"),
        (("regions",), None),
        (("targets",), [{"task": "<MAKE_TEA>", "prompt": "", "target": "", "annotation_ids": []}]),
    ],
)
def test_spoiled_samples_are_refused(path: tuple[str, ...], value: Any) -> None:
    tree = plain()
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(ValidationError, match=path[0]):
        parse_sample(json.dumps(tree).encode())


@pytest.mark.parametrize("key", ["schema", "image", "status", "texts", "regions", "groundings", "targets"])
def test_missing_keys_are_refused(key: str) -> None:
    tree = plain()
    del tree[key]
    with pytest.raises(ValidationError, match=key):
        parse_sample(json.dumps(tree).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("box", [1.0, 2.0, 3.0]),
        ("quad", [1.0] * 6),
        ("mask", [[1.0] * 4]),
        ("mask", [[1.0] * 7]),
        ("score", float("nan")),
    ],
)
def test_shapes_of_the_wrong_length_are_refused(field: str, value: Any) -> None:
    source = {"annotator": "a", "model": "m", "revision": "r", "round": 0}
    region = {"id": "r", "kind": "object", "box": [0.0, 0.0, 1.0, 1.0], "quad": [], "mask": [], "score": 1.0}
    tree = {**plain(), "regions": [{**region, "source": source, "texts": [], field: value}]}
    with pytest.raises(ValidationError, match=field):
        Sample.model_validate(tree)
