"""Chunks of sources that could not be read: what is known of them until a later run has read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import Trouble

UNREAD_FILE = "unread.json"


class UnreadChunk(Frozen):
    """A chunk that was left for the next run. `chunk` is its fingerprint, `detail` what failed and what to do."""

    chunk: str
    source: str
    num_files: int
    num_bytes: int
    kind: Trouble
    detail: str


class Unread(Frozen):
    """What the last ingest left, in the order of the chunks."""

    chunks: tuple[UnreadChunk, ...] = ()


class UnreadCount(Frozen):
    """Chunks that one kind of failure left, with the images of folders, or tars and tables, in them, and an example."""

    chunks: int
    files: int
    example: str


def read_unread(store: Store) -> Sequence[UnreadChunk]:
    """Chunks that the last ingest could not read."""
    try:
        unread: Unread = store.read_model(UNREAD_FILE, Unread)
    except FileNotFoundError:
        return ()
    return unread.chunks


def note_unread(store: Store, chunks: Sequence[UnreadChunk]) -> None:
    """Write down what an ingest left; the file goes when nothing is left any more."""
    if chunks:
        store.publish_model(UNREAD_FILE, Unread(chunks=tuple(chunks)))
    else:
        store.delete(UNREAD_FILE)


def counts(chunks: Sequence[UnreadChunk]) -> Mapping[str, UnreadCount]:
    """What is unread by kind of failure."""
    return {
        kind: UnreadCount(chunks=len(mine), files=sum(one.num_files for one in mine), example=mine[0].detail)
        for kind in sorted({one.kind for one in chunks})
        if (mine := [one for one in chunks if one.kind == kind])
    }
