"""Objects, attributes and actions of a text, counted from its parse: one definition for filters and coverage.

The paper gives the notions (its Table 3), not the rules; the rules are ours, on Universal Dependencies:

- object: a NOUN or PROPN that heads its noun phrase, that is, whose relation is not `compound`;
- attribute: an ADJ that modifies (`amod`) or is predicated (`acomp`), or a NOUN or PROPN in `compound`;
- action: a VERB that is no auxiliary (`aux`, `auxpass`);
- proper noun: a PROPN;
- complexity of a token: its degree in the dependency tree taken as an undirected graph, punctuation left out;
- token: anything but punctuation and white space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NOT_TOKENS = ("PUNCT", "SPACE")


@dataclass(frozen=True, slots=True)
class TokenRoles:
    """Roles of every row of a tokens table, as boolean columns, and the text each belongs to.

    `text` indexes the list of texts the roles were made for, -1 for tokens of other texts. `degree` counts the edges
    of the token.
    """

    text: Ints
    token: Bools
    object: Bools
    attribute: Bools
    action: Bools
    proper_noun: Bools
    degree: Ints


def token_roles(tokens: pa.Table, text_ids: Sequence[str]) -> TokenRoles:
    """Roles of all tokens of a partition. `tokens` has schema `schemas.tables.TOKENS`, each text's rows together."""
    place = {text: i for i, text in enumerate(text_ids)}
    owner = tokens["text_id"].to_pylist()
    pos = tokens["pos"].to_numpy(zero_copy_only=False).astype(str)
    dep = tokens["dep"].to_numpy(zero_copy_only=False).astype(str)
    noun = np.isin(pos, ("NOUN", "PROPN"))
    compound = dep == "compound"
    return TokenRoles(
        text=np.array([place.get(t, -1) for t in owner], dtype=np.int64),
        token=~np.isin(pos, NOT_TOKENS),
        object=noun & ~compound,
        attribute=((pos == "ADJ") & np.isin(dep, ("amod", "acomp"))) | (noun & compound),
        action=(pos == "VERB") & ~np.isin(dep, ("aux", "auxpass")),
        proper_noun=pos == "PROPN",
        degree=_degrees(tokens, owner, ~np.isin(pos, NOT_TOKENS)),
    )


def _degrees(tokens: pa.Table, owner: Sequence[str], counted: Bools) -> Ints:
    """Edges of each token to other counted tokens of its text."""
    index = tokens["index"].to_numpy().astype(np.int64)
    head = tokens["head"].to_numpy().astype(np.int64)
    changes = np.array([a != b for a, b in zip(owner, [None, *owner], strict=False)], dtype=bool)
    first_row = np.flatnonzero(changes)[np.cumsum(changes) - 1] if len(owner) else np.zeros(0, dtype=np.int64)
    head_row = first_row + head - index[first_row]
    edge = counted & (head != index)
    edge[edge] = counted[head_row[edge]]
    degree = edge.astype(np.int64)
    np.add.at(degree, head_row[edge], 1)
    return degree


def count_per_text(roles: TokenRoles, role: Bools, num_texts: int) -> Ints:
    """Tokens of a role in each text."""
    mine = role & (roles.text >= 0)
    return np.bincount(roles.text[mine], minlength=num_texts).astype(np.int64)


def degree_per_text(roles: TokenRoles, role: Bools, num_texts: int) -> Ints:
    """Sum of the degrees of a role's tokens in each text."""
    mine = role & (roles.text >= 0)
    sums = np.bincount(roles.text[mine], weights=roles.degree[mine], minlength=num_texts)
    return np.rint(sums).astype(np.int64)


def mean_complexity(roles: TokenRoles, role: Bools, num_texts: int) -> Floats:
    """Mean degree of a role's tokens in each text; 0 for a text without any."""
    number = count_per_text(roles, role, num_texts)
    total = degree_per_text(roles, role, num_texts)
    return np.divide(total, number, out=np.zeros(num_texts), where=number > 0)
