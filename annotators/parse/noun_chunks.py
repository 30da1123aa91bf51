"""Noun chunks of a parsed text, and what the text says of their number and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fld_engine.annotators.common.places import Level, Side
from fld_engine.schemas.annotations import Annotations, Phrase, Token

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_SIDES: dict[str, Side] = {"left": "left", "right": "right", "center": "center", "centre": "center", "middle": "center"}
_LEVELS: dict[str, Level] = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}
_PLACE_NOUNS = frozenset({*_SIDES, *_LEVELS, "side", "corner", "half", "part"})
_SINGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child"}
"""Plurals that a lemmatizer may leave as they are."""
_PICTURES = frozenset({"picture", "photograph", "photo", "image", "frame", "scene", "shot"})


@dataclass(frozen=True, slots=True)
class Chunk:
    """A base noun phrase without its leading determiner: `tokens` of the text, characters [`start`, `end`).

    `head` is the noun that the rest depends on. `limit` is how many things it can mean: 1 for a singular, the number
    that is spelled out, or None for any other plural. `side` and `level` are the thirds of the picture it is said to
    be in.
    """

    tokens: tuple[Token, ...]
    head: Token
    limit: int | None
    side: Side | None = None
    level: Level | None = None

    @property
    def start(self) -> int:
        return self.tokens[0].start

    @property
    def end(self) -> int:
        return self.tokens[-1].end

    @property
    def lemmas(self) -> tuple[str, ...]:
        return tuple(_lemma(token) for token in self.tokens)

    @property
    def noun(self) -> str:
        """The head, singular and in lower case."""
        return _lemma(self.head)


def noun_chunks(tokens: Sequence[Token]) -> list[Chunk]:
    """The chunks of one text in order, from all its tokens by rising index.

    Phrases of FLD-5B average 1.35 to 1.93 tokens (arXiv 2311.06242, Table 2), which leaves no room for articles; so a
    determiner at the front does not belong to the phrase, unless it is all there is.
    """
    groups: dict[int, list[Token]] = {}
    for token in tokens:
        if token.chunk >= 0:
            groups.setdefault(token.chunk, []).append(token)
    places = dict(_places(tokens))
    return [_chunk(groups[ordinal], places.get(ordinal, ())) for ordinal in sorted(groups)]


def unlocated_phrases(known: Annotations) -> Iterator[Phrase]:
    """The noun chunks of every text, text by text in order, not yet looked for: without regions and with score 0."""
    for text in known.texts:
        tokens = sorted((token for token in known.tokens if token.text_id == text.id), key=lambda token: token.index)
        for chunk in noun_chunks(tokens):
            phrase = text.text[chunk.start : chunk.end]
            yield Phrase(text_id=text.id, phrase=phrase, start=chunk.start, end=chunk.end, score=0.0)


def _chunk(tokens: Sequence[Token], place_words: Sequence[str]) -> Chunk:
    inside = {token.index for token in tokens}
    heads = [token for token in tokens if token.head not in inside or token.head == token.index]
    head = (heads or list(tokens))[-1]
    words = [token for token in tokens if token.pos != "SPACE"] or list(tokens)
    if len(words) > 1 and words[0].pos == "DET":
        words = words[1:]
    limit = None if head.tag in ("NNS", "NNPS") or head.lemma.lower() in ("people", "crowd", "cattle") else 1
    numbers = [NUMBERS.get(token.lemma.lower()) or _digits(token) for token in words if token.pos == "NUM"]
    if numbers and numbers[0]:
        limit = numbers[0]
    sides = [_SIDES[word] for word in place_words if word in _SIDES]
    levels = [_LEVELS[word] for word in place_words if word in _LEVELS]
    return Chunk(tuple(words), head, limit, next(iter(sides), None), next(iter(levels), None))


def _lemma(token: Token) -> str:
    return _SINGULAR.get(token.lemma.lower(), token.lemma.lower())


def _digits(token: Token) -> int | None:
    return int(token.text) if token.text.isascii() and token.text.isdigit() and len(token.text) < 4 else None


def _places(tokens: Sequence[Token]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Chunk ordinal and the place words said of it, such as ("bottom", "left").

    A run of place words belongs to the nearest chunk before it in its sentence, at the front of a sentence to the
    first one after it. Words followed by "of" place something within the picture only where a word for the picture
    comes next: in "a cup to the left of the cat", nothing is said of thirds of the picture.
    """
    head_of = {token.chunk: token.lemma.lower() for token in tokens if token.chunk >= 0}  # the last word of each
    for sentence in _sentences(tokens):
        words: list[Token] = []
        named: list[int] = []
        runs: list[tuple[int | None, list[Token]]] = []
        for token in sentence:
            if _is_place(token, head_of):
                if not words or token.index > words[-1].index + 1:
                    runs.append((named[-1] if named else None, words := []))
                words.append(token)
            elif token.chunk >= 0 and token.pos in ("NOUN", "PROPN") and token.lemma.lower() not in _PICTURES:
                named.append(token.chunk)
        for owner, run in runs:
            owner = owner if owner is not None else next(iter(named), None)
            if owner is not None and not _within_something(run[-1], sentence):
                yield owner, tuple(token.lemma.lower() for token in run)


def _is_place(token: Token, head_of: Mapping[int, str]) -> bool:
    """A place word of its own, or before a noun such as "corner": not the left of "left hand", nor a "right now"."""
    is_word = token.lemma.lower() in _SIDES or token.lemma.lower() in _LEVELS
    is_free = token.chunk < 0 or head_of[token.chunk] in _PLACE_NOUNS
    return is_word and is_free and token.pos in ("NOUN", "ADJ", "PROPN")


def _within_something(last: Token, sentence: Sequence[Token]) -> bool:
    """Whether place words ending in `last` are followed by "of" and something other than the picture."""
    rest = [token for token in sentence if token.index > last.index]
    if not rest or rest[0].lemma.lower() != "of":
        return False
    noun = next((token for token in rest if token.pos in ("NOUN", "PROPN", "PRON")), None)
    return noun is not None and noun.lemma.lower() not in _PICTURES


def _sentences(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """Tokens cut after full stops, exclamation and question marks."""
    sentence: list[Token] = []
    for token in tokens:
        sentence.append(token)
        if token.text in (".", "!", "?"):
            yield sentence
            sentence = []
    if sentence:
        yield sentence
