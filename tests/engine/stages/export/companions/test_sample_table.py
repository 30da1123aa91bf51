"""A subset is chosen from `index.parquet` alone, and its members are read without the rest of a tar."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.tar import member_bytes
from fld_engine.engine.stages.export.sample_index import INDEX, Facts, Place
from tests.engine.stages.export.export_builder import write_export
from tests.engine.stages.export.view_builder import photographs, small_jpeg


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    images = [*photographs().values(), *(small_jpeg(n) for n in range(20))]
    write_export(folder, images, plain=7, max_samples=4, splits=("train", "train", "val"))
    return folder


def test_a_row_says_where_its_sample_stands_and_what_it_has(export: Path) -> None:
    rows = pq.read_table(export / "index.parquet").to_pylist()
    shards = {path.name: path.read_bytes() for path in (export / "shards").glob("*.tar")}
    assert len(rows) == len({row["id"] for row in rows}) == 25
    for row in rows:
        tar = shards[row["shard"]]
        jpg, sample, txt = (tar[row[f"{name}_offset"] :][: row[f"{name}_bytes"]] for name in ("jpg", "json", "txt"))
        record = json.loads(sample)
        assert jpg.startswith(b"\xff\xd8")
        assert txt.decode() == record["texts"][0]["text"]
        assert tar[row["offset"] :].startswith(f"{row['id']}.jpg".encode())
        assert row["num_bytes"] == sum(member_bytes(len(data)) for data in (jpg, sample, txt))
        image = record["image"]
        assert [row[name] for name in ("id", "split", "source", "licence", "width", "height")] == [
            record["id"], image["split"], image["source"], image["licence"], image["width"], image["height"],
        ]  # fmt: skip
        assert {family: row[family] for family in ("texts", "regions", "groundings")} == record["status"]
        assert [row[f"num_{family}"] for family in ("texts", "regions", "groundings")] == [
            len(record[family]) for family in ("texts", "regions", "groundings")
        ]
        assert row["tasks"] == sorted({target["task"] for target in record["targets"]})


def test_positions_count_from_nought_in_every_shard(export: Path) -> None:
    table = pq.read_table(export / "index.parquet", columns=["shard", "position"]).to_pylist()
    held = Counter(row["shard"] for row in table)
    assert [(row["shard"], row["position"]) for row in table] == [
        (shard, position) for shard, num in held.items() for position in range(num)
    ]


def test_a_filter_reads_the_rows_it_asks_for(export: Path) -> None:
    grounded = pq.read_table(export / "index.parquet", filters=[("num_groundings", ">", 0), ("split", "=", "val")])
    assert grounded.num_rows == sum(
        bool(row["num_groundings"])
        for row in pq.read_table(export / "index.parquet").to_pylist()
        if row["split"] == "val"
    )
    assert 0 < grounded.num_rows < 8


def test_columns_are_those_of_place_and_facts() -> None:
    """Rows are built by position: a column in another order would hold its neighbour's values."""
    assert tuple(INDEX.names) == Place._fields + Facts._fields


def test_an_export_without_samples_has_an_empty_index(tmp_path: Path) -> None:
    write_export(tmp_path, [])
    table = pq.read_table(tmp_path / "index.parquet")
    assert (table.num_rows, table.schema) == (0, INDEX)
