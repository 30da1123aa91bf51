"""K folds by twin group: the student that labels an image has seen neither it nor a near-twin of it in training."""

from __future__ import annotations

import hashlib

from fld_engine.schemas.errors import ConfigError

EVERY_FOLD = -1
"""Fold of the one student that is trained on all images: the in-sample way of the paper."""


def fold_of(twin_group: str, seed: int, num_folds: int) -> int:
    """The fold, 0 to `num_folds` - 1, that labels a twin group.

    The first 64 bits of `sha256("fold:seed:twin_group")` modulo the number of folds: independent of the split, of the
    order of images and of what is added later. Raises `ConfigError` for fewer than two folds.
    """
    if num_folds < 2:
        raise ConfigError(
            f"refinement needs at least 2 folds to label out of sample, got {num_folds}; "
            "for the in-sample way of the paper set `in_sample: true`"
        )
    digest = hashlib.sha256(f"fold:{seed}:{twin_group}".encode()).digest()
    return int.from_bytes(digest[:8]) % num_folds


def trains_on(fold: int, image_fold: int) -> bool:
    """Whether the student of `fold` may train on an image that the student of `image_fold` labels."""
    return fold == EVERY_FOLD or fold != image_fold
