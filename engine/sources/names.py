"""One resolver of names: which file of a folder a name in a label file means, however its tool wrote it.

Label files name images as their tools saw them: with backslashes, percent-encoded, under a path of another machine or
of a labelling tool's storage, in another Unicode normal form, letter case or extension. A name means the file that it
spells; else the one file that fits. Where several fit, or other names claim the same file, it means none: labels on the
wrong image are worse than a missing one.
"""

from __future__ import annotations

import bisect
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple
from urllib.parse import unquote, unquote_plus

from fld_engine.engine.sources.item import IMAGE_EXTENSIONS

How = Literal["", "exact", "spelling", "storage", "folders", "unicode", "case", "extension"]
"""The rule by which a name was found, the loosest of those that it took; empty where it was not."""

MANY = 50
"""More files than this under one last part of a name are not told apart: it fits several."""
_RULES: Sequence[How] = ("unicode", "case", "extension")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""

Parts = tuple[str, ...]


class Match(NamedTuple):
    """The file that a name means, by which rule; where `path` is empty, `why` says why there is none."""

    path: str
    how: How = ""
    why: str = ""


class _Reading(NamedTuple):
    """One reading of a written name; `elsewhere`: its first folders are of another machine, and say nothing here."""

    parts: Parts
    how: How
    elsewhere: bool = False


