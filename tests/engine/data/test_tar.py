"""Our tars are those that `tarfile` would write: any other byte would change every shard's sha256."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.data.tar import CHUNK_BYTES, TarStream, header, member_bytes

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-/", min_size=1, max_size=160).filter(lambda n: n[-1] != "/")


@given(NAMES, st.integers(0, 8**11 - 1))
def test_a_header_is_that_of_tarfile(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    try:
        expected = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:
        with pytest.raises(ValueError, match="too long"):
            header(name, size)
    else:
        assert header(name, size) == expected


@pytest.mark.parametrize(("name", "size"), [("é.jpg", 1), ("a.jpg", 8**11), ("a" * 300, 1)])
def test_what_ustar_cannot_hold_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError):
        header(name, size)


@pytest.mark.parametrize("sizes", [[], [0], [511, 512, 513], [CHUNK_BYTES - 1, 1, 3 * CHUNK_BYTES, 7]])
def test_members_come_back_from_where_they_were_put(sizes: list[int]) -> None:
    """Chunks are written behind the back of whoever adds: sizes, offsets and the hash must be of what is there."""
    buffer = io.BytesIO()
    with TarStream(buffer) as tar:
        offsets = [tar.add(f"{n}.bin", bytes([n + 1]) * size) for n, size in enumerate(sizes)]
    data = buffer.getvalue()
    assert (tar.num_bytes, tar.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert len(data) == sum(map(member_bytes, sizes)) + 1024
    for n, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        assert data[offset : offset + size] == bytes([n + 1]) * size
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        assert [(info.name, info.size) for info in read] == [(f"{n}.bin", size) for n, size in enumerate(sizes)]


def test_an_error_leaves_no_closing_blocks() -> None:
    """A tar that was broken off must not look whole."""
    buffer = io.BytesIO()
    with pytest.raises(UnicodeEncodeError), TarStream(buffer) as tar:
        tar.add("é.bin", b"a")
    assert buffer.getvalue() == b""
