"""Groundings are not merged: they are made again wherever what they rest on has changed."""

from __future__ import annotations

from collections.abc import Iterable

from refinement.ledger import Edit


def stale_images(edits: Iterable[Edit]) -> set[str]:
    """Images whose groundings no longer rest on what they were made from.

    A phrase is grounded on regions of its image by their names and boxes, so that any edit of either moves its ground.
    """
    return {edit.image_id for edit in edits if edit.table in ("texts", "regions", "region_texts")}
