"""What names outputs on disk stays the same when a model gets one more field, and changes when that is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from pydantic import Field, create_model

from fld_engine.engine.data.identity import Fields, identity_of
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.sources.item import Rejected, SourceChunk, SourceSpec
from fld_engine.engine.stages.export.task import ExportGroup
from fld_engine.engine.stages.ingest.scanning import NamedChunk, chunk_fingerprint, scan_fingerprint
from fld_engine.engine.stages.report.tasks import ComparePartition, DrawGallery, Gather, Reduce
from fld_engine.refinement.loop.settings import RefineConfig, SparseConfig
from fld_engine.schemas.annotations import Frozen


class Inner(Frozen):
    in_fingerprints: ClassVar[Fields] = Fields(always=("size",))

    size: int = 3
    later: str = ""


class Outer(Frozen):
    in_fingerprints: ClassVar[Fields] = Fields(always=("name", "inner", "many"), never=("workers",))

    name: str
    inner: Inner = Inner()
    many: Mapping[str, tuple[Inner, ...]] = Field(default_factory=dict)
    workers: int = 1
    later: Inner = Field(default_factory=lambda: Inner(size=7))
    kinds: frozenset[str] = frozenset()


OLD = {"name": "n", "inner": {"size": 3}, "many": {"a": [{"size": 1}]}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, OLD),
        ({"workers": 8}, OLD),
        ({"later": Inner(size=7), "kinds": frozenset()}, OLD),  # as they are anyway
        ({"later": Inner(size=8)}, {**OLD, "later": {"size": 8}}),
        ({"kinds": frozenset({"b", "c", "a"})}, {**OLD, "kinds": ["a", "b", "c"]}),
        ({"inner": Inner(later="set")}, {**OLD, "inner": {"size": 3, "later": "set"}}),
        ({"many": {"a": (Inner(size=1, later="set"),)}}, {**OLD, "many": {"a": [{"size": 1, "later": "set"}]}}),
        ({"inner": Inner(size=4)}, {**OLD, "inner": {"size": 4}}),
    ],
)
def test_named_fields_always_count_and_others_where_they_are_set(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert identity_of(Outer(**{"name": "n", "many": {"a": (Inner(size=1),)}, **changes})) == expected


def test_a_model_that_does_not_say_what_counts_is_refused_by_name() -> None:
    class Silent(Frozen):
        size: int = 1

    class Holder(Frozen):
        in_fingerprints: ClassVar[Fields] = Fields(always=("silent",))

        silent: Silent = Silent()

    with pytest.raises(TypeError, match=r"Silent is part of a fingerprint.*in_fingerprints"):
        identity_of(Holder())


NAMED = (SourceChunk, ExportGroup, Gather, Reduce, DrawGallery, ComparePartition, RunConfig, RefineConfig, SparseConfig)
"""What fingerprints are made of; the models inside are found by their fields."""


def models_of(model: type[Frozen]) -> Iterator[type[Frozen]]:
    """A model and those in the fields of it that count."""
    yield model
    fields: Fields = getattr(model, "in_fingerprints", Fields(always=()))
    for name, field in model.model_fields.items():
        for inner in inner_models(field.annotation) if name not in fields.never else ():
            yield from models_of(inner)


def inner_models(annotation: Any) -> Iterator[type[Frozen]]:
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from inner_models(argument)


EVERY = sorted({inner for model in NAMED for inner in models_of(model)}, key=lambda model: model.__name__)


@pytest.mark.parametrize("model", EVERY, ids=[model.__name__ for model in EVERY])
def test_every_model_in_a_fingerprint_may_get_a_field(model: type[Frozen]) -> None:
    """Its own are named, and one more with a default leaves the identity as it was until it is set."""
    fields: Fields = model.in_fingerprints  # type: ignore[attr-defined]
    assert set(fields.always) | set(fields.never) >= {
        name for name, field in model.model_fields.items() if field.is_required()
    }
    assert set(fields.always) | set(fields.never) <= set(model.model_fields), "a name that is no field"
    given = {name: None for name in model.model_fields if name in fields.always}
    more = create_model("More", __base__=model, later=(str, "as before"))
    before, after = (identity_of(kind.model_construct(**given)) for kind in (model, more))
    assert after == before
    assert identity_of(more.model_construct(**given, later="new")) == {**before, "later": "new"}


def test_fingerprints_are_those_that_old_roots_have() -> None:
    """Of what the old roots of `tests/compatibility` do not show: scans of an ingest that was not finished."""
    chunk = SourceChunk(
        spec=SourceSpec(url="s3://bucket/photos", name="photos"),
        kind="folder",
        base="s3://bucket/photos",
        files=(("a/1.jpg", 10), ("a/2.jpg", 20)),
        rejected=(Rejected(uri="photos/x", reason="bad_name", detail="the file's name"),),
    )
    assert chunk_fingerprint(chunk) == "9442468c8781df61"
    named = NamedChunk(chunk, chunk_fingerprint(chunk))
    assert scan_fingerprint(named, ImageLimits(max_pixels=100)) == "93a02c8a043a687b"
