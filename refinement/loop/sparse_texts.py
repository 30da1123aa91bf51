"""What a specialist wrote, as tables: compared with gold and labels, and the texts that are missing without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.partition import carried_status
from fld_engine.engine.data.round_facts import NOT_MEASURED
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.plan.rounds import RoundPartition
from fld_engine.refinement.gate.sparse_gate import SparseGate, TextComparison
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.training.training_set import written_texts
from fld_engine.schemas.annotations import Granularity

Texts = dict[str, tuple[str, ...]]
"""Image id → its texts of one granularity, in row order."""


def compare_texts(
    granularity: Granularity,
    images: Iterable[str],
    gold: pa.Table,
    labels: pa.Table,
    view: PartitionView,
    name: str,
    *,
    twin_groups: Mapping[str, str] | None = None,
) -> list[TextComparison]:
    """Texts of those `images` for which `gold` has one, and specialist `name` one that the filters keep.

    `twin_groups` maps the id of an image to its group of near-twins, where it has one.
    """
    groups = twin_groups or {}
    reference, brief = _by_image(gold, granularity), _by_image(labels, "brief")
    small = _by_image(written_texts(labels, (granularity,)), granularity)
    mine = _by_image(_kept(view, name), granularity)
    return [
        TextComparison(
            gold=reference[image],
            written=mine[image][0],
            brief=brief.get(image, ("",))[0],
            small=small.get(image, ("",))[0],
            twin_group=groups.get(image, ""),
        )
        for image in images
        if image in reference and image in mine
    ]


def missing_texts(view: PartitionView, name: str, labels: pa.Table, gates: Iterable[SparseGate]) -> list[Edit]:
    """Texts of specialist `name` that the filters keep and no gate refuses, for images that have none as `labels`.

    A text that was composed by rule does not count, and stays.
    """
    whys = {gate.granularity: _why(gate) for gate in gates if gate.accepted}
    there = written_texts(labels, tuple(whys)).select(["image_id", "granularity"]).to_pylist()
    answered = {(row["image_id"], row["granularity"]) for row in there}
    return [
        Edit(
            unit="texts",
            image_id=row["image_id"],
            table="texts",
            annotation_id=row["id"],
            what="added",
            new={"granularity": row["granularity"], "text": row["text"]},
            why=whys[row["granularity"]],
            p_new=row["score"],
        )
        for row in _kept(view, name).to_pylist()
        if row["granularity"] in whys and (row["image_id"], row["granularity"]) not in answered
    ]


def dropped_texts(view: PartitionView, name: str) -> list[str]:
    """Why the filters dropped texts of specialist `name`, one reason a text."""
    verdicts = view.verdicts["texts"]
    mine = pc.equal(view.annotations["texts"]["annotator"], name)
    reasons: list[str] = verdicts["reason"].filter(pc.and_(mine, pc.invert(verdicts["kept"]))).to_pylist()
    return reasons


def texts_status(store: Store, partition: RoundPartition, now: pa.Table) -> pa.Table:
    """How far the texts of a partition are annotated once a specialist, of status table `now`, has written, too.

    Failed where anybody failed, else as the specialist left it.
    """
    (before,) = (table for family, _, table in carried_status(store, partition.unseen) if family == "texts")
    failed = pc.or_(pc.equal(before["status"], "failed"), pc.equal(now["status"], "failed"))
    place = before.schema.get_field_index("status")
    return before.set_column(place, before.schema.field(place), pc.if_else(failed, "failed", now["status"]))


def _kept(view: PartitionView, name: str) -> pa.Table:
    texts = view.annotations["texts"]
    return texts.filter(pc.and_(pc.equal(texts["annotator"], name), view.verdicts["texts"]["kept"]))


def _by_image(texts: pa.Table, granularity: Granularity) -> Texts:
    found: Texts = {}
    for row in texts.filter(pc.equal(texts["granularity"], granularity)).select(["image_id", "text"]).to_pylist():
        found[row["image_id"]] = (*found.get(row["image_id"], ()), row["text"])
    return found


def _why(gate: SparseGate) -> str:
    measured = gate.decision.why if gate.measured else f"{NOT_MEASURED}: {gate.decision.why}"
    return f"the image had no {gate.granularity} text; {measured}"
