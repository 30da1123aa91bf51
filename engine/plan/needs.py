"""What a config needs of libraries that only extras bring, asked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fld_engine.engine.data.extras import absent, extra_for, install_command
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.protocols import NamesLibraries, NeedsLibraries
from fld_engine.engine.plan.registry import build_annotator
from fld_engine.engine.sources.addresses.lists import fetching
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError

OF_PROTOCOLS: Mapping[str, str] = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
COMPARES_PICTURES = "fld_engine.engine.stages.contamination"
FETCHES = "fld_engine.engine.stages.fetch"
REFINES = "fld_engine.refinement"
OF_REFINEMENT = ("ray", "torch", "transformers", "pandas", "scipy", "jiwer", "pycocotools", "pycocoevalcap")


class Need(Frozen):
    """An extra, who asks for it, and which of its libraries they ask for that are not installed here."""

    extra: str
    who: tuple[str, ...]
    libraries: tuple[str, ...]

    @property
    def told(self) -> str:
        """Without what to do."""
        verb = "needs" if len(self.who) == 1 else "need"
        return f"{', '.join(self.who)} {verb} the extra `{self.extra}` ({', '.join(self.libraries)} not installed here)"


class _Asking(NamedTuple):
    who: str
    libraries: tuple[str, ...]
    room: str


def missing_for(config: RunConfig, addresses: Iterable[str] = (), *, refine: bool = False) -> list[Need]:
    """The extras that a run of the config needs and this environment lacks.

    `addresses` are those of a root and of sources beside the config's. Of a cluster that is up, what its nodes have is
    not known: there annotators are left to them.
    """
    found: dict[str, tuple[list[str], list[str]]] = {}
    for who, libraries, room in _asking(config, tuple(addresses), refine):
        if lacking := absent(libraries):
            known_whos, known = found.setdefault(extra_for(lacking, room, found), ([], []))
            known_whos.append(who)
            known += [library for library in lacking if library not in known]
    return [Need(extra=extra, who=tuple(who), libraries=tuple(of)) for extra, (who, of) in found.items()]


def check_needs(config: RunConfig, addresses: Iterable[str] = (), *, refine: bool = False) -> None:
    """Raises `ConfigError` that names every extra which a run needs and this environment lacks."""
    if missing := missing_for(config, addresses, refine=refine):
        whole = "; ".join(need.told for need in missing)
        raise ConfigError(f"{whole}: {install_command(*(need.extra for need in missing))}")


def _asking(config: RunConfig, addresses: tuple[str, ...], refine: bool) -> Iterator[_Asking]:
    """Who asks for which libraries, those of whole parts first."""
    if config.runner.kind == "ray":
        yield _Asking("runner ray", ("ray",), "fld_engine.engine.run.ray")
    if refine:
        yield _Asking("fld refine", OF_REFINEMENT, REFINES)
    if not (config.runner.kind == "ray" and config.runner.ray_address):
        yield from _of_annotators(config)
        if any(spec.gold for spec in config.sources) or any(one.has_pictures for one in config.exclude):
            yield _Asking("comparing pictures with gold or a list of `exclude`", ("opencv",), COMPARES_PICTURES)
    if any(fetching(spec) is not None for spec in config.sources):
        yield _Asking("fetching a list of addresses", ("aiohttp", "yarl"), FETCHES)
    everywhere = [*addresses, config.models_root, *(spec.url for spec in config.sources)]
    everywhere += [url for spec in config.sources if (url := spec.images_url)] + [one.url for one in config.exclude]
    for address in dict.fromkeys(everywhere):
        protocol = address.partition("://")[0] if "://" in address else ""
        if library := OF_PROTOCOLS.get(protocol):
            yield _Asking(address, (library,), "")


def _of_annotators(config: RunConfig) -> Iterator[_Asking]:
    for name, given in config.annotators.items():
        annotator = build_annotator(name, given)
        libraries: tuple[str, ...] = annotator.libraries if isinstance(annotator, NamesLibraries) else ()
        more = annotator.needs if isinstance(annotator, NeedsLibraries) else ()
        yield _Asking(f"annotator {name}", (*libraries, *more), type(annotator).__module__)
