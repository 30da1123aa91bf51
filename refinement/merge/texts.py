"""Choose between the text of an image and the student's, by how well each fits the image and its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fld_engine.refinement.labels.image import TextLabel, head_of
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.merge.rules import MORE_CONSISTENT, MergeRules, should_rewrite


@dataclass(frozen=True, slots=True)
class MergedTexts:
    """The texts of the next round, in the order of the old ones, and what changed."""

    labels: tuple[TextLabel, ...]
    edits: tuple[Edit, ...]


def consistency(named: Sequence[str], regions: Sequence[str]) -> float:
    """F1 of the things a text names against the labels of the image's regions, in [0, 1]; 1 where there is neither.

    Names count as often as they occur; a region label is named where its last word, the head noun, is.
    """
    heads = [head for head in map(head_of, regions) if head]
    left = [head_of(name) for name in named]
    hits = 0
    for head in heads:
        if head in left:
            left.remove(head)
            hits += 1
    total = len(heads) + len(named)
    return 2 * hits / total if total else 1.0


def fit_of(text: TextLabel, regions: Sequence[str]) -> float:
    """Mean of what is known: probability of the words, consistency with the regions, similarity where measured."""
    parts = [text.p, consistency(text.named, regions)]
    if text.similarity is not None:
        parts.append((text.similarity + 1) / 2)
    return sum(parts) / len(parts)


def merge_texts(
    image_id: str, old: Sequence[TextLabel], seen: Sequence[TextLabel], regions: Sequence[str], rules: MergeRules
) -> MergedTexts:
    """Reconcile the texts of one image with the student's, granularity by granularity.

    The student's best text of a granularity may rewrite the worst old one; where there is none, it is added. `regions`
    are the labels of the image's regions after their merge. People's texts are never rewritten, nor is one that the
    student could not be asked about; a text of its own that it could not be asked about is not taken.
    """
    merged = list(old)
    edits: list[Edit] = []
    judged = [text for text in seen if text.asked]
    for granularity in dict.fromkeys(text.granularity for text in judged):
        mine = [text for text in judged if text.granularity == granularity]
        best = max(mine, key=lambda text: fit_of(text, regions))
        places = [i for i, text in enumerate(merged) if text.granularity == granularity]
        open_places = [i for i in places if not merged[i].protected and merged[i].asked]
        if any(merged[i].text == best.text for i in places):
            continue
        if not places:
            merged.append(best)
            edits.append(_edit(image_id, None, best))
        elif open_places:
            worst = min(open_places, key=lambda i: fit_of(merged[i], regions))
            if should_rewrite(fit_of(merged[worst], regions), fit_of(best, regions), rules):
                edits.append(_edit(image_id, merged[worst], best))
                merged[worst] = replace(best, id=merged[worst].id)
    return MergedTexts(tuple(merged), tuple(edits))


def _edit(image_id: str, old: TextLabel | None, new: TextLabel) -> Edit:
    return Edit(
        unit="texts",
        image_id=image_id,
        table="texts",
        annotation_id=old.id if old else new.id,
        what="rewritten" if old else "added",
        old={"text": old.text} if old else {},
        new={"text": new.text} if old else {"granularity": new.granularity, "text": new.text},
        why=MORE_CONSISTENT if old else "the image had no text of this granularity",
        p_old=old.p if old else -1.0,
        p_new=new.p,
    )
