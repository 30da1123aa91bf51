"""Files that the rows of a table name, had side by side: names in the table's own folder, no addresses of the web."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Mapping, Sequence

from fld_engine.engine.data.secrets import refers
from fld_engine.engine.data.transport import Range
from fld_engine.engine.sources.files import locate, out_of_reach, read_ranges
from fld_engine.engine.sources.item import Locator, Rejected, SourceChunk
from fld_engine.engine.sources.reach import resolve
from fld_engine.schemas.errors import TransportError

WEB_ADDRESSES = ("http", "https")
PROTOCOLS = ("file", *WEB_ADDRESSES, "s3", "gs", "gcs", "az", "abfs", "hf", "memory")
"""Where the names of a table may lead, out of its folder with `allow_outside`."""
FETCH = (
    "a table of web addresses is a list for `fetch`, which downloads them into tars: set `fetch: true` on the source"
)

MAX_NAME_CHARS = 4096
"""No path and no address that is followed is longer."""

Held = tuple[bytes, Locator] | Rejected


def is_web(link: object) -> bool:
    """Whether a cell is an address of the web."""
    return isinstance(link, str) and link.lower().startswith(tuple(f"{one}://" for one in WEB_ADDRESSES))


def addresses_alone(links: Iterable[object]) -> str:
    """One of some cells, where all that have anything are addresses of the web; else empty."""
    there = [link for link in links if link]
    return str(there[0]) if there and all(map(is_web, there)) else ""


def fetched(
    links: Mapping[int, str], chunk: SourceChunk, table: str, places: Sequence[str], max_bytes: int
) -> dict[int, Held]:
    """What stands at the names that rows have; `table` is the URL of theirs."""
    held: dict[int, Held] = {}
    targets: dict[int, str] = {}
    for i, link in links.items():
        if link.startswith("data:") or len(link) > MAX_NAME_CHARS:
            detail = f"{link[:40]!r}… is an image as text (base64), expected the name of a file; write its bytes"
            held[i] = Rejected(uri=places[i], reason="bad_uri", detail=detail)
            continue
        target, problem = _resolve(link, table, allow_outside=chunk.spec.allow_outside)
        if problem:
            reason = "web_address" if problem == FETCH else "bad_uri"
            held[i] = Rejected(uri=places[i], reason=reason, detail=f"{link!r}: {problem}")
        else:
            targets[i] = target
    for _, same in itertools.groupby(sorted(targets, key=lambda i: targets[i]), key=lambda i: _protocol(targets[i])):
        rows = list(same)
        fs, _ = locate(targets[rows[0]])
        ranges: list[Range] = [(locate(targets[i])[1], 0, max_bytes + 1) for i in rows]
        read = read_ranges(fs, ranges, [0] * len(rows), [targets[i] for i in rows])
        for i, found in zip(rows, read, strict=True):
            if isinstance(found, TransportError):
                held[i] = out_of_reach(places[i], found)
            else:
                held[i] = found, Locator(kind="file", url=targets[i], length=len(found))
    return held


def _protocol(url: str) -> str:
    return url.partition("://")[0]


def _resolve(link: str, table: str, *, allow_outside: bool) -> tuple[str, str]:
    """(URL, why it may not be followed). Relative names are looked up beside the table."""
    if "://" in link:
        if _protocol(link).lower() not in PROTOCOLS or "::" in link:
            return "", f"expected a relative name or one of {', '.join(PROTOCOLS)}"
        if is_web(link) and not refers(link) and _protocol(table) not in WEB_ADDRESSES:
            return "", FETCH
    return resolve(link, posixpath.dirname(table), allow_outside=allow_outside)
