"""Which chunks of the sources finished ingests have covered, as their sources are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.stages.ingest.scanning import NamedChunk


def readings_of(chunks: Iterable[NamedChunk]) -> Mapping[str, tuple[str, ...]]:
    """How sources, and files that are a chunk each, are read: by their names in URIs, the fingerprints of all of them.

    Where the reading of a source or a file has changed, and changes back, what was read first counts no more.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for named in chunks:
        key, reading = _reading(named)
        found[key].add(reading)
    return {key: tuple(sorted(readings)) for key, readings in sorted(found.items())}


def _reading(named: NamedChunk) -> tuple[str, str]:
    chunk = named.chunk
    if len(chunk.files) == 1 and not chunk.revision:
        return _reading_key(named), named.name
    how = {"spec": identity_of(chunk.spec), "kind": chunk.kind, "base": chunk.base, "revision": chunk.revision}
    return _reading_key(named), fingerprint(how)


def _reading_key(named: NamedChunk) -> str:
    chunk = named.chunk
    return chunk.uri(chunk.files[0][0]) if len(chunk.files) == 1 and not chunk.revision else chunk.spec.name


class Covered:
    """What the journal says of the chunks that a config lists now."""

    def __init__(self, journal: Sequence[IngestRecord], listed: Iterable[NamedChunk]) -> None:
        now = readings_of(listed)
        self._last = {chunk: number for number, ingest in enumerate(journal) for chunk in ingest.chunks}
        self._stamps = {chunk: stamp for ingest in journal for chunk, stamp in ingest.stamps.items()}
        self._foreign = {
            key: number
            for number, ingest in enumerate(journal)
            for key, readings in ingest.readings.items()
            if not set(readings) <= set(now.get(key, ()))
        }

    def lacks(self, named: NamedChunk) -> bool:
        """Whether no ingest read the chunk, its files had other versions then, or it was read in another way since."""
        name, stamp = named.name, named.chunk.stamp
        if name not in self._last or self._last[name] < self._foreign.get(_reading_key(named), -1):
            return True
        return bool(stamp) and self._stamps.get(name, stamp) != stamp
