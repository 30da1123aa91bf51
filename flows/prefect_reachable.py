"""Whether the Prefect server that somebody named answers, asked before any work, and for a limited time."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from fld_engine.engine.data.foreign import proxy_note
from fld_engine.schemas.errors import ConfigError, RunnerError
from fld_engine.schemas.masking import masked

ANSWER_LIMIT_S = 20.0
"""How long a server may take to say that it is there; one that is asleep in a cloud takes seconds."""


def check_reachable(url: str) -> None:
    """Raises `RunnerError` where no Prefect server answers at `url`, `ConfigError` where that is no address of one."""
    named = f"PREFECT_API_URL {masked(url)}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{named} is no address: expected one such as http://127.0.0.1:4200/api, or leave it unset")
    error = _asked(url)
    if error is None:
        return
    what = " ".join(str(error).split())[:200] or "no answer in time"
    cure = (
        f"start it (`prefect server start`), mend the address, or unset PREFECT_API_URL, and a run brings its own"
        f"{proxy_note()}; nothing was begun"
    )
    if any(status in what for status in ("401", "403")):
        raise RunnerError(
            f"{named} does not let us in ({what}): set PREFECT_API_KEY or PREFECT_API_AUTH_STRING; {cure}"
        )
    raise RunnerError(f"{named}: Prefect cannot be reached there ({type(error).__name__}: {what}): {cure}")


def _asked(url: str) -> BaseException | None:
    """What asking the server ends with: nothing, where it is well. Prefect's own client knows its keys."""
    found: list[BaseException | None] = []

    def ask() -> None:
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

        try:
            settings = temporary_settings(updates={PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0})
            with settings, get_client(sync_client=True) as client:
                client.hello().json()
            found.append(None)
        except ValueError:  # a page for people, such as that of the server's own user interface
            found.append(ConnectionError("something answers, and not as Prefect's API does; its address ends in /api"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the server cannot be used
            found.append(error)

    asking = threading.Thread(target=ask, daemon=True)  # a server that takes connections and says nothing
    asking.start()
    asking.join(ANSWER_LIMIT_S)
    return found[0] if found else TimeoutError(f"no answer for {ANSWER_LIMIT_S:.0f} s")


def check_cron(expression: str | None) -> None:
    """Raises `ConfigError` for what is no cron expression."""
    from prefect.client.schemas.schedules import CronSchedule

    if expression is None:
        return
    try:
        CronSchedule(cron=expression)
    except ValueError:
        raise ConfigError(
            f"--cron {expression!r} is no cron expression: expected minute, hour, day, month and weekday, such as "
            "'0 3 * * *' for every day at 3"
        ) from None
