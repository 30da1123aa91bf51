"""What became of asking for an address: its bytes, or a countable reason."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

IN_MEMORY_BYTES = 2**20
"""Bodies larger than this wait on disk for the rest of them, so that many large answers at once take little memory."""

MAY_PASS = re.compile(r"timeout|dns|connection|incomplete|status_(408|425|429|5\d\d)")
"""Reasons that another day may not have; what else was answered is final, and never asked again."""
TRIED_AGAIN = re.compile(r"timeout|dns_now|connection|incomplete|status_(408|425|429|5\d\d)")
"""Reasons for which the same run tries again. A name that does not exist will not exist in a second."""

_HOST = re.compile(r"\s*https?://(?:[^/?#@]*@)?(\[[^]]*\]|[^/?#:]+)", re.IGNORECASE)

Body = SpooledTemporaryFile[bytes]


@dataclass(slots=True)
class Answer:
    """`reason` is empty where there are bytes, an image by their beginning. `wait_s` is what a Retry-After asks for.

    `address` is where redirects led, where they did.
    """

    reason: str = ""
    detail: str = ""
    http_status: int = 0
    address: str = ""
    extension: str = ""
    num_bytes: int = 0
    sha256: str = ""
    md5: str = ""
    wait_s: float = 0.0
    body: Body | None = None

    @property
    def may_pass(self) -> bool:
        return MAY_PASS.fullmatch(self.reason) is not None

    @property
    def tried_again(self) -> bool:
        return TRIED_AGAIN.fullmatch(self.reason) is not None


def opted_out(headers: Collection[str], directives: Collection[str], user_agent: str) -> str:
    """The directive of values of X-Robots-Tag by which an image is not to be taken; empty where none says so.

    A value may be for one crawler, as in `googlebot: noindex`: others go by it only if it names them.
    """
    wanted = {directive.lower() for directive in directives}
    mine = user_agent.partition("/")[0].partition(" ")[0].strip().lower()
    for value in headers:
        spoken_to = ""
        for part in value.lower().split(","):
            name, colon, rest = part.partition(":")
            if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview"):
                spoken_to, part = name.strip(), rest
            if part.strip() in wanted and spoken_to in ("", "*", mine):
                return part.strip()
    return ""


def host_of(address: str) -> str:
    """The host by which an address is dealt and queued, in lower case; empty where it is no address of the web."""
    found = _HOST.match(address)
    return found[1].lower() if found else ""
