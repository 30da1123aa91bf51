"""What a stage leaves in a root."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol, runtime_checkable

from fld_engine.schemas.annotations import Frozen

How = Literal["rewrite", "derived", "whole", "by_image", "own"]


class Holding(Frozen):
    """A folder of the root that a stage writes, and what becomes of it where images are removed.

    `glob` is a path in the root, `*` for one level. `how`:

    - `rewrite`: outputs with records, rewritten without the rows of these images;
    - `derived`: outputs of partitions, deleted where a partition held such an image, and made again;
    - `whole`: made of all partitions, deleted;
    - `by_image`: files with an image's id in their path are deleted, rows of tables with a column `image_id` too;
    - `own`: the stage forgets by itself.
    """

    glob: str
    how: How


@runtime_checkable
class Keeps(Protocol):
    """A stage that leaves something in the root.

    `rank` orders stages where images are removed, the lowest first: what names places of others goes last.
    """

    name: ClassVar[str]
    rank: ClassVar[int]
    holdings: ClassVar[tuple[Holding, ...]]
