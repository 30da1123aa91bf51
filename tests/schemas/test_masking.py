"""What a password in an address may show up in, and where it must not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.run.logs import JsonLines, TextLines
from fld_engine.schemas.errors import FldError
from fld_engine.schemas.masking import masked, masked_tree


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://alice:s3cret@files.example.org/p.jpg", "https://***@files.example.org/p.jpg"),
        ("https://s3cret@files.example.org", "https://***@files.example.org"),
        ("ftp://alice:p@ss:s3cret@host/p", "ftp://***@host/p"),  # a password with an @ that nobody quoted
        ("simplecache::https://a:s3cret@host/p", "simplecache::https://***@host/p"),
        (
            "s3://b/p?X-Amz-Date=2026&X-Amz-Signature=s3cret&X-Amz-Credential=AKIAs3cret%2F1",
            "s3://b/p?X-Amz-Date=2026&X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        ("https://storage.example.org/p?X-Goog-Signature=s3cret#a", "https://storage.example.org/p?X-Goog-Signature=***#a"),
        ("https://acc.blob.example.org/c/p?sv=2022&sp=r&sig=s3cret%3D", "https://acc.blob.example.org/c/p?sv=2022&sp=r&sig=***"),
        ("https://maps.example.org/t?key=s3cret&zoom=3", "https://maps.example.org/t?key=***&zoom=3"),
        ("https://host/p?access_token=s3cret", "https://host/p?access_token=***"),
        ("cannot read (https://a:s3cret@host/p): 'https://a:s3cret@host/p'", "cannot read (https://***@host/p): 'https://***@host/p'"),
    ],
)  # fmt: skip
def test_credentials_of_addresses_are_masked_and_the_rest_says_what_is_wrong(given: str, shown: str) -> None:
    assert masked(given) == shown
    assert str(FldError(given)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a@b.jpg",
        "abfs://container@account.dfs.example.org/p",
        "https://host/p?monkey=1&signal=2",
        "a file a@b: c",
        "https://host/p?page=2#token=3",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    """A bucket whose name is hidden cannot be looked for."""
    assert masked(text) == text


def test_a_config_is_shown_without_what_opens_its_doors() -> None:
    tree = {
        "sources": [
            {
                "images_url": "https://a:s3cret@host/p",
                "params": {"storage_options": {"key": "s3cret", "client": ["s3cret", 7]}},
            }
        ],
        "annotators": {
            "one": {"params": {"api_key": "s3cret", "hf_token": "s3cret", "max_tokens": 20, "key_variable": "KEY"}}
        },
        "models_root": "",
        "password": "${PASSWORD}",
    }
    shown: Any = masked_tree(tree)
    assert "s3cret" not in str(shown)
    assert shown["annotators"]["one"]["params"]["max_tokens"] == 20
    assert shown["annotators"]["one"]["params"]["key_variable"] == "KEY"
    assert shown["password"] == "${PASSWORD}"
    assert shown["sources"][0]["images_url"] == "https://***@host/p"


def test_logs_show_no_credentials_not_even_in_tracebacks() -> None:
    try:
        raise OSError("no route to https://a:s3cret@host/p")
    except OSError as error:
        record = logging.LogRecord("x", 30, "", 1, "%s", (error,), (OSError, error, error.__traceback__))
    for lines in (TextLines(), JsonLines()):
        assert "host/p" in lines.format(record)
        assert "s3cret" not in lines.format(record)


@given(st.text())
def test_a_text_without_an_address_is_left_alone(text: str) -> None:
    if "://" not in text:
        assert masked(text) == text
