"""What a process makes of its failures: which are an image's own, and when the process itself is in doubt."""

from __future__ import annotations

import pytest

from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.engine.plan.trust import Distrusted, Trust, is_device_error
from fld_engine.schemas.errors import FldError

LOST = RuntimeError("CUDA error: an illegal memory access was encountered")


class AcceleratorError(RuntimeError):
    """Named as torch's."""


def spans(*bounds: tuple[int, int]) -> tuple[Span, ...]:
    return tuple(Span(step="s", start=start, stop=stop) for start, stop in bounds)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LOST, True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), True),
        (RuntimeError("HIP error: hipErrorIllegalAddress"), True),
        (RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0"), True),  # onnxruntime
        (AcceleratorError("unspecified launch failure"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), False),  # the context lives
        (ValueError("image is in raise_on"), False),
    ],
)
def test_an_error_of_a_device_is_told_from_others(error: Exception, expected: bool) -> None:
    assert is_device_error(error) == expected


def test_an_error_that_comes_of_a_devices_is_one_itself() -> None:
    """Whoever wraps errors of a model in its own must not hide that the process is done for."""
    wrapped = ValueError("the model failed")
    wrapped.__cause__ = LOST
    assert is_device_error(wrapped)


def test_a_batch_that_breaks_a_device_is_tried_again_whole_then_image_by_image() -> None:
    (batch,) = spans((4, 7))
    first = Trust()
    with pytest.raises(Distrusted) as doubt:
        first.failed(batch, batch, LOST, "lost")
    assert (doubt.value.spans, doubt.value.guilty) == ((batch,), ())
    second = Trust()
    second.begin(Isolation(suspects=(batch,)))
    with pytest.raises(Distrusted) as doubt:
        second.failed(batch, batch, LOST, "lost")
    assert doubt.value.spans == spans((4, 5), (5, 6), (6, 7))


def test_an_image_is_at_fault_only_as_the_first_of_a_fresh_process() -> None:
    one, two = spans((4, 5), (5, 6))
    late = Trust()
    late.begin(Isolation(suspects=(one, two)))
    late.worked("s")
    with pytest.raises(Distrusted) as doubt:
        late.failed(two, two, LOST, "lost")
    assert (doubt.value.spans, doubt.value.guilty) == ((two,), ())
    fresh = Trust()
    fresh.begin(Isolation(suspects=(two,)))
    with pytest.raises(Distrusted) as doubt:
        fresh.failed(two, two, LOST, "lost")
    assert (doubt.value.spans, doubt.value.guilty) == ((), ((two, "lost"),))


def fail(trust: Trust, start: int, *, batch: Span | None = None) -> None:
    (span,) = spans((start, start + 1))
    trust.failed(span, batch or span, ValueError("bad"), "bad")


def test_three_images_in_a_row_are_doubted_with_the_batches_they_were_in() -> None:
    trust = Trust()
    left, right = spans((0, 2), (2, 4))
    fail(trust, 1, batch=left)
    fail(trust, 2, batch=right)
    with pytest.raises(Distrusted) as doubt:
        fail(trust, 3, batch=right)
    assert doubt.value.spans == (left, right)


def test_what_works_in_between_says_that_the_process_is_sound() -> None:
    """Rows of failures of up to two cost no process: corrupt images are often neighbours."""
    trust = Trust()
    for start in range(0, 9, 3):
        fail(trust, start)
        fail(trust, start + 1)
        trust.worked("s")
    trust.end()
    fail(trust, 9)
    fail(trust, 10)
    with pytest.raises(Distrusted) as doubt:
        fail(trust, 11)
    assert doubt.value.spans == spans((9, 10), (10, 11), (11, 12)), (
        "a row begins after what worked, and is doubted alone"
    )


def test_doubted_batches_are_not_doubted_again_until_something_else_fails() -> None:
    """Three neighbours that fail by themselves cost one process: what comes after shows that the second is sound."""
    batch, later = spans((0, 4), (4, 8))
    trust = Trust()
    trust.begin(Isolation(suspects=(batch,)))
    for start in range(4):
        fail(trust, start, batch=batch)
    with pytest.raises(Distrusted) as doubt:
        fail(trust, 4, batch=later)
    assert doubt.value.spans == (*batch.singles(), later)


def test_two_failures_at_the_end_of_a_task_are_doubted_before_they_are_recorded() -> None:
    """The next image would have told, and there is none: recorded, an innocent one could not be taken back."""
    trust = Trust()
    fail(trust, 6)
    fail(trust, 7)
    with pytest.raises(Distrusted):
        trust.end()


def test_a_row_goes_on_over_tasks() -> None:
    """A device that the last image of a partition broke fails the next one's images too."""
    trust = Trust()
    fail(trust, 7)
    trust.end()
    trust.begin(Isolation())
    fail(trust, 0)
    with pytest.raises(Distrusted) as doubt:
        fail(trust, 1)
    assert doubt.value.spans == spans((0, 1), (1, 2))


def test_a_step_that_never_works_is_not_doubted_for_ever() -> None:
    """Else every image of a specialist that fails on all of them would cost a process."""
    trust = Trust()
    trust.begin(Isolation(patient=("s",)))
    for start in range(10):
        fail(trust, start)
    trust.end()
    trust.worked("s")  # it does work after all
    fail(trust, 11)
    fail(trust, 12)
    with pytest.raises(Distrusted):
        fail(trust, 13)


def test_errors_raised_on_purpose_are_no_sign_of_a_broken_process() -> None:
    """A spent budget fails all images that are left, and no new process would help."""
    trust = Trust()
    for start in range(10):
        (span,) = spans((start, start + 1))
        trust.failed(span, span, FldError("budget is spent"), "budget is spent")
    trust.end()
    fail(trust, 10)
    fail(trust, 11)
    with pytest.raises(Distrusted) as doubt:
        fail(trust, 12)
    assert doubt.value.spans == spans((10, 11), (11, 12), (12, 13)), "three that nobody meant to fail are one"
