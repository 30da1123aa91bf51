"""A case of the chaos table: which process of which stage is killed under which runner, and when."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tests.chaos.ground import DISK, S3, STAGES, Ground

PLAYED = (
    ("local", "driver"),
    ("local", "worker"),
    ("local", DISK),
    ("ray", "driver"),
    ("ray", "worker"),
    ("ray", "raylet"),
    (S3, "driver"),
    (S3, "worker"),
)
"""Runner and victim; runner `s3` is `local` on a root in an object store."""


@dataclass(frozen=True, slots=True)
class Case:
    """Written `STAGE/RUNNER/VICTIM@MOMENT,MOMENT`, which plays it again: a driver is killed at each in turn."""

    stage: str
    runner: str
    victim: str
    moments: tuple[int, ...]

    @property
    def row(self) -> tuple[str, str, str]:
        return self.stage, self.runner, self.victim

    def __str__(self) -> str:
        return f"{self.stage}/{self.runner}/{self.victim}@{','.join(map(str, self.moments))}"

    @classmethod
    def read(cls, text: str) -> Case:
        """Raises `ValueError` for what is no case."""
        where, _, moments = text.partition("@")
        stage, runner, victim = where.split("/")
        if stage not in STAGES or (runner, victim) not in PLAYED:
            raise ValueError(f"{text!r} is no case: give one as a table of `make chaos` writes it")
        return cls(stage, runner, victim, tuple(map(int, moments.split(","))))


def draw(ground: Ground, num_kills: int, seed: int, victims: Collection[str]) -> Iterator[Case]:
    """Cases with so many kills together, as alike in number for each row of the table as that allows."""
    dice = random.Random(seed)
    rows = [(stage, *played) for stage in STAGES for played in PLAYED if played[1] in victims]
    while num_kills > 0:
        dice.shuffle(rows)
        for stage, runner, victim in rows:
            if (most := ground.most(stage, victim, runner)) > 0 and num_kills > 0:
                often = min(num_kills, dice.choice((1, 2)) if victim == "driver" else 1)
                yield Case(stage, runner, victim, tuple(dice.randint(1, most) for _ in range(often)))
                num_kills -= often
