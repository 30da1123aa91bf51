"""A real Chromium on pages that are opened from files, watched for errors and for requests that leave them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    PATH is None, reason="no Chromium on this machine: `apt-get install chromium`; .ci/run installs it where it may"
)


COUNT_JUMPS = """
window.jumps = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.jumps += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
"""Adds up what moves without a hand of the reader's: cumulative layout shift, web.dev/articles/cls."""


@dataclass
class Watched:
    """A page, what its console said, and the addresses it asked for beside its own file and data in it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser without a network: every name resolves to nothing."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PATH,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb"],
        )
        try:
            yield browser
        finally:
            browser.close()


def opened(browser: Browser, path: Path, *, fragment: str = "", scheme: str = "light", width: int = 1280) -> Watched:
    """Open a file in a context of its own."""
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 900}
    )
    context.add_init_script(COUNT_JUMPS)
    watched = Watched(context.new_page())
    address = path.absolute().as_uri()
    watched.page.on("console", lambda m: watched.errors.append(m.text) if m.type in ("error", "warning") else None)
    watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
    watched.page.on("dialog", lambda dialog: (watched.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
    watched.page.on(
        "request",
        lambda r: (
            watched.requests.append(r.url) if r.url.split("#")[0] != address and not r.url.startswith("data:") else None
        ),
    )
    watched.page.goto(address + fragment)
    return watched
