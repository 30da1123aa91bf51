"""Forward passes: items bucketed by size, prepared ahead of the device, in smaller passes when memory runs out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Inputs = Mapping[str, Any]

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What a plain `RuntimeError` says where memory is short: CUDA and mps, the allocator of a processor, cuBLAS."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or this machine, has no room; torch has a class for some of them alone."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


class Passes:
    """Runs items through a model, at most `size` a pass; after an out-of-memory error, at most what has worked since.

    `to_host` makes prepared inputs ready to be sent, ahead of the device as preparation is; `to_device` sends them.
    """

    def __init__(
        self, size: int, *, to_host: Callable[[Inputs], Inputs], to_device: Callable[[Inputs], Inputs]
    ) -> None:
        self._asked = self._size = size
        self._to_host, self._to_device = to_host, to_device

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than was asked for, because the device had no room for more."""
        return self._size < self._asked

    def run(
        self,
        items: Sequence[Item],
        prepare: Callable[[list[Item]], Inputs],
        forward: Callable[[Inputs], Sequence[Answer]],
        bucket: Callable[[Item], Hashable] = lambda item: None,
    ) -> list[Answer]:
        """One answer per item, in the order of the items.

        Items of one pass share a bucket, such as the size of their tensors, so that nothing is padded and an item's
        answer does not depend on its neighbours beyond rounding. The next pass is prepared while one is on the device.
        An item that does not fit alone raises torch's own error.
        """
        answers: dict[int, Answer] = {}
        todo = self._cut(items, bucket)

        def ready(indices: list[int]) -> Inputs:
            return self._to_host(prepare([items[i] for i in indices]))

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare") as pool:
            ahead: Future[Inputs] | None = None
            while todo:
                indices = todo.popleft()
                inputs = (ahead or pool.submit(ready, indices)).result()
                ahead = pool.submit(ready, todo[0]) if todo else None
                given = self._try(forward, inputs, len(indices))
                if given is None:
                    todo = self._smaller([indices, *todo])
                    ahead = None
                else:
                    answers.update(zip(indices, given, strict=True))
        return [answers[i] for i in range(len(items))]

    def _cut(self, items: Sequence[Item], bucket: Callable[[Item], Hashable]) -> deque[list[int]]:
        buckets: dict[Hashable, list[int]] = {}
        for index, item in enumerate(items):
            buckets.setdefault(bucket(item), []).append(index)
        return self._smaller(list(buckets.values()))

    def _smaller(self, passes: Sequence[list[int]]) -> deque[list[int]]:
        return deque(p[i : i + self._size] for p in passes for i in range(0, len(p), self._size))

    def _try(self, forward: Callable[[Inputs], Sequence[Answer]], inputs: Inputs, num: int) -> Sequence[Answer] | None:
        """The answers of a pass; None where it did not fit and a smaller one may."""
        import torch

        try:
            return forward(self._to_device(inputs))
        except (RuntimeError, MemoryError) as error:
            if num == 1 or not is_out_of_memory(error):
                raise
        self._size = num // 2
        log.warning("out of memory with %d items a pass: going on with %d", num, self._size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # outside the except block, which keeps the failed pass's tensors alive
        return None
