"""Readings of the gold split `final`: every one is written down, for what is looked at again and again is chosen by.

Figures of the same labels are read once and kept in `rounds/final-NNN.json`, NNN the last round. `final-readings.json`
lists the readings of the root under whatever config; it stays when rounds are deleted to be made under another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fld_engine.engine.data.hashing import canonical_json, fingerprint
from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen

LEDGER = "final-readings.json"
_KEPT = re.compile(r"final-(\d{3,})\.json")


class FinalFigures(Frozen):
    """Metric → (first, last) on so many images; `identity` is of the labels, and absent from roots before 0.2."""

    images: int
    metrics: Mapping[str, tuple[float, float]]
    identity: str = ""


class Reading(Frozen):
    """The split was read for the labels of `identity`, after round `last`."""

    last: int
    identity: str


class Readings(Frozen):
    """Every reading, in their order."""

    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True)
class FinalReadings:
    """What is written down about the split `final` of a root."""

    store: Store

    def kept(self, last: int) -> FinalFigures | None:
        """The figures after round `last`; None where nobody has read them."""
        if not self.store.exists(_path(last)):
            return None
        found: FinalFigures = self.store.read_model(_path(last), FinalFigures)
        return found

    def keep(self, last: int, figures: FinalFigures) -> None:
        """Write down that the split was read, then what was found: a reader who dies in between reads it once more."""
        if figures.images:
            known = self._all()
            if figures.identity not in {reading.identity for reading in known}:
                known = (*known, Reading(last=last, identity=figures.identity))
            rows = [reading.model_dump() for reading in known]
            self.store.write_bytes(LEDGER, canonical_json({"readings": rows}).encode())
        self.store.write_bytes(_path(last), canonical_json(figures.model_dump()).encode())

    def count(self) -> int:
        """How often the split was read."""
        return len(self._all())

    def _all(self) -> tuple[Reading, ...]:
        """What the ledger has, and before it the readings of versions that kept none."""
        listed: tuple[Reading, ...] = ()
        if self.store.exists(LEDGER):
            listed = self.store.read_model(LEDGER, Readings).readings
        numbers = sorted(int(match[1]) for name in self.store.list_names("rounds") if (match := _KEPT.fullmatch(name)))
        kept = [(number, self.kept(number)) for number in numbers]
        old = (
            Reading(last=number, identity=fingerprint({"unnamed": figures.model_dump()}))
            for number, figures in kept
            if figures is not None and not figures.identity and figures.images
        )
        known = {reading.identity for reading in listed}
        return (*(reading for reading in old if reading.identity not in known), *listed)


def _path(last: int) -> str:
    return f"rounds/final-{last:03d}.json"
