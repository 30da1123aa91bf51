"""The extras of this package: which of them bring a library that is not installed here, in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fld_engine.engine.data.libraries import BUILDS, NONE, versions_here

PACKAGE = "fld-engine"
DISTRIBUTIONS: Mapping[str, str] = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "opencv": "opencv-python-headless",
    "yaml": "pyyaml",
}
"""What a library is called where it is imported or recorded → its distribution, where that is another name."""
OF_DEVELOPERS = ("dev", "docs")
"""Extras that nobody needs to use the package."""
ROOMS: Mapping[str, str] = {
    "fld_engine.annotators.hub": "hub",
    "fld_engine.annotators.endpoint": "hub",
    "fld_engine.annotators.checkpoints": "hub",
    "fld_engine.annotators.packaged": "packaged",
    "fld_engine.annotators.composed": "packaged",
    "fld_engine.annotators.assets": "packaged",
    "fld_engine.refinement": "refine",
    "fld_engine.engine.stages.contamination": "gold",
    "fld_engine.engine.stages.fetch": "fetch",
    "fld_engine.engine.run": "cluster",
}
"""Which extra a part of the code belongs to; a library may be in several."""


@cache
def extras() -> Mapping[str, tuple[Requirement, ...]]:
    """What each extra brings, those that it includes too; empty where the package's metadata is not installed."""
    try:
        requirements = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
        names = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return {}
    own = {
        name: [one for one in requirements if one.marker is not None and one.marker.evaluate({"extra": name})]
        for name in names
        if name not in OF_DEVELOPERS
    }

    def brings(name: str) -> Iterable[Requirement]:
        for one in own[name]:
            if canonicalize_name(one.name) == PACKAGE:
                for included in sorted(one.extras):
                    yield from brings(included)
            else:
                yield one

    return {name: tuple(brings(name)) for name in own}


def extras_with(libraries: Iterable[str]) -> tuple[str, ...]:
    """The extras that bring all of these libraries, by their import names or those of their distributions."""
    wanted = {canonicalize_name(DISTRIBUTIONS.get(library, library)) for library in libraries}
    brought = {name: {canonicalize_name(one.name) for one in of} for name, of in extras().items()}
    return tuple(name for name, of in brought.items() if wanted <= of)


def absent(libraries: Iterable[str]) -> tuple[str, ...]:
    """Those that some extra brings and that are not installed here; nothing is imported."""
    asked = [library for library in libraries if extras_with([library])]
    as_recorded: dict[str, str] = {
        canonicalize_name(build): library for library, builds in BUILDS.items() for build in builds
    }
    by_name = {library: as_recorded.get(DISTRIBUTIONS.get(library, library), library) for library in asked}
    here = versions_here(by_name.values())
    return tuple(library for library, name in by_name.items() if here[name] == NONE)


def extra_for(libraries: Iterable[str], room: str = "", preferred: Collection[str] = ()) -> str:
    """The extra to have libraries by: a preferred one that brings them all, that of the part of the code that asks
    (`room`, a module), or any. Empty where none brings all of them.
    """
    found = extras_with(libraries)
    of_room = next((extra for prefix, extra in ROOMS.items() if room.startswith(prefix)), "")
    wanted = [extra for extra in (of_room, *sorted(preferred)) if extra in found]
    return next(iter((*wanted, *found)), "")


def needs_extra(extra: str) -> str:
    """What is to be done, after the words for who needs it."""
    return f"needs the extra `{extra}`: {install_command(extra)}"


def install_command(*names: str) -> str:
    """What a person types to have extras, by the tool that made this environment."""
    tools = {"uv-receipt.toml": "uv tool install", "pipx_metadata.json": "pipx install --force"}
    made_by = next((command for file, command in tools.items() if Path(sys.prefix, file).is_file()), "pip install")
    return f"{made_by} '{PACKAGE}[{','.join(names)}]'"


def missing_sentence(error: ImportError) -> str:
    """What to install where an import failed; empty where the module is none that an extra brings."""
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error  # fsspec says it in its own words
    name = (cause.name or "").partition(".")[0]
    extra = extra_for([name], _asker(error)) if name else ""
    return f"{name} is not installed in {sys.prefix}: this {needs_extra(extra)}" if extra else ""


def _asker(error: ImportError) -> str:
    """The innermost module of ours that an import failed in."""
    trace, asker = error.__traceback__, ""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        asker = module if module.startswith("fld_engine.") else asker
        trace = trace.tb_next
    return asker
