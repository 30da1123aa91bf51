"""What became of everything that a source holds: read, refused or passed over, by reason, with examples.

One account a source: of its images, and of what people, the web, models and the folders of images say. A scan counts, a
journal keeps, and accounts of several ingests add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from fld_engine.schemas.annotations import Frozen

MAX_EXAMPLES = 3
MAX_DETAIL_CHARS = 400

What = Literal["images", "human", "web", "machine", "folders"]
Fate = Literal["refused", "passed_over"]
_FATES: tuple[Fate, Fate] = ("refused", "passed_over")
_WHATS: tuple[What, ...] = get_args(What)
NAMES: Mapping[What, str] = {
    "images": "images",
    "human": "human annotations",
    "web": "web annotations",
    "machine": "annotations by models",
    "folders": "classes told by folders",
}


class Example(Frozen):
    """One of those that a reason holds for. `of_image` is the URI of its image, where that is not `uri` itself."""

    uri: str
    detail: str = ""
    of_image: str = ""


class Counted(Frozen):
    """How many a reason holds for, the first three by name."""

    number: int
    examples: tuple[Example, ...] = ()


Reasons = Mapping[str, Counted]


class Tally(Frozen):
    """Things of one kind: `refused` could not be used, `passed_over` are none of ours by rule; both by reason."""

    read: int = 0
    refused: Reasons = Field(default_factory=dict)
    passed_over: Reasons = Field(default_factory=dict)

    @property
    def num_refused(self) -> int:
        return sum(counted.number for counted in self.refused.values())

    @property
    def num_passed_over(self) -> int:
        return sum(counted.number for counted in self.passed_over.values())

    @property
    def seen(self) -> int:
        return self.read + self.num_refused + self.num_passed_over


class SourceAccount(Frozen):
    """The account of one source. Annotations are texts, regions, boxes of phrases, classes and absences of the whole
    image, and what was to be one of them. `machine` and `folders` are left out of a dump where nothing is seen.

    `listed` are files that were passed over as the source was listed, at its last listing; `revision` names how the
    source was read, for what another reading finds replaces all that was counted before.
    """

    revision: str = ""
    images: Tally = Tally()
    human: Tally = Tally()
    web: Tally = Tally()
    machine: Tally = Field(default=Tally(), exclude_if=lambda tally: not tally.seen)
    folders: Tally = Field(default=Tally(), exclude_if=lambda tally: not tally.seen)
    listed: Reasons = Field(default_factory=dict)

    def tallies(self) -> dict[What, Tally]:
        """Tallies by what they count; files that were passed over count among images."""
        over = Counting()
        for reasons in (self.listed, self.images.passed_over):
            over.add_reasons("images", "passed_over", reasons)
        images = self.images.model_copy(update={"passed_over": over.account().images.passed_over})
        return {what: images if what == "images" else getattr(self, what) for what in _WHATS}


Accounts = Mapping[str, Mapping[str, SourceAccount]]
"""Of one ingest, by source and by key of the chunk; `listed` stands in the last of a source."""


class SourceRow(NamedTuple):
    """One line of a table of accounts. `why` has the reasons with their numbers and examples."""

    source: str
    what: str
    seen: int
    read: int
    refused: int
    passed_over: int
    why: str


@dataclass
class Counting:
    """An account in the making; its size is bounded by the number of reasons."""

    read: dict[What, int] = field(default_factory=dict)
    reasons: dict[tuple[What, Fate], dict[str, Counted]] = field(default_factory=dict)

    def add_read(self, what: What, number: int) -> None:
        self.read[what] = self.read.get(what, 0) + number

    def add(self, what: What, fate: Fate, reason: str, number: int, *examples: Example) -> None:
        """Count `number` more for a reason."""
        if number:
            known = self.reasons.setdefault((what, fate), {})
            before = known.get(reason, Counted(number=0))
            if len(before.examples) < MAX_EXAMPLES:
                kept = (*before.examples, *map(_short, examples))[:MAX_EXAMPLES]
            else:
                kept = before.examples
            known[reason] = Counted.model_construct(number=before.number + number, examples=kept)

    def add_reasons(self, what: What, fate: Fate, reasons: Reasons) -> None:
        for reason, counted in reasons.items():
            self.add(what, fate, reason, counted.number, *counted.examples)

    def account(self, *, revision: str = "", listed: Reasons | None = None) -> SourceAccount:
        """What was counted; reasons in alphabetical order."""
        return SourceAccount(revision=revision, listed=listed or {}, **{what: self._tally(what) for what in _WHATS})

    def _tally(self, what: What) -> Tally:
        refused, over = (self.reasons.get((what, fate), {}) for fate in _FATES)
        return Tally(
            read=self.read.get(what, 0), refused=dict(sorted(refused.items())), passed_over=dict(sorted(over.items()))
        )


def total(accounts: Iterable[SourceAccount]) -> SourceAccount:
    """The sum; revision and listing are those of the last."""
    counting, last = Counting(), SourceAccount()
    for last in accounts:
        for what in _WHATS:
            tally: Tally = getattr(last, what)
            counting.add_read(what, tally.read)
            counting.add_reasons(what, "refused", tally.refused)
            counting.add_reasons(what, "passed_over", tally.passed_over)
    return counting.account(revision=last.revision, listed=last.listed)


def standing(ingests: Iterable[Accounts]) -> dict[str, SourceAccount]:
    """Accounts by source after several ingests, in order.

    A chunk that was read again counts as what became of it then. Chunks of one reading add up, and another reading of
    their source replaces them.
    """
    every = list(ingests)
    return {
        name: total(every[number][name][key] for key, number in parts.items())
        for name, parts in sorted(last_read(every).items())
    }


def last_read(ingests: Iterable[Accounts]) -> dict[str, dict[str, int]]:
    """By source and chunk, which of several ingests, in order, has the account that stands."""
    found: dict[str, dict[str, tuple[str, int]]] = {}
    for number, accounts in enumerate(ingests):
        for name, chunks in accounts.items():
            readings = {account.revision for account in chunks.values()}
            before = found.get(name, {})
            same = {key: one for key, one in before.items() if key not in chunks and one[0] in readings}
            found[name] = same | {key: (account.revision, number) for key, account in chunks.items()}
    return {name: {key: number for key, (_, number) in chunks.items()} for name, chunks in found.items()}


def rows_of(accounts: Mapping[str, SourceAccount]) -> list[SourceRow]:
    """A line for each source and kind of thing that was seen in it."""
    return [
        SourceRow(name, NAMES[what], tally.seen, tally.read, tally.num_refused, tally.num_passed_over, _why(tally))
        for name, account in sorted(accounts.items())
        for what, tally in account.tallies().items()
        if tally.seen or what == "images"
    ]


def reasons_of(reasons: Reasons, *, details: bool = False) -> str:
    """Reasons in one line, most frequent first: `corrupt 2 (photos/a.jpg, photos/b.jpg)`."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1].number, item[0]))
    return "; ".join(f"{reason} {counted.number}{_examples(counted, details)}" for reason, counted in ordered)


