"""What a root lost of its sources and its work: what ends a run with an error, and what with exit code 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fld_engine.engine.data.source_account import NAMES, SourceAccount, Tally, reasons_of
from fld_engine.engine.data.status import StatusReport
from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.stages.ingest.account import REMOVED


def incomplete(status: StatusReport, limits: Limits) -> list[str]:
    """Why a run that did its work still ends with exit code 3, one sentence a reason; none where nothing is missing."""
    reasons = []
    quarantined = sum(n for reason, n in status.quarantined.items() if reason != REMOVED) / max(1, status.found)
    if quarantined > limits.max_quarantined_share:
        reasons.append(f"{quarantined:.1%} was quarantined (allowed {limits.max_quarantined_share:.1%})")
    failed = max((s.failed / max(1, s.done + s.failed) for s in status.annotated.values()), default=0.0)
    if failed > limits.max_failed_share:
        reasons.append(f"up to {failed:.1%} of the images failed an annotator (allowed {limits.max_failed_share:.1%})")
    reasons += _rejected(status.sources, limits)
    if status.unread:
        chunks = sum(left.chunks for left in status.unread.values())
        reasons.append(f"{chunks} chunks of the sources could not be read; run again to read them")
    return reasons


def lost_sources(sources: Mapping[str, SourceAccount], limits: Limits) -> list[str]:
    """Sources of which nothing can be used: no image, or nothing of all that people said; one sentence each.

    A share allowed of 1 says that this may be.
    """
    lost = []
    for name, account in sources.items():
        images, human = account.images, account.human
        if images.num_refused and not images.read and limits.max_quarantined_share < 1:
            lost.append(_sentence(name, "images", images))
        elif human.seen and not human.read and limits.max_rejected_share < 1:
            lost.append(_sentence(name, NAMES["human"], human))
    return lost


def _rejected(sources: Mapping[str, SourceAccount], limits: Limits) -> Iterator[str]:
    for name, account in sources.items():
        refused, read = account.human.num_refused, account.human.read
        if refused > limits.max_rejected_share * (refused + read):
            yield (
                f"{refused / (refused + read):.1%} of what people said in source {name!r} was refused (allowed "
                f"{limits.max_rejected_share:.1%}): {reasons_of(account.human.refused, details=True)}"
            )


def _sentence(name: str, what: str, tally: Tally) -> str:
    reasons = {**tally.passed_over, **tally.refused}
    return f"none of the {tally.seen} {what} of source {name!r} can be used: {reasons_of(reasons, details=True)}"
