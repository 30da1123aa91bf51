"""The tokens of Florence-2: which strings are one, and how many a text is.

Words are spelt as by GPT-2, whose merges BART and Florence-2 share (`vendor/gpt2.bpe.xz`): each word apart, in bytes
that are joined by the merges, the earliest first.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

from fld_engine.schemas.tasks import TASKS

NUM_BINS = 1000

SPECIAL_TOKENS: tuple[str, ...] = (
    "<od>", "</od>", "<ocr>", "</ocr>",
    *(f"<loc_{n}>" for n in range(NUM_BINS)),
    "<cap>", "</cap>", "<ncap>", "</ncap>", "<dcap>", "</dcap>", "<grounding>", "</grounding>", "<seg>", "</seg>",
    "<sep>", "<region_cap>", "</region_cap>", "<region_to_desciption>", "</region_to_desciption>",
    "<proposal>", "</proposal>", "<poly>", "</poly>", "<and>",
)  # fmt: skip
"""The 1,024 tokens added to the BART vocabulary, in order; `desciption` is spelt so in the published models."""

_TOKENS = frozenset({*SPECIAL_TOKENS, "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<image>"})
_RESERVED = _TOKENS | frozenset(TASKS)
"""What a word may not be: a token, or what `Florence2Processor` replaces by a question."""
_MARK = re.compile(r"</?[A-Za-z_]+(?:\d{1,3})?>")

TokenCount = Callable[[str], int]
"""How many tokens a prompt or a target is."""


def holds_token(text: str) -> bool:
    """Whether a text holds what a tokenizer or processor takes for a token, and not for words."""
    return any(mark[0] in _RESERVED for mark in _MARK.finditer(text))


def num_tokens(text: str) -> int:
    """How many tokens a text is to Florence-2, without the marks of its begin and end.

    A run of more than 200 bytes without a space counts its bytes, of which each is a token at most.
    """
    special, words = _split(text)
    return special + sum(_num_pieces(word) for part in words for word in _WORD.findall(part))


def most_tokens(text: str) -> int:
    """At most how many tokens a text is to any tokenizer that spells in bytes, whatever its merges."""
    special, words = _split(text)
    return special + sum(len(part.encode()) for part in words)


def _split(text: str) -> tuple[int, Iterator[str]]:
    """The number of special tokens in a text, and the words between them."""
    marks = [mark for mark in _MARK.finditer(text) if mark[0] in _TOKENS]
    bounds = [0, *(edge for mark in marks for edge in mark.span()), len(text)]
    return len(marks), (text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True) if start < end)


# -------------------------------------------------------------------------------------------------------- spelling

_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
"""GPT-2's words: letters, digits or signs, with the space before them."""
MAX_WORD_BYTES = 200


@lru_cache(maxsize=65536)
def _num_pieces(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    if len(data) > MAX_WORD_BYTES:
        return len(data)
    letters = _letters()
    pieces = [letters[byte] for byte in data]
    ranks = _ranks()
    while len(pieces) > 1:
        first = min(pairwise(pieces), key=lambda pair: ranks.get(pair, len(ranks)))
        if first not in ranks:
            break
        pieces = list(_joined(pieces, first))
    return len(pieces)


def _joined(pieces: list[str], pair: tuple[str, str]) -> Iterator[str]:
    """The pieces with every occurrence of a pair made one, from the left."""
    i = 0
    while i < len(pieces):
        whole = i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) == pair
        yield pieces[i] + pieces[i + 1] if whole else pieces[i]
        i += 2 if whole else 1


@cache
def _letters() -> list[str]:
    """How the merges write each byte: printable ones as they are in Latin-1, the others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """Pairs of pieces that make one, the earliest first."""
    data = (files("fld_engine.schemas") / "vendor/gpt2.bpe.xz").read_bytes()
    lines = lzma.decompress(data).decode().splitlines()[1:]  # the first is a version
    return tuple((first, second) for first, _, second in (line.partition(" ") for line in lines if line))


@cache
def _ranks() -> dict[tuple[str, str], int]:
    return {pair: rank for rank, pair in enumerate(merges())}
