"""The check refuses teachers that do not know people, and colours the wrong way round."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.config import ModelConfig
from common.errors import DataError, ModelError
from common.faces.sources import open_source
from common.models.face_model import FaceModel, open_model
from common.models.model_check import check_teacher, labelled_sample, refuse_evidently_wrong, separation
from common.models.presets import Preset
from common.models.weight_digest import digest_of
from common.models.weight_files import WeightFile

LABELS = np.repeat(np.arange(20), 4)


def faces_with_identity_in_red(noise: float = 20.0) -> np.ndarray:
    """80 faces whose identity is a pattern in the red channel; green is flat and blue is noise of the picture."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(60, 190, (20, 8, 8))[LABELS]
    faces = np.full((80, 8, 8, 3), 128.0)
    faces[..., 0] = patterns + noise * rng.standard_normal((80, 8, 8))
    faces[..., 2] = rng.uniform(60, 190, (80, 8, 8))
    return faces.clip(0, 255).astype(np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Callable[[int, str], FaceModel]:
    """Makes a model that embeds one channel, as its network sees the faces."""
    file = tmp_path / "toy.pt"
    file.write_bytes(b"toy")
    weights = WeightFile(file, digest_of(file), "toy.pt", "toy.pt")
    return lambda channel, channel_order: _model(weights, channel, channel_order)


def _model(weights: WeightFile, channel: int, channel_order: str) -> FaceModel:

    def network(faces: np.ndarray) -> np.ndarray:
        return faces[..., channel].reshape(len(faces), -1).astype(np.float32) - 128

    return FaceModel(weights, Preset("toy", 64, (8, 8), channel_order, 128.0, 1.0), network, "float32", {})


def test_a_teacher_that_sees_identity_passes_and_its_report_counts_the_pairs(model):
    report = check_teacher(model(0, "rgb"), faces_with_identity_in_red(), LABELS)
    refuse_evidently_wrong(report)
    assert (report.same_pairs, report.different_pairs) == (20 * 6, 80 * 79 // 2 - 120)
    assert report.given.auc > 0.99
    assert report.swapped.auc < 0.6


def test_channels_the_wrong_way_round_are_refused_with_the_remedy(model):
    report = check_teacher(model(0, "bgr"), faces_with_identity_in_red(), LABELS)
    with pytest.raises(ModelError, match=r"better with red and blue exchanged .* set channel_order = 'rgb'"):
        refuse_evidently_wrong(report)


def test_a_teacher_blind_to_identity_is_refused(model):
    report = check_teacher(model(1, "rgb"), faces_with_identity_in_red(), LABELS)
    with pytest.raises(ModelError, match=r"does not tell people apart: AUC 0\.5"):
        refuse_evidently_wrong(report)


@pytest.mark.parametrize("labels", [np.arange(80), np.zeros(80)])
def test_faces_without_both_kinds_of_pairs_are_refused(labels, model):
    with pytest.raises(DataError, match="needs both"):
        check_teacher(model(0, "rgb"), faces_with_identity_in_red(), labels)


def test_auc_equals_counting_all_pairs_with_ties_as_half():
    rng = np.random.default_rng(1)
    cosines, same = rng.integers(0, 6, 60) / 6, rng.random(60) < 0.4
    ours, others = cosines[same][:, None], cosines[~same][None]
    counted = ((ours > others) + 0.5 * (ours == others)).mean()
    assert separation(cosines, same).auc == pytest.approx(counted)


@pytest.mark.real
def test_sface_separates_lfw_and_its_swapped_channels_are_refused(real_file):
    weights = real_file("models/face_recognition_sface_2021dec.onnx")
    faces, labels = labelled_sample(open_source(real_file("lfw")), identities=15, each=3)
    report = check_teacher(open_model(ModelConfig(weights=str(weights)), weights.parent, threads=1), faces, labels)
    refuse_evidently_wrong(report)
    assert report.given.auc > 0.99
    wrong = replace(report, channel_order="bgr", given=report.swapped, swapped=report.given)
    with pytest.raises(ModelError, match="set channel_order = 'rgb'"):
        refuse_evidently_wrong(wrong)
