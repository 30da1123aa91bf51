"""Unpacking what came packed though nobody asked for it: never more at once than there is room for."""

from __future__ import annotations

import zlib

_GZIP = 16 + zlib.MAX_WBITS


class Unpacking:
    """Unpacks an answer of some Content-Encoding as it comes. Raises `ValueError` for one that is not known."""

    def __init__(self, encoding: str) -> None:
        self._form = encoding.strip().lower().removeprefix("x-")
        if self._form not in ("", "identity", "gzip", "deflate"):
            raise ValueError(f"encoding {encoding!r} is not known; known are gzip and deflate")
        self._plain = self._form in ("", "identity")
        self._inner = None if self._plain else zlib.decompressobj(_GZIP)
        self._begun = False

    @property
    def is_whole(self) -> bool:
        """Whether what came ends where what was packed ends."""
        return self._inner is None or self._inner.eof or not self._begun

    def unpack(self, data: bytes, most: int) -> bytes:
        """At most `most` bytes, more than 0, of what comes out; the rest is lost. Raises `zlib.error`.

        Gzip may have several members, one after another; what follows the last is none of it.
        """
        if self._inner is None:
            return data
        if not self._begun and data:
            self._begun = True
            if self._form == "deflate":  # servers send it with and without the header of zlib
                self._inner = zlib.decompressobj(zlib.MAX_WBITS if data[0] & 15 == 8 else -zlib.MAX_WBITS)
        out = b""
        while data and len(out) < most:
            if self._inner.eof:
                if self._form != "gzip" or data[:1] != b"\x1f":
                    break
                self._inner = zlib.decompressobj(_GZIP)
            out += self._inner.decompress(data, most - len(out))
            data = self._inner.unused_data
        return out
