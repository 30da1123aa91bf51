"""A sample of a WebDataset tar: which of its members are images, and what the others say of them.

What follows the first dot of a name tells members apart: `key.jpg`, or `key.image.jpg` and `key.mask.png`, where the
word before the extension says what a picture is. A plain picture is the image; else all that no word calls a mask or
a map are. Of a sample with several images each is one, and a text beside them is of none: it tells of all together.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fld_engine.engine.sources.captions import TEXT_EXTENSIONS, caption_names, decoded
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, PassedOver, Rejected, too_large
from fld_engine.engine.sources.said import Reading, Said

RECORD_EXTENSION, CLASS_EXTENSION = "json", "cls"
READ_EXTENSIONS = frozenset({*TEXT_EXTENSIONS, RECORD_EXTENSION, CLASS_EXTENSION})
"""Extensions of members that are read beside pictures."""
OTHER_PICTURES = (
    "mask", "masks", "seg", "segm", "segmentation", "semantic", "instance", "panoptic", "depth", "disparity", "normal",
    "normals", "edge", "edges", "canny", "hed", "scribble", "sketch", "alpha", "matte", "trimap", "flow", "pose",
    "heatmap", "saliency", "label", "labels", "target", "gt", "thumb", "thumbnail",
)  # fmt: skip
"""Words before the extension of a picture that is something about another one."""
MAX_TEXT_BYTES = 2**20
"""Larger members of text are not read, but for records: SA-1B's of a picture with hundreds of masks has megabytes."""
MAX_RECORD_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in a tar; `data` is `None` where it is too large to be read or is not needed.

    `suffix` is what follows the first dot, in lower case: `jpg`, `image.jpg`.
    """

    key: str
    suffix: str
    uri: str
    offset: int
    num_bytes: int
    data: bytes | None

    @property
    def extension(self) -> str:
        return self.suffix.rpartition(".")[2]

    @property
    def word(self) -> str:
        """What stands between the first dot and the extension; empty for most."""
        return self.suffix.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """`images` in order, `texts` that are read, and what becomes of the other members."""

    images: tuple[Member, ...]
    texts: tuple[Member, ...]
    others: tuple[Rejected | PassedOver, ...]

    def of_image(self, image: Member) -> list[Member]:
        """Texts that tell of an image: all of them where it is the only one, else those that share its word."""
        return [one for one in self.texts if len(self.images) == 1 or one.word in (image.word, image.suffix)]

    def of_all(self) -> list[Member]:
        """Texts that tell of several images together."""
        words = {word for image in self.images for word in (image.word, image.suffix)}
        return [one for one in self.texts if len(self.images) > 1 and one.word not in words]


def text_limit(suffix: str) -> int:
    """How many bytes of a member that is no picture are read; -1 for none of them."""
    last = suffix.rpartition(".")[2]
    return MAX_RECORD_BYTES if last == RECORD_EXTENSION else MAX_TEXT_BYTES if last in READ_EXTENSIONS else -1


def sample_of(members: Sequence[Member]) -> Sample:
    """Sort the members of a sample. Without any image, that is its only problem."""
    parts: dict[str, Member] = {}
    others: list[Rejected | PassedOver] = []
    for member in members:
        plain = member.suffix in IMAGE_EXTENSIONS
        if member.suffix in parts or (plain and parts.keys() & IMAGE_EXTENSIONS):
            what = f"key {member.key!r} has a .{member.suffix} or another image already"
            others.append(Rejected(uri=member.uri, reason="duplicate_key", detail=what))
        else:
            parts[member.suffix] = member
    pictures = [member for member in parts.values() if member.extension in IMAGE_EXTENSIONS]
    images = [one for one in pictures if not one.word] or [one for one in pictures if not _is_other(one)]
    words = {word for image in images for word in (image.word, image.suffix)}
    texts = [one for one in parts.values() if _is_text(one, words)]
    if not images:
        detail = f"the sample has only {', '.join('.' + suffix for suffix in parts)}"
        others.append(Rejected(uri=members[0].uri, reason="no_image", detail=detail))
        return Sample((), (), tuple(others))
    for suffix in sorted(parts):
        one = parts[suffix]
        if one not in images and one not in texts:
            reason = "another_picture" if one in pictures else "unknown_extension"
            others.append(PassedOver(uri=one.uri, reason=reason, of_image=images[0].uri))
    order = (*TEXT_EXTENSIONS, RECORD_EXTENSION, CLASS_EXTENSION)
    return Sample(tuple(images), tuple(sorted(texts, key=lambda one: order.index(one.extension))), tuple(others))


def add_text(said: Said, member: Member, reading: Reading) -> str:
    """What a member of text says of an image; the class that a `.cls` tells is given back."""
    if member.data is None:
        large = too_large(member.uri, member.num_bytes, text_limit(member.suffix))
        said.others.append(large.model_copy(update={"what": "annotation", "by": "web"}))
        return ""
    return add_bytes(said, member.data, member.extension, member.uri, reading)


def add_bytes(said: Said, data: bytes, extension: str, place: str, reading: Reading) -> str:
    """What a file of text, a record of one image, or a class says of it; the class is given back."""
    try:
        text = decoded(data)
        record = json.loads(text) if extension == RECORD_EXTENSION else None
    except (ValueError, RecursionError) as error:
        detail = f"{type(error).__name__}: {error}"
        said.others.append(Rejected(uri=place, reason="bad_text", detail=detail, what="annotation", by="web"))
        return ""
    if extension == CLASS_EXTENSION:
        return text
    if extension != RECORD_EXTENSION:
        said.captions.append(text)
    elif isinstance(record, Mapping):
        said.add_record(record, place, reading)
    elif isinstance(record, str | list) and _all_text(record):
        said.captions += record if isinstance(record, list) else [record]
    else:
        detail = f"a json of {type(record).__name__}: expected an object with captions, or captions"
        said.others.append(PassedOver(uri=place, reason="form_not_read", detail=detail, what="annotation", by="web"))
    return ""


def told_of_all(sample: Sample) -> Iterator[PassedOver]:
    """Texts of several images are of none of them."""
    for member in sample.of_all():
        yield PassedOver(
            uri=member.uri,
            reason="of_several_images",
            detail=f"the sample has {len(sample.images)} images",
            what="annotation",
            by="web",
            of_image=sample.images[0].uri,
        )


def key_and_suffix(name: str) -> tuple[str, str]:
    """The key of a member's sample, and what follows the first dot, in lower case."""
    folder, base = posixpath.split(name)
    stem, _, suffix = base.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def _all_text(value: str | list[object]) -> bool:
    return isinstance(value, str) or (bool(value) and all(isinstance(one, str) for one in value))


def _is_other(picture: Member) -> bool:
    return any(word in OTHER_PICTURES for word in picture.word.replace("_", ".").replace("-", ".").split("."))


def _is_text(member: Member, words: set[str]) -> bool:
    """Whether a member tells of the images: plain, by a word that an image has, or by one that says what it is."""
    if member.extension not in READ_EXTENSIONS:
        return False
    named = bool(caption_names([member.word])) or member.extension == RECORD_EXTENSION
    return not member.word or member.word in words or named
