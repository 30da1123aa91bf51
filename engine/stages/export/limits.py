"""What a user of an export must know that the numbers do not say by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fld_engine.engine.stages.export.manifest import Manifest

COMPOSED = "composed-"
"""Annotators whose entry point begins so write by rules what others saw."""


def known_limits(manifest: Manifest) -> Iterator[str]:
    """Sentences in Markdown, each true of this export by its facts."""
    yield (
        "Annotations are made by models and decided on by thresholds, but for those whose `source` says `human` or "
        "`web`. Nobody has checked them one by one; scores are the models' own and not calibrated against each other."
    )
    yield from _composed(manifest)
    yield from _without_licence(manifest)
    yield from _remote_code(manifest)
    yield from _metadata(manifest)
    yield from _incomplete(manifest)
    yield from _empty_families(manifest)
    if manifest.facts.sources and not any(source.gold for source in manifest.facts.sources):
        yield "There were no reference images: no number here says how good the annotations are."
    yield (
        "Splits are by near-twin images, found by a perceptual hash; crops and edits of one photograph may still stand "
        "in two splits."
    )


def _composed(manifest: Manifest) -> Iterator[str]:
    annotators = manifest.config.get("annotators", {})
    composed = [n for n in manifest.models if str((annotators.get(n) or {}).get("use") or n).startswith(COMPOSED)]
    if composed:
        yield (
            f"Texts of {_names(composed)} are put together by rules from detections and classes. They say no more than "
            "these, repeat their errors, and agree with their regions by construction."
        )


def _without_licence(manifest: Manifest) -> Iterator[str]:
    sources = [source.name for source in manifest.facts.sources if not source.licence]
    if sources:
        yield f"No licence is stated for the images of {_names(sources)}: clear their use before you pass them on."
    models = [name for name, model in manifest.models.items() if not model.licence]
    if models:
        yield f"No licence is stated for the models of {_names(models)}."


def _remote_code(manifest: Manifest) -> Iterator[str]:
    remote = [name for name, model in manifest.models.items() if model.remote_code]
    if remote:
        yield f"The models of {_names(remote)} ran code that came with their checkpoint."


def _metadata(manifest: Manifest) -> Iterator[str]:
    if manifest.config.get("export", {}).get("metadata", "keep") == "keep":
        yield "Photographs have the EXIF and other notes that they came with: places, cameras, names."
    else:
        yield "EXIF, XMP, IPTC and comments of photographs are left out; their coded pictures are as they came."


def _incomplete(manifest: Manifest) -> Iterator[str]:
    for name, reasons in sorted(manifest.facts.unanswered.items()):
        said = " and ".join(f"{number} {status.replace('_', ' ')}" for status, number in sorted(reasons.items()))
        yield f"`{name}` did not answer for every image: {said}. Where their `status` says so, nothing is known."


def _empty_families(manifest: Manifest) -> Iterator[str]:
    empty = [name.replace("_", " ") for name, number in manifest.counts.model_dump().items() if not number]
    if empty and manifest.samples:
        yield f"There are no {', '.join(empty)} in this export."


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(set(names)))
