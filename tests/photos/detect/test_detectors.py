"""The detectors by name: where weights come from, and what they find in real photos."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from common.errors import ModelError
from photos.detect import find_detector, open_detector
from photos.detect.published import YUNET, YUNET_REPO
from photos.detect.yunet import SCORE


@pytest.fixture
def photos(real_file) -> list[np.ndarray]:
    folder = real_file("lfw/photos")
    return [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in sorted(folder.glob("*/*.jpg"))]


@pytest.mark.real
@pytest.mark.parametrize("name", ["yunet", "mtcnn"])
def test_the_face_of_every_real_photo_is_found_with_its_landmarks_in_order(name, photos, data_root, real_file):
    real_file("models/face_detection_yunet_2023mar.onnx")
    detector = open_detector(name, find_detector(name, data_root))
    for rgb in photos[::6]:
        found = detector.faces(rgb)
        left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks[0]
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        x0, y0, x1, y1 = found.boxes[0]
        assert ((found.landmarks[0] > (x0, y0)) & (found.landmarks[0] < (x1, y1))).all()
        assert (np.diff(found.scores) <= 0).all() or name == "mtcnn"


@pytest.mark.real
def test_yunet_by_opencv_is_its_network_by_onnxruntime(photos, real_file):
    """OpenCV's new engine computes other detectors wrongly; this one's first face is decoded here from raw outputs."""
    path = real_file("models/face_detection_yunet_2023mar.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    detector = open_detector("yunet", path)
    for rgb in photos[:6]:
        canvas = np.zeros((640, 640, 3), np.uint8)
        canvas[: rgb.shape[0], : rgb.shape[1]] = rgb
        pixels = canvas[..., ::-1].transpose(2, 0, 1)[np.newaxis].astype(np.float32)
        names = [one.name for one in session.get_outputs()]
        raw = dict(zip(names, session.run(None, {session.get_inputs()[0].name: pixels}), strict=True))
        best = (0.0, np.zeros((5, 2)))
        for stride in (8, 16, 32):
            score = np.sqrt(np.clip(raw[f"cls_{stride}"], 0, 1) * np.clip(raw[f"obj_{stride}"], 0, 1)).ravel()
            k = int(score.argmax())
            corner = np.array([k % (640 // stride), k // (640 // stride)])
            points = (raw[f"kps_{stride}"].reshape(-1, 5, 2)[k] + corner) * stride
            best = max(best, (float(score[k]), points), key=lambda one: one[0])
        found = detector.faces(canvas)
        assert found.scores[0] > SCORE
        np.testing.assert_allclose(found.landmarks[0], best[1], atol=1e-2)
        np.testing.assert_allclose(found.scores[0], best[0], atol=1e-4)


def test_weights_other_than_those_published_are_refused_unless_they_are_named(tmp_path):
    (tmp_path / "models").mkdir()
    other = tmp_path / "models" / "face_detection_yunet_2023mar.onnx"
    other.write_bytes(b"not it")
    with pytest.raises(ModelError, match=r"yunet_2023mar\.onnx: SHA-256 .* the published yunet has 8f2383e4"):
        find_detector("yunet", tmp_path)
    assert find_detector("yunet", tmp_path, other) == other
    with pytest.raises(ModelError, match="OpenCV cannot run it"):
        open_detector("yunet", other)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"pnet\.onnx: No such file.*a folder with pnet\.onnx"):
        find_detector("mtcnn", tmp_path, tmp_path)
    for file in ("pnet.onnx", "rnet.onnx", "onet.onnx"):
        (tmp_path / file).write_bytes(b"junk")
    with pytest.raises(ModelError, match=r"pnet\.onnx: onnxruntime cannot run it"):
        open_detector("mtcnn", tmp_path)


def test_without_network_and_file_the_hub_s_repository_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="opencv/face_detection_yunet"):
        find_detector("yunet", Path("nowhere"))


def test_yunet_comes_from_the_hub_and_other_bytes_than_those_published_are_not_opened(hub, tmp_path, monkeypatch):
    hub.repos[YUNET_REPO] = {YUNET: b"not it", "yunet.py": b"raise SystemExit"}
    with pytest.raises(ModelError, match=r"SHA-256 [0-9a-f]{64}, the published yunet has 8f2383e4.* --weights"):
        find_detector("yunet", tmp_path)
    monkeypatch.setattr("photos.detect.published.YUNET_SHA256", hashlib.sha256(b"not it").hexdigest())
    assert find_detector("yunet", tmp_path).read_bytes() == b"not it"
    assert not [path for method, path, _ in hub.requests if method == "GET" and path.endswith(".py")]
