"""The rate that `fld plan` goes by for each annotator, and where it comes from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.rates import MeasuredRate, read_rates, settings_of
from fld_engine.flows.summary import RUN_FILE, Attempt
from fld_engine.schemas.annotations import Frozen

From = Literal["calibrated", "measured", "stated"]


class Rate(Frozen):
    """Images per second of one worker; `said` tells where it comes from."""

    images_per_s: float
    by: From
    said: str


def rates_for(
    store: Store | None, config: RunConfig, calibrated: Mapping[str, float], *, on_paper: bool
) -> dict[str, Rate]:
    """The rate of each annotator where one is known: of a calibration, else of this root, else as the config states it.

    What was measured with other settings comes last. `on_paper`: the nodes are not those that were measured, and what
    the config states is meant for such. `store` is None where there is no root yet.
    """
    measured = measured_rates(store, config) if store is not None else {}
    found: dict[str, Rate] = {}
    for name, annotator in config.annotators.items():
        here, others = measured.get(name, (None, None))
        stated = annotator.images_per_s
        known = Rate(images_per_s=stated, by="stated", said="the config's estimate") if stated is not None else None
        order = (known, here, others) if on_paper else (here, known, others)
        if name in calibrated:
            found[name] = Rate(images_per_s=calibrated[name], by="calibrated", said="calibrated now, on this machine")
        elif best := next((one for one in order if one is not None), None):
            found[name] = best
    return found


def measured_rates(store: Store, config: RunConfig) -> dict[str, tuple[Rate | None, Rate | None]]:
    """Annotator → its rate in this root with the settings of the config, and with any others."""
    found: dict[str, tuple[Rate | None, Rate | None]] = {}
    kept = read_rates(store).annotators
    for name, annotator in config.annotators.items():
        same = [rate for rate in kept.get(name, ()) if rate.settings == settings_of(annotator)]
        others = [rate for rate in kept.get(name, ()) if rate not in same]
        found[name] = (_rate(same, ""), _rate(others, ", with other settings"))
    for name, rate in _of_attempts(store).items():  # roots of 0.1.0 have no others
        if name in found and found[name] == (None, None):
            found[name] = (rate, None)
    return found


def _rate(measured: Sequence[MeasuredRate], more: str) -> Rate | None:
    """Over all that ran where the latest did."""
    if not measured:
        return None
    last = measured[-1]
    alike = [one for one in measured if (one.host, one.runner) == (last.host, last.runner)]
    images, seconds = sum(one.images for one in alike), sum(one.seconds for one in alike)
    where = f"{images} images, runner {last.runner} on {last.host}, until {_day(last.ended)}"
    return Rate(images_per_s=images / seconds, by="measured", said=f"measured in this root{more} ({where})")


def _of_attempts(store: Store) -> dict[str, Rate]:
    """What attempts of the root say of themselves, the last word of each."""
    attempts: list[Attempt] = store.read_model(RUN_FILE, list[Attempt]) if store.exists(RUN_FILE) else []
    return {
        name: Rate(
            images_per_s=rate,
            by="measured",
            said=f"measured in this root (runner {one.summary.runner} on {one.host}, until {_day(one.ended)})",
        )
        for one in attempts
        for name, rate in one.summary.images_per_s.items()
        if rate > 0
    }


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
