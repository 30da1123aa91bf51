"""Stands for a decoder that crashes: a process that starts with this folder on its path dies of a PNG of 97 x 71."""

from __future__ import annotations

import os
import signal

from PIL import PngImagePlugin

_load_prepare = PngImagePlugin.PngImageFile.load_prepare


def load_prepare(self: PngImagePlugin.PngImageFile) -> None:
    if self.size == (97, 71):
        os.kill(os.getpid(), signal.SIGKILL)
    _load_prepare(self)


PngImagePlugin.PngImageFile.load_prepare = load_prepare  # type: ignore[method-assign]
