"""ImageNet as a source: ILSVRC's folders, and the tars of ILSVRC 2012 and of ImageNet-21k and -22k."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from fld_engine.engine.data.images import ANY_IMAGE, upright_frame
from fld_engine.engine.sources.imagenet.index import (
    ImageNetIndex,
    ImageNetParams,
    load_index,
    read_index,
    truth_files,
)
from fld_engine.engine.sources.imagenet.tars import read_tar
from fld_engine.engine.sources.imagenet.truth import wnid_of
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    extension,
)
from fld_engine.engine.sources.labelled import chunks_of, read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.schemas.annotations import Annotations, Label, Region
from fld_engine.schemas.errors import SourceError, UnreadableImage
from fld_engine.schemas.kinds import Kind

_TAR = re.compile(r"(n\d{8}|ILSVRC2012_img_.*)\.tar")


class ImageNetSource:
    """Images whose class is the WordNet id that they lie under, by its name, with the boxes of ILSVRC."""

    Params = ImageNetParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"labels", "objects"})
    uses: ClassVar[frozenset[str]] = frozenset({"exif"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder", "tars", "voc"})
    expects = "ImageNet (n01440764.tar and its like, ILSVRC2012_img_*.tar, Data/CLS-LOC, LOC_*_solution.csv)"

    def __init__(self, params: ImageNetParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        """Tars and files of truth by their names, and images of ILSVRC; folders of WordNet ids alone are `folder`."""
        images = [path for path, _ in listing.ending(IMAGE_EXTENSIONS) if "/CLS-LOC/" in f"/{path}"]
        return len(images) + len(_tars(listing, strict=True)) + len(truth_files(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """A chunk for each tar, then runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        tars, images = _tars(listing, strict=False), listing.ending(IMAGE_EXTENSIONS)
        if not tars and not images:
            raise SourceError(
                f"source {spec.url} holds no {self.expects} among its {len(listing.files)} files{listing.outside()}"
            )
        index = read_index(spec, self._params, listing)
        labels = {*index.used, *(path for path, _ in tars)}
        chunks = [
            chunk.model_copy(update={"revision": index.revision})
            for chunk in listing.chunk_a_file(spec, "imagenet", tars)
        ]
        if not images:  # else they are in the first chunk of these
            told = [
                Rejected(uri=f"{spec.name}{place}", reason=reason, detail=detail, what="annotation")
                for place, reason, detail in index.problems
            ]
            chunks[0] = chunks[0].model_copy(update={"rejected": tuple(told)})
        else:
            chunks += chunks_of(spec, "imagenet", index, listing, labels=labels, unnamed="unknown_extension")
        passed_over = listing.passed_over(spec.name, {*labels, *(path for path, _ in images)})
        return [chunk.model_copy(update={"passed_over": passed_over}) for chunk in chunks]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, or of their places in a tar, each with its class and boxes."""
        index = unchanged(load_index(chunk.spec.model_dump_json(), self._params), chunk.revision, chunk.spec.url)
        if chunk.labelled:
            for one in read_labelled(chunk, index, max_bytes):
                if isinstance(one, Rejected | PassedOver):
                    yield one
                else:
                    yield replace(one[0], source_label=wnid_of(one[0].uri.partition("#")[2])), one[1]
            return
        yield from chunk.rejected
        ((path, num_bytes),) = chunk.files
        for one in read_tar(chunk.url(path), num_bytes, chunk.uri(path), max_bytes):
            if isinstance(one, Rejected | PassedOver):
                yield one
            else:
                yield from _told(*one, index)


def _told(item: SourceItem, data: bytes, index: ImageNetIndex) -> Iterator[ReadItem]:
    """An image of a tar with what is said of it, after what is refused of that."""
    name = item.uri.partition("/")[2]
    regions: list[Region] = []
    labels: list[Label] = []
    try:
        upright_wh, orientation = upright_frame(data, ANY_IMAGE)
    except UnreadableImage:
        yield item, data
        return
    for one in index.said(name, upright_wh, orientation):
        if isinstance(one, Rejected | PassedOver):
            yield one.model_copy(update={"uri": f"{item.uri}{one.uri}", "of_image": item.uri})
        elif isinstance(one, Region):
            regions.append(one)
        elif isinstance(one, Label):
            labels.append(one)
    annotations = Annotations(regions=tuple(regions), labels=tuple(labels))
    yield replace(item, source_label=wnid_of(name), annotations=annotations), data


def _tars(listing: Listing, *, strict: bool) -> list[tuple[str, int]]:
    """Tars of the listing; with `strict`, those alone that are named as ImageNet names them."""
    found = [(path, size) for path, size in listing.files if extension(path or listing.base) == "tar"]
    if not strict:
        return found
    return [file for file in found if _TAR.fullmatch((file[0] or listing.base).rpartition("/")[2])]
