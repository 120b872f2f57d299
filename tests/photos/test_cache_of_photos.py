"""Who aligned the faces goes from the photos into the cache's manifest, and a cache is bound to it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cache.build import build
from cache.format import read_manifest
from cache.info import describe_cache
from common.errors import CacheError
from common.faces import open_source
from photos.align import align
from photos.info import describe
from photos.pack import list_faces, pack
from tests.photos.given_faces import GIVEN, at_once, write
from tests.tiny import TinyTeacher, enter, experiment


def build_of(path: str) -> Path:
    return build(experiment(faces={"path": path}), open_source(f"data/{path}"), TinyTeacher(), threads=1, quiet=True)


@pytest.mark.parametrize("kind", ["packed", "listed", "folder"])
def test_faces_of_another_aligner_are_refused_where_there_is_a_cache_of_the_first(tmp_path, monkeypatch, kind):
    enter(tmp_path, monkeypatch)
    at_once(monkeypatch)
    given = write(Path("photos"), [f"{person}/{photo}.jpg" for person in ("Ann", "Bob", "Cid") for photo in range(3)])

    def faces(aligner) -> str:
        for made in ("data/mine-aligned", "data/mine"):
            shutil.rmtree(made, ignore_errors=True)
        Path("data/mine-aligned.txt").unlink(missing_ok=True)
        align(Path("photos"), Path("data/mine-aligned"), aligner, given, 1)
        if kind == "packed":
            pack(Path("data/mine-aligned"), Path("data/mine"))
        elif kind == "listed":
            list_faces(Path("data/mine-aligned"), Path("data/mine-aligned.txt"))
        return {"packed": "mine", "listed": "mine-aligned.txt", "folder": "mine-aligned"}[kind]

    path = faces(GIVEN)
    cache = build_of(path)
    packed = {"packed": "jpg 95"} if kind == "packed" else {}
    assert read_manifest(cache)["faces"]["aligner"] == {**GIVEN.identity(), **packed}
    shown = " ".join(describe_cache(cache).split())
    assert "template arcface" in shown
    assert "choose central" in shown
    assert "choose central" in " ".join(describe(Path("data", path)).split())
    faces(replace(GIVEN, choose="all"))  # the same pixels: every photo has one face
    with pytest.raises(CacheError, match=r"faces\.aligner\.choose is 'central' in the cache and 'all' now"):
        build_of(path)
