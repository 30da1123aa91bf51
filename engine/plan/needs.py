"""What a config needs of libraries that only extras bring, asked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fld_engine.engine.data.extras import absent, cure
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.protocols import NamesLibraries, NeedsLibraries
from fld_engine.engine.plan.registry import build_annotator
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError

OF_PROTOCOLS: Mapping[str, str] = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
COMPARES_PICTURES = "fld_engine.engine.stages.contamination"
REFINES = "fld_engine.refinement"
OF_REFINEMENT = ("ray", "torch", "transformers", "pandas", "scipy", "jiwer", "pycocotools", "pycocoevalcap")


class Need(Frozen):
    """Libraries that something asks for and that are not installed here; `cure` says how they are had."""

    who: str
    libraries: tuple[str, ...]
    cure: str

    def __str__(self) -> str:
        return f"{self.who} {self.cure} ({', '.join(self.libraries)} not installed here)"


def missing_for(config: RunConfig, addresses: Iterable[str] = (), *, refine: bool = False) -> list[Need]:
    """What is not installed here, though a run of the config, on a root and sources at `addresses`, needs it.

    Of a cluster that is up, what its nodes have is not known: there annotators are left to them.
    """
    return list(_missing(config, tuple(addresses), refine))


def check_needs(config: RunConfig, addresses: Iterable[str] = (), *, refine: bool = False) -> None:
    """Raises `ConfigError` that names every extra which a run needs and this environment lacks."""
    if missing := missing_for(config, addresses, refine=refine):
        raise ConfigError("; ".join(map(str, missing)))


def _missing(config: RunConfig, addresses: tuple[str, ...], refine: bool) -> Iterator[Need]:
    if config.runner.kind == "ray":
        yield from _need("runner ray", ("ray",), "fld_engine.engine.run.ray")
    if not (config.runner.kind == "ray" and config.runner.ray_address):
        yield from _of_annotators(config)
        if any(spec.gold for spec in config.sources) or any(one.has_pictures for one in config.exclude):
            yield from _need("comparing pictures with gold or a list of `exclude`", ("opencv",), COMPARES_PICTURES)
    if refine:
        yield from _need("fld refine", OF_REFINEMENT, REFINES)
    everywhere = [*addresses, config.models_root, *(spec.url for spec in config.sources)]
    everywhere += [url for spec in config.sources if (url := spec.images_url)] + [one.url for one in config.exclude]
    for address in dict.fromkeys(everywhere):
        protocol = address.partition("://")[0] if "://" in address else ""
        if library := OF_PROTOCOLS.get(protocol):
            yield from _need(address, (library,), "")


def _of_annotators(config: RunConfig) -> Iterator[Need]:
    for name, given in config.annotators.items():
        annotator = build_annotator(name, given)
        libraries: tuple[str, ...] = annotator.libraries if isinstance(annotator, NamesLibraries) else ()
        more = annotator.needs if isinstance(annotator, NeedsLibraries) else ()
        yield from _need(f"annotator {name}", (*libraries, *more), type(annotator).__module__)


def _need(who: str, libraries: tuple[str, ...], room: str) -> Iterator[Need]:
    if lacking := absent(libraries):
        yield Need(who=who, libraries=lacking, cure=cure(lacking, room))
