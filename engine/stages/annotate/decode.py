"""Pixels of a partition: decoded ahead of the model, or one by one where nobody knows what a process dies of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from fld_engine.engine.data.images import RGB
from fld_engine.engine.data.partition import PartitionImages
from fld_engine.engine.run.logs import context
from fld_engine.schemas.errors import UnreadableImage

DECODERS = 2
"""Threads that decode; they keep ahead of any model slower than 5 ms an image (ours)."""
AHEAD_BYTES = 256 << 20
"""Pixels decoded before the model asks for them: a batch of up to 80 images of a megapixel (ours)."""


def decode_ahead(images: PartitionImages, indices: Sequence[int], most: int) -> Iterator[tuple[int, RGB | str]]:
    """Decoded images in order, or the reason why one could not be decoded.

    While a model works on a batch, up to `most` images of the next are decoded, as far as memory has room for them.
    """
    with ThreadPoolExecutor(max_workers=DECODERS, thread_name_prefix="decode") as pool:
        ahead: deque[tuple[int, Future[RGB | str]]] = deque()
        upcoming = deque(indices)
        held = 0
        while upcoming or ahead:
            while upcoming and (len(ahead) < DECODERS or (len(ahead) < most and held < AHEAD_BYTES)):
                held += _num_bytes(images, upcoming[0])
                ahead.append((upcoming[0], pool.submit(_decode, images, upcoming.popleft())))
            index, future = ahead.popleft()
            held -= _num_bytes(images, index)
            yield index, future.result()


def decode_singly(
    images: PartitionImages, indices: Sequence[int], begin: Callable[[int], None]
) -> Iterator[tuple[int, RGB | str]]:
    """The same without looking ahead; `begin` is told of each image before it is touched."""
    for index in indices:
        begin(index)
        yield index, _decode(images, index)


def _num_bytes(images: PartitionImages, index: int) -> int:
    """What its pixels take."""
    _, width, height = images.identity(index)
    return 3 * width * height


def _decode(images: PartitionImages, index: int) -> RGB | str:
    try:
        with context(images=(images.identity(index)[0],)):
            return images.pixels(index)
    except UnreadableImage as error:
        return str(error)
