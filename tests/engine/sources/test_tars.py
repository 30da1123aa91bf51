"""WebDataset tars, whole, hostile, cut anywhere and damaged anywhere."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.engine.sources.item import PassedOver, Rejected, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk, read_items
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS
from fld_engine.schemas.errors import SourceError
from tests.hostile import jpeg, photograph, tar_bytes, write_hostile_tar


def scan(url: Path | str) -> tuple[list[tuple[SourceItem, bytes]], list[Rejected]]:
    found = [one for chunk in open_source(SourceSpec(url=str(url))).chunks() for one in read_chunk(chunk)]
    return [one for one in found if not isinstance(one, Rejected)], [one for one in found if isinstance(one, Rejected)]


def test_samples_have_captions_labels_and_bytes(tmp_path: Path) -> None:
    members = [
        ("./a/0001.JPG", jpeg()),
        ("./a/0001.txt", "\ufeffA cat <loc_1>\x00 with </s> markup.\n".encode()),
        ("./a/0001.json", b'{"caption": "A tabby.", "text": ["A tabby.", "Ears."], "id": 7, "texts": null}'),
        ("./a/0001.cls", b"281\n"),
        ("./a/0001.seg.png", b"another modality"),
        ("./a/0002.png", photograph("coffee.png")),
        ("./a/0002.txt", b"  \n"),
    ]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    items, rejected = scan(tmp_path / "x.tar")
    assert not rejected
    (first, data), (second, _) = items
    assert (first.uri, first.source_label, data) == ("x.tar!./a/0001.JPG", "281", jpeg())
    assert [t.text for t in first.annotations.texts] == ["A cat <loc_1> with </s> markup.", "A tabby.", "Ears."]
    assert {t.source.annotator for t in first.annotations.texts if t.source} == {"web"}, "found captions are not human"
    assert [(one.label, one.source and one.source.annotator) for one in first.annotations.labels] == [
        ("281", "class_folder")
    ]
    assert second.annotations.texts == (), "an empty caption is no caption"
    assert list(read_items([second.read, first.read])) == [photograph("coffee.png"), jpeg()]


def test_hostile_members_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    expected = write_hostile_tar(tmp_path / "x.tar")
    items, rejected = scan(tmp_path / "x.tar")
    assert {r.uri.removeprefix("x.tar"): r.reason for r in rejected} == expected
    assert len(rejected) == len(expected), "each is counted once"
    assert [item.uri.removeprefix("x.tar!") for item, _ in items] == ["good.jpg", "twice.jpg", "bad.jpg", "last.jpg"]


def test_long_names_are_read(tmp_path: Path) -> None:
    """PAX and GNU headers stand before such members: the offset must be that of the bytes."""
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tmp_path / f"{format}.tar"
        with tarfile.open(path, "w", format=format) as tar:
            (tmp_path / "photo").write_bytes(jpeg())
            tar.add(tmp_path / "photo", arcname="ü" * 150 + "/photo.jpg")
        ((item, data),), rejected = scan(path)
        assert not rejected
        assert data == jpeg() == next(read_items([item.read]))


def test_what_is_too_large_or_too_long_is_not_kept(tmp_path: Path) -> None:
    members = [
        ("a.jpg", jpeg()),
        ("b.jpg", jpeg(quality=20)),
        ("b.txt", b"x" * (MAX_TEXT_CHARS + 1)),
        ("b.json", b"{" * 10**6),
    ]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    (chunk,) = open_source(SourceSpec(url=str(tmp_path / "x.tar"))).chunks()
    found = list(read_chunk(chunk, max_bytes=len(jpeg()) - 1))
    reasons = [one.reason for one in found if isinstance(one, Rejected)]
    assert reasons == ["too_many_bytes", "bad_text", "text_too_long"]
    assert len(found) == 4


GOOD = tar_bytes(
    [(f"{i}.{ext}", data) for i in range(3) for ext, data in (("jpg", jpeg(quality=20 + i)), ("txt", b"A cat."))]
)


def chunk_of(path: Path) -> SourceChunk:
    (chunk,) = open_source(SourceSpec(url=str(path), kind="tars")).chunks()
    return chunk


@settings(max_examples=60)
@given(end=st.integers(0, len(GOOD) - 1))
def test_a_cut_tar_gives_what_is_whole_and_one_row_for_the_rest(
    end: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Plain readers return fewer samples from a cut tar and say nothing."""
    path = tmp_path_factory.mktemp("cut") / "x.tar"
    path.write_bytes(GOOD[:end])
    found = list(read_chunk(chunk_of(path)))
    images = [data for one in found if not isinstance(one, Rejected) for data in one[1:]]
    whole = [jpeg(quality=20 + i) for i in range(3)]
    complete = sum(GOOD.index(data) + len(data) <= end for data in whole)
    assert images == whole[:complete]
    rejected = [one.reason for one in found if isinstance(one, Rejected)]
    ended = GOOD.rstrip(b"\0")
    if end < len(ended) + 512:  # past that, the first of the two closing blocks is there: nothing is lost
        assert len(rejected) == 1
        assert rejected[0] in {"truncated", "empty", "corrupt"}


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_tar_never_stops_the_run(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    headers = [at for at in range(0, len(GOOD), 512) if GOOD[at + 257 : at + 262] == b"ustar"]
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.sampled_from(headers)) + data.draw(st.integers(0, 511))
        damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x.tar"
    path.write_bytes(bytes(damaged))
    for one in read_chunk(chunk_of(path)):
        assert isinstance(one, Rejected) or one[0].uri.startswith("x.tar!")


