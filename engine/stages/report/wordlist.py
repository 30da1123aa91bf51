"""Coverage of a list of words: which are absent, which are rare, and which source would bring more of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from fld_engine.engine.stages.report.vocabulary import ALL
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.names import name_key

ABSENT, UNDER, COVERED = "absent", "under the floor", "covered"


EVIDENCE = ("class", "dropped_class", "mention")
"""Kinds of terms that tell where a word is, the surest first."""
SHIPPED = ("lvis", "openimages")
"""Lists in `engine/report/wordlists`, each with its licence."""


class WordCoverage(NamedTuple):
    """One word: kept and dropped regions of that class, names in texts, and the source that would bring most."""

    word: str
    regions: int
    dropped: int
    mentions: int
    state: str
    best_source: str
    because: str


def read_words(path: str) -> list[str]:
    """Names of a shipped list or of a text file, a line each, as texts would have them.

    In lower case, with spaces for underscores; what follows a comma, a tab or a bracket is left out, `#` lines too.
    Raises `ConfigError` where the file is missing or empty.
    """
    if path in SHIPPED:
        text = resources.files(__package__).joinpath("wordlists", f"{path}.txt").read_text("utf-8")
    elif Path(path).is_file():
        text = Path(path).read_text("utf-8")
    else:
        known = ", ".join(("coco", *SHIPPED))
        raise ConfigError(
            f"word list {path} does not exist; give a text file with a name on each line, or one of {known}"
        )
    lines = [re.split(r"[\t,(]", line)[0].replace("_", " ").strip().lower() for line in text.splitlines()]
    words = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not words:
        raise ConfigError(f"word list {path} is empty; expected a name on each line")
    return words


def terms_of(words: Sequence[str]) -> list[str]:
    """What words are counted as: as they are in texts, and by the keys of their names among classes."""
    return list(dict.fromkeys([*words, *map(name_key, words)]))


def word_coverage(
    wanted: pa.Table, words: Sequence[str], images_by_source: Mapping[str, int], floor: int
) -> list[WordCoverage]:
    """Each word in its order. `wanted` are the rows of the merged vocabulary that hold these words.

    The source that would fill a word is the one with the most kept regions of it an image; where no source has any,
    that with the most dropped ones; else that whose texts name it most. `because` says which of these it was.
    """
    seen: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in wanted.to_pylist():
        seen[row["kind"], row["term"]][row["family"]] = row["count"]
    found = []
    for word in words:
        by_kind = {kind: seen[kind, word if kind == "mention" else name_key(word)] for kind in EVIDENCE}
        number, dropped, said = (counts.get(ALL, 0) for counts in by_kind.values())
        surest = next((kind for kind, counts in by_kind.items() if counts), "")
        rates = {
            source: count / max(1, images_by_source.get(source, 0))
            for source, count in by_kind.get(surest, {}).items()
            if source != ALL
        }
        best = max(sorted(rates), key=lambda source: rates[source], default="")
        because = {"class": "kept regions", "dropped_class": "dropped regions", "mention": "its texts", "": ""}[surest]
        state = ABSENT if not number and not said else UNDER if number < floor else COVERED
        found.append(WordCoverage(word, number, dropped, said, state, best, because))
    return found
