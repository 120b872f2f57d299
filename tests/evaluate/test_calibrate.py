"""`evaluate calibrate` keeps what the pairs show beside the model, and search judges by it."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from common.faces import write_bin
from common.files import sha256_of
from photos.__main__ import main as photos
from tests.common.models.test_hub import colours_to
from tests.evaluate.stand_ins import Linear
from tests.evaluate.test_commands_evaluate import invoke, store, world  # noqa: F401 (a fixture)


class Named(Linear):
    """A model with an identity and a place."""

    path = Path("weights.pt")

    def describe(self):
        return {"weights_sha256": "ab" * 32, "precision": "float32"}

    def require_unchanged(self):
        pass


@pytest.fixture
def pictures(world, monkeypatch):  # noqa: F811
    """The 2P faces of pairs.bin, in which every person is in two pairs."""
    monkeypatch.setattr("common.models.named.open_model", lambda *arguments: Named())
    Path("weights.pt").write_bytes(b"PK")
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (100, 8, 8, 3), np.uint8)
    order = np.concatenate(
        [np.arange(100).reshape(-1, 2), np.stack([np.arange(0, 100, 2), np.roll(np.arange(1, 100, 2), 1)], 1)]
    )
    same = np.arange(100) < 50
    encoded = [cv2.imencode(".png", face[:, :, ::-1])[1].tobytes() for face in faces]
    write_bin("pairs.bin", [encoded[number] for number in order.ravel()], same)
    return faces[order.ravel()], same


def test_the_file_beside_the_model_holds_what_the_pairs_show(pictures):
    faces, same = pictures
    output = invoke("calibrate", "--model", "weights.pt", "--on", "mine=pairs.bin", "--far", "1e-3,0.02,0.1")
    kept = json.loads(Path("weights.pt.thresholds.json").read_text())
    rows = Linear().embed(faces) + Linear().embed(faces[:, :, ::-1])
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float64)
    cosines = (unit[0::2] * unit[1::2]).sum(1)
    falling = np.sort(cosines[~same])[::-1]
    assert [row["far"] for row in kept["rows"]] == [0.02, 0.1]
    assert [row["threshold"] for row in kept["rows"]] == pytest.approx([falling[1], falling[5]], abs=1e-6)
    assert kept["rows"][1]["tar"] == (cosines[same] > falling[5]).mean()
    assert (kept["set"], kept["set_sha256"]) == ("mine", sha256_of(Path("pairs.bin")))
    assert (kept["protocol"], kept["resampled"], kept["impostors"]) == ("flip-sum", "people", 50)
    assert kept["model"]["weights_sha256"] == "ab" * 32
    assert "FAR 0.001: n/a: 50 pairs of strangers show no FAR below 2.0e-02" in output
    assert f"cosine {falling[5]:.3f} (95 %: " in output


def test_search_says_who_is_above_the_threshold_of_the_model(pictures):
    invoke("calibrate", "--model", "weights.pt", "--on", "pairs.bin", "--far", "0.1")
    cut = json.loads(Path("weights.pt.thresholds.json").read_text())["rows"][0]["threshold"]
    angles = np.arccos(cut) + np.array([-0.01, 0.01])
    store("gallery.npz", np.array([[1, 0]], np.float32))
    store("probes.npz", np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    search = ("search", "--gallery", "gallery.npz", "--probes", "probes.npz")
    output = invoke(*search, "--model", "weights.pt", "--out", "n.csv")
    assert f"one person above cosine {cut:.3f} (95 %: " in output
    assert "1 of 2 probes have somebody above the threshold" in output
    assert [line.rsplit(",")[-1] for line in Path("n.csv").read_text().splitlines()] == ["same", "yes", "no"]
    assert "row 0: row 0 " in invoke(*search, "--threshold", "-0.5")
    assert "--far is a threshold of a model" in invoke(*search, "--far", "0.1", code=2)


def test_thresholds_of_a_hub_s_model_are_kept_where_they_are_asked_for(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub.repos["fal/AuraFace-v1"] = {"glintr100.onnx": colours_to(512)}
    colours = np.random.default_rng(0).integers(0, 256, (80, 1, 1, 3), np.uint8)
    colours[1:40:2] = colours[:40:2] // 8 * 8  # twenty pairs of one colour each
    faces = [encode_png(np.broadcast_to(colour, (112, 112, 3))) for colour in colours]
    write_bin("pairs.bin", faces, np.arange(40) < 20)
    words = ("--model", "fal/AuraFace-v1")
    assert "thresholds in mine.json" in invoke(
        "calibrate", *words, "--on", "pairs.bin", "--far", "0.2", "--out", "mine.json"
    )
    assert not list((tmp_path / "kept").rglob("*.thresholds.json"))
    kept = json.loads(Path("mine.json").read_text())
    assert kept["model"]["weights_sha256"] == hashlib.sha256(colours_to(512)).hexdigest()
    for number, name in enumerate(("a.png", "b.png")):
        Path(name).write_bytes(faces[number])
    judged = CliRunner().invoke(
        photos, ["compare", *words, "--aligned", "--thresholds", "mine.json", "a.png", "b.png"], catch_exceptions=False
    )
    assert f"one person, by cosine {kept['rows'][0]['threshold']:.3f}" in judged.output
    unknown = CliRunner().invoke(photos, ["compare", *words, "--aligned", "a.png", "b.png"], catch_exceptions=False)
    assert "no threshold is known for glintr100.onnx" in unknown.output


def encode_png(rgb):
    return cv2.imencode(".png", np.ascontiguousarray(rgb[:, :, ::-1]))[1].tobytes()


def test_what_cannot_be_calibrated_is_refused_in_one_line(pictures):
    calibrate = ("calibrate", "--model", "weights.pt", "--on")
    assert "50 pairs of strangers show no FAR below 2.0e-02: give --far" in invoke(
        *calibrate, "pairs.bin", "--far", "1e-3", code=2
    )
    assert "ijb: a cosine is calibrated on pairs of single pictures" in invoke(*calibrate, "ijb", code=2)
    assert not Path("weights.pt.thresholds.json").exists()
