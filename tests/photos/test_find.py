"""Folders as they are in the world: links, pipes, bad names, no permission; everything is named, nothing loops."""

import os
from pathlib import Path

import pytest

from common.errors import DataError
from photos.find import find_photos


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_photos_come_in_one_order_with_their_people(tmp_path):
    put(tmp_path, "b/2.JPG", "b/1.png", "a/deep/er/x.webp", "alone.jpg", "b/notes.txt", "a/.hidden.jpg", ".git/x.jpg")
    photos, unusable, others = find_photos(tmp_path)
    wanted = [("a/deep/er/x.webp", "a"), ("alone.jpg", None), ("b/1.png", "b"), ("b/2.JPG", "b")]
    assert [(photo.path, photo.person) for photo in photos] == wanted
    assert unusable == []
    assert others == {".txt": 1}


def test_links_are_followed_and_each_folder_is_looked_into_once(tmp_path):
    put(tmp_path, "photos/a/1.jpg", "elsewhere/2.jpg")
    for name, target in (("loop", "."), ("a/up", ".."), ("b", "../elsewhere"), ("gone", "nowhere")):
        (tmp_path / "photos" / name).symlink_to(target)
    # Thirty folders that each link twice to the next: a billion paths to the last.
    for number in range(30):
        put(tmp_path, f"chain/{number}/{number}.jpg")
        for name in ("left", "right"):
            (tmp_path / "chain" / f"{number}" / name).symlink_to(f"../{(number + 1) % 30}")
    (tmp_path / "photos" / "chain").symlink_to("../chain/0")
    photos, unusable, _ = find_photos(tmp_path / "photos")
    assert {"a/1.jpg", "b/2.jpg", "chain/0.jpg"} < {photo.path for photo in photos}
    assert len(photos) == 32
    reasons = dict(unusable)
    assert reasons["loop"] == reasons["a/up"] == "a link to a folder that is looked into already"
    assert reasons["gone"].startswith("cannot be read")


def test_a_link_to_itself_and_a_pipe_are_named(tmp_path):
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    photos, unusable, _ = find_photos(tmp_path)
    assert photos == []
    assert [path for path, _ in unusable] == ["pipe.jpg", "self.jpg"]
    assert dict(unusable)["pipe.jpg"] == "not a regular file"


def test_names_that_no_table_can_hold_or_a_terminal_would_obey(tmp_path):
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", os.O_CREAT))
    put(tmp_path, "a/new\nline.jpg", "a/\x1b[31mred.jpg", "a/phone.HEIC")
    photos, unusable, _ = find_photos(tmp_path)
    assert [photo.path for photo in photos] == ["a/\x1b[31mred.jpg", "a/new\nline.jpg"]
    assert dict(unusable) == {
        "a/phone.HEIC": ".heic is not decoded here: convert it to JPEG or PNG",
        "caf\\xe9.jpg": "its name is not UTF-8: rename it",
    }


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    put(tmp_path, "a/1.jpg", "shut/2.jpg")
    listed = os.listdir

    def refuse(path):  # by permission bits root is not stopped
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    photos, unusable, _ = find_photos(tmp_path)
    assert [photo.path for photo in photos] == ["a/1.jpg"]
    assert unusable == [("shut", "the folder cannot be read (Permission denied)")]


def test_no_folder_is_an_error(tmp_path):
    put(tmp_path, "file.jpg")
    for path in (tmp_path / "none", tmp_path / "file.jpg"):
        with pytest.raises(DataError, match="name a folder of photos"):
            find_photos(path)
