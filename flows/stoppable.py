"""How a flow of Prefect ends that is asked to stop: in state `Cancelled`, which says where."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from prefect.states import Cancelled

from fld_engine.engine.run.interrupt import listening

P = ParamSpec("P")
R = TypeVar("R")


def stoppable(do: Callable[P, R]) -> Callable[P, R]:
    """Let a flow hear SIGINT and SIGTERM as the command line does, whoever started it.

    Prefect's own handler of SIGTERM would raise wherever it finds the flow, and its engine would call an interrupted
    flow crashed (as it does its task). The state returned in the place of a result makes it cancelled, and its caller
    gets Prefect's `CancelledRun`.
    """

    @functools.wraps(do)
    def stopping(*args: P.args, **kwargs: P.kwargs) -> R:
        with listening() as heard:
            try:
                return do(*args, **kwargs)
            except BaseException:
                if heard.asked:
                    return cast(R, Cancelled(message=str(heard.error())))
                raise

    # Prefect would look for the names in its annotations here, where they are not known
    stopping.__signature__ = inspect.signature(do, eval_str=True)  # type: ignore[attr-defined]
    stopping.__annotations__ = inspect.get_annotations(do, eval_str=True)
    return stopping
