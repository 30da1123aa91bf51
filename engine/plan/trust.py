"""Whether a process can be trusted with the next image: a device may be dead for good while its process lives."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.schemas.errors import FldError

STREAK = 3
"""Images that fail one after another until the process is doubted (ours)."""
ROW_AT_END = 2
"""As few do at the end of a task: its next image would have told. One alone is failed either way."""
DEVICE_ERRORS = (
    "CUDA error",
    "CUDA failure",
    "CUDA driver error",
    "device-side assert",
    "CUBLAS_STATUS_",
    "CUBLAS failure",
    "CUDNN_STATUS_",
    "CUDNN failure",
    "cuDNN error",
    "NCCL error",
    "hipError",
    "HIP error",
    "DEVICE_LOST",
)
"""What torch and onnxruntime say when a context is gone. A lack of memory ("CUDA out of memory") is none of these."""
_LOWER = tuple(text.lower() for text in DEVICE_ERRORS)


class Distrusted(Exception):
    """Raised out of a task whose process must end: what it would say from now on is no verdict on an image.

    `spans` are to be tried again, first of all, in a fresh process; `guilty` failed again on their own, as the
    first of their annotator in this one, each with its reason.
    """

    def __init__(self, detail: str, spans: Sequence[Span], guilty: Sequence[tuple[Span, str]]) -> None:
        super().__init__(detail)
        self.detail, self.spans, self.guilty = detail, tuple(spans), tuple(guilty)


def is_device_error(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that a device's context cannot be used any more."""
    return any(_names_device(one) for one in _chain(error))


def _names_device(error: BaseException) -> bool:
    if any(kind.__name__ == "AcceleratorError" for kind in type(error).__mro__):  # torch's, which is not imported here
        return True
    said = str(error).lower()
    return isinstance(error, Exception) and any(text in said for text in _LOWER)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


class Trust:
    """What the failures of one process say of it; kept as long as the process lives.

    A batch whose error names the device, or that ends a row of failed images, is tried again as it was in a fresh
    process; failed there too, it is tried image by image; an image that fails once more, as the first that its
    annotator is asked for in a process, is at fault itself. Errors of `schemas.errors` are raised on purpose, and no
    sign of anything else.
    """

    def __init__(self, *, doubts: bool = True) -> None:
        """Without `doubts`, nobody could go on in another process, and whatever fails is an image's fault."""
        self._doubts = doubts
        self._called: set[str] = set()  # steps whose annotator has been asked here; for others, the process is fresh
        self._in_a_row: Counter[str] = Counter()
        self._worked: set[str] = set()
        self._isolation = Isolation()
        self._open: defaultdict[str, list[Span]] = defaultdict(list)  # batches of the present row, unless at fault
        self._guilty: list[tuple[Span, str]] = []
        self._failures: defaultdict[str, list[str]] = defaultdict(list)
        self._news: set[str] = set()  # steps that worked since it was last told

    def begin(self, isolation: Isolation) -> None:
        """A task begins, with what earlier attempts at it learnt."""
        self._isolation = isolation
        self._open.clear()
        self._guilty.clear()
        self._failures.clear()

    def worked(self, step: str) -> None:
        """An annotator did a batch: whatever failed before did so by itself."""
        self._called.add(step)
        self._in_a_row[step] = 0
        self._open[step].clear()
        self._worked.add(step)
        self._news.add(step)

    def failed(self, span: Span, batch: Span, error: Exception, reason: str) -> None:
        """A span of a batch failed. Raises `Distrusted` where that may be the process's fault."""
        fresh = span.step not in self._called
        self._called.add(span.step)
        single = span.stop - span.start == 1
        guilty = fresh and single and span in self._isolation.suspects
        if guilty:
            self._guilty.append((span, reason))
        if self._doubts and is_device_error(error):
            raise Distrusted(reason, () if guilty else self._narrowed([batch]), self._guilty)
        if single and not isinstance(error, FldError):
            self._in_a_row[span.step] += 1
            if not guilty:
                self._open[span.step].append(batch)
            tried_before = any(suspect.overlaps(span) for suspect in self._isolation.suspects)
            if self._in_a_row[span.step] >= STREAK and not tried_before:  # else what comes after it tells
                self._doubt(span.step, reason)

    def end(self) -> None:
        """All images of a task have their outcome. Raises `Distrusted` where the last ones failed in a row."""
        for step, num in self._in_a_row.items():
            if num >= ROW_AT_END:
                self._doubt(step, f"the last {num} images failed")

    def count_failure(self, step: str, what: str) -> None:
        """Note a failure that is the annotator's own: the image and the reason."""
        self._failures[step].append(what)

    def take(self, step: str) -> tuple[tuple[str, ...], bool]:
        """Failures noted since they were last taken, and whether the annotator has done a batch since."""
        worked = step in self._news
        self._news.discard(step)
        return tuple(self._failures.pop(step, ())), worked

    def _doubt(self, step: str, reason: str) -> None:
        """End the process, unless nothing says that this annotator ever works."""
        if self._doubts and self._open[step] and (step in self._worked or step not in self._isolation.patient):
            raise Distrusted(reason, self._narrowed(self._open[step]), self._guilty)

    def _narrowed(self, batches: Sequence[Span]) -> list[Span]:
        """Batches to try again as they were; one that was is taken apart."""
        spans: list[Span] = []
        for batch in dict.fromkeys(batches):
            spans += batch.singles() if batch in self._isolation.suspects else [batch]
        return spans
