"""Which image somebody means: by its id, by the beginning of one, or by the name of a file that it was found as."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.stages.ingest.again import refusals
from fld_engine.schemas.errors import ConfigError

LISTED = 10
"""Images that are listed where several are meant."""


class Found(NamedTuple):
    """An image that is meant: its partition, its id and all places that its bytes were found at."""

    record: PartitionRecord
    id: str
    uris: Sequence[str]


def find_image(plan: Plan, wanted: str) -> Found:
    """The image that an id, the beginning of one, a file's name, or its path in its source or here, means.

    Raises `ConfigError` where none is meant, or several, which are listed.
    """
    names = list(_names(plan.config.sources, wanted)) if wanted else []
    found = [image for image in _images(plan) if wanted and (_has_id(image, wanted) or _has_name(image.uris, names))]
    exact = [image for image in found if image.id == wanted.lower() or any(name in image.uris for name in names)]
    if len(found) > 1 and len(exact) == 1:
        return exact[0]
    if len(found) == 1:
        return found[0]
    if found:
        listed = "".join(f"\n  {image.id}  {', '.join(image.uris)}" for image in found[:LISTED])
        more = f"\n  and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise ConfigError(
            f"{wanted!r} fits {len(found)} images; give the id of one, or more of its path:{listed}{more}"
        )
    raise ConfigError(_nothing(plan, wanted, names))


def _images(plan: Plan) -> Iterator[Found]:
    for record in plan.partitions:
        table = plan.store.read_table(record.files["images"].path, ["id", "uris"])
        for row in table.to_pylist():
            yield Found(record, row["id"], row["uris"] or ())


def _has_id(image: Found, wanted: str) -> bool:
    return image.id.startswith(wanted.lower())


def _has_name(uris: Sequence[str], names: Sequence[str]) -> bool:
    return any(uri == name or uri.endswith(f"/{name}") for uri in uris for name in names)


def _names(sources: Sequence[SourceSpec], wanted: str) -> Iterator[str]:
    """The name itself, and what a source calls it where it is a path here or an address of the source."""
    name = wanted.removeprefix("./")
    yield name
    for spec in sources:
        for folder in filter(None, (spec.url, spec.images_url)):
            inside = _inside(wanted, folder)
            if inside:
                yield f"{spec.name}/{inside}"


def _inside(wanted: str, folder: str) -> str:
    """The path of a file in a folder; empty where it is not there."""
    if "://" not in folder and "://" not in wanted:
        folder, wanted = os.path.abspath(folder), os.path.abspath(wanted)
    prefix = folder.rstrip("/") + "/"
    return wanted.removeprefix(prefix) if wanted.startswith(prefix) else ""


def _nothing(plan: Plan, wanted: str, names: Sequence[str]) -> str:
    """Why there is no such image: it was refused, or nothing is called so."""
    for row in refusals(plan.store, read_journal(plan.store)):
        if row.get("what", "image") == "image" and row["uri"] and _has_name([row["uri"]], names):
            return (
                f"{row['uri']} is in quarantine and no image of {plan.store.url}: {row['reason']}"
                f"{': ' + row['detail'] if row.get('detail') else ''}; mend the file, and run again"
            )
    example = next((f", such as {image.uris[0]!r}" for image in _images(plan) if image.uris), "")
    return (
        f"no image of {plan.store.url} has an id that begins with {wanted!r}, or was found as a file of that name; "
        f"give an id, a file's name, or its path in its source{example}"
    )
