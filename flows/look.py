"""`fld inspect`: look into a source before anything is ingested."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.settings import parse_settings
from fld_engine.engine.inspect.seen import ImageExample, SourceLook
from fld_engine.engine.inspect.source import look_into
from fld_engine.engine.plan.layers import merge, nested, parse_override
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.flows.options import AsJson
from fld_engine.flows.places import absolute
from fld_engine.flows.terminal import out, print_account
from fld_engine.schemas.masking import masked

look_app = typer.Typer()

MAX_WORDS = 60
"""Characters of a text that an example shows."""


@look_app.command("inspect")
def inspect(
    url: Annotated[
        str,
        typer.Argument(
            help="A source: a folder, tars, Parquet, a json of labels, a list of addresses; any fsspec URL."
        ),
    ],
    kind: Annotated[str, typer.Option(help="What it is; else told by its files' names.")] = "auto",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the source: images_url=PHOTOS, params.crowd=keep.")
    ] = None,
    images: Annotated[
        int, typer.Option(help="At most how many images to read, or hundreds of addresses.", min=1)
    ] = 200,
    seconds: Annotated[float, typer.Option(help="For about how long to read images.", min=0.0)] = 10.0,
    as_json: AsJson = False,
) -> None:
    """Say what is in a source and how it will be read, ingesting nothing."""
    given: dict[str, Any] = {"url": absolute(url), "kind": kind}
    for one in set_ or ():
        given = merge(given, nested(*parse_override(one)))
    found = look_into(parse_settings(SourceSpec, given), ImageLimits(), images=images, seconds=seconds)
    if as_json:
        out.print_json(found.model_dump_json())
        return
    _print(found)


def _print(found: SourceLook) -> None:
    what = "addresses" if found.columns else "images"
    how_many = f"{found.images} {what}" if found.is_exact else f"about {found.images} {what}"
    looked = "all" if found.is_whole else "some"
    out.print(f"{masked(found.url)}: {found.kind}, {how_many} in {found.files} files, {found.num_bytes / 1e6:.1f} MB")
    out.print(f"looked at {found.looked_at} of them ({looked})" if found.looked_at else "no image could be read")
    if found.columns:
        _print_columns(found)
    for licence, number in found.licences.items():
        out.print(f"licence: {licence or 'none stated'} ({number} {what})", markup=False)
    for annotator, forms in found.said.items():
        said = ", ".join(f"{number} {form}" for form, number in forms.items())
        out.print(f"said by {annotator}: {said}", markup=False)
    if found.images_with:
        shares = ", ".join(f"{n / found.looked_at:.0%} {form}" for form, n in found.images_with.items())
        out.print(f"of the {what} looked at, have any: {shares}", markup=False)
    print_account(found.account, details=True)
    for problem in found.unread:
        out.print(f"not read: {problem}", markup=False)
    table = Table("address", "said of it") if found.columns else Table("image", "is", "said of it")
    for example in found.examples:
        size = [] if found.columns else [f"{example.width}x{example.height} {example.format}"]
        table.add_row(example.uri, *size, _said(example))
    if found.examples:
        out.print(table, markup=False)


def _print_columns(found: SourceLook) -> None:
    """What of a list of addresses is read as what, whom it would ask, and what makes a run do so."""
    read = "; ".join(f"{what}: {', '.join(names)}" for what, names in found.columns.items())
    out.print(f"columns: {read}", markup=False)
    hosts = ", ".join(f"{host} {number}" for host, number in found.hosts.items())
    more = ", …" if found.num_hosts > len(found.hosts) else ""
    if hosts:
        out.print(f"hosts with most of the addresses looked at, of {found.num_hosts}: {hosts}{more}", markup=False)
    if found.repeated:
        out.print(f"{found.repeated} have the address of an earlier one, and are asked for once", markup=False)
    if not found.is_fetched:
        out.print(f"none is asked for unless the source says so: kind: {found.kind}, or fetch: true", markup=False)


def _said(example: ImageExample) -> str:
    lines = []
    for form, words in example.said.items():
        shown = "; ".join(word if len(word) <= MAX_WORDS else word[:MAX_WORDS] + "…" for word in words if word)
        lines.append(f"{form}: {shown or len(words)}")
    return "\n".join(lines)
