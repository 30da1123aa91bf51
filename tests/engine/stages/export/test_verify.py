"""`verify` is the promise that training data is what was exported: no damage may pass, none may crash it."""

from __future__ import annotations

import io
import json
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.tar import TarStream
from fld_engine.engine.stages.export.manifest import Manifest, ShardRecord, manifest_json
from fld_engine.engine.stages.export.verify import VerifyReport, verify
from tests.engine.stages.export.export_builder import rewrite_index, write_export
from tests.engine.stages.export.view_builder import small_jpeg


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    write_export(folder, [small_jpeg(n) for n in range(9)], max_samples=3, splits=("train", "train", "val"))
    return folder


@pytest.fixture
def export(good: Path, tmp_path: Path) -> Path:
    """A copy to spoil: shards train-0, train-1 and val-0 of three samples each."""
    return Path(shutil.copytree(good, tmp_path / "export"))


def shard_of(export: Path, name: str = "train-00000-0000.tar") -> Path:
    return export / "shards" / name


def found(report: VerifyReport) -> set[tuple[str, str]]:
    return {(problem.shard, problem.member) for problem in report.problems}


def seal(export: Path, spoil: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> VerifyReport:
    """Change the members of a shard and write it, its checksum and the manifest anew: only its content is wrong."""
    path = shard_of(export)
    with tarfile.open(path) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    buffer = io.BytesIO()
    with TarStream(buffer) as stream:
        for name, data in spoil(members):
            stream.add(name, data)
    path.write_bytes(buffer.getvalue())
    return reseal(export)


def reseal(export: Path) -> VerifyReport:
    """Make the manifest agree with the bytes of the first shard."""
    manifest = Manifest.model_validate_json((export / "manifest.json").read_bytes())
    data = shard_of(export).read_bytes()
    first = manifest.shards[0].model_copy(update={"bytes": len(data), "sha256": sha256_hex(data)})
    rewrite_index(export, [first, *manifest.shards[1:]])
    return verify(str(export))


def test_whole_export_is_clean(export: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = verify(str(export), lambda done, total: seen.append((done, total)))
    size = sum(path.stat().st_size for path in (export / "shards").glob("*.tar"))
    assert (report.ok, report.problems, report.shards, report.samples, report.bytes) == (True, (), 3, 9, size)
    assert len(seen) == 3
    assert seen[-1] == (size, size)


@pytest.mark.parametrize("seed", range(12))
def test_every_flipped_bit_is_found(export: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = rng.choice(sorted((export / "shards").glob("*.tar")))
    data = bytearray(path.read_bytes())
    for _ in range(5):
        place, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        data[place] ^= bit
        path.write_bytes(data)
        report = verify(str(export))
        assert (path.name, "") in found(report), f"bit {bit} of byte {place} of {path.name}"
        assert {shard for shard, _ in found(report)} == {path.name}
        data[place] ^= bit


@pytest.mark.parametrize("seed", range(6))
def test_every_truncation_is_found(export: Path, seed: int) -> None:
    """webdataset reads a truncated shard without a word, and gives fewer samples."""
    rng = random.Random(seed)
    path = rng.choice(sorted((export / "shards").glob("*.tar")))
    data = path.read_bytes()
    for length in (rng.randrange(len(data)), len(data) - 512, len(data) - 1, 0):
        path.write_bytes(data[:length])
        assert any("truncated" in problem.what for problem in verify(str(export)).problems)


def test_image_damage_names_the_member(export: Path) -> None:
    path = shard_of(export)
    data = bytearray(path.read_bytes())
    data[600] ^= 1  # inside the first image: its header is the first 512 bytes
    path.write_bytes(data)
    report = reseal(export)
    (problem,) = report.problems
    assert problem.member.endswith(".jpg")
    assert "sha256" in problem.what


def test_missing_and_extra_shards_are_found(export: Path) -> None:
    shard_of(export).unlink()
    shutil.copy(shard_of(export, "val-00000-0000.tar"), shard_of(export, "val-00000-0007.tar"))
    assert found(verify(str(export))) == {("train-00000-0000.tar", ""), ("val-00000-0007.tar", "")}


def test_swapped_shards_are_found(export: Path) -> None:
    one, two = shard_of(export), shard_of(export, "val-00000-0000.tar")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert {one.name, two.name} <= {shard for shard, _ in found(verify(str(export)))}


def test_sample_that_stands_twice_is_found(export: Path) -> None:
    """A sample in two shards is seen twice an epoch; were it in two splits, validation would leak."""
    manifest = Manifest.model_validate_json((export / "manifest.json").read_bytes())
    copy = manifest.shards[0].model_copy(update={"name": "train-00001-0000.tar"})
    shutil.copy(shard_of(export), shard_of(export, copy.name))
    shutil.copy(export / "shards" / f"{manifest.shards[0].name}.idx", export / "shards" / f"{copy.name}.idx")
    rewrite_index(export, [*manifest.shards, copy])
    report = verify(str(export))
    assert len(report.problems) == 3
    assert {problem.shard for problem in report.problems} == {copy.name}
    assert all("another shard" in problem.what for problem in report.problems)


def test_removed_and_repeated_samples_are_found(export: Path) -> None:
    assert any("holds 2 samples" in p.what for p in seal(export, lambda members: members[:-3]).problems)
    assert any("duplicate" in p.what for p in seal(export, lambda members: [*members, *members[:3]]).problems)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("not json", lambda data: b"{"),
        ("hostile nesting", lambda data: b"[" * 200_000),
        ("not utf-8", lambda data: data.replace(b'"uri":"', b'"uri":"\xff', 1)),
        ("lone surrogate", lambda data: data.replace(b'"uri":"', b'"uri":"\\ud800', 1)),
        ("unknown key", lambda data: data.replace(b'{"schema"', b'{"x":1,"schema"', 1)),
        ("whole number where a fraction may stand", lambda data: data.replace(b'"score":1.0', b'"score":1', 1)),
        ("spaces", lambda data: data.replace(b":", b": ")),
        ("null", lambda data: data.replace(b'"quad":[]', b'"quad":null')),
        ("other split", lambda data: data.replace(b'"split":"train"', b'"split":"val"')),
        ("other image", lambda data: data.replace(b'"id":"', b'"id":"0', 1)),
    ],
)
def test_wrong_json_is_found(export: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    def spoil_first(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        return [(member, spoil(data) if n == 1 else data) for n, (member, data) in enumerate(members)]

    report = seal(export, spoil_first)
    assert any(problem.member.endswith(".json") for problem in report.problems), name


def test_wrong_text_members_names_and_order_are_found(export: Path) -> None:
    first = seal(export, lambda m: [(n, b"free text") if n.endswith("txt") else (n, d) for n, d in m])
    assert sum(problem.member.endswith(".txt") for problem in first.problems) == 3
    assert not seal(export, lambda m: [m[0], m[2], m[1], *m[3:]]).ok
    assert not seal(export, lambda m: m[1:]).ok
    assert not seal(export, lambda m: [(f"../{n}", d) for n, d in m]).ok
    assert not seal(export, lambda m: [*m, ("note.md", b"x")]).ok
    assert not seal(export, lambda m: []).ok


def test_wrong_counts_are_found(export: Path) -> None:
    manifest = Manifest.model_validate_json((export / "manifest.json").read_bytes())

    def rewrite(first: ShardRecord) -> None:
        rewrite_index(export, [first, *manifest.shards[1:]])

    shard = manifest.shards[0]
    rewrite(shard.model_copy(update={"counts": shard.counts.model_copy(update={"regions": 99})}))
    assert found(verify(str(export))) == {(shard.name, "")}


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS", "shards/sizes.json"])
def test_missing_or_changed_index_files_are_found(export: Path, name: str) -> None:
    path = export / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    assert {name, "SHA256SUMS"} & {problem.member for problem in verify(str(export)).problems}
    path.unlink()
    assert name in {problem.member for problem in verify(str(export)).problems}


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\xfe", b"[" * 200_000])
def test_hostile_manifest_is_a_row(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    assert [problem.member for problem in verify(str(tmp_path)).problems] == ["manifest.json"]


def test_manifest_cannot_point_outside_the_export(export: Path) -> None:
    manifest = Manifest.model_validate_json((export / "manifest.json").read_bytes())
    outside = manifest.shards[0].model_copy(update={"name": "../../secret.tar"})
    changed = manifest.model_copy(update={"shards": (outside, *manifest.shards[1:])})
    (export / "manifest.json").write_bytes(manifest_json(changed))
    assert ("../../secret.tar", "") in found(verify(str(export)))


@pytest.mark.parametrize("kind", ["random", "huge size", "negative size", "not a tar", "gzip"])
def test_hostile_shards_are_rows(export: Path, kind: str) -> None:
    path = shard_of(export)
    data = bytearray(path.read_bytes())
    if kind == "random":
        data[:] = random.Random(0).randbytes(4096)
    elif kind == "huge size":
        data[124:136] = b"77777777777\0"  # 8 GiB announced
    elif kind == "negative size":
        data[124:136] = b"-0000000001\0"
    elif kind == "not a tar":
        data[:] = json.dumps({"hello": 1}).encode()
    else:
        data[:] = b"\x1f\x8b" + bytes(2000)
    path.write_bytes(data)
    report = reseal(export)
    assert not report.ok
    assert {problem.shard for problem in report.problems} == {path.name}


def test_folder_that_is_no_export_is_a_row(tmp_path: Path) -> None:
    (problem,) = verify(str(tmp_path / "nothing here")).problems
    assert "not finished" in problem.what


@pytest.mark.parametrize("seed", range(4))
def test_sums_alone_find_every_flipped_bit_and_truncation(export: Path, seed: int) -> None:
    """What happened to the files after they were written shows in their hashes, with no sample parsed."""
    assert verify(str(export), sums_only=True) == verify(str(export))
    rng = random.Random(seed)
    for path in sorted(path for path in export.rglob("*") if path.is_file()):
        data = path.read_bytes()
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        for bad in (bytes(spoilt), data[: rng.randrange(len(data))]):
            path.write_bytes(bad)
            assert not verify(str(export), sums_only=True).ok, f"{path} of {len(bad)} bytes"
        path.write_bytes(data)


def test_offsets_of_another_shard_are_found(export: Path) -> None:
    """Energon would read from the middle of an image."""
    offsets = shard_of(export, "train-00000-0000.tar.idx")
    data = bytearray(offsets.read_bytes())
    data[9] ^= 2  # the second sample begins 512 bytes from where it does
    offsets.write_bytes(data)
    manifest = Manifest.model_validate_json((export / "manifest.json").read_bytes())
    first = manifest.shards[0].model_copy(update={"index_sha256": sha256_hex(bytes(data))})
    rewrite_index(export, [first, *manifest.shards[1:]])
    (problem,) = verify(str(export)).problems
    assert problem.shard == first.name
    assert "where its samples stand" in problem.what
