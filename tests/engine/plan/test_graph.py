"""Annotators are ordered by what they require and produce; what cannot work is refused before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.graph import build_graph
from fld_engine.engine.plan.plan import lanes_of
from fld_engine.engine.plan.protocols import Annotator, Resources, Sample
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.kinds import FROM_SOURCES, Kind


class Stub:
    """An annotator that is only looked at."""

    version = 1
    batch_size = 1
    model = ModelIdentity(id="stub", revision="1")

    def __init__(
        self, requires: Sequence[Kind], produces: Sequence[Kind], *, optional: Sequence[Kind] = (), gpus: float = 0
    ) -> None:
        self.requires: frozenset[Kind] = frozenset(requires)
        self.optional: frozenset[Kind] = frozenset(optional)
        self.produces: frozenset[Kind] = frozenset(produces)
        self.resources = Resources(gpus=gpus, memory_mb=100)

    def load(self) -> None: ...

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        return [Annotations() for _ in batch]


def chain() -> dict[str, Annotator]:
    return {
        "grounder": Stub(["brief_texts", "tokens", "objects"], ["groundings"]),
        "parser": Stub([], ["tokens"], optional=["brief_texts"]),
        "captioner": Stub(["objects"], ["brief_texts"], optional=["scene_text"]),
        "detector": Stub(["pixels"], ["objects"]),
        "reader": Stub(["pixels"], ["scene_text"]),
    }


def test_producers_come_before_those_who_read_them_whatever_the_config_order() -> None:
    graph = build_graph(chain())
    assert graph.order == ("detector", "reader", "captioner", "parser", "grounder")
    assert graph.upstream["captioner"] == ("detector", "reader")


def test_independent_annotators_with_equal_requests_form_one_group() -> None:
    groups = build_graph(chain()).groups
    assert [g.names for g in groups] == [("detector", "reader"), ("captioner",), ("parser",), ("grounder",)]
    assert groups[0].needs_pixels
    assert groups[0].resources.memory_mb == 200
    assert not groups[1].needs_pixels


def test_groups_on_processors_share_a_lane_and_a_gpu_has_its_own() -> None:
    annotators = chain() | {"gpu-detector": Stub(["pixels"], ["objects"], gpus=1)}
    groups = build_graph(annotators).groups
    assert [len(lane) for lane in lanes_of(groups, memory_mb=8192)] == [1, 1, 3]
    assert [len(lane) for lane in lanes_of(build_graph(chain()).groups, memory_mb=8192)] == [4]
    assert [len(lane) for lane in lanes_of(build_graph(chain()).groups, memory_mb=300)] == [2, 2]


def test_a_missing_producer_is_named() -> None:
    annotators = chain()
    del annotators["detector"]
    with pytest.raises(ConfigError, match="'grounder' requires 'objects', and no annotator"):
        build_graph(annotators)
    assert "captioner" in build_graph(annotators, frozenset({"objects"})).order  # the source brings them


def test_people_bring_scene_text_and_groundings_too() -> None:
    checker: dict[str, Annotator] = {"checker": Stub(["scene_text", "groundings"], ["checks"])}
    with pytest.raises(ConfigError, match="'checker' requires 'groundings'"):
        build_graph(checker)
    assert build_graph(checker, FROM_SOURCES).order == ("checker",)


def test_a_cycle_is_refused_with_its_members() -> None:
    annotators: dict[str, Annotator] = {
        "a": Stub(["brief_texts"], ["objects"]),
        "b": Stub(["objects"], ["brief_texts"]),
    }
    with pytest.raises(ConfigError, match="circle: a, b"):
        build_graph(annotators)
