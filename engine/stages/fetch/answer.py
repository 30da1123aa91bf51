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

_ADDRESS = re.compile(r"\s*(https?)://([^/?#]*@)?([^/?#]*)([^#]*)", re.IGNORECASE)
_CRAWLER = re.compile(r"\s*([\w.*+-]+)\s*:")
_WITH_VALUE = re.compile(r"unavailable_after|max-")
"""Directives of X-Robots-Tag that have values, and are no names of crawlers."""

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

    A value may be for one crawler, as in `googlebot: noindex`: others go by it only if it names them. `none` is
    `noindex, nofollow` (https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag).
    """
    wanted = {directive.lower() for directive in directives}
    wanted |= {"none"} if "noindex" in wanted else set()
    mine = user_agent.partition("/")[0].partition(" ")[0].strip().lower()
    for value in headers:
        spoken_to = ""
        for part in re.split("[,;]", value.lower()):
            if (named := _CRAWLER.match(part)) and not _WITH_VALUE.match(named[1]):
                spoken_to, part = named[1], part[named.end() :]
            said = wanted & {word.strip("\"'") for word in part.split()}
            if said and spoken_to in ("", "*", mine):
                return min(said)
    return ""


def same_address(address: str) -> str:
    """What equal addresses have in common, however they are written: what a server is asked for, and whom is asked.

    Without the fragment, which nobody sends, and the port that goes without saying; scheme and host in lower case.
    """
    found = _ADDRESS.match(address)
    if found is None:
        return address
    scheme, user, host, rest = found[1].lower(), found[2] or "", found[3].lower(), found[4]
    host = host.removesuffix(":80" if scheme == "http" else ":443")
    return f"{scheme}://{user}{host}{rest if rest[:1] == '/' else f'/{rest}'}"


def host_of(address: str) -> str:
    """The host by which an address is dealt and queued, in lower case; empty where it is no address of the web."""
    found = _HOST.match(address)
    return found[1].lower() if found else ""
