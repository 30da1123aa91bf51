"""A folder of label files, with its images in it or in a folder of their own."""

from __future__ import annotations

from collections.abc import Collection

from fld_engine.engine.data.source_account import Counting, Reasons
from fld_engine.engine.sources.item import SourceChunk, SourceSpec, extension
from fld_engine.engine.sources.labelled import LabelIndex, chunks_of
from fld_engine.engine.sources.listing import Listing, list_files

NOT_READ = "not_read"
"""Reason of files that no layout makes anything of: hierarchies, lists of splits, questions and answers."""
NOT_LABELLED = "not_labelled"
"""Reason of image files that no label file names."""


def images_listing(spec: SourceSpec, labels: Listing) -> Listing:
    """The folder of images: that of the label files where `images_url` names no other."""
    if not spec.images_url:
        return labels
    return image_files(spec.images_url, spec)


def image_files(url: str, spec: SourceSpec) -> Listing:
    """The files of a folder of images; of a zip, those in it."""
    found = list_files(url, spec.name, allow_outside=spec.allow_outside)
    if found.files and not found.files[0][0] and extension(found.base) == "zip":
        return list_files(f"zip://::{found.base}", spec.name)
    return found


def label_chunks(
    spec: SourceSpec, kind: str, index: LabelIndex, labels: Listing, images: Listing, *, used: Collection[str]
) -> list[SourceChunk]:
    """Chunks of `chunks_of`, which also count files beside the `used` label files that nothing is read of."""
    at = {f"{labels.base}/{path}" for path in used}
    inside = {url.removeprefix(f"{images.base}/") for url in at if url.startswith(f"{images.base}/")}
    chunks = chunks_of(spec, kind, index, images, labels=inside, unnamed=NOT_LABELLED)
    if images.base == labels.base or labels.base.startswith(f"{images.base}/"):
        return chunks
    below = f"{images.base}/".removeprefix(f"{labels.base}/")  # the images may lie below the label files
    files = {path for path, _ in labels.files if path.startswith(below)}
    return passing_over(chunks, labels.passed_over(spec.name, files | set(used), NOT_READ))


def passing_over(chunks: list[SourceChunk], reasons: Reasons) -> list[SourceChunk]:
    """The same chunks, which count more of what is left out of their source."""
    counting = Counting()
    for given in (chunks[0].passed_over, reasons):
        counting.add_reasons("images", "passed_over", given)
    passed_over = counting.account().images.passed_over
    return [chunk.model_copy(update={"passed_over": passed_over}) for chunk in chunks]
