"""What people said twice is one thing everywhere else; whoever asks about an image is shown who said what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fld_engine.engine.inspect.explain import explain
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import jpeg


def labels(category: str, caption: str) -> str:
    tree: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": category}],
        "annotations": [
            {"id": 1, "image_id": 1, "caption": caption},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [5, 5, 40, 40]},
        ],
    }
    return json.dumps(tree)


def labelled_twice(folder: Path) -> Root:
    """One picture in two files of labels, which call the same thing a dog and a poodle."""
    (folder / "photographs").mkdir()
    (folder / "photographs/a.jpg").write_bytes(jpeg(1))
    for name, category in (("ann", "dog"), ("bob", "poodle")):
        (folder / f"{name}.json").write_text(labels(category, "a dog on the grass"))
    sources = [
        {"url": str(folder / f"{name}.json"), "name": name, "images_url": str(folder / "photographs")}
        for name in ("ann", "bob")
    ]
    root = new_root(folder / "root", plain_config(*sources))
    root.run_all()
    return root


def test_each_who_said_a_thing_is_shown(tmp_path: Path) -> None:
    """Silent about the second, it would look as if a file of labels had been lost."""
    root = labelled_twice(tmp_path)
    found = explain(root.plan(), root.rows("images")[0]["id"][:8]).annotations
    shown = [(a.target, *(a.what[key] for key in ("text",) if key in a.what), a.said_in) for a in found]
    assert sorted(shown) == [
        ("images",  ""),
        ("region_texts", "dog", "ann"),
        ("region_texts", "poodle", "bob"),
        ("regions", "ann"),
        ("regions", "bob"),
        ("texts", "a dog on the grass", "ann"),
        ("texts", "a dog on the grass", "bob"),
    ]  # fmt: skip
    stands = {a.id: a for a in found if not a.one_with}
    others = [a for a in found if a.one_with]
    assert {(a.target, a.said_in) for a in others} == {("regions", "bob"), ("texts", "bob"), ("region_texts", "ann")}
    assert all(stands[a.one_with].target == a.target for a in others)
    assert all(a.kept for a in found)
