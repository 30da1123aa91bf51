"""Lists of images that may not be trained on, such as those of a benchmark."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.sources.item import AUTO, SourceSpec, extension
from fld_engine.schemas.annotations import Frozen

GOLD = "gold"
"""What the images of gold sources are called beside the lists of a config."""
HASHES = "hashes"
"""Kind of a list that has no pictures."""
_TEXT = frozenset({"txt", "sha256", "phash", "csv"})


def _default_name(fields: dict[str, Any]) -> str:
    return SourceSpec(url=str(fields.get("url") or "list")).name


class ExcludeList(Frozen):
    """Images that may not be trained on, such as those of a benchmark: a list, where it is and how it is to be read.

    `url` is a folder of images, a COCO json, tars or Parquet files with images, as of a source; or a text file, or a
    Parquet file, of hashes. `kind` is `auto`, `hashes`, or that of a source. In a text file each line begins with a
    hash: sha256 (64 hex digits), the id of an image (32), or its perceptual hash (16). `hash_column` is the column of a
    Parquet file that has them; `images_url` and `image_column` are those of a source. `name` is what its images are
    counted under.

    Pictures are looked up by what they show: crops, mirrors, borders, other sizes and encodings are found. A hash finds
    the same bytes, or, a perceptual one, the same picture in another size or encoding.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=("url", "kind", "name", "images_url", "image_column", "hash_column")
    )

    url: str = Field(min_length=1)
    kind: str = Field(default=AUTO, min_length=1)
    name: str = Field(default_factory=_default_name, min_length=1)
    images_url: str = ""
    image_column: str = ""
    hash_column: str = ""

    @property
    def has_pictures(self) -> bool:
        """Whether there is more to compare than hashes."""
        plain_text = self.kind == AUTO and extension(re.split(r"[?*]", self.url)[0]) in _TEXT
        return not (self.kind == HASHES or self.hash_column or plain_text)

    @property
    def source(self) -> SourceSpec:
        """The list as a source of images."""
        return SourceSpec(
            url=self.url, kind=self.kind, name=self.name, class_folders=False, images_url=self.images_url,
            image_column=self.image_column,
        )  # fmt: skip
