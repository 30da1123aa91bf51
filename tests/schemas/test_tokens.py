"""How long a text is to the published models: as many tokens as their own tokenizer makes."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.schemas.tokens import SPECIAL_TOKENS, most_tokens, num_tokens
from tests.florence2_processor import published_tokenizer

PARTS = [
    "a cat",
    " street's",
    "<loc_5>",
    "<loc_1000>",
    "</s>",
    "<sep>",
    "<",
    "日本語",
    "café",
    "  ",
    "\n",
    "12,345",
    "__",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return published_tokenizer()


@settings(max_examples=200)
@given(st.one_of(st.lists(st.sampled_from(PARTS)).map("".join), st.text(max_size=40)))
def test_a_text_has_the_tokens_that_the_tokenizer_makes(tokenizer: Any, text: str) -> None:
    """A text that is taken for shorter is cut in training; one that is taken for longer is never taught."""
    counted = num_tokens(text)
    if not any(unicodedata.category(c) in ("No", "Nl", "Cc") for c in text):  # which Python's words class otherwise
        assert counted == len(tokenizer(text, add_special_tokens=False).input_ids)
    assert counted <= most_tokens(text)


def test_english_is_a_quarter_as_many_tokens_as_letters() -> None:
    """The words of GPT-2's vocabulary, counted by hand: " wide" and " street" are one piece each, "." is one."""
    assert num_tokens("A wide street.") == 4
    assert most_tokens("A wide street.") == 14
    assert num_tokens("cat<loc_1><loc_2><loc_3><loc_4>") == 5


def test_every_special_token_is_one() -> None:
    assert num_tokens("".join(SPECIAL_TOKENS)) == 1024


def test_a_word_without_end_is_counted_in_no_time() -> None:
    """Joining pairs of ten thousand letters one after the other would take minutes; one text would stop an export."""
    assert num_tokens("qzj" * 100_000) == 300_000
