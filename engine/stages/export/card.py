"""The Hugging Face dataset card: what is in an export, whose it is, who made it and what was left out, from the facts.

Its header gives explicit features, so that no reader infers types from the first samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.source_account import rows_of
from fld_engine.engine.stages.export.limits import known_limits
from fld_engine.schemas.sample import CLASS_KEYS, SAMPLE
from fld_engine.schemas.tables import VERDICT_TARGETS

if TYPE_CHECKING:
    from fld_engine.engine.stages.export.manifest import Manifest

NOT_STATED = "not stated"

INTRODUCTION = """\
# Image annotations in three families

WebDataset shards made by fld-engine, in the annotation scheme of FLD-5B (Florence-2, arXiv 2311.06242). Every sample is
`<id>.jpg`, `<id>.json` and `<id>.txt`: the image, all annotations that were kept, and the best brief text.

- `texts`: descriptions of the whole image, brief to paragraph.
- `regions`: boxes of objects and scene text, each with its candidate texts; `chosen` marks the best of them.
- `groundings`: the phrases of each text with their boxes and masks.
- `targets`: prompt and answer pairs in the language of Florence-2, one training task each.
- `unsaid`: annotations that are in no target of a task, and why.

Coordinates are pixels of the image, `x1 y1 x2 y2`. `status` tells, per family, whether the image was annotated:
`failed` and `not_run` do not mean that nothing is there. `similarity` is -1.0 where it was not measured. `source` says
which annotator, model and revision made an annotation.

```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder")
```

`manifest.json` lists every shard with its size, counts and sha256; `fld verify` checks them all, and so does
`sha256sum -c SHA256SUMS`.
"""

_LAST_KEY = "- `unsaid`: annotations that are in no target of a task, and why.\n"
CLASSES = """\
- `labels`: classes of the whole image that its sources tell; `absences`: those that were looked for and are not on it.
  `source.annotator` is `human`, `class_folder` (the name of the folder that the image lay in) or the name of a model.
