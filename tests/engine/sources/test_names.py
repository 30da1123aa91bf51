"""Names of images as tools write them: found where one file alone fits, and never on the wrong image."""

from __future__ import annotations

import unicodedata

import pytest

from fld_engine.engine.sources.names import Names

FITS = [
    ("a.jpg", ["a.jpg", "b/a.jpg"], "a.jpg", "exact"),
    ("images\\1.jpg", ["images/1.jpg"], "images/1.jpg", "spelling"),
    ("./images//1.jpg", ["images/1.jpg"], "images/1.jpg", "spelling"),
    ("my%20photo%2B%C3%A9.jpg", ["my photo+é.jpg"], "my photo+é.jpg", "spelling"),
    ("100%25.jpg", ["100%.jpg", "100%25.jpg"], "100%25.jpg", "exact"),
    ("1.jpg", ["patch0/1.jpg", "patch0/2.jpg"], "patch0/1.jpg", "folders"),
    ("images/v2/patch16/1.jpg", ["patch16/1.jpg", "patch15/1.jpg"], "patch16/1.jpg", "folders"),
    ("cafe\u0301.jpg", ["caf\u00e9.jpg"], "caf\u00e9.jpg", "unicode"),
    ("IMG_1.jpg", ["img_1.JPG"], "img_1.JPG", "case"),
    ("1.png", ["1.jpg", "1.txt", "1.json"], "1.jpg", "extension"),
    ("000abc", ["train/000abc.jpg"], "train/000abc.jpg", "extension"),
    ("1.png", ["1.jpg", "other/1.png"], "other/1.png", "folders"),
    ("Train/1.png", ["train/1.jpg", "1.webp"], "train/1.jpg", "extension"),
    ("/data/local-files/?d=project/1.jpg", ["1.jpg"], "1.jpg", "storage"),
    ("/data/local-files/?d=a%26b/caf%C3%A9.jpg&x=1", ["a&b/café.jpg"], "a&b/café.jpg", "storage"),
    ("../../label-studio/media/upload/4/2.jpg", ["2.jpg"], "2.jpg", "storage"),
    ("/data/upload/3/1a2b3c4d-cat.jpg", ["cat.jpg"], "cat.jpg", "storage"),
    ("upload/3/1a2b3c4d-cat.jpg", ["images/1a2b3c4d-cat.jpg", "images/cat.jpg"], "images/1a2b3c4d-cat.jpg", "folders"),
    ("s3://bucket/set/train/1.jpg", ["train/1.jpg", "val/1.jpg"], "train/1.jpg", "storage"),
    ("gs://bucket/1.jpg", ["1.jpg"], "1.jpg", "storage"),
    ("http://host/val2017/139.jpg?size=big", ["val2017/139.jpg"], "val2017/139.jpg", "storage"),
    ("C:\\Users\\me\\set\\train\\1.jpg", ["mine/train/1.jpg"], "mine/train/1.jpg", "storage"),
    ("C:\\Users\\me\\IMG 1.JPG", ["img 1.jpg"], "img 1.jpg", "case"),
]


@pytest.mark.parametrize(("written", "there", "path", "how"), FITS)
def test_a_name_means_the_one_file_that_fits(written: str, there: list[str], path: str, how: str) -> None:
    match = Names(there).find(written)
    assert (match.path, match.how, match.why) == (path, how, "")


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("1.jpg", ["train/1.jpg", "val/1.jpg"]),
        ("train/1.jpg", ["val/1.jpg"]),  # another split's picture of that number is another picture
        ("s3://bucket/train/1.jpg", ["val/1.jpg"]),
        ("1.bmp", ["1.jpg", "1.png"]),
        ("A.jpg", ["a.JPG", "a.Jpg"]),
        ("1.jpg", ["1.txt"]),
        ("11.jpg", ["1.jpg"]),
        ("", ["1.jpg"]),
        ("..", ["1.jpg"]),
    ],
)
def test_a_name_that_fits_several_files_or_none_means_none(written: str, there: list[str]) -> None:
    match = Names(there).find(written)
    assert match.path == match.how == ""
    assert match.why


def test_two_names_never_share_a_file_unless_they_spell_the_same() -> None:
    """The boxes of another split's picture on this one would be wrong labels that nobody notices."""
    names = Names(["1.jpg", "2.jpg", "3.jpg"])
    found = names.find_all(["train/1.jpg", "val/1.jpg", "./2.jpg", "2.jpg", "images/2.jpg", "3.jpg", "3.JPG", "3.png"])
    assert {name for name, match in found.items() if match.path} == {"./2.jpg", "2.jpg", "images/2.jpg", "3.jpg"}
    assert "'val/1.jpg' claims it too" in found["train/1.jpg"].why


def test_what_is_not_found_is_told_with_the_nearest_name() -> None:
    assert "'IMG_0010.jpg'" in Names(["IMG_0010.jpg", "zebra.jpg", "a.jpg"]).find("images/IMG_001.jpg").why
    assert "'other/1.jpg'" in Names(["2.jpg", "other/1.jpg"]).find("train/1.jpg").why
    assert "2 files fit" in Names(["a/1.jpg", "b/1.jpg"]).find("1.jpg").why
    assert Names([]).find("1.jpg").why == "there is no file at all"


def test_a_hundred_thousand_files_of_one_name_are_told_apart_by_their_folders() -> None:
    names = Names(f"{number:06d}/image.jpg" for number in range(100_000))
    found = names.find_all(f"set\\{number:06d}\\image.png" for number in range(0, 100_000, 100))
    assert all(match.path == f"{name[4:10]}/image.jpg" for name, match in found.items())


def test_every_unicode_form_of_a_name_is_one_name() -> None:
    forms = [unicodedata.normalize(form, "카페 ﬁlé.jpg") for form in ("NFC", "NFD", "NFKC", "NFKD")]
    for there in forms:
        assert {Names([there]).find(written).path for written in forms} == {there}
