"""Which images a gallery shows: strata and sources take turns, so that each has its share."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa


def pick(candidates: pa.Table, rare: pa.Table, num_images: int) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Images of a gallery: (partition, image id) → the strata it stands for, `{stratum, note}`.

    Strata and sources take turns, each with its next candidate, until there are `num_images`. `rare` are the least
    frequent terms with the image they are in (`first`).
    """
    queues: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for row in candidates.to_pylist():
        queues[row["stratum"], row["source"]].append((row["partition"], row["image_id"], row["note"]))
    for row in rare.to_pylist():
        image_id, _, partition = row["first"].partition("/")
        note = f"“{row['term']}” is in {row['count']} text" + ("s" if row["count"] > 1 else "")
        queues["rare phrase", ""].append((partition, image_id, note))
    picked: dict[tuple[str, str], list[dict[str, str]]] = {}
    for turn in range(max(map(len, queues.values()), default=0)):
        for (stratum, _), queue in sorted(queues.items()):
            if turn >= len(queue):
                continue
            partition, image_id, note = queue[turn]
            if (partition, image_id) in picked or len(picked) < num_images:
                picked.setdefault((partition, image_id), []).append({"stratum": stratum, "note": note})
    return picked
