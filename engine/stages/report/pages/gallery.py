"""The gallery: images with their overlays, as a payload that the page's script draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from jinja2.utils import htmlsafe_json_dumps

from fld_engine.engine.stages.report.model import Data, Page, Row, Section, TableBlock
from fld_engine.engine.stages.report.pages.facts import Facts

MAX_BYTES = 12_000_000
"""Of the pictures and annotations on one page, so that it stays under 15 MB."""


class Gallery:
    """The page `gallery.html`."""

    order: ClassVar[int] = 6

    def render(self, facts: Facts) -> Page:
        images = within(facts.gallery, MAX_BYTES)
        rows: list[Row] = [
            (
                image["id"], image["source"], "; ".join(f"{s['stratum']}: {s['note']}" for s in image["strata"]),
                sum(t["kept"] for t in image["texts"]), sum(b["kept"] for b in image["boxes"]),
                sum(not b["kept"] for b in image["boxes"]),
            )
            for image in images
        ]  # fmt: skip
        columns = ("image", "source", "why it is here", "kept texts", "kept boxes", "dropped boxes")
        sections = [
            Section("Images", "", widget="gallery"),
            Section(
                "The sample",
                "",
                [TableBlock("Images of the gallery", "gallery", Data("gallery", columns, rows))],
                wide=True,
            ),
        ]
        lead = (
            f"{len(images)} images, drawn the same way each time: a plain sample of every source, and what is unusual."
        )
        return Page("gallery", "Gallery", lead, sections, payload={"images": images}, script="gallery")

    def data(self, facts: Facts) -> Sequence[Data]:
        return ()


def within(images: Sequence[Mapping[str, Any]], max_bytes: int) -> list[Mapping[str, Any]]:
    """As many images as fit, in their order; those that stand for most strata go in first."""
    order = sorted(range(len(images)), key=lambda i: (-len(images[i]["strata"]), images[i]["id"]))
    taken, total = [], 0
    for i in order:
        size = len(htmlsafe_json_dumps(images[i]))  # as the page holds it, where an escaped letter has six
        if total + size <= max_bytes:
            taken.append(i)
            total += size
    return [images[i] for i in sorted(taken)]
