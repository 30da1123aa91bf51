"""Counting what a scan finds, for the account of its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.source_account import Accounts, Counting, Example, SourceAccount, What, total
from fld_engine.engine.sources.item import PassedOver, Rejected, SourceChunk, SourceItem
from fld_engine.schemas.annotations import Annotations, Source
from fld_engine.schemas.origins import Origin

REMOVED = "removed"
"""Reason of a quarantined image that was removed from the root before; its row names the id and nothing else."""
BY_RULE = frozenset({"crowd", "illegible", REMOVED})
"""Reasons of rejected rows that are no loss: marks of many objects, text that nobody could read, what is to be gone."""


def count_read(counting: Counting, annotations: Annotations) -> None:
    """Count an image that is used, and what is said of it."""
    counting.add_read("images", 1)
    for whose, number in _said(annotations).items():
        counting.add_read(whose, number)


def count_lost(counting: Counting, item: SourceItem) -> None:
    """Count what is said of an image that cannot be used."""
    for whose, number in _said(item.annotations).items():
        counting.add(whose, "refused", "image_refused", number, Example(uri=item.uri))


def count_others(counting: Counting, others: Iterable[Rejected | PassedOver]) -> None:
    """Count what is no image and no annotation of one."""
    for one in others:
        what: What = "images" if one.what == "image" else one.by
        lost = one.lost if isinstance(one, PassedOver) else one.reason not in BY_RULE
        number = one.number if isinstance(one, PassedOver) else 1
        example = Example(uri=one.uri, detail=one.detail, of_image=one.of_image)
        counting.add(what, "refused" if lost else "passed_over", one.reason, number, example)


def accounts_of(
    chunks: Sequence[SourceChunk], accounts: Sequence[SourceAccount], earlier: Sequence[Accounts]
) -> dict[str, dict[str, SourceAccount]]:
    """Accounts of an ingest by source and chunk, from those of its chunks, and those of `earlier` ingests.

    The key of a chunk names its last file. Where files came after it, the chunk that holds it now takes its place: an
    account of nothing stands for the earlier one.
    """
    before: dict[str, set[str]] = {}
    for ingest in earlier:
        for name, counted in ingest.items():
            before.setdefault(name, set()).update(counted)
    made: dict[str, dict[str, SourceAccount]] = {}
    for chunk, account in zip(chunks, accounts, strict=True):
        name, reading = chunk.spec.name, _reading(chunk)
        mine = made.setdefault(name, {})
        for path, _ in chunk.files[:-1] if name in before else ():
            if (key := _key(path)) in before[name]:
                mine.setdefault(key, SourceAccount(revision=reading))
        last = _key(chunk.files[-1][0] if chunk.files else "")
        parts = (*([mine.pop(last)] if last in mine else []), account)
        mine[last] = total(parts).model_copy(update={"revision": reading})
    listed = {chunk.spec.name: dict(chunk.passed_over) for chunk in chunks}
    for name, mine in made.items():
        last = next(reversed(mine))
        mine[last] = mine[last].model_copy(update={"listed": listed[name]})
    return made


def known_of(chunks: Sequence[SourceChunk], known: Mapping[int, int]) -> dict[str, dict[str, int]]:
    """How many images were known, by source and by key of the chunk, from the numbers of the chunks in their order."""
    found: dict[str, dict[str, int]] = {}
    for number, chunk in enumerate(chunks):
        if known.get(number):
            found.setdefault(chunk.spec.name, {})[_key(chunk.files[-1][0])] = known[number]
    return found


def _key(path: str) -> str:
    return fingerprint({"last": path})


def _reading(chunk: SourceChunk) -> str:
    """Names how a source was read: its settings, where it lies, and the revision of its json."""
    return fingerprint(
        {"spec": identity_of(chunk.spec), "kind": chunk.kind, "base": chunk.base, "revision": chunk.revision}
    )


def _said(annotations: Annotations) -> Mapping[What, int]:
    """Texts, regions, boxes of phrases, classes and absences, by whose they are."""
    phrase_boxes = [box for text in annotations.texts for phrase in text.phrases for box in phrase.regions] + [
        box for phrase in annotations.phrases for box in phrase.regions
    ]
    said = (*annotations.texts, *annotations.regions, *phrase_boxes, *annotations.labels, *annotations.absences)
    return Counter(_whose(one.source) for one in said)


def _whose(source: Source | None) -> What:
    match source.annotator if source is not None else Origin.WEB:
        case Origin.HUMAN:
            return "human"
        case Origin.CLASS_FOLDER:
            return "folders"
        case Origin.WEB:
            return "web"
    return "machine"
