"""However many work on a folder of photos, and however often they are killed: what is done once stays done."""

import os
import signal
import subprocess
import sys

import cv2
import pytest
from click.testing import CliRunner

import photos.align as module
from common.errors import DataError
from common.faces import encode_jpeg
from demo.faces import render_face
from photos.__main__ import main
from photos.align import Work, align
from photos.faces_table import read_faces
from tests.photos.given_faces import GIVEN, at_once, rows, snapshot, tree, write


def test_the_number_of_workers_and_a_kill_change_no_byte(tmp_path):
    given = write(tmp_path / "in", [f"{person}/{photo}.jpg" for person in range(9) for photo in range(9)])
    (tmp_path / "in" / "3" / "bad.jpg").write_bytes(b"")
    align(tmp_path / "in", tmp_path / "one", GIVEN, given, 1)
    align(tmp_path / "in", tmp_path / "three", GIVEN, given, 3)
    assert tree(tmp_path / "three") == tree(tmp_path / "one")
    assert set(os.listdir(tmp_path / "one")) == {*map(str, range(9)), "faces.parquet", "aligner.json"}


@pytest.mark.slow
def test_a_run_killed_at_random_goes_on_to_what_an_undisturbed_one_gives(tmp_path):
    people = [cv2.copyMakeBorder(render_face(person, 0), *[30] * 4, cv2.BORDER_REPLICATE) for person in range(5)]
    for number in range(150):
        path = tmp_path / "in" / f"{number % 5}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(people[number % 5]))
    command = "import photos.align as a; a._PHOTOS_A_PART = 7; from photos.__main__ import main; main()"
    words = ["align", str(tmp_path / "in"), str(tmp_path / "out"), "--detector", "mtcnn", "--workers", "2"]
    kills = 0
    for seconds in (2.0, 2.6, 3.2, 3.8, 60.0):
        process = subprocess.Popen([sys.executable, "-c", command, *words], stderr=subprocess.DEVNULL)
        try:
            assert process.wait(seconds) == 0
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills
    assert CliRunner().invoke(main, [*words[:2], str(tmp_path / "whole"), *words[3:]]).exit_code == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_an_interrupted_run_keeps_its_parts_and_does_no_photo_twice(tmp_path, monkeypatch):
    names = [f"a/{number}.jpg" for number in range(10)]
    given = write(tmp_path / "in", names)
    done: list[str] = []
    work = Work.__call__

    def until_the_eighth(self, task):
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(task.photo.path)
        return work(self, task)

    at_once(monkeypatch)
    monkeypatch.setattr(module, "_PHOTOS_A_PART", 3)
    monkeypatch.setattr(Work, "__call__", until_the_eighth)
    with pytest.raises(KeyboardInterrupt):
        align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    with pytest.raises(DataError, match="its alignment is unfinished: run it again"):
        read_faces(tmp_path / "out")
    again: list[str] = []
    monkeypatch.setattr(Work, "__call__", lambda self, task: again.append(task.photo.path) or work(self, task))
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    assert sorted(done[:6] + again) == sorted(names)
    align(tmp_path / "in", tmp_path / "whole", GIVEN, given, 1)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    again.clear()
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    assert again == []


def test_what_changed_since_is_done_again_and_what_is_gone_goes(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", [f"a/{number}.jpg" for number in range(5)])
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    (tmp_path / "in/a/0.jpg").unlink()
    (tmp_path / "in/a/1.jpg").write_bytes(encode_jpeg(snapshot(77)))
    (tmp_path / "out/a/2.png").unlink()
    (tmp_path / "out/a/3.png").write_bytes(b"cut")
    given |= write(tmp_path / "in", ["a/new.jpg"], first=40)
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    align(tmp_path / "in", tmp_path / "whole", GIVEN, given, 1)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_photo_that_is_gone_leaves_a_finished_folder_where_nothing_else_changed(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", ["a/1.jpg", "a/2.jpg"])
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    (tmp_path / "in/a/2.jpg").unlink()
    assert align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)["photo"].to_pylist() == ["a/1.jpg"]
    assert [path.name for path in (tmp_path / "out/a").iterdir()] == ["1.png"]


def test_a_photo_whose_name_is_no_longer_its_own_is_aligned_again_under_another(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", ["a/1.jpg"])
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    given |= write(tmp_path / "in", ["a/1.jpeg"], first=9)
    told = rows(align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1))
    assert len({told["a/1.jpg"][0][2], told["a/1.jpeg"][0][2], "a/1.png"}) == 3
    align(tmp_path / "in", tmp_path / "whole", GIVEN, given, 1)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_slow_photos_are_kept_after_some_seconds(tmp_path, monkeypatch):
    at_once(monkeypatch)
    monkeypatch.setattr(module, "_SECONDS_A_PART", -1.0)
    given = write(tmp_path / "in", ["a/1.jpg", "a/2.jpg", "a/3.jpg"])
    parts = []
    monkeypatch.setattr(module.Parts, "add", lambda self, rows: parts.append([row["photo"] for row in rows]))
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    assert [part for part in parts if part] == [["a/1.jpg"], ["a/2.jpg"], ["a/3.jpg"]]
