"""Passes over a device that is a function: which items share a pass, when they are prepared, what memory it has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
import torch

from fld_engine.annotators.checkpoints.passes import Inputs, Passes
from tests.waiting import PATIENCE_S

WORDS = ["an", "dog", "on", "cat", "at", "box", "by", "red", "no"]  # five of two letters, four of three


def prepared(words: list[str]) -> Inputs:
    """Letters of each word, (words, letters): torch refuses words of different lengths."""
    return {"letters": torch.tensor([[ord(letter) for letter in word] for word in words]), "words": words}


def unmoved(inputs: Inputs) -> Inputs:
    return inputs


def passes_of(
    size: int, *, to_host: Callable[[Inputs], Inputs] = unmoved, to_device: Callable[[Inputs], Inputs] = unmoved
) -> Passes:
    return Passes(size, to_host=to_host, to_device=to_device)


class Device:
    """Writes each word backwards, for at most `room` words a pass."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.tried: list[list[str]] = []

    def __call__(self, inputs: Inputs) -> Sequence[str]:
        self.tried.append(inputs["words"])
        if len(inputs["letters"]) > self.room:
            raise torch.OutOfMemoryError("no room")
        return ["".join(chr(code) for code in row.flip(0)) for row in inputs["letters"]]


def backwards(words: Sequence[str]) -> list[str]:
    return [word[::-1] for word in words]


def prepare_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("prepare")]


def test_answers_come_in_the_order_of_the_items_though_passes_go_by_bucket() -> None:
    device = Device()
    assert passes_of(2).run(WORDS, prepared, device, bucket=len) == backwards(WORDS)
    assert device.tried == [["an", "on"], ["at", "by"], ["no"], ["dog", "cat"], ["box", "red"]]


def test_without_buckets_passes_follow_the_items() -> None:
    device = Device()
    passes = passes_of(3)
    assert passes.run(["a", "b", "c", "d"], prepared, device) == ["a", "b", "c", "d"]
    assert device.tried == [["a", "b", "c"], ["d"]]
    assert not passes.reduced


def test_nothing_to_do_prepares_nothing() -> None:
    assert passes_of(3).run([], lambda items: pytest.fail("prepared"), Device()) == []


def test_inputs_are_moved_to_the_device_once_a_pass() -> None:
    moved = []

    def move(inputs: Inputs) -> Inputs:
        moved.append(inputs["words"])
        return {**inputs, "letters": inputs["letters"] + 1}

    assert passes_of(2, to_device=move).run(["a", "b", "c"], prepared, Device()) == ["b", "c", "d"]
    assert moved == [["a", "b"], ["c"]]


def test_the_next_pass_is_prepared_while_one_is_on_the_device() -> None:
    """The device waits until the next pass is ready to be sent: with nothing done ahead it would wait forever."""
    ready = {word: threading.Event() for word in "abc"}
    following = {"a": "b", "b": "c"}

    def pinned(inputs: Inputs) -> Inputs:
        ready[inputs["words"][0]].set()
        return inputs

    def forward(inputs: Inputs) -> Sequence[str]:
        word = inputs["words"][0]
        if word in following:
            assert ready[following[word]].wait(timeout=PATIENCE_S), "the next pass was not prepared ahead"
        return [word]

    assert passes_of(1, to_host=pinned).run("abc", prepared, forward) == ["a", "b", "c"]


def test_only_one_pass_is_prepared_ahead() -> None:
    """Preparing all of them would fill the memory of the host."""
    asked: list[str] = []

    def prepare(words: list[str]) -> Inputs:
        asked.append(words[0])
        return prepared(words)

    def forward(inputs: Inputs) -> Sequence[str]:
        done = "abcdef".index(inputs["words"][0]) + 1
        assert len(asked) <= done + 1
        return inputs["words"]  # type: ignore[no-any-return]

    assert passes_of(1).run("abcdef", prepare, forward) == list("abcdef")


