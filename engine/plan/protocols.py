"""The two extension points: annotators, which may load a model, and filters, which are arithmetic on tables.

A new one is one file and one entry point, in group `fld_engine.annotators` or `fld_engine.filters`. The entry point
names a class; the class has a nested pydantic model `Params` and is built as `cls(params)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.images import RGB
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.schemas.annotations import Annotations, Frozen
from fld_engine.schemas.kinds import Kind


class Resources(Frozen):
    """What one worker needs, `gpus` may be a fraction, and how many workers there may be side by side.

    A run that cannot have `min_workers` is refused; `max_workers` 0 is no bound.
    """

    cpus: float = Field(default=1.0, gt=0)
    gpus: float = Field(default=0.0, ge=0)
    memory_mb: int = Field(default=500, gt=0)
    min_workers: int = Field(default=1, gt=0)
    max_workers: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image as an annotator sees it.

    `pixels` is a read-only (height, width, 3) uint8 RGB array, present when the annotator requires `pixels`.
    `known` holds the annotations of the required and optional kinds, cut to the annotator's work set; on gold images
    it never holds human annotations. `seed` is the run's seed; near-twins share a `twin_group`.
    """

    id: str
    width: int
    height: int
    pixels: RGB | None = None
    known: Annotations = field(default_factory=Annotations)
    seed: int = 0
    twin_group: str = ""


@runtime_checkable
class Annotator(Protocol):
    """Sees images or annotations, and writes what it sees with scores; it never decides what is kept.

    `version` is bumped whenever the output for the same input changes. `optional` kinds are read when something
    produces them. Constructors are cheap; `load` runs once per worker.

    An annotator may say more: it may be `Remembering`, `Asking`, `Reducing`, `Packaged` or `NamesLibraries`, and its
    `params` may be `RuntimeParams` or `Pinnable`.
    """

    version: int
    params: Frozen
    requires: frozenset[Kind]
    optional: frozenset[Kind]
    produces: frozenset[Kind]
    resources: Resources
    batch_size: int
    model: ModelIdentity

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """One result per sample, in order; samples are never changed."""
        ...


@runtime_checkable
class RuntimeParams(Protocol):
    """Parameters of which some say where or how an annotator runs, and not what it writes.

    `runtime` names these; they are no part of a fingerprint.
    """

    runtime: ClassVar[frozenset[str]]


@runtime_checkable
class Pinnable(RuntimeParams, Protocol):
    """Parameters that name something outside of the config, such as a branch of a model hub."""

    def pinned(self, *, models_root: str, strict: bool) -> Frozen:
        """The same with commits or hashes filled in. Raises `ModelError` where `strict` and that is not possible."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """An annotator that keeps what it cannot have again for the same price, such as the answers of an endpoint."""

    def remember_at(self, url: str) -> None:
        """Called before `load` with a folder of the root, an fsspec URL, for this annotator alone."""
        ...


@runtime_checkable
class Asking(Protocol):
    """An annotator that sends requests to a service which counts or bills them, such as a chat endpoint."""

    @property
    def num_requests(self) -> int:
        """How many this process has sent since `load`, those that were made again included."""
        ...


@runtime_checkable
class Reducing(Protocol):
    """An annotator that cuts its batches smaller than configured for want of memory, where it would fail otherwise."""

    @property
    def reduced(self) -> bool:
        """Whether it had to since `load`, which is recorded with the images."""
        ...


@runtime_checkable
class Packaged(Protocol):
    """An annotator that loads packaged models, which `fld models pull` fetches ahead."""

    @property
    def packaged(self) -> tuple[str, ...]:
        """Their names, as the catalogue of packaged models has them."""
        ...


@runtime_checkable
class NamesLibraries(Protocol):
    """An annotator that names the libraries whose versions decide what it writes, by the names of their distributions.

    The versions are recorded with its outputs; for any other annotator, those of all that may decide anything.
    """

    @property
    def libraries(self) -> tuple[str, ...]:
        """Without the one that decodes images, which the engine knows of. Empty where none decides."""
        ...


@runtime_checkable
class NeedsLibraries(Protocol):
    """An annotator that cannot run without more libraries, whose versions decide nothing of what it writes."""

    @property
    def needs(self) -> tuple[str, ...]:
        """By the names of their distributions."""
        ...


Tables = Mapping[str, pa.Table]
"""Tables of one partition by name (`schemas.tables`); parse and parents included, whole."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A filter's decision on every row it was shown, in row order.

    `keep` is bool; `value` is the float the decision was made on (NaN where the rule does not apply); `reason` is the
    code that dropped rows get, such as `low_confidence`.
    """

    keep: npt.NDArray[np.bool_]
    value: npt.NDArray[np.float64]
    reason: str


@runtime_checkable
class Filter(Protocol):
    """Decides on the rows of one table. Pure: the same tables give the same verdicts.

    `target` names the table whose rows are judged: `images`, `texts`, `regions`, `region_texts`, `phrases` or
    `phrase_regions`. In `tables`, the target holds only the rows that survived the filters before this one; all other
    tables of `requires` are whole.

    A filter may say more of its value: it may be `KeepsLow`, `OfScore` or `Bounding`.
    """

    version: int
    target: ClassVar[str]
    requires: frozenset[str]
    params: Frozen

    def decide(self, tables: Tables) -> Verdicts: ...


@runtime_checkable
class KeepsLow(Protocol):
    """A filter that may keep low values (numbers of things, overlaps); reports draw its bound the right way round."""

    @property
    def keeps_low(self) -> bool: ...


@runtime_checkable
class OfScore(Protocol):
    """A filter whose value may be the row's own score; its bounds are drawn into the histograms of scores."""

    @property
    def of_score(self) -> bool: ...


@runtime_checkable
class Bounding(Protocol):
    """A filter of regions that knows the lowest score it may let pass; work sets that begin above are warned of."""

    @property
    def lowest_score(self) -> float: ...


Factory = Any  # a class with a nested `Params` model, found by entry point
