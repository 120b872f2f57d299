"""Stage one on views of the AdaFace recipe: the same store from any number of workers, replayed from its manifest."""

from pathlib import Path

import pytest

from cache.build import build
from cache.reader import TeacherCache
from cache.replay import replay
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment

VIEWS = {"policy": "flip+adaface", "seed": 4, "count": 3, "photometric_probability": 0.8, "brightness": 0.3}


def build_here(path: str = "caches/tiny", workers: int = 1, **views) -> Path:
    config = experiment(views={**VIEWS, **views}, cache={"path": path, "workers": workers})
    return build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_store_of_augmented_views_does_not_depend_on_the_number_of_workers(world):
    one, four = build_here("caches/one", workers=0), build_here("caches/four", workers=4)
    assert contents(one) == contents(four)


def test_a_manifest_is_enough_to_render_every_view_again(world):
    report = replay(TeacherCache(build_here()), open_source("data/faces"), TinyTeacher(), 200)
    assert report.faults() == []
    assert report.cosine.min() > 0.999


def test_a_build_goes_on_only_with_the_same_options(world):
    build_here()
    with pytest.raises(CacheError, match=r"views\.brightness is 0\.3 in the cache and 0\.5 now"):
        build_here(brightness=0.5)