@pytest.mark.parametrize(
    ("asked", "room", "works"),
    [(8, 4, 4), (8, 3, 2), (9, 4, 4), (16, 1, 1)],
    ids=["half fits", "a quarter fits", "an odd size", "one alone fits"],
)
def test_out_of_memory_halves_the_pass_and_loses_nothing(asked: int, room: int, works: int) -> None:
    words = [f"{number:02d}" for number in range(20)]
    device = Device(room)
    passes = passes_of(asked)
    assert passes.run(words, prepared, device) == backwards(words)
    assert passes.reduced
    done = [tried for tried in device.tried if len(tried) <= room]
    assert sorted(word for tried in done for word in tried) == words, "an item was answered twice, or never"
    assert max(map(len, done)) == works


def test_the_size_that_worked_is_remembered() -> None:
    device = Device(room=2)
    passes = passes_of(8)
    passes.run(list("abcdefgh"), prepared, device)
    device.tried.clear()
    assert passes.run(list("abcdefgh"), prepared, device) == list("abcdefgh")
    assert [len(tried) for tried in device.tried] == [2, 2, 2, 2]


def test_buckets_stay_apart_after_out_of_memory() -> None:
    """`prepared` raises where words of different lengths share a pass."""
    device = Device(room=1)
    assert passes_of(4).run(WORDS, prepared, device, bucket=len) == backwards(WORDS)
    assert {len({len(word) for word in tried}) for tried in device.tried} == {1}


def test_no_room_for_the_inputs_halves_the_pass_as_well() -> None:
    def move(inputs: Inputs) -> Inputs:
        if len(inputs["letters"]) > 2:
            raise torch.OutOfMemoryError("no room")
        return inputs

    passes = passes_of(4, to_device=move)
    assert passes.run(list("abcde"), prepared, Device()) == list("abcde")
    assert passes.reduced


def no_room_on_this_machine() -> None:
    torch.empty(1 << 52)


def no_room_says_the_driver() -> None:
    raise RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported elsewhere")


def no_room_on_mps() -> None:
    raise RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB)")


def no_room_for_cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("full", [no_room_on_this_machine, no_room_says_the_driver, no_room_on_mps, no_room_for_cublas])
def test_what_torch_has_no_class_for_is_out_of_memory_as_well(full: Callable[[], None]) -> None:
    """The first raises torch's own; the others are what it says on devices that this machine does not have."""
    device = Device()

    def forward(inputs: Inputs) -> Sequence[str]:
        if len(inputs["words"]) > 2:
            full()
        return device(inputs)

    passes = passes_of(4)
    assert passes.run(list("abcde"), prepared, forward) == list("abcde")
    assert passes.reduced


def test_an_item_that_does_not_fit_alone_raises_torchs_error() -> None:
    device = Device(room=0)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        passes_of(4).run(list("abcd"), prepared, device)
    assert [len(tried) for tried in device.tried] == [4, 2, 1]
    assert not prepare_threads()


@pytest.mark.parametrize("bad", ["a", "c"], ids=["in the first pass", "in one prepared ahead"])
def test_an_error_in_preparation_reaches_the_caller_and_ends_the_thread(bad: str) -> None:
    def prepare(words: list[str]) -> Inputs:
        if bad in words:
            raise ValueError(f"{bad} is not a picture")
        return prepared(words)

    with pytest.raises(ValueError, match=f"{bad} is not a picture"):
        passes_of(2).run(list("abcd"), prepare, Device())
    assert not prepare_threads()


def test_an_error_on_the_device_reaches_the_caller_and_ends_the_thread() -> None:
    def forward(inputs: Inputs) -> Sequence[str]:
        raise RuntimeError("device lost")

    with pytest.raises(RuntimeError, match="device lost"):
        passes_of(2).run(list("abcd"), prepared, forward)
    assert not prepare_threads()


@pytest.mark.parametrize("wrong", [lambda words: words[:-1], lambda words: [*words, "?"]], ids=["fewer", "more"])
def test_a_pass_that_answers_another_number_of_items_is_refused(wrong: Callable[[list[str]], list[str]]) -> None:
    """Else answers would silently belong to other items."""
    with pytest.raises(ValueError, match="zip"):
        passes_of(2).run(list("abcd"), prepared, lambda inputs: wrong(inputs["words"]))
