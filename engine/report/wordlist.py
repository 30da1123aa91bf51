"""Coverage of a list of words: which are absent, which are rare, and which source would bring more of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from engine.report.vocabulary import ALL
from schemas.errors import ConfigError

ABSENT, UNDER, COVERED = "absent", "under the floor", "covered"


class WordCoverage(NamedTuple):
    """One word: kept regions of that class, texts' nouns, and the source with most of its regions an image."""

    word: str
    regions: int
    mentions: int
    state: str
    best_source: str


def read_words(path: str) -> list[str]:
    """Names of a text file, a line each, in lower case; what follows a comma or a tab is left out, `#` lines too.

    Raises `ConfigError` where the file is missing or empty.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"word list {path} does not exist; give a text file with a name on each line")
    lines = [line.split("\t")[0].split(",")[0].strip().lower() for line in file.read_text("utf-8").splitlines()]
    words = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not words:
        raise ConfigError(f"word list {path} is empty; expected a name on each line")
    return words


def word_coverage(
    wanted: pa.Table, words: Sequence[str], images_by_source: Mapping[str, int], floor: int
) -> list[WordCoverage]:
    """Each word in its order. `wanted` are the rows of the merged vocabulary that hold these words.

    The source that would fill a word is the one with the most regions of it an image; none where no source has any.
    """
    regions: dict[str, dict[str, int]] = defaultdict(dict)
    mentions: dict[str, int] = {}
    for row in wanted.to_pylist():
        if row["kind"] == "class":
            regions[row["term"]][row["family"]] = row["count"]
        elif row["family"] == ALL:
            mentions[row["term"]] = row["count"]
    found = []
    for word in words:
        number, said = regions[word].get(ALL, 0), mentions.get(word, 0)
        rates = {
            source: count / max(1, images_by_source.get(source, 0))
            for source, count in regions[word].items()
            if source != ALL
        }
        best = max(sorted(rates), key=lambda source: rates[source], default="")
        state = ABSENT if not number and not said else UNDER if number < floor else COVERED
        found.append(WordCoverage(word, number, said, state, best))
    return found
