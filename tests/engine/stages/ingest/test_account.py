"""The account of each source: all that is in it is read, refused or passed over, and every loss has its reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fld_engine.engine.data.hashing import image_id, sha256_hex
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import IngestRecord, read_journal, totals
from fld_engine.engine.data.source_account import Reasons, SourceAccount
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.losses import incomplete, lost_sources
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.ingest.again import REPLAY, Replay
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.stage import Remove
from tests import hostile
from tests.known_faults.far import far_traffic
from tests.known_faults.field import box, image, labels, write, write_pictures
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import jpeg
from tests.known_faults.test_sources import refusal

A = [20, 30, 50, 40]


def ingested(folder: Path, *sources: dict[str, Any]) -> Root:
    root = new_root(folder / "root", plain_config(*({"name": "src", **source} for source in sources)))
    root.run(Ingest())
    return root


def accounts(root: Root) -> dict[str, SourceAccount]:
    return dict(totals(root.journal()).sources)


def numbers(reasons: Reasons) -> dict[str, int]:
    return {reason: counted.number for reason, counted in reasons.items()}


def test_all_files_of_a_folder_are_read_refused_or_passed_over(tmp_path: Path) -> None:
    """What lies in it is told to the last file: nothing is left out in silence."""
    photos = tmp_path / "photos"
    write_pictures(photos, "a.jpg", "b.mpo", "c.jpg?w=800", ".hidden.jpg", ".cache/d.jpg", "deep/e.png")
    write(photos / "broken.jpg", b"no image")
    write(photos / "a.txt", "a caption")
    write(photos / "README", "about")
    write(tmp_path / "elsewhere.jpg", jpeg(9))
    (photos / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (account,) = accounts(ingested(tmp_path, {"url": str(photos)})).values()
    images = account.tallies()["images"]
    assert images.read == 4, "whatever the name, the content is a JPEG"
    assert numbers(images.refused) == {"not_an_image": 1}
    assert numbers(images.passed_over) == {"hidden": 2, "link_outside": 1, "unknown_extension": 1}
    assert account.tallies()["web"].read == 1, "a.txt, which is the caption of a.jpg and no image"
    assert images.seen + 1 == sum(1 for path in photos.rglob("*") if path.is_file())
    assert [one.uri for one in images.passed_over["unknown_extension"].examples] == ["src/README"]


def test_all_of_hostile_sources_add_up_with_the_journal(tmp_path: Path) -> None:
    """Accounts and the sums of the ingest are two ways to count one thing."""
    for name in ("tars", "parquet", "coco", "photos"):
        (tmp_path / name).mkdir()
    hostile.write_hostile_tar(tmp_path / "tars/hostile.tar")
    hostile.write_hostile_parquet(tmp_path / "parquet/hostile.parquet")
    hostile.write_hostile_coco(tmp_path / "coco")
    hostile.write_unreadable(tmp_path / "photos")
    write_pictures(tmp_path / "photos", "a.jpg")
    urls = ["tars/hostile.tar", "parquet/hostile.parquet", "coco/labels.json", "photos"]
    root = ingested(tmp_path, *({"url": f"{tmp_path}/{url}", "name": url} for url in urls))
    (record,) = root.journal()
    told = accounts(root)
    assert sorted(told) == sorted(urls)
    assert sum(one.images.read + one.images.num_refused for one in told.values()) == record.found
    refused: Counter[str] = Counter()
    for one in told.values():
        refused.update(numbers(one.images.refused))
    assert dict(refused) == dict(record.quarantined)
    human = told["coco/labels.json"].human
    assert numbers(human.passed_over) == {"crowd": 1, "empty": 1}, "what is none by rule is no loss"
    rejected = {reason: n for reason, n in record.rejected_annotations.items() if reason not in human.passed_over}
    web = {"text_too_long": 0, **numbers(told["tars/hostile.tar"].web.refused)}
    assert sum(numbers(human.refused).values()) + sum(web.values()) == sum(rejected.values()) + sum(
        numbers(one.human.refused).get(reason, 0)
        for one in told.values()
        for reason in ("image_missing", "image_refused")
    )
    assert root.plan().partitions


def test_labels_of_pictures_that_are_missing_or_broken_are_counted_as_lost(tmp_path: Path) -> None:
    """Today's counts say that a picture is missing; how many labels went with it is what a user asks."""
    write_pictures(tmp_path / "images", "1.jpg")
    write(tmp_path / "images/2.jpg", b"no image")
    names = ("1.jpg", "2.jpg", "3.jpg")
    drawn = [box(10 * i + j, i, 1, A) for i in (1, 2, 3) for j in range(i)]
    written = labels([image(i, name) for i, name in enumerate(names, 1)], drawn, "cup")
    written["annotations"].append({"id": 99, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]})
    write(tmp_path / "labels.json", written)
    root = ingested(tmp_path, {"url": f"{tmp_path}/labels.json", "images_url": f"{tmp_path}/images"})
    (account,) = accounts(root).values()
    assert account.human.read == 2, "the box, and the class of what has no place"
    assert numbers(account.human.refused) == {"image_refused": 2, "image_missing": 3}
    assert numbers(account.human.passed_over) == {"form_not_read": 1}
    assert numbers(account.images.refused) == {"missing": 1, "not_an_image": 1}


