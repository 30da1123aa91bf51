"""Which columns of a list hold addresses, captions and hashes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import SourceError

URI_COLUMNS = ("url", "URL", "image_url", "image_uri", "uri", "imageurl", "img_url", "link")
CAPTION_COLUMNS = ("caption", "captions", "text", "TEXT", "texts", "txt", "alt_text", "top_caption", "all_captions")
SHA256_COLUMNS, MD5_COLUMNS = ("sha256", "SHA256"), ("md5", "MD5")


class Columns(Frozen):
    """Names of columns; those of hashes are empty where the list has none."""

    uri: str
    captions: tuple[str, ...] = ()
    sha256: str = ""
    md5: str = ""


def columns_of(names: Sequence[str], spec: SourceSpec, fetch: FetchSettings) -> Columns:
    """The columns of a list that has these. Raises `SourceError` with those there are."""
    given = (spec.uri_column, *spec.caption_columns, fetch.sha256_column, fetch.md5_column)
    if missing := [name for name in given if name and name not in names]:
        raise SourceError(f"source {spec.url} has no column {', '.join(missing)}; its columns: {', '.join(names)}")
    uri = spec.uri_column or _first(URI_COLUMNS, names)
    if not uri:
        raise SourceError(
            f"source {spec.url} has no column of addresses that is known by name; its columns: {', '.join(names)}; "
            "set uri_column"
        )
    captions = spec.caption_columns or tuple(filter(None, [_first(CAPTION_COLUMNS, names)]))
    return Columns(
        uri=uri,
        captions=captions,
        sha256=fetch.sha256_column or _first(SHA256_COLUMNS, names),
        md5=fetch.md5_column or _first(MD5_COLUMNS, names),
    )


def _first(known: Iterable[str], names: Sequence[str]) -> str:
    return next((name for name in known if name in names), "")
