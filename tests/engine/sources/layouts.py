"""Sources of native layouts as a test reads them: made files, and everything that a reader says of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fld_engine.engine.sources.item import PassedOver, Rejected, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from tests.known_faults.pictures import WH, jpeg


@dataclass(frozen=True)
class Found:
    """`items` by path in the folder of images; `rejected` and `passed_over` by what they are of, counted.

    `files` are those that were passed over as the source was listed, by reason.
    """

    kind: str
    items: dict[str, SourceItem]
    rejected: list[tuple[str, str]]
    passed_over: Counter[tuple[str, str]]
    files: dict[str, int]


def scanned(url: Path, **spec: Any) -> Found:
    """Read a source whole; its name is `src`."""
    source = open_source(SourceSpec(url=str(url), name="src", **spec))
    chunks, passed = source.chunks(), list[PassedOver]()
    found = [one for chunk in chunks for one in read_chunk(chunk, passed_over=passed.append)]
    over: Counter[tuple[str, str]] = Counter()
    for one in passed:
        over[one.reason, one.detail if one.reason == "not_kept" else ""] += one.number
    return Found(
        kind=source.kind,
        items={one[0].uri.removeprefix("src#"): one[0] for one in found if not isinstance(one, Rejected)},
        rejected=[(one.uri.removeprefix("src#"), one.reason) for one in found if isinstance(one, Rejected)],
        passed_over=over,
        files={reason: counted.number for reason, counted in chunks[0].passed_over.items()},
    )


def objects(item: SourceItem) -> list[tuple[list[tuple[str, str]], tuple[float, ...]]]:
    """Texts of each region by kind, and its box."""
    return [([(text.kind, text.text) for text in one.texts], one.box_xyxy) for one in item.annotations.regions]


def phrases(item: SourceItem) -> list[tuple[str, list[tuple[str, list[tuple[float, ...]]]]]]:
    """Texts with their phrases and the boxes of these."""
    return [
        (text.text, [(one.phrase, [region.box_xyxy for region in one.regions]) for one in text.phrases])
        for text in item.annotations.texts
    ]


def picture_at(folder: Path, *names: str) -> None:
    """Pictures of 160 x 120 pixels, each its own."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed, WH))


def write_all(folder: Path, files: dict[str, str]) -> Path:
    """Text files under a folder, which is returned."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