"""
LOOKED_FOR = """\
Every image was looked up against the reference images and the lists below; what shows one of them is left out, whatever
split it would have been in, and no student was taught it. It is found by its bytes and by what it shows. Measured on
photographs: 98 % or more of the copies of each kind (encoded again, made smaller, cropped by 5 or 10 %, mirrored,
bordered, marked with a logo), and none of 1,224 others (95 % confidence: at most 2.5 in 1,000). Where a list gives
hashes alone, the same bytes are found, or the same picture in another size or encoding. Drawings of a few shapes are
told apart less well; pictures that were turned, or cut by more, are not found."""

Rows = Iterable[tuple[object, ...]]


def dataset_card(manifest: Manifest) -> str:
    """The text of `README.md`: the header, then one section after another."""
    classes = manifest.facts.classes
    sections = [
        INTRODUCTION.replace(_LAST_KEY, _LAST_KEY + CLASSES) if classes else INTRODUCTION,
        _section("What is in it", _contents(manifest)),
        _section("Sources and licences", _sources(manifest)),
        _section("What the sources hold", _accounts(manifest)),
        _section("Specialists", _specialists(manifest)),
        _section("Filters", _filters(manifest)),
        _section("What was left out, and why", _left_out(manifest)),
        _section("Images that may not be trained on", _excluded(manifest)),
        _section("Refinement", _rounds(manifest)),
        _section("Known limits", [f"- {limit}" for limit in known_limits(manifest)]),
    ]
    header = yaml.safe_dump(card_header(manifest), sort_keys=False, allow_unicode=True)
    return f"---\n{header}---\n\n" + "\n".join(section for section in sections if section)


def card_header(manifest: Manifest) -> dict[str, Any]:
    """The YAML in front of the card, which readers go by."""
    header: dict[str, Any] = {
        "license": "other",
        "license_name": "per-image",
        "task_categories": ["image-to-text", "object-detection", "image-segmentation"],
        "tags": ["webdataset", "florence-2"],
        "dataset_info": {"features": features(classes=bool(manifest.facts.classes))},
    }
    if manifest.splits:
        data_files = [{"split": split, "path": f"shards/{split}-*.tar"} for split in sorted(manifest.splits)]
        header["configs"] = [{"config_name": "default", "data_files": data_files}]
    return header


# ---------------------------------------------------------------- sections


def _section(title: str, lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"## {title}\n\n{text}\n" if text else ""


def _contents(manifest: Manifest) -> Iterator[str]:
    yield f"{manifest.samples} samples, {len(manifest.shards)} shards, {manifest.bytes} bytes."
    yield ""
    yield from _table(("split", "samples"), sorted(manifest.splits.items()))
    yield ""
    counts = {**manifest.counts.model_dump(), **manifest.facts.classes}
    yield from _table(("annotations", "number"), [(name.replace("_", " "), n) for name, n in counts.items()])


def _sources(manifest: Manifest) -> Iterator[str]:
    facts = manifest.facts
    if not facts.sources:
        return
    yield "Licences are those that the sources were configured with; each sample has its own under `image.licence`."
    yield f"'{NOT_STATED}' is no permission. An image found in several sources counts in the first."
    yield ""
    rows = [(s.name, s.licence or NOT_STATED, s.images, s.gold, s.samples) for s in facts.sources]
    yield from _table(("source", "licence", "images", "of them reference", "exported"), rows)


def _accounts(manifest: Manifest) -> Iterator[str]:
    rows = rows_of(manifest.facts.accounts)
    if rows:
        yield "Refused is what should have been used and could not be; passed over is what is none of ours by rule."
        yield ""
        yield from _table(("source", "what", "seen", "read", "refused", "passed over", "why"), rows)


def _specialists(manifest: Manifest) -> Iterator[str]:
    if not manifest.models:
        return
    rows = []
    for name, model in sorted(manifest.models.items()):
        unanswered = manifest.facts.unanswered.get(name, {})
        weights = f"`{model.sha256[:12]}`" if model.sha256 else ""
        numbers = (unanswered.get("failed", 0), unanswered.get("not_run", 0))
        rows.append((name, model.id, model.revision, weights, model.licence or NOT_STATED, *numbers))
    yield from _table(("annotator", "model", "revision", "sha256", "licence", "images failed", "not run"), rows)


def _filters(manifest: Manifest) -> Iterator[str]:
    rows = [(f.name, f.target, f"`{canonical_json(dict(f.params))}`") for f in manifest.facts.filters]
    if rows:
        yield "In the order in which they are asked; a row goes with the first that does not keep it."
        yield ""
        yield from _table(("filter", "judges", "thresholds"), rows)


def _left_out(manifest: Manifest) -> Iterator[str]:
    facts = manifest.facts
    if facts.found:
        quarantined = sum(facts.quarantined.values())
        ingested = facts.found - facts.duplicates - facts.known - quarantined
        yield (
            f"Of {facts.found} images found, {ingested} were new, {facts.duplicates} had the bytes of another, "
            f"{facts.known} were known from before and {quarantined} could not be used ({_reasons(facts.quarantined)})."
        )
        yield f"Annotations of sources that could not be used: {_reasons(facts.rejected_annotations)}."
        yield f"Images removed on request: {facts.removed}; nothing of them is left, and they are not taken in again."
        yield ""
    rows = [
        (target.replace("_", " "), facts.kept[target], sum(dropped.values()), _reasons(dropped))
        for target in VERDICT_TARGETS
        if target in facts.kept
        for dropped in [facts.dropped.get(target, {})]
    ]
    if rows:
        yield "Verdicts on all annotations, those of reference images included:"
        yield ""
        yield from _table(("what", "kept", "dropped", "why"), rows)
    if facts.unsaid:
        yield ""
        yield "Annotations that are kept and in no target of a task, which `unsaid` names in each sample: those that"
        yield "its language has no words for, and those that would not all fit, for no answer is cut."
        yield ""
        yield from _table(("task", "annotations"), [(task, _reasons(why)) for task, why in facts.unsaid.items()])


def _excluded(manifest: Manifest) -> Iterator[str]:
    facts = manifest.facts
    if not facts.excluded and not any(source.gold for source in facts.sources):
        return
    yield LOOKED_FOR
    if not facts.excluded:
        yield "None was found outside of the reference."
        return
    yield ""
    rows = [(one.name, one.entries, _reasons(one.unread), one.left_out) for one in facts.excluded]
    yield from _table(("list", "entries", "that could not be read", "images left out"), rows)


def _rounds(manifest: Manifest) -> Iterator[str]:
    rows = [
        (r.number, r.specialist, r.metric, f"{r.before:.4g}", f"{r.after:.4g}", "yes" if r.accepted else "no")
        for r in manifest.facts.rounds
    ]
    if not rows:
        yield "None: no specialist was trained on this dataset's own annotations."
        return
    yield "Each round's student is scored on reference images that it never saw, and replaces its teacher if it passes."
    if any(not r.measured for r in manifest.facts.rounds):
        yield "A metric that is `not measured` had no reference to be scored on: what passed was taken over unjudged."
    yield ""
    yield from _table(("round", "specialist", "metric", "before", "after", "passed the gate"), rows)


def _reasons(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {number}" for reason, number in ordered) or "none"


def _table(header: tuple[str, ...], rows: Rows) -> Iterator[str]:
    yield _line(header)
    yield _line(["---"] * len(header))
    for row in rows:
        yield _line(row)


def _line(cells: Iterable[object]) -> str:
    """A row of a table; what names hold cannot break out of its cell."""
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"


# ---------------------------------------------------------------- features


def features(*, classes: bool = False) -> list[dict[str, Any]]:
    """Features of a row as `dataset_info` spells them: the members of a sample, then what the loader adds."""
    keys = [field for field in SAMPLE if classes or field.name not in CLASS_KEYS]
    return [
        {"name": "jpg", "dtype": "image"},
        {"name": "json", "struct": [_named(field) for field in keys]},
        {"name": "txt", "dtype": "string"},
        {"name": "__key__", "dtype": "string"},
        {"name": "__url__", "dtype": "string"},
    ]


def _named(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, **_feature(field.type)}


def _feature(type_: pa.DataType) -> dict[str, Any]:
    """An Arrow type in the card's shorthand, where a list of values or of structs leaves its inner key out."""
    if pa.types.is_struct(type_):
        return {"struct": [_named(type_.field(i)) for i in range(type_.num_fields)]}
    if pa.types.is_list(type_):
        inner = _feature(type_.value_type)
        return {"list": inner.get("struct", inner.get("dtype", inner))}
    names = {pa.float64(): "float64", pa.int32(): "int32", pa.bool_(): "bool", pa.string(): "string"}
    return {"dtype": names[type_]}