def test_forms_of_tars_and_parquet_that_are_not_read_are_named(tmp_path: Path) -> None:
    members = [("0.jpg", jpeg(0)), ("0.json", b'{"boxes": 7}'), ("0.npy", b"x"), ("0.txt", b" "), (".x", b"x")]
    write(tmp_path / "a.tar", hostile.tar_bytes(members))
    columns = {"image": [jpeg(1)], "text": pa.array([["one", "one", ""]]), "embedding": [[1, 2]]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    root = ingested(tmp_path, {"url": f"{tmp_path}/a.tar"}, {"url": f"{tmp_path}/t.parquet", "name": "t"})
    told = accounts(root)
    assert numbers(told["src"].images.passed_over) == {"hidden": 1, "unknown_extension": 1}
    assert numbers(told["src"].web.passed_over) == {"empty": 1, "form_not_read": 1}
    assert numbers(told["t"].images.passed_over) == {"not_kept": 1}
    assert told["t"].images.passed_over["not_kept"].examples[0].uri == "t:embedding"
    assert (told["t"].web.read, numbers(told["t"].web.passed_over)) == (1, {"empty": 1, "repeated": 1})


def test_what_is_added_later_adds_up_and_another_reading_replaces(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", "1.jpg")
    write(tmp_path / "labels.json", labels([image(1, "1.jpg")], [box(1, 1, 2, A), box(2, 1, 1, A)], "cup"))
    source = {"url": f"{tmp_path}/labels.json", "images_url": f"{tmp_path}/images"}
    root = ingested(tmp_path, source)
    assert incomplete(read_status(root.plan(), root.journal()), Limits())[0].startswith("50.0% of what people said")
    write(tmp_path / "labels.json", labels([image(1, "1.jpg")], [box(2, 1, 1, A)], "cup"))
    root.run(Ingest())
    (account,) = accounts(root).values()
    assert (account.human.read, numbers(account.human.refused)) == (1, {})
    assert not incomplete(read_status(root.plan(), root.journal()), Limits())


def test_journals_of_earlier_versions_have_no_accounts_and_are_told_without(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", "a.jpg")
    root = ingested(tmp_path, {"url": f"{tmp_path}/photos"})
    path = "ingest/000001.json"
    old = json.loads(root.store.read_bytes(path))
    del old["sources"]
    root.store.write_bytes(path, json.dumps(old).encode())
    status = read_status(root.plan(), read_journal(root.store))
    assert (status.ingested, status.sources) == (1, {})
    write_pictures(tmp_path / "photos", "b.png")
    root.run(Ingest())
    assert accounts(root)["src"].images.seen > 0


def test_a_removed_image_is_named_in_no_account(tmp_path: Path) -> None:
    """Examples of refused labels name pictures; one that has to go goes from them, too."""
    write_pictures(tmp_path / "images", "secret.jpg", "2.jpg")
    written = labels([image(1, "secret.jpg"), image(2, "2.jpg")], [box(1, 1, 9, A), box(2, 2, 1, A)], "cup")
    write(tmp_path / "labels.json", written)
    root = ingested(tmp_path, {"url": f"{tmp_path}/labels.json", "images_url": f"{tmp_path}/images"})
    assert b"secret.jpg" in root.store.read_bytes("ingest/000001.json")
    gone = image_id(sha256_hex((tmp_path / "images/secret.jpg").read_bytes()))
    with Pipeline(Store(root.store.url), root.config) as pipeline:
        pipeline.run(Remove([gone]))
    journal = root.store.read_bytes("ingest/000001.json")
    assert b"secret.jpg" not in journal
    record = IngestRecord.model_validate_json(journal)
    (account,) = record.sources["src"].values()
    assert numbers(account.human.refused) == {"dangling_id": 1}


def test_what_is_read_again_counts_once_as_what_became_of_it(tmp_path: Path) -> None:
    """Mended pictures, pictures that came, and limits that were raised: a source never holds more than its files."""
    names = ("b.jpg", "c.jpg", "d.jpg")
    write_pictures(tmp_path / "photos", *names)
    write(tmp_path / "photos/a.jpg", b"no image")
    root = ingested(tmp_path, {"url": f"{tmp_path}/photos"})
    strict = ImageLimits(max_pixels=64)

    def told() -> tuple[int, dict[str, int]]:
        images = accounts(root)["src"].images
        return images.read, numbers(images.refused)

    assert told() == (3, {"not_an_image": 1})
    write_pictures(tmp_path / "photos", "a.jpg")
    root.run(Ingest())
    assert told() == (4, {})
    write_pictures(tmp_path / "photos", "a0.jpg", "z.jpg")  # before, and after, all that is there
    root.run(Ingest())
    assert told() == (6, {})
    root = new_root(tmp_path / "strict", root.config.model_copy(update={"images": strict}))
    Image.new("RGB", (8, 8)).save(tmp_path / "photos/small.png")
    root.run(Ingest())
    assert told() == (1, {"too_many_pixels": 6})
    root = Root(root.store, root.config.model_copy(update={"images": ImageLimits()}))
    root.store.write_model(REPLAY, Replay(after=1, chunks=root.journal()[0].chunks))
    root.run(Ingest())
    assert told() == (7, {})
    assert totals(root.journal()).quarantined == {}


def test_files_that_are_gone_or_forbidden_are_refused_and_chunks_left_unread_count_nowhere(tmp_path: Path) -> None:
    """What a source refuses is in its account; what could not be had is none of it, and ends a run with exit code 3."""
    write_pictures(tmp_path / "photos", "a.jpg", "b.jpg")
    write(tmp_path / "web/0.tar", hostile.tar_bytes([("0.jpg", jpeg(2))]))
    sources = [{"url": f"far://{tmp_path}/{name}", "name": name} for name in ("photos", "web")]
    root = new_root(tmp_path / "root", plain_config(*sources, limits={"max_unread_share": 1.0}))

    def trouble(path: str, start: int, stop: int) -> None:
        if path.endswith(("a.jpg", ".tar")):
            raise refusal("AccessDenied")

    far_traffic().trouble = trouble
    root.run(Ingest())
    images = accounts(root)["photos"].images
    assert (images.read, numbers(images.refused)) == (1, {"forbidden": 1})
    assert list(accounts(root)) == ["photos"]
    told = incomplete(read_status(root.plan(), root.journal()), Limits(max_quarantined_share=1.0))
    assert told == ["1 chunks of the sources could not be read; run again to read them"]


@pytest.mark.parametrize(
    ("human", "images", "limits", "lost"),
    [
        ({"read": 0, "refused": 3}, {"read": 5}, {}, ["none of the 3 human annotations of source 'x'"]),
        ({"read": 0, "passed_over": 3}, {"read": 5}, {}, ["none of the 3 human annotations of source 'x'"]),
        ({"read": 1, "refused": 99}, {"read": 5}, {}, []),
        ({}, {"read": 0, "refused": 2}, {}, ["none of the 2 images of source 'x'"]),
        ({"read": 0, "refused": 3}, {"read": 5}, {"max_rejected_share": 1.0}, []),
        ({}, {"read": 0, "refused": 2}, {"max_quarantined_share": 1.0}, []),
        ({}, {"read": 1}, {}, []),
    ],
)
def test_a_source_of_which_nothing_can_be_used_is_an_error(
    human: dict[str, int], images: dict[str, int], limits: dict[str, float], lost: list[str]
) -> None:
    def tally(given: dict[str, int]) -> dict[str, Any]:
        reasons = {fate: {"crowd": {"number": n}} for fate, n in given.items() if fate != "read"}
        return {"read": given.get("read", 0), **reasons}

    account = SourceAccount.model_validate({"human": tally(human), "images": tally(images)})
    found = lost_sources({"x": account}, Limits(**limits))
    assert [sentence.split(" can be used")[0] for sentence in found] == lost
    assert all("crowd" in sentence for sentence in found)
