"""Tables 2 and 3 counted from the shards alone, with nothing of ours: tar, json and spaCy."""

from __future__ import annotations

import json
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Token

Figures = dict[tuple[str, str, str], float]
"""(family, text, figure) → value, rounded to 1e-4."""


def samples_of(export: Path) -> Iterator[dict[str, Any]]:
    """The JSON of every sample in the shards."""
    for shard in sorted((export / "shards").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar.getmembers():
                if member.name.endswith(".json"):
                    yield json.load(tar.extractfile(member))  # type: ignore[arg-type]


def recount(samples: list[dict[str, Any]], nlp: Language) -> tuple[Figures, Figures]:
    """Table 2 (groundings of all kinds as `phrase-region`) and Table 3 of these samples."""
    texts = {text["id"]: text for sample in samples for text in sample["texts"]}
    docs = dict(zip(texts, nlp.pipe(text["text"] for text in texts.values()), strict=True))
    table2: Figures = {}
    by_granularity = defaultdict(list)
    for identity, text in texts.items():
        by_granularity[text["granularity"]].append(docs[identity])
    for granularity, of in by_granularity.items():
        table2["text", granularity, "annotations"] = len(of)
        table2["text", granularity, "tokens"] = mean([len(words(doc)) for doc in of])
    _region_texts(table2, samples, nlp)
    _groundings(table2, samples, docs, {identity: text["granularity"] for identity, text in texts.items()})
    table3: Figures = {}
    for granularity, of in by_granularity.items():
        for element, is_one in ROLES.items():
            table3["text", granularity, element] = mean([sum(map(is_one, doc)) for doc in of])
        for name, element in (("object_complexity", "objects"), ("action_complexity", "actions")):
            table3["text", granularity, name] = mean([complexity(doc, element) for doc in of])
    return table2, table3


def _region_texts(table: Figures, samples: list[dict[str, Any]], nlp: Language) -> None:
    rows = [
        (sample["id"], region["id"], text["kind"], text["text"])
        for sample in samples
        for region in sample["regions"]
        for text in region["texts"]
    ]
    for kind in {kind for _, _, kind, _ in rows}:
        mine = [row for row in rows if row[2] == kind]
        images, regions = {row[0] for row in mine}, {row[1] for row in mine}
        if kind in ("phrase", "ocr"):
            lengths = [sum(bool(re.search(r"[^\W_]", piece)) for piece in row[3].split()) for row in mine]
        else:
            lengths = [len(words(doc)) for doc in nlp.pipe(row[3] for row in mine)]
        table["region-text", kind, "annotations"] = len(images)
        table["region-text", kind, "regions"] = len(regions)
        table["region-text", kind, "regions_per_annotation"] = round(len(regions) / len(images), 4)
        table["region-text", kind, "tokens_per_region"] = mean(lengths)


def _groundings(
    table: Figures, samples: list[dict[str, Any]], docs: dict[str, Doc], granularity_of: dict[str, str]
) -> None:
    lengths = defaultdict(list)
    grounded = defaultdict(set)
    for grounding in (g for sample in samples for g in sample["groundings"]):
        granularity = granularity_of[grounding["text_id"]]
        for phrase in grounding["phrases"]:
            inside = [t for t in words(docs[grounding["text_id"]]) if phrase["start"] <= t.idx < phrase["end"]]
            lengths[granularity] += [len(inside)] * len(phrase["regions"])
            if phrase["regions"]:
                grounded[granularity].add(grounding["text_id"])
    for granularity, ids in grounded.items():
        row, of = ("phrase-region", granularity), lengths[granularity]
        table[*row, "annotations"] = len(ids)
        table[*row, "tokens"] = mean([len(words(docs[i])) for i in ids])
        table[*row, "regions"] = len(of)
        table[*row, "regions_per_annotation"] = round(len(of) / len(ids), 4)
        table[*row, "tokens_per_region"] = mean(of)


def words(doc: Doc) -> list[Token]:
    """spaCy's tokens without punctuation and white space."""
    return [token for token in doc if token.pos_ not in ("PUNCT", "SPACE")]


def is_object(token: Token) -> bool:
    """A noun that heads its phrase."""
    return token.pos_ in ("NOUN", "PROPN") and token.dep_ != "compound"


def is_attribute(token: Token) -> bool:
    """An adjective, a modifier in front of a noun, a number, or a common noun in a compound."""
    compound = token.pos_ == "NOUN" and token.dep_ == "compound"
    return token.pos_ == "ADJ" or token.dep_ in ("amod", "nummod") or compound


def is_action(token: Token) -> bool:
    """A verb that is no auxiliary and stands before no noun."""
    return token.pos_ == "VERB" and token.dep_ not in ("amod", "aux", "auxpass", "compound")


ROLES = {
    "objects": is_object,
    "attributes": is_attribute,
    "actions": is_action,
    "proper_nouns": lambda token: token.pos_ == "PROPN",
}


def complexity(doc: Doc, element: str) -> float:
    """Mean degree of an element's tokens in the undirected tree; 0 without any."""
    degrees = [len(list(t.children)) + (t.head.i != t.i) for t in doc if ROLES[element](t)]
    return sum(degrees) / len(degrees) if degrees else 0.0


def mean(values: list[Any]) -> float:
    """Rounded as the tables are."""
    return round(sum(values) / len(values), 4)
