"""Says what is given to it of an image in one task, and tells what cannot be said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fld_engine.schemas.sample import RegionEntry, RegionTextEntry, TargetEntry, UnsaidEntry
from fld_engine.schemas.target_language import (
    NOT_REPRESENTABLE,
    Instance,
    location_tokens,
    normalise_text,
    write_answer,
    write_prompt,
)
from fld_engine.schemas.tasks import BANNED_PHRASES, TASKS, Task
from fld_engine.schemas.tokens import TokenCount

Labelled = tuple[str, Instance]
"""An annotation id and what is said of it."""
Saying: TypeAlias = TargetEntry | UnsaidEntry
TOO_LONG: Literal["too_long"] = "too_long"


@dataclass(frozen=True, slots=True)
class Speaker:
    """`max_tokens` and `max_prompt_tokens` are lengths as `count` has them."""

    image_wh: tuple[int, int]
    max_tokens: int
    max_prompt_tokens: int
    count: TokenCount

    def place(self, region: RegionEntry) -> str:
        """A region as a prompt names it."""
        return location_tokens(region.box, self.image_wh)

    def located(self, task: Task, items: Iterable[Labelled], input_: str = "") -> Iterator[Saying]:
        """The target of a task that answers with locations."""
        ids, instances = [], []
        for annotation_id, instance in items:
            ids.append(annotation_id)
            instances.append(instance)
        written = write_answer(task, instances, self.image_wh, self.max_tokens, count=self.count)
        banned = BANNED_PHRASES if TASKS[task].answer == "grounded_phrases" else ()  # no word that is worth a count
        yield from self.not_representable(task, [ids[i] for i in written.left_out if instances[i].label not in banned])
        yield from self._unsaid(task, TOO_LONG, [ids[i] for i in written.too_long])
        yield from self._target(task, input_, written.target, [ids[i] for i in written.spoken])

    def words(self, task: Task, text: str, ids: Sequence[str], input_: str = "") -> Iterator[Saying]:
        """The target of a task that answers with words."""
        said = normalise_text(text)
        if not said:
            yield from self.not_representable(task, ids)
        yield from self._target(task, input_, said, ids)

    def about(self, task: Task, region: RegionEntry, text: RegionTextEntry | None) -> Iterator[Saying]:
        """The target of a task that asks for the words of a region."""
        if text is not None:
            yield from self.words(task, text.text, (region.id, text.id), self.place(region))

    def not_representable(self, task: Task, ids: Sequence[str]) -> Iterator[UnsaidEntry]:
        """Annotations that the language has no words for."""
        yield from self._unsaid(task, NOT_REPRESENTABLE, ids)

    def _unsaid(
        self, task: Task, reason: Literal["not_representable", "too_long"], ids: Sequence[str]
    ) -> Iterator[UnsaidEntry]:
        if ids:
            yield UnsaidEntry(task=task, reason=reason, annotation_ids=tuple(ids))

    def _target(self, task: Task, input_: str, target: str, ids: Sequence[str]) -> Iterator[Saying]:
        if not target:
            return
        prompt = write_prompt(task, input_)
        if self.count(prompt) > self.max_prompt_tokens or self.count(target) > self.max_tokens:
            yield from self._unsaid(task, TOO_LONG, ids)
        else:
            yield TargetEntry(task=task, prompt=prompt, target=target, annotation_ids=tuple(ids))
