"""Objects, attributes and actions of texts, read from the stored parse: one definition for filters and coverage.

FLD-5B names these notions (arXiv 2311.06242, sections 3 and 4) and leaves their rules open. Ours, on the parts of
speech and relations that spaCy's English pipelines write:

- word: every token except punctuation and white space;
- object: a NOUN or PROPN that heads its noun phrase: "light" in "traffic light", "Tower" in "Eiffel Tower";
- attribute: an ADJ anywhere, a participle in front of a noun (`amod`), a number (`nummod`), and a common noun that
  modifies another ("traffic" in "traffic light");
- action: a VERB that is neither an auxiliary nor such a participle; "is" is an AUX and no action;
- proper noun: a PROPN;
- complexity of a token: its degree in the dependency tree taken as an undirected graph. All tokens are nodes.

The complexity of a text is the mean over its objects (actions), and 0 where it has none: the paper's 0.58 actions per
brief text go with an action complexity of 1.14, less than any verb with a subject has, so it counts such texts as 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.columns import Column, equals, ints, one_of, positions
from fld_engine.engine.data.geometry import Bools, Floats, Ints

NOT_WORDS = ("PUNCT", "SPACE")
NOUNS = ("NOUN", "PROPN")
MODIFIERS = ("amod", "nummod")
NOT_ACTIONS = ("amod", "aux", "auxpass", "compound")
COLUMNS = ("text_id", "index", "start", "head", "pos", "dep")


@dataclass(frozen=True, slots=True)
class Parse:
    """The tokens of `num_texts` texts as columns of equal length, in the order of the tokens table.

    `text` is the place of the token's text in the list asked for, `start` the token's first character in it. Each role
    is a bool column; `degree` counts the edges at the token.
    """

    num_texts: int
    text: Ints
    start: Ints
    word: Bools
    object: Bools
    attribute: Bools
    action: Bools
    proper_noun: Bools
    degree: Ints

    @property
    def parsed(self) -> Bools:
        """(num_texts,) whether the text has any token."""
        return np.bincount(self.text, minlength=self.num_texts) > 0

    def count(self, role: Bools) -> Ints:
        """(num_texts,) tokens of a role in each text."""
        return np.bincount(self.text[role], minlength=self.num_texts).astype(np.int64)

    def degrees(self, role: Bools) -> Ints:
        """(num_texts,) sum of the degrees of a role's tokens in each text."""
        sums = np.bincount(self.text[role], weights=self.degree[role], minlength=self.num_texts)
        return sums.astype(np.int64)  # sums of small integers are exact in float64

    def complexity(self, role: Bools) -> Floats:
        """(num_texts,) mean degree of a role's tokens in each text; 0 where it has none."""
        return self.degrees(role) / np.maximum(self.count(role), 1)

    def words_between(self, text: Ints, start: Ints, end: Ints) -> Ints:
        """(n,) words that begin within each span [start, end) of the text at place `text`."""
        stride = 1 + max(self.start.max(initial=0), start.max(initial=0), end.max(initial=0))
        words = np.sort(self.text[self.word] * stride + self.start[self.word])
        counted: Ints = np.searchsorted(words, text * stride + end) - np.searchsorted(words, text * stride + start)
        return counted


def parse_of(tokens: pa.Table, text_ids: Column) -> Parse:
    """The parse of the texts with these ids. `tokens` has schema `schemas.tables.TOKENS` and may hold others too."""
    text = positions(tokens["text_id"], text_ids)
    mine = text >= 0
    text, rows = text[mine], tokens.select(COLUMNS).filter(pa.array(mine))
    pos, dep = rows["pos"], rows["dep"]
    noun, compound = one_of(pos, NOUNS), equals(dep, "compound")
    return Parse(
        num_texts=len(text_ids),
        text=text,
        start=ints(rows, "start"),
        word=~one_of(pos, NOT_WORDS),
        object=noun & ~compound,
        attribute=equals(pos, "ADJ") | one_of(dep, MODIFIERS) | (equals(pos, "NOUN") & compound),
        action=equals(pos, "VERB") & ~one_of(dep, NOT_ACTIONS),
        proper_noun=equals(pos, "PROPN"),
        degree=_degrees(text, ints(rows, "index"), ints(rows, "head")),
    )


def _degrees(text: Ints, index: Ints, head: Ints) -> Ints:
    """(n,) edges at each token: one to its head, unless it is a root, and one to every token it is the head of."""
    stride = 1 + max(index.max(initial=0), head.max(initial=0))
    node = text * stride + index
    order = np.argsort(node, kind="stable")
    below = np.flatnonzero(head != index)
    wanted = text[below] * stride + head[below]
    place = np.searchsorted(node, wanted, sorter=order)
    found = np.isin(wanted, node)  # a head that is no token of the text has no edge
    heads, below = order[place[found]], below[found]
    return np.bincount(np.concatenate((heads, below)), minlength=len(text)).astype(np.int64)
