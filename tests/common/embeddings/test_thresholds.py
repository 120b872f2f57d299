"""Thresholds travel with their model, and judge nothing else."""

import json

import pytest

from common.embeddings import (
    Row,
    Thresholds,
    choose_cut,
    contract_thresholds,
    sidecar_of,
    write_thresholds,
)
from common.embeddings.thresholds import read_thresholds
from common.errors import ModelError, UserError
from common.models import identity_of


class Model:
    """As much of a model as has thresholds."""

    def __init__(self, path, **changed):
        self.path = path
        self.account = {"weights_sha256": "ab" * 32, "size": [112, 96], "mean": 127.5, "precision": "float32"} | changed

    def describe(self):
        return self.account


def row(far, threshold):
    return Row(far=far, threshold=threshold, low=threshold - 0.1, high=threshold + 0.1, tar=0.9)


@pytest.fixture
def model(tmp_path):
    """A model whose thresholds lie beside it."""
    model = Model(tmp_path / "student.safetensors")
    kept = Thresholds(
        model=identity_of(model.describe()), set="lfw", set_sha256="cd" * 32, impostors=3000, protocol="flip-sum",
        resampled="people", resamples=1000, rows=[row(1e-2, 0.25), row(1e-3, 0.375)],
    )  # fmt: skip
    write_thresholds(sidecar_of(model.path), kept)
    return model


def test_what_is_kept_comes_back_and_lies_beside_the_weights(model):
    assert sidecar_of(model.path).name == "student.safetensors.thresholds.json"
    assert read_thresholds(model).at(1e-3) == row(1e-3, 0.375)
    assert read_thresholds(Model(model.path.with_name("other.onnx"))) is None


def test_the_lowest_far_decides_unless_another_is_asked_for_and_a_threshold_reached_is_not_passed(model):
    cut = choose_cut(model, flip=True)
    assert cut.cosine == 0.375
    assert "cosine 0.375 (95 %: 0.275 to 0.475) at FAR 0.001, on 3,000 pairs of strangers in lfw" in cut.origin
    assert (cut.same(0.376), cut.same(0.375), cut.same(0.3)) == (True, False, False)
    assert choose_cut(model, flip=True, far=0.01).cosine == 0.25
    assert choose_cut(model, flip=True, given=0.1).cosine == 0.1


@pytest.mark.parametrize(
    ("field", "value"), [("weights_sha256", "00" * 32), ("size", [112, 112]), ("precision", "bfloat16")]
)
def test_thresholds_of_another_model_are_refused_with_both_values(model, field, value):
    with pytest.raises(ModelError, match=f"thresholds of another model: {field} is "):
        choose_cut(Model(model.path, **{field: value}), flip=True)


def test_other_embeddings_unknown_fars_and_missing_files_are_refused(model, tmp_path):
    with pytest.raises(UserError, match="thresholds of flip-sum embeddings, these are single"):
        choose_cut(model, flip=False)
    with pytest.raises(UserError, match=r"no threshold is known for FAR 1e-05, but for 0\.01, 0\.001"):
        choose_cut(model, flip=True, far=1e-5)
    with pytest.raises(ModelError, match=r"nowhere\.json: cannot be read"):
        choose_cut(model, flip=True, path=tmp_path / "nowhere.json")
    bare = Model(tmp_path / "bare.onnx")
    assert choose_cut(bare, flip=True) is None
    with pytest.raises(UserError, match=r"bare\.onnx: no threshold is known for FAR 0\.01"):
        choose_cut(bare, flip=True, far=0.01)


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept["rows"].clear(),
        lambda kept: kept["rows"][0].update(threshold=7),
        lambda kept: kept["rows"][0].update(threshold=None),
        lambda kept: kept.update(protocol="average"),
        lambda kept: kept.update(more=1),
        lambda kept: kept.pop("model"),
    ],
)
def test_a_damaged_file_is_named(model, damage):
    path = sidecar_of(model.path)
    kept = json.loads(path.read_text())
    damage(kept)
    path.write_text(json.dumps(kept))
    with pytest.raises(ModelError, match=r"thresholds\.json: damaged at .*calibrate"):
        choose_cut(model, flip=True)


def test_an_exported_file_is_told_them_unless_it_adds_the_mirror_image_to_thresholds_of_single_faces(model):
    told = contract_thresholds(model, flip=False)
    assert told["rows"] == [row(1e-2, 0.25).model_dump(), row(1e-3, 0.375).model_dump()]
    assert {key: told[key] for key in told if key != "rows"} == {
        "protocol": "flip-sum",
        "set": "lfw",
        "impostors": 3000,
    }
    assert contract_thresholds(model, flip=True) == told
    path = sidecar_of(model.path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"protocol": "single"}))
    assert contract_thresholds(model, flip=True) is None
    assert contract_thresholds(model, flip=False)["protocol"] == "single"
    assert contract_thresholds(Model(model.path.with_name("other.onnx")), flip=False) is None
