"""How the addresses of a list are asked: limits, politeness, and what is never asked."""

from __future__ import annotations

import ipaddress

from pydantic import Field, field_validator

from fld_engine.schemas.annotations import Frozen

OPT_OUT = ("noai", "noimageai", "noindex", "noimageindex")
"""Directives of `X-Robots-Tag` by which a publisher says that an image is not to be taken, as img2dataset has them."""


class FetchSettings(Frozen):
    """A source with this section is a list of addresses, whose images are fetched into `ROOT/fetched/NAME` before they
    are ingested.

    None of it is part of a fingerprint: what was answered once stays as it is, whatever is set later. Columns are
    recognised by their usual names where they are not given; `uri_column` and `caption_columns` of the source name
    those of addresses and captions.
    """

    sha256_column: str = Field(default="", description="the column of the sha256 that an image must have")
    md5_column: str = Field(default="", description="the column of the md5 that an image must have")
    connections: int = Field(default=64, gt=0, le=1024, description="requests at once, of one worker")
    per_host: int = Field(default=8, gt=0, description="requests at once, of one host")
    connect_s: float = Field(default=10.0, gt=0, description="until a connection stands")
    read_s: float = Field(default=10.0, gt=0, description="without a byte")
    total_s: float = Field(default=30.0, gt=0, description="for an answer as a whole, redirects included")
    max_mb: float = Field(default=50.0, gt=0, description="of an image, also of what it is decompressed to")
    max_redirects: int = Field(default=5, ge=0)
    retries: int = Field(default=2, ge=0, description="of what may pass: timeouts, broken connections, 5xx and 429")
    backoff_s: float = Field(default=1.0, gt=0, description="before the first retry; doubled before each further one")
    max_wait_s: float = Field(default=60.0, ge=0, description="at most, however long a Retry-After asks to wait")
    user_agent: str = Field(default="fld-engine", min_length=1, description="who asks; say where you can be reached")
    opt_out: tuple[str, ...] = Field(
        default=OPT_OUT, description="directives of X-Robots-Tag that are honoured; none: the header is not looked at"
    )
    opted_out_hosts: tuple[str, ...] = Field(
        default=(), description="hosts that are never asked, with all below them: example.org is www.example.org, too"
    )
    opted_out_list: str = Field(default="", description="a text file with one such host a line")
    allow_networks: tuple[str, ...] = Field(
        default=(), description="private, local and link-local networks that may be asked, such as 10.0.0.0/8"
    )
    shard_rows: int = Field(default=10_000, gt=0, description="addresses of one tar; it stays for a source once begun")
    keep: bool = Field(default=True, description="whether the tars stay after they were ingested")

    @field_validator("allow_networks")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            ipaddress.ip_network(one, strict=False)
        return given

    @property
    def max_bytes(self) -> int:
        return int(self.max_mb * 2**20)