def test_a_member_of_negative_size_does_not_turn_the_reader_in_a_circle(tmp_path: Path) -> None:
    """Its successor would be itself (CVE-2025-8194)."""
    header = bytearray(tar_bytes([("a.jpg", b"")])[:512])
    header[124:136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")  # base-256 encoding
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    first = tar_bytes([("0.jpg", jpeg())])[: 512 + len(jpeg()) + -len(jpeg()) % 512]
    (tmp_path / "x.tar").write_bytes(first + bytes(header) + bytes(2048))
    found = list(read_chunk(chunk_of(tmp_path / "x.tar")))
    assert [one.reason for one in found if isinstance(one, Rejected)] == ["corrupt"]
    assert [one[1] for one in found if not isinstance(one, Rejected)] == [jpeg()]


def test_patterns_and_folders_list_tars_in_order(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"s-{i:02d}.tar").write_bytes(tar_bytes([(f"{i}.jpg", jpeg())]))
    name = tmp_path.name
    for url, expected in [
        ("", range(12)),
        ("/s-*.tar", range(12)),
        ("/s-{03..05}.tar", range(3, 6)),
        ("/s-0[12].tar", (1, 2)),
        ("/s-{01,1*}.tar", (1, 10, 11)),
    ]:
        items, _ = scan(f"{tmp_path}{url}")
        assert [item.uri for item, _ in items] == [f"{name}/s-{i:02d}.tar!{i}.jpg" for i in expected]
    with pytest.raises(SourceError, match=r"does not exist.*s-12\.tar"):
        scan(f"{tmp_path}/s-{{10..12}}.tar")
    with pytest.raises(SourceError, match="matches no file"):
        scan(f"{tmp_path}/t-*.tar")


def said(path: Path, **spec: object) -> tuple[dict[str, list[str]], Counter[str]]:
    """Captions by member, and reasons of everything that became none."""
    over: list[PassedOver] = []
    reasons: Counter[str] = Counter()
    found: dict[str, list[str]] = {}
    source = open_source(SourceSpec.model_validate({"url": str(path), "name": "s", **spec}))
    for one in (one for chunk in source.chunks() for one in read_chunk(chunk, passed_over=over.append)):
        if isinstance(one, Rejected):
            reasons[one.reason] += 1
        else:
            found[one[0].uri.rpartition("!")[2]] = [text.text for text in one[0].annotations.texts]
    for one in over:
        reasons[one.reason] += one.number
    return found, reasons


def test_of_a_sample_with_several_pictures_each_is_an_image_and_what_tells_of_all_is_of_none(tmp_path: Path) -> None:
    """A caption of two pictures is true of neither; one that bears a picture's own word is that one's."""
    members = [
        ("1.left.jpg", jpeg(quality=30)),
        ("1.right.jpg", jpeg(quality=31)),
        ("1.depth.png", photograph("coffee.png")),
        ("1.txt", b"two views of a cat"),
        ("1.right.txt", b"a cat from the right"),
        ("2.mask.png", photograph("coffee.png")),
        ("3.v2.jpg", jpeg(quality=32)),
        ("3.v2.json", b'{"TEXT": "a cat", "width": 3}'),
    ]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    found, reasons = said(tmp_path / "x.tar")
    assert found == {"1.left.jpg": [], "1.right.jpg": ["a cat from the right"], "3.v2.jpg": ["a cat"]}
    assert reasons == {"of_several_images": 1, "another_picture": 1, "no_image": 1, "not_kept": 1}


@pytest.mark.parametrize("ending", ["tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_compressed_tars_are_read_again_in_any_order_and_cut_ones_to_where_they_are_whole(
    tmp_path: Path, ending: str
) -> None:
    pack = {"gz": gzip.compress, "tgz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[ending.split(".")[-1]]
    path = tmp_path / f"x.{ending}"
    path.write_bytes(pack(GOOD))
    items, rejected = scan(path)
    assert not rejected
    assert [t.text for item, _ in items for t in item.annotations.texts] == ["A cat."] * 3
    assert list(read_items([items[i][0].read for i in (0, 2, 1)])) == [items[i][1] for i in (0, 2, 1)]
    path.write_bytes(pack(GOOD)[:-2000])
    _, rejected = scan(path)
    assert [one.reason for one in rejected] in (["truncated"], ["corrupt"])
    with pytest.raises(SourceError, match="could be read when it was scanned"):
        list(read_items([item.read for item, _ in items]))


def test_a_name_of_captions_that_is_given_stands_for_all_others(tmp_path: Path) -> None:
    """Recaptioned sets have the old and the new text: unless the new one is named, the old one is read."""
    record = b'{"caption": "old", "re_caption": "new", "key": "1"}'
    (tmp_path / "x.tar").write_bytes(tar_bytes([("1.jpg", jpeg()), ("1.jpg.json", record)]))
    assert said(tmp_path / "x.tar")[0] == {"1.jpg": ["old"]}
    found, reasons = said(tmp_path / "x.tar", caption_columns=("re_caption",))
    assert found == {"1.jpg": ["new"]}
    assert reasons == {"not_kept": 2}


def test_addresses_that_img2dataset_could_not_fetch_are_counted_by_their_status(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/00000.tar").write_bytes(tar_bytes([("000000000.jpg", jpeg())]))
    table = {"key": ["0", "1", "2"], "status": ["success", "failed_to_download", "failed_to_download"]}
    pq.write_table(
        pa.table({**table, "error_message": [None, "HTTP Error 404", "timeout"]}), tmp_path / "out/00000.parquet"
    )
    found, reasons = said(tmp_path / "out")
    assert found == {"000000000.jpg": []}
    assert reasons == {"failed_to_download": 2}