class Names:
    """The files of a folder by name. Cheap to make: what the looser rules need is made when one is first used."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = dict.fromkeys(paths)
        self._by_last: dict[int, dict[Parts, list[str]]] = {}

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, written: str) -> Match:
        """The file that one name means. Use `find_all` for the names of a label file, which may claim the same file."""
        if written in self._paths:
            return Match(written, "exact")
        for reading in _readings(written):
            found = self._of_reading(reading)
            if len(found) == 1:
                return Match(found[0][1], found[0][0])
            if found:
                some = " and ".join(repr(path) for _, path in found[:2])
                return Match("", why=f"{len(found)} files fit, {some}; write the name as the file's path")
        return Match("", why=self._nearest(written))

    def find_all(self, written: Iterable[str]) -> dict[str, Match]:
        """The file that each name means. Different images never mean one file, unless one spells it exactly.

        `train/1.jpg` and `val/1.jpg` are two images: a lone file `1.jpg` is neither, for nobody can tell which.
        """
        found = {name: self.find(name) for name in written}
        claims: dict[str, list[str]] = defaultdict(list)
        for name, match in found.items():
            if match.path:
                claims[match.path].append(name)
        for path, names in claims.items():
            for name in _rivals(names) if len(names) > 1 else ():
                if found[name].how not in ("exact", "spelling"):
                    other = next(one for one in names if one != name)
                    found[name] = Match("", why=f"{path!r} would fit, and {other!r} claims it too")
        return found

    def _of_reading(self, reading: _Reading) -> list[tuple[How, str]]:
        """The files that fit a reading best: as the same kind of file, by most folders in common, by strictest rule."""
        joined = "/".join(reading.parts)
        if joined in self._paths:
            return [(reading.how, joined)]
        ranked = [(_rank(reading.parts, path), path) for path in self._candidates(reading)]
        best = min((rank for rank, _ in ranked), default=None)
        return [(_how(reading, path), path) for rank, path in ranked if rank == best]

    def _candidates(self, reading: _Reading) -> list[str]:
        """Files that agree with a reading in all their parts, in all of its parts, or in two where its head is void."""
        key = tuple(map(_loose, reading.parts))
        number, same = 1, self._ending(1).get(key[-1:], [])
        while len(same) > MANY and number < len(key):
            number += 1
            same = self._ending(number).get(key[-number:], [])
        if len(same) > MANY:
            return same
        found = []
        for path in same:
            shared = _common(key, tuple(map(_loose, path.split("/"))))
            agrees = shared in (len(key), path.count("/") + 1) or (reading.elsewhere and shared > 1)
            if agrees and _may_be(reading.parts[-1], path):
                found.append(path)
        return found

    def _ending(self, number: int) -> dict[Parts, list[str]]:
        """Files by the loose form of the last `number` parts of their paths."""
        if number not in self._by_last:
            made: dict[Parts, list[str]] = defaultdict(list)
            for path in self._paths:
                parts = path.split("/")
                if len(parts) >= number:
                    made[tuple(map(_loose, parts[-number:]))].append(path)
            self._by_last[number] = dict(made)
        return self._by_last[number]

    @cached_property
    def _sorted(self) -> list[tuple[str, str]]:
        return sorted((_loose(path.rpartition("/")[2]), path) for path in self._paths)

    def _nearest(self, written: str) -> str:
        if not self._paths:
            return "there is no file at all"
        wanted = _loose(next((one.parts[-1] for one in _readings(written) if one.parts), written))
        at = bisect.bisect_left(self._sorted, (wanted, ""))
        near = self._sorted[max(at - 1, 0) : at + 1]
        return f"the nearest name is {max(near, key=lambda one: _same_start(one[0], wanted))[1]!r}"


def _readings(written: str) -> Iterator[_Reading]:
    """What a written name may mean, likeliest first."""
    made: dict[Parts, None] = {}
    for plain, is_of_storage in _of_storage(written):
        for text in dict.fromkeys(
            (plain, plain.strip(), unquote(plain, errors="replace"), unquote_plus(plain, errors="replace"))
        ):
            elsewhere = is_of_storage
            parts = tuple(part for part in text.replace("\\", "/").split("/") if part not in ("", "."))
            if ".." in parts:
                parts, elsewhere = parts[len(parts) - parts[::-1].index("..") :], True
            for reading in (parts, *_without_prefix(parts)) if parts else ():
                if reading not in made:
                    made[reading] = None
                    yield _Reading(reading, "storage" if elsewhere or reading != parts else "spelling", elsewhere)


def _of_storage(written: str) -> Iterator[tuple[str, bool]]:
    """A name without what is of a storage or a machine alone, and whether there was any of it."""
    if told := re.search(r"[?&]d=([^&]+)", written):  # Label Studio's local files
        yield told[1], True
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+://[^/]*", written)
    drive = re.match(r"[A-Za-z]:(?=[/\\])", written)
    rest = written[(scheme or drive).end() :] if scheme or drive else written  # type: ignore[union-attr]
    elsewhere = bool(scheme or drive) or rest.startswith(("/", "~", "\\\\"))
    yield rest, elsewhere
    if "?" in rest or "#" in rest:
        yield re.split("[?#]", rest)[0], elsewhere


def _without_prefix(parts: Parts) -> Iterator[Parts]:
    """`upload/3/1a2b3c4d-name.jpg` as the file that was uploaded."""
    below = parts[-3:] if len(parts) > 2 and parts[-3] == "upload" else parts
    stripped = _UPLOAD.sub("", parts[-1], count=1) if _UPLOAD.match(parts[-1]) else parts[-1]
    if below != parts or stripped != parts[-1] or below[0] == "upload":
        bare = () if below[0] == "upload" else parts[:-1]
        yield (*bare, parts[-1])
        yield (*bare, stripped)


def _common(parts: Parts, others: Parts) -> int:
    """How many last parts two paths share."""
    pairs = zip(reversed(parts), reversed(others), strict=False)
    return next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(parts), len(others)))


def _rank(parts: Parts, path: str) -> tuple[bool, int, int, int]:
    """Smaller is better."""
    there = tuple(path.split("/"))
    shared = _common(tuple(map(_loose, parts)), tuple(map(_loose, there)))
    looseness = _looseness(parts[-shared:], there[-shared:])
    return looseness == len(_RULES), -shared, looseness, abs(len(there) - len(parts))


def _looseness(parts: Parts, there: Parts) -> int:
    """0: the parts are equal; else the number of the rule, from 1, by which they are."""
    if parts == there:
        return 0
    one, other = _normal("/".join(parts)), _normal("/".join(there))
    if one == other:
        return 1
    return 2 if one.casefold() == other.casefold() else 3


def _how(reading: _Reading, path: str) -> How:
    looseness = _rank(reading.parts, path)[2]
    if looseness:
        return _RULES[looseness - 1]
    return reading.how if reading.elsewhere or len(reading.parts) == path.count("/") + 1 else "folders"


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _loose(part: str) -> str:
    """What all spellings of a part of a path have in common: without Unicode form, letter case and image extension."""
    folded = _normal(_normal(part).casefold())
    stem, dot, ending = folded.rpartition(".")
    return stem if dot and stem and ending in IMAGE_EXTENSIONS else folded


def _may_be(last: str, path: str) -> bool:
    """Whether only an image's extension is another: a text beside an image is not the image."""
    endings = [_normal(name).casefold().rpartition(".") for name in (last, path)]
    (_, _, wanted), (_, _, there) = endings
    return wanted == there or there in IMAGE_EXTENSIONS


def _rivals(names: Sequence[str]) -> list[str]:
    """Names of one file that cannot be one image: their folders contradict each other."""
    parts = [next((reading.parts for reading in _readings(name)), ()) for name in names]
    order = sorted(range(len(names)), key=lambda at: len(parts[at]))
    ends = all(parts[b][len(parts[b]) - len(parts[a]) :] == parts[a] for a, b in pairwise(order))
    return [] if ends else list(names)


def _same_start(one: str, other: str) -> int:
    return len(posixpath.commonprefix([one, other]))
