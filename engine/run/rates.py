"""How fast annotators were in a root: ROOT/rates.json, by which `fld plan` says how long the rest takes.

Never part of any fingerprint, table or manifest.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import AnnotatorConfig, RunConfig
from fld_engine.schemas.annotations import Frozen

FILE = "rates.json"
KEPT = 20
"""Measurements that are kept of an annotator, the latest ones."""
PINNED = ("revision", "sha256", "licence", "models_root")
"""Parameters that a run fills in, and that no speed depends on."""


class MeasuredRate(Frozen):
    """`images` took one worker after another `seconds` in the annotator, loading left out; `ended` is seconds of Unix.

    `settings` names what may make it another speed: the annotator, its parameters and its batches.
    """

    images: int
    seconds: float
    settings: str
    host: str
    runner: str
    ended: float


class RatesOfRoot(Frozen):
    """All that is kept, by annotator, the latest last."""

    annotators: Mapping[str, tuple[MeasuredRate, ...]] = Field(default_factory=dict)


def read_rates(store: Store) -> RatesOfRoot:
    """What the root notes; nothing where nothing was measured, as in one of 0.1.0."""
    found: RatesOfRoot = store.read_model(FILE, RatesOfRoot) if store.exists(FILE) else RatesOfRoot()
    return found


def note_rates(store: Store, config: RunConfig, annotated: Mapping[str, tuple[int, float]]) -> None:
    """Note what a driver has measured: annotator → (images, seconds)."""
    new = {
        name: MeasuredRate(
            images=images,
            seconds=round(seconds, 6),
            settings=settings_of(config.annotators[name]),
            host=socket.gethostname(),
            runner=config.runner.kind,
            ended=round(time.time(), 3),
        )
        for name, (images, seconds) in annotated.items()
        if name in config.annotators and images and seconds
    }
    if new:
        before = read_rates(store).annotators
        added = {name: (*before.get(name, ()), rate)[-KEPT:] for name, rate in new.items()}
        store.publish_model(FILE, RatesOfRoot(annotators={**before, **added}))


def settings_of(config: AnnotatorConfig) -> str:
    """A short name of what the speed of an annotator depends on."""
    identity: dict[str, Any] = identity_of(config)
    params = {key: value for key, value in identity.get("params", {}).items() if key not in PINNED}
    return fingerprint({**identity, "params": params})
