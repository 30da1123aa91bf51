"""Libraries whose versions decide bytes: which are installed here, and with which a root was made.

ROOT/libraries.json has the versions that ever were at work in a root, by step. So a run that goes on with the same ones
reads no record to know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion
from pydantic import Field

from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError

FILE = "libraries.json"
PILLOW = "pillow"
"""Decodes every image, and writes those that cannot be handed on as they are."""
DECISIVE = (PILLOW, "opencv", "onnxruntime", "torch", "torchvision", "transformers", "tokenizers", "spacy")
"""What is recorded of an annotator that does not say which libraries it uses."""
BUILDS: Mapping[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "opencv": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    ),
    PILLOW: (PILLOW, "pillow-simd"),
}
"""Library → the distributions that bring it, where it has several or is called otherwise."""
NONE = "none"
OTHER = "other"

Versions = Mapping[str, str]
"""Library → its version, after the name of the distribution where that is another; `none` where it is not installed."""


class LibrariesSeen(Frozen):
    """Versions that were at work in a root, by step, whatever became of the outputs."""

    steps: Mapping[str, tuple[Versions, ...]] = Field(default_factory=dict)


def versions_here(libraries: Iterable[str]) -> Versions:
    """Versions of libraries in the environment of this process; nothing is imported."""
    return {library: _version(library) for library in sorted(set(libraries))}


def changed(made_with: Versions) -> dict[str, tuple[str, str]]:
    """Library → version then, version here: those that differ."""
    here = versions_here(made_with)
    return {library: (then, here[library]) for library, then in made_with.items() if then != here[library]}


def read_seen(store: Store) -> LibrariesSeen:
    """What the root notes; nothing in one of 0.1.0."""
    if not store.exists(FILE):
        return LibrariesSeen()
    seen: LibrariesSeen = store.read_model(FILE, LibrariesSeen)
    return seen


def note_seen(store: Store, step: str, made_with: Sequence[Versions]) -> None:
    """Note versions in the root, before the first output of theirs counts."""
    if not (made_with := tuple(filter(None, made_with))):
        return
    seen = read_seen(store)
    before = seen.steps.get(step, ())
    if new := tuple(versions for versions in made_with if versions not in before):
        store.publish_model(FILE, LibrariesSeen(steps={**seen.steps, step: (*before, *new)}))


class MadeWith:
    """Which outputs are meant: those made with `torch==2.13.0`, or with `other` versions than are installed here.

    A requirement reads as one of pip; `==none` means without the library. Raises `ConfigError` for anything else.
    """

    def __init__(self, wanted: str) -> None:
        self._requirement: Requirement | None = None
        name, _, version = wanted.partition("==")
        self._without = canonicalize_name(name) if version.strip() == NONE else ""
        if wanted == OTHER or self._without:
            return
        try:
            self._requirement = Requirement(wanted)
        except InvalidRequirement:
            self._requirement = None
        if self._requirement is None or not self._requirement.specifier:
            raise ConfigError(
                f"--made-with {wanted!r}: expected a library and its version, such as torch==2.13.0 or 'pillow<13', or "
                f"{OTHER!r} for all that was made with other versions than are installed here"
            )

    def matches(self, made_with: Versions) -> bool:
        """Whether these versions are meant; those that are not known never are."""
        if self._without:
            return made_with.get(self._without) == NONE
        if self._requirement is None:
            return bool(changed(made_with))
        return any(_satisfies(self._requirement, library, version) for library, version in made_with.items())


def _version(library: str) -> str:
    for name in BUILDS.get(library, (library,)):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return version if name == library else f"{name} {version}"
    return NONE


def _satisfies(requirement: Requirement, library: str, recorded: str) -> bool:
    *build, version = recorded.split()
    if canonicalize_name(requirement.name) not in map(canonicalize_name, (library, *build)):
        return False
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:  # `none`, or one that pip would not read
        return False
