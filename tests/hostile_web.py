"""A web server that does what servers do: `python -m tests.hostile_web FOLDER` serves until it is ended.

FOLDER/port has its port, and FOLDER/asked a line for each request: its path. The first part of a path says what comes
of it, the rest tells addresses apart. Images are JPEGs of 32 pixels, each with bytes of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from PIL import Image

JPEG = b"\xff\xd8\xff"
BOMB = gzip.compress(bytes(64 * 2**20), 9)


def image_of(path: str) -> bytes:
    """The JPEG at an address, by the last part of its path."""
    name = path.rpartition("/")[2]
    return _picture(sum(name.encode()) % 7) + name.encode()


_PICTURES: dict[int, bytes] = {}


def _picture(tone: int) -> bytes:
    if tone not in _PICTURES:
        image = Image.effect_mandelbrot((32, 32), (-2 + tone / 10, -1.5, 1, 1.5), 60).convert("RGB")
        stream = io.BytesIO()
        image.save(stream, "JPEG")
        _PICTURES[tone] = stream.getvalue()
    return _PICTURES[tone]


def head(status: int, length: int | None, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *more]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(path: str, times: int, port: int) -> bytes | None:
    """All bytes of an answer that needs no time of its own; `times` the address was asked before."""
    what, _, name = path.lstrip("/").partition("/")
    data = image_of(path)
    here = f"http://127.0.0.1:{port}"
    match what:
        case "ok":
            return head(200, len(data), "Content-Type: image/jpeg") + data
        case "status":
            return head(int(name.split("-")[0]), 0)
        case "once":  # fails the first time
            return head(503, 0, "Retry-After: 0") if not times else answer(f"/ok/{name}", 0, port)
        case "later":
            return head(503, 0, "Retry-After: 3600")
        case "html":
            page = b"<html>" + name.encode() * 300
            return head(200, len(page)) + page
        case "empty":
            return head(200, 0)
        case "redirect":
            return head(302, 0, f"Location: /ok/{name}")
        case "loop":
            return head(302, 0, f"Location: {here}/loop/{name}")
        case "chain":
            return head(302, 0, f"Location: /chain/{name}x")
        case "private":
            return head(302, 0, "Location: http://10.1.2.3/" + name)
        case "metadata":
            return head(302, 0, "Location: http://169.254.169.254/latest/" + name)
        case "scheme":
            return head(302, 0, "Location: file:///etc/passwd")
        case "nowhere":
            return head(302, 0)
        case "noai":
            return head(200, len(data), "X-Robots-Tag: noai, noimageai") + data
        case "otherbot":
            return head(200, len(data), "X-Robots-Tag: otherbot: noindex") + data
        case "declared":
            return head(200, 10**12, "Content-Type: image/jpeg") + data
        case "bomb":
            return head(200, len(BOMB), "Content-Encoding: gzip") + BOMB
        case "packed":
            packed = gzip.compress(data)
            return head(200, len(packed), "Content-Encoding: gzip") + packed
        case "members":
            packed = gzip.compress(data[:300]) + gzip.compress(data[300:])
            return head(200, len(packed), "Content-Encoding: gzip") + packed
        case "cut":  # what is packed ends before its end, where the answer does not
            packed = gzip.compress(data)[:-100]
            return head(200, len(packed), "Content-Encoding: gzip") + packed
        case "garbled":
            return head(200, None, "Transfer-Encoding: chunked", "Connection: close") + b"7\r\n" + data + b"\r\nzz\r\n"
        case "busy":
            return head(429, 0, "Retry-After: 0.1")
        case "brotli":
            return head(200, len(data), "Content-Encoding: br") + data
        case "longer":  # says less than it sends
            return head(200, len(data), "Connection: close") + data + b"more" * 100
        case "noise":
            return b"SSH-2.0-OpenSSH_9.2\r\n"
    return None


async def serve(folder: Path) -> None:
    asked: Counter[str] = Counter()
    log = os.open(folder / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    port = 0

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.decode("latin-1").split(" ")[1]
                while (await reader.readline()) not in (b"\r\n", b""):
                    pass
                times = asked[path]
                asked[path] += 1
                os.write(log, f"{path}\n".encode())
                made = answer(path, times, port)
                if made is None:
                    await SLOWLY.get(path.split("/")[1], reset)(writer, path)
                    break
                writer.write(made)
                await writer.drain()
                if b"Connection: close" in made[:300] or not made.startswith(b"HTTP"):
                    break
        except (ConnectionError, IndexError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    (folder / "port.new").write_text(str(port))
    (folder / "port.new").rename(folder / "port")
    async with server:
        await server.serve_forever()


async def silent(writer: asyncio.StreamWriter, path: str) -> None:
    await asyncio.sleep(600)


async def drip(writer: asyncio.StreamWriter, path: str) -> None:
    """A byte now and then: never silent for long, and never done."""
    writer.write(head(200, 10_000, "Content-Type: image/jpeg"))
    for byte in image_of(path):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def shorter(writer: asyncio.StreamWriter, path: str) -> None:
    """Says more than it sends."""
    data = image_of(path)
    writer.write(head(200, len(data) + 1000, "Content-Type: image/jpeg") + data)
    await writer.drain()


async def endless(writer: asyncio.StreamWriter, path: str) -> None:
    """An image that never ends, and says no length."""
    writer.write(head(200, None, "Connection: close") + JPEG)
    while True:
        writer.write(bytes(2**16))
        await writer.drain()


async def reset(writer: asyncio.StreamWriter, path: str) -> None:
    writer.transport.abort()


async def held(writer: asyncio.StreamWriter, path: str) -> None:
    """Answers after a while, and tells in the body how many were held then."""
    HELD.add(path)
    data = image_of(path) + b" held with %d others" % (len(HELD) - 1)
    await asyncio.sleep(0.1)
    HELD.discard(path)
    writer.write(head(200, len(data)) + data)
    await writer.drain()


HELD: set[str] = set()
SLOWLY: dict[str, Callable[..., object]] = {
    "silent": silent, "drip": drip, "shorter": shorter, "endless": endless, "reset": reset,
    "held": held,
}  # fmt: skip


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
