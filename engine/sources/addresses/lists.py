"""The kinds of lists of addresses: what their publishers ship, and any other.

None of them is read by an ingest: stage `fetch` has their images fetched into `ROOT/fetched/NAME`, which is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fld_engine.engine.data.discovery import installed, load
from fld_engine.engine.sources.addresses.rows import Form, form_of
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.item import AUTO, ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.listing import Listing
from fld_engine.engine.sources.reader import GROUP, NoParams
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


@dataclass(frozen=True, slots=True)
class ListLayout:
    """How the files of a list are read: their form where their names do not say it, and columns without a header."""

    form: Form | None = None
    names: tuple[str, ...] = ()

    def form_of(self, path: str) -> tuple[Form | None, str]:
        by_name, packed = form_of(path)
        return (self.form if self.form and by_name != "parquet" else by_name), packed


class AddressList:
    """A list of addresses in any form that is recognised by its name: .parquet, .tsv, .csv, .jsonl, .json, .txt."""

    Params = NoParams
    layout: ClassVar[ListLayout] = ListLayout()
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts"})
    uses: ClassVar[frozenset[str]] = frozenset({"uri_column", "caption_columns"})
    expects = "list of addresses (.tsv; with kind: addresses also .csv, .jsonl, .json and .txt)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return 0

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        raise SourceError(
            f"source {spec.url} is a list of addresses, whose images are fetched into a root first: run `fld run`; "
            "nothing is fetched elsewhere"
        )

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        raise TypeError("a list of addresses has no chunks")


class AnyList(AddressList):
    """Kind `addresses`; a source of `.tsv` files alone is one, and is told to say so."""

    @staticmethod
    def recognises(listing: Listing) -> int:
        lists = [path for path, _ in listing.files if form_of(path or listing.base)[0] == "tsv"]
        return len(lists) if len(lists) == len(listing.files) else 0

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        raise SourceError(
            f"source {spec.url} is a list of addresses, and nothing is fetched without being asked for: set kind to "
            "cc3m, cc12m or addresses, or `fetch: true`, on the source "
            f"(--set sources.{spec.name}.fetch=true)"
        )


class Cc3m(AddressList):
    """Conceptual Captions (2018): TSV of caption and address, without a header."""

    layout = ListLayout("tsv", ("caption", "url", "labels", "mids", "confidences"))


class Cc12m(AddressList):
    """Conceptual 12M (2021): TSV of address and caption, without a header."""

    layout = ListLayout("tsv", ("url", "caption"))


class Laion(AddressList):
    """LAION-400M, LAION-5B and their subsets: Parquet with URL, TEXT, similarity, LICENSE, NSFW and so on."""


class DataComp(AddressList):
    """DataComp: Parquet with url, text, uid, sha256, scores of CLIP and face_bboxes."""


class Coyo(AddressList):
    """COYO-700M: Parquet with url, text, image_phash, scores of CLIP and so on."""


def layout_of(spec: SourceSpec) -> ListLayout | None:
    """The layout of a list, where the kind of a source is one."""
    if spec.kind == AUTO or spec.kind not in installed(GROUP):
        return None
    reader: Any = load(GROUP, spec.kind, "source")
    return reader.layout if isinstance(reader, type) and issubclass(reader, AddressList) else None


def fetching(spec: SourceSpec) -> FetchSettings | None:
    """How a source is fetched: as it says, or, of a kind that is a list, with the defaults; `None` for any other."""
    if spec.fetch is not None:
        return spec.fetch
    return FetchSettings() if layout_of(spec) is not None else None
