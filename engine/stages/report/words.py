"""Nouns, verbs, adjectives, pairs and triples of parsed texts, as rows of `TERMS`.

Words are the parser's lemmas in lower case, or the word itself where the pipeline has no lemmatizer. What a noun, a
verb or an adjective is follows `data.semantics`: a noun is an object's head ("light" in "traffic light"), a verb is
an action. Pairs and triples are read from the relations of spaCy's English pipelines:

- adjective and noun: an ADJ or participle with relation `amod` to a noun, and that noun;
- subject, verb and object: a verb with a subject (`nsubj`, or the `pobj` of its `agent`, "by a boy") and an object
  (`dobj` or `obj`, or the passive's `nsubjpass`); one triple for each combination.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import equals, ints, one_of, positions
from fld_engine.engine.data.geometry import Bools, Ints
from fld_engine.engine.data.semantics import NOUNS, parse_of

Strings = npt.NDArray[np.object_]
Found = tuple[str, Ints, Strings]
"""Kind, (n,) place of the text in the list asked for, (n,) terms."""
MOST_MODIFIERS = 3
"""Words before an object that a name may have: names of LVIS have at most three words, those of Open Images five."""


def terms_of(tokens: pa.Table, text_ids: pa.ChunkedArray) -> Iterator[Found]:
    """Terms of the texts with these ids, kind by kind, one for every occurrence."""
    mine = positions(tokens["text_id"], text_ids) >= 0
    rows = tokens.filter(pa.array(mine))
    parse = parse_of(rows, text_ids)
    lemma = _lemmas(rows)
    head = _heads(parse.text, ints(rows, "index"), ints(rows, "head"))
    common = equals(rows["pos"], "NOUN")
    for kind, role in (
        ("noun", parse.object & common),
        ("verb", parse.action),
        ("adjective", equals(rows["pos"], "ADJ")),
        ("proper_noun", parse.proper_noun),
    ):
        yield kind, parse.text[role], lemma[role]
    yield "adjective_noun", *_pairs(rows, parse.text, lemma, head)
    yield "subject_verb_object", *_triples(rows, parse.text, lemma, head, parse.action)


def mentions_of(tokens: pa.Table, text_ids: pa.ChunkedArray) -> tuple[Ints, Strings]:
    """Names of things in the texts: (n,) place of the text, (n,) names, one for every way an object can be named.

    An object is named by its lemma, and by this lemma after one, two or three of the words right before it that modify
    it (`compound` or `amod`), as they stand: "fire hydrant" and "hydrant" in "a red fire hydrant", and "red fire
    hydrant" too.
    """
    rows = tokens.filter(pa.array(positions(tokens["text_id"], text_ids) >= 0))
    parse, lemma = parse_of(rows, text_ids), _lemmas(rows)
    word: Strings = pc.utf8_lower(rows["text"]).to_numpy(zero_copy_only=False).astype(object)
    modifies = one_of(rows["dep"], ("compound", "amod"))
    index = ints(rows, "index")
    order = np.lexsort((index, parse.text))
    place: list[int] = []
    names: list[str] = []
    for at in np.flatnonzero(parse.object[order]):
        row, name = order[at], str(lemma[order[at]])
        for back in range(MOST_MODIFIERS + 1):
            place.append(int(parse.text[row]))
            names.append(name)
            before = order[at - back - 1] if at > back else -1
            if before < 0 or parse.text[before] != parse.text[row] or not modifies[before]:
                break
            name = f"{word[before]} {name}"
    return np.array(place, dtype=np.int64), _joined(names)


def _lemmas(rows: pa.Table) -> Strings:
    lemma = pc.if_else(pc.equal(rows["lemma"], ""), rows["text"], rows["lemma"])
    found: Strings = pc.utf8_lower(lemma).to_numpy(zero_copy_only=False).astype(object)
    return found


def _heads(text: Ints, index: Ints, head: Ints) -> Ints:
    """(n,) row of each token's head; -1 for a root, and for a head that is no token of the text."""
    stride = 1 + max(index.max(initial=0), head.max(initial=0))
    node = text * stride + index
    order = np.argsort(node, kind="stable")
    wanted = text * stride + head
    place = np.searchsorted(node, wanted, sorter=order)
    found = (head != index) & np.isin(wanted, node)
    rows = np.full(len(node), -1, dtype=np.int64)
    rows[found] = order[place[found]]
    return rows


def _pairs(rows: pa.Table, text: Ints, lemma: Strings, head: Ints) -> tuple[Ints, Strings]:
    noun = np.append(one_of(rows["pos"], NOUNS), False)  # the last is that of place -1
    pair = np.flatnonzero(equals(rows["dep"], "amod") & noun[head])
    return text[pair], _joined([f"{lemma[i]} {lemma[head[i]]}" for i in pair])


def _triples(rows: pa.Table, text: Ints, lemma: Strings, head: Ints, action: Bools) -> tuple[Ints, Strings]:
    dep = rows["dep"]
    verb = np.append(action, False)
    subjects = {int(i): int(head[i]) for i in np.flatnonzero(equals(dep, "nsubj") & verb[head])}
    is_agent = np.append(equals(dep, "agent"), False)
    for i in np.flatnonzero(equals(dep, "pobj") & is_agent[head]):
        if verb[head[head[i]]]:
            subjects[int(i)] = int(head[head[i]])
    objects: dict[int, list[int]] = {}
    for i in np.flatnonzero(one_of(dep, ("dobj", "obj", "nsubjpass")) & verb[head]):
        objects.setdefault(int(head[i]), []).append(int(i))
    found = [(s, v, o) for s, v in sorted(subjects.items()) for o in objects.get(v, ())]
    where = np.array([text[v] for _, v, _ in found], dtype=np.int64)
    return where, _joined([f"{lemma[s]} {lemma[v]} {lemma[o]}" for s, v, o in found])


def _joined(terms: list[str]) -> Strings:
    found = np.empty(len(terms), dtype=object)
    found[:] = terms
    return found
