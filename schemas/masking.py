"""Credentials are shown nowhere: not in a manifest, not on a card, not in a log, not in an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>]+")
_USERINFO = re.compile(r"^([^:]+://)[^/?#@]*(?:@[^/?#@]*)*@")
_CONTAINERS = ("abfs://", "abfss://", "wasb://", "wasbs://")
"""Schemes of Azure, where a container's name stands where others have a user's."""
_PARAMETER = re.compile(
    r"(?<=[?&;])([^=&#]*(?:signature|credential|token|secret|passw|api[_-]?key|accesskey)[^=&#]*|key|sig|auth)=[^&#]*",
    re.IGNORECASE,
)
"""What presigned addresses of S3, Google and Azure sign with, and usual names of keys in addresses."""
_SECRET_KEY = re.compile(
    r"(^|[_-])(password|passwd|secret|token|api_?key|secret_?key|access_?key|account_?key|credentials?)$", re.IGNORECASE
)
_ALL_BELOW = ("storage_options",)
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


def masked(text: str) -> str:
    """A text whose addresses show no user, no password, no signature and no key; all else stays as it was."""
    return _URL.sub(_masked_url, text) if "://" in text else text


def masked_tree(tree: Any, *, secret: bool = False) -> Any:
    """A config as plain data without credentials: in its addresses, and under keys such as `password`.

    References such as `${NAME}` say nothing and stay. `secret` says that every value of the tree is one.
    """
    if isinstance(tree, Mapping):
        return {
            key: masked_tree(value, secret=secret or str(key) in _ALL_BELOW or _SECRET_KEY.search(str(key)) is not None)
            for key, value in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [masked_tree(value, secret=secret) for value in tree]
    if not isinstance(tree, str):
        return MASK if secret and tree is not None and not isinstance(tree, bool) else tree
    if secret:
        return tree if not tree or _REFERENCE.fullmatch(tree) else MASK
    return masked(tree)


def _masked_url(found: re.Match[str]) -> str:
    url = found.group()
    if not url.lower().startswith(_CONTAINERS):
        url = _USERINFO.sub(rf"\1{MASK}@", url)
    return _PARAMETER.sub(rf"\1={MASK}", url)
