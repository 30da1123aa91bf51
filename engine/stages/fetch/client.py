"""Asking for one address: within limits of time, size and redirects, whatever the server does."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from fld_engine.engine.data.images import format_of
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.stages.fetch.answer import IN_MEMORY_BYTES, Answer, opted_out
from fld_engine.engine.stages.fetch.reach import Networks, OptedOut
from fld_engine.engine.stages.fetch.resolver import CheckedResolver, PrivateAddress
from fld_engine.engine.stages.fetch.unpack import Unpacking
from fld_engine.schemas.masking import masked

REDIRECTS = frozenset({301, 302, 303, 307, 308})
RESOLVING = 64
"""Names looked up at once: a name server that does not answer holds a thread."""
HEAD_BYTES = 1024
EXTENSIONS = {"JPEG": "jpg", "JPEG2000": "jp2", "JPEG XL": "jxl", "TIFF": "tif"}
"""Formats whose names are not those of their files."""
NO_IMAGES = frozenset({"", "PDF", "SVG"})

_SECONDS = re.compile(r"\s*\d+(\.\d+)?\s*", re.ASCII)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_NO_CAUSE = BaseException()

Gate = Callable[[str], contextlib.AbstractAsyncContextManager[Any]]
"""Waits until a host may be asked by one more request."""


class Refused(Exception):
    """An answer that says no, found in the midst of a request."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class _HeaderFirst(ResponseHandler):
    """Has the header of an answer parsed before what follows it, however they came.

    Bytes after the end of a body are an error to aiohttp, which loses the answer with them where both came at once, and
    not where they came apart: what a server that says too small a length is answered would depend on moments.
    """

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _NO_CAUSE) -> None:
        """Also whoever reads a body learns that it is broken, and waits no longer for the rest of it."""
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError("the body is no HTTP"))
        super().set_exception(exc, exc_cause)

    def data_received(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if 4 <= end < len(data):
            super().data_received(data[:end])
            data = data[end:]
        super().data_received(data)


class Client:
    """Asks for addresses; a context. A connection each: what a server sends after an answer is nobody else's.

    No cookies, no proxies of the environment, no credentials across hosts.
    """

    def __init__(self, settings: FetchSettings, opted_out_hosts: OptedOut, gate: Gate, *, with_md5: bool) -> None:
        self._settings, self._opted_out, self._gate, self._with_md5 = settings, opted_out_hosts, gate, with_md5
        self._networks = Networks(settings.allow_networks)
        self._session: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=self._settings.connect_s, sock_read=self._settings.read_s
        )
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(RESOLVING, thread_name_prefix="fld-dns"))
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(self._networks), limit=0, ttl_dns_cache=300, force_close=True
        )
        handler: type[ResponseHandler] = _HeaderFirst
        connector._factory = partial(handler, loop=asyncio.get_running_loop())
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=limits,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity", "Accept": "*/*"},
        ) as self._session:
            self._session._retry_connection = False  # each address is asked as often as the settings say
            yield self

    async def ask(self, address: str) -> Answer:
        """What there is at an address. Never raises for anything that a server or a network does."""
        try:
            return await self._follow(address)
        except Refused as refused:
            return refused.answer
        except TimeoutError:
            return Answer(reason="timeout", detail="no answer in time")
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, PrivateAddress):
                return Answer(reason="private_address", detail=str(error.os_error))
            again = isinstance(error.os_error, OSError) and error.os_error.errno == socket.EAI_AGAIN
            return Answer(reason="dns_now" if again else "dns", detail="its host has no address")
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError):
            return Answer(reason="tls", detail="its certificate or its encryption cannot be trusted")
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            return Answer(reason="bad_address", detail=masked(str(error)))
        except aiohttp.ClientResponseError:
            return Answer(reason="bad_answer", detail="what came is not HTTP")
        except (aiohttp.ClientError, OSError):  # which of them depends on moments, and no two runs would agree
            return Answer(reason="connection", detail="no connection, or it ended before an answer")
        except ValueError as error:  # of names and headers that no library foresaw
            return Answer(reason="bad_address", detail=masked(f"{type(error).__name__}: {error}"))

    async def _follow(self, address: str) -> Answer:
        """The answer at the end of the redirects, each of which is looked at like an address of the list.

        The time that others have a host for is not taken from that for the answer.
        """
        url, seen, left_s = self._checked(address), set[URL](), self._settings.total_s
        status = 0
        for _ in range(self._settings.max_redirects + 1):
            if url in seen:
                raise Refused(
                    Answer(reason="redirect_loop", detail="it leads back to where it came from", http_status=status)
                )
            seen.add(url)
            async with self._gate(url.host or ""):
                began = time.monotonic()
                async with asyncio.timeout(left_s):
                    found = await self._get(url)
                left_s -= time.monotonic() - began
            if isinstance(found, Answer):
                found.address = masked(str(url)) if len(seen) > 1 else ""
                return found
            url, status = found
        detail = f"more than {self._settings.max_redirects}"
        raise Refused(Answer(reason="too_many_redirects", detail=detail, http_status=status))

    def _checked(self, address: str | URL) -> URL:
        try:
            url = (address if isinstance(address, URL) else URL(address.strip())).with_fragment(None)
            is_web = url.scheme in ("http", "https") and bool(url.host) and bool(url.port)
        except ValueError as error:
            raise Refused(Answer(reason="bad_address", detail=masked(str(error)))) from error
        if not is_web:
            raise Refused(Answer(reason="bad_address", detail="no address that begins with http:// or https://"))
        assert url.host is not None, "looked at above"
        if self._opted_out.has(url.host):
            raise Refused(Answer(reason="opted_out", detail=f"host {url.host} is in the list of hosts"))
        if self._networks.refuses(url.host):
            raise Refused(Answer(reason="private_address", detail=url.host))
        return url

    async def _get(self, url: URL) -> Answer | tuple[URL, int]:
        """An answer, or where it leads to, and by which status."""
        async with self._session.get(url, allow_redirects=False) as response:
            status = response.status
            if said := opted_out(
                response.headers.getall("X-Robots-Tag", []), self._settings.opt_out, self._settings.user_agent
            ):
                return Answer(reason="opted_out", detail=f"X-Robots-Tag: {said}", http_status=status)
            if status in REDIRECTS:
                try:
                    return self._checked(self._target(response, url)), status
                except Refused as refused:
                    refused.answer.http_status = status
                    raise
            if status != 200:
                wait_s = _retry_after(response.headers.get("Retry-After", ""))
                return Answer(reason=f"status_{status}", http_status=status, wait_s=wait_s)
            return await self._body(response)

    def _target(self, response: aiohttp.ClientResponse, url: URL) -> URL:
        location = response.headers.get("Location", "").strip()
        location = _NOT_UTF8.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", location)
        try:
            return url.join(URL(location)) if location else URL("")
        except ValueError as error:
            raise Refused(Answer(reason="bad_address", detail="a redirect to no address")) from error

    async def _body(self, response: aiohttp.ClientResponse) -> Answer:
        """The bytes, hashed as they come; nothing is taken of an answer that is too large."""
        most = self._settings.max_bytes
        if (response.content_length or 0) > most:
            return _too_large(most)
        try:
            packing = Unpacking(response.headers.get("Content-Encoding", ""))
        except ValueError:
            return Answer(reason="unknown_encoding", detail="it is packed, which was not asked for", http_status=200)
        sha256, md5, num_bytes, head = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0, b""
        body = SpooledTemporaryFile[bytes](max_size=IN_MEMORY_BYTES)
        try:
            async for packed in response.content.iter_any():
                data = packing.unpack(packed, most + 1 - num_bytes)
                num_bytes += len(data)
                if num_bytes > most:
                    body.close()
                    return _too_large(most)
                if len(head) < HEAD_BYTES:
                    head += data[: HEAD_BYTES - len(head)]
                    if len(head) == HEAD_BYTES and not _is_image(head):
                        break
                sha256.update(data)
                if self._with_md5:
                    md5.update(data)
                body.write(data)
        except zlib.error:
            body.close()
            return Answer(reason="unknown_encoding", detail="it cannot be unpacked", http_status=200)
        except TimeoutError:
            body.close()
            raise
        except (aiohttp.ClientError, OSError) as error:
            body.close()
            raise Refused(Answer(reason="incomplete", detail="the answer broke off", http_status=200)) from error
        except BaseException:
            body.close()
            raise
        kind = format_of(head)
        if not _is_image(head):
            body.close()
            return Answer(reason="not_an_image", detail=_begins(head, kind), http_status=200)
        if not packing.is_whole:
            body.close()
            return Answer(reason="incomplete", detail="the answer broke off", http_status=200)
        return Answer(
            http_status=200,
            extension=EXTENSIONS.get(kind, kind.lower()),
            num_bytes=num_bytes,
            sha256=sha256.hexdigest(),
            md5=md5.hexdigest() if self._with_md5 else "",
            body=body,
        )


def _is_image(head: bytes) -> bool:
    return format_of(head) not in NO_IMAGES


def _too_large(most: int) -> Answer:
    return Answer(reason="too_large", detail=f"more than {most} bytes", http_status=200)


def _begins(head: bytes, kind: str) -> str:
    return f"it is {kind}" if kind else f"it begins with {head[:12]!r}" if head else "it has no bytes"


def _retry_after(given: str) -> float:
    """Seconds that a server asks to wait: it gives a number, or a date."""
    if _SECONDS.fullmatch(given):
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