def without_details(account: SourceAccount) -> SourceAccount:
    """An account that is given out: details are for whoever has the sources."""
    return _mapped(account, lambda example: Example(uri=example.uri))


def without_images(account: SourceAccount, uris: Iterable[str]) -> SourceAccount:
    """An account that names none of these images; its numbers say what was found, and stay."""
    gone = set(uris)
    return _mapped(account, lambda example: None if gone & {example.uri, example.of_image} else example)


def _why(tally: Tally) -> str:
    parts = {"refused": tally.refused, "passed over": tally.passed_over}
    return ". ".join(f"{fate}: {reasons_of(reasons)}" for fate, reasons in parts.items() if reasons)


def _examples(counted: Counted, details: bool) -> str:
    named = [f"{one.uri}: {one.detail}" if details and one.detail else one.uri for one in counted.examples]
    if not named:
        return ""
    return f" ({', '.join(named)}{', …' if counted.number > len(named) else ''})"


def _short(example: Example) -> Example:
    if len(example.detail) <= MAX_DETAIL_CHARS:
        return example
    return example.model_copy(update={"detail": example.detail[:MAX_DETAIL_CHARS] + "…"})


def _mapped(account: SourceAccount, change: Callable[[Example], Example | None]) -> SourceAccount:
    def reasons(before: Reasons) -> dict[str, Counted]:
        return {
            reason: Counted(
                number=counted.number,
                examples=tuple(new for one in counted.examples if (new := change(one)) is not None),
            )
            for reason, counted in before.items()
        }

    def tally(before: Tally) -> Tally:
        return Tally(read=before.read, refused=reasons(before.refused), passed_over=reasons(before.passed_over))

    return SourceAccount(
        revision=account.revision,
        listed=reasons(account.listed),
        **{what: tally(getattr(account, what)) for what in _WHATS},
    )
