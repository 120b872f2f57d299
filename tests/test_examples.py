"""The scripts in examples/ do what their first lines say, on faces made up here."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from cache.reader import TeacherCache
from common.backbones import build_backbone
from common.faces import open_source
from tests.tiny import portrait

EXAMPLES = Path(__file__).parents[1] / "examples"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_least_certain_faces_are_listed_from_the_least(finished, capsys):
    script("read_cache").main("caches/lfw")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  face ")]
    confidence = TeacherCache("caches/lfw").confidence(np.arange(35), 0)
    assert [int(line[1].rstrip(",")) for line in lines] == np.argsort(confidence)[:10].tolist()
    shown = [float(line[4].rstrip(",")) for line in lines]
    np.testing.assert_allclose(shown, np.sort(confidence)[:10], atol=2e-3)


def test_the_training_loop_shows_what_the_teacher_saw_and_learns(finished):
    loop = script("own_training_loop")
    faces = loop.CachedFaces("data/faces", "caches/lfw")
    source, cache = open_source("data/faces"), TeacherCache("caches/lfw")
    for number in (0, 17, 34):
        pixels, f_t, label = faces[number]
        rgb = ((pixels.permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
        # View 1 of `flip` is the mirror image of the face as stored.
        view = 0 if (rgb == source.rgb(number)).all() else 1
        assert (rgb == (source.rgb(number)[:, ::-1] if view else source.rgb(number))).all()
        np.testing.assert_array_equal(f_t.numpy(), cache.gather(np.array([number]), view)[0])
        assert label == cache.labels[number]

    torch.manual_seed(0)
    loop.main("data/faces", "caches/lfw", "student.pt", epochs=1, batch=8, workers=0)
    student = build_backbone("mobilefacenet", cache.dim)
    student.load_state_dict(torch.load("student.pt", weights_only=True))


def test_photos_are_embedded_and_the_nearest_of_a_copy_is_its_original(finished, capsys):
    import cv2

    for person in range(3):
        Path(f"photos/p{person}").mkdir(parents=True)
        cv2.imwrite(f"photos/p{person}/a.png", portrait(person, 0))
    cv2.imwrite("photos/copy.png", portrait(1, 0))
    embed = script("embed_photos")
    embed.main("runs/lfw/student.safetensors", "photos", "embeddings.npz")
    kept = np.load("embeddings.npz")
    assert kept["names"].tolist() == ["copy.png", "p0/a.png", "p1/a.png", "p2/a.png"]
    np.testing.assert_allclose(np.linalg.norm(kept["rows"], axis=1), 1, rtol=1e-5)
    said = capsys.readouterr().out
    assert "copy.png is nearest to p1/a.png, cosine 1.000" in said
    assert "p1/a.png is nearest to copy.png, cosine 1.000" in said
    with pytest.raises(SystemExit, match=r"nowhere: no \.jpg"):
        embed.main("runs/lfw/student.safetensors", "nowhere", "embeddings.npz")
