"""What `--runner`, `--workers` and `--ray-address` say together."""

from __future__ import annotations

from typing import Any

from fld_engine.schemas.errors import ConfigError


def runner_settings(kind: str | None, workers: int | None, address: str | None) -> dict[str, Any]:
    """Settings under `runner`, by key. An address asks for runner `ray`.

    Raises `ConfigError` where one is given beside `--runner local`.
    """
    if address and kind == "local":
        raise ConfigError(
            f"--ray-address {address} asks for runner ray, and --runner local for the other one: leave one of them out"
        )
    given = {"kind": kind or ("ray" if address else None), "workers": workers, "ray_address": address}
    return {key: value for key, value in given.items() if value is not None}
