"""Progress bars of a run: what is done of each step, its rate and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fld_engine.engine.run.pipeline import Watch


class RateColumn(ProgressColumn):
    """Units a second, lately."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")


@contextmanager
def progress_bars() -> Iterator[Watch]:
    """A watch that draws a bar a step on standard error; silent where that is not a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<24.24}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def watch(step: str, finished: int, total: int) -> None:
            if not finished:
                bars[step] = progress.add_task(step, total=total or None)
            progress.advance(bars[step], finished)

        yield watch
