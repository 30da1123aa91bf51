"""What a JPEG says beside its picture: where, when, with which camera and by whom it was taken.

Segments are those of ITU-T T.81, annex B. A picture needs its tables and scans, JFIF (APP0), an ICC profile (in APP2)
and Adobe's note on colours (APP14); the other application segments and comments only tell of it. So does whatever
follows the end of the image: further pictures (MPF), films and makers' notes.
"""

from __future__ import annotations

import re
from typing import Final

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APP0, APP2, APP14, APP15 = 0xE0, 0xE2, 0xEE, 0xEF
_ICC: Final = b"ICC_PROFILE\x00"
_MARKER: Final = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
"""A marker in coded data: no stuffed byte and no restart."""


def without_metadata(jpeg: bytes | memoryview) -> bytes | memoryview:
    """A JPEG without EXIF, XMP, IPTC, comments, makers' notes and what follows its end; its coded picture untouched.

    The very object where it has none of these, or cannot be followed to its end as JPEG.
    """
    data = memoryview(jpeg)
    kept: list[memoryview] = [data[:2]]
    place = 2
    while True:
        found = _MARKER.match(data, place)
        if found is None:
            return jpeg
        marker = found[1][0]
        if marker == EOI:
            kept.append(data[place : found.end()])
            place = found.end()
            break
        end = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        if end < found.end() + 2 or end > len(data):
            return jpeg
        if marker == SOS:
            coded = _MARKER.search(data, end)
            if coded is None:
                return jpeg
            end = coded.start()
        if not _only_tells(marker, data[found.end() + 2 : end]):
            kept.append(data[place:end])
        place = end
    whole = sum(map(len, kept)) == len(data)
    return jpeg if whole else b"".join(kept)


def _only_tells(marker: int, payload: memoryview) -> bool:
    if marker == APP2:
        return bytes(payload[: len(_ICC)]) != _ICC
    return marker == COM or (APP0 < marker <= APP15 and marker != APP14)
