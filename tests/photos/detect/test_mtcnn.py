"""MTCNN by onnxruntime against its networks written out in float64, and what lies between them against plain loops."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from demo.faces import render_face
from photos.detect import find_detector, nothing, open_detector
from photos.detect.boxes import moved, squares, suppress
from photos.detect.mtcnn import FILES, Mtcnn, Parameters, scales
from tests.photos.detect.numpy_network import NumpyNetwork
from tests.photos.detect.plain_mtcnn import plain_faces

PEOPLE = (0, 4)


def in_float64(folder: Path) -> Mtcnn:
    witness = Mtcnn(folder, "")
    witness._proposals, witness._refinement, witness._output = (NumpyNetwork(folder / file) for file in FILES)
    return witness


@pytest.fixture(scope="module")
def folder() -> Path:
    return find_detector("mtcnn", Path("data"))


def assert_agree(rgb: np.ndarray, folder: Path) -> int:
    ours, theirs = open_detector("mtcnn", folder).faces(rgb), in_float64(folder).faces(rgb)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours.landmarks, theirs.landmarks, atol=2e-3)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=2e-3)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
    return len(ours)


def test_landmarks_are_those_of_the_networks_in_float64(folder):
    portraits = [cv2.copyMakeBorder(render_face(person, 0), *[24] * 4, cv2.BORDER_REPLICATE) for person in PEOPLE]
    assert sum(assert_agree(rgb, folder) for rgb in portraits) >= 2


def test_each_network_is_that_in_float64(folder):
    rng = np.random.default_rng(0)
    ours, theirs = Mtcnn(folder, ""), in_float64(folder)
    for name, size in (("_proposals", (33, 26)), ("_refinement", (24, 24)), ("_output", (48, 48))):
        feed = {getattr(ours, name).get_inputs()[0].name: rng.uniform(-1, 1, (3, *size, 3)).astype(np.float32)}
        for mine, wanted in zip(
            getattr(ours, name).run(None, feed), getattr(theirs, name).run(None, feed), strict=True
        ):
            np.testing.assert_allclose(mine, wanted, atol=2e-5)


def test_between_the_networks_is_what_plain_loops_do(folder):
    """Two people, one of them cut off by the picture's edge, which the windows reach beyond."""
    portraits = [np.asarray(render_face(person, 0)) for person in PEOPLE]
    rgb = np.full((150, 230, 3), 120, np.uint8)
    rgb[20:132, 8:120], rgb[38:150, 118:230] = portraits
    ours = Mtcnn(folder, "")
    sessions = (ours._proposals, ours._refinement, ours._output)
    networks = tuple(lambda x, one=one: one.run(None, {one.get_inputs()[0].name: x}) for one in sessions)
    found, plain = ours.faces(rgb), plain_faces(rgb, networks)
    assert len(found) == len(plain) >= 2
    for k, (box, points, score) in enumerate(plain):
        np.testing.assert_allclose(found.boxes[k], box, atol=2e-3)
        np.testing.assert_allclose(found.landmarks[k], points, atol=2e-3)
        assert found.scores[k] == pytest.approx(score, abs=1e-5)


@pytest.mark.real
def test_landmarks_of_real_photos_are_those_of_the_networks_in_float64(folder, real_file):
    photos = sorted(real_file("lfw/photos").glob("*/*_0001.jpg"))[:3]
    assert sum(assert_agree(cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB), folder) for p in photos) >= 3


@pytest.mark.parametrize("shape", [(1, 1, 3), (12, 300, 3), (19, 19, 3), (64, 64, 3)])
def test_where_there_is_no_face_nothing_is_found(folder, shape):
    found = open_detector("mtcnn", folder).faces(np.full(shape, 90, np.uint8))
    for part, none in zip(found, nothing(), strict=True):
        assert part.shape == none.shape
        assert part.dtype == none.dtype


def test_scales_run_from_the_smallest_face_looked_for_to_the_whole_picture():
    found = scales((200, 100), Parameters(min_face=24, factor=0.5))
    assert found == [0.5, 0.25, 0.125]
    assert scales((12, 500), Parameters()) == []
    assert scales((20, 500), Parameters()) == []  # P-Net's window exactly: AdaFace's loop asks for more
    assert len(scales((21, 500), Parameters())) == 1


def test_a_face_within_a_face_is_one(folder):
    """Of one's part in the other, that is; of both together they share less than the overlap allowed."""

    class Output:
        def get_inputs(self):
            return [self]

        name = "input"

        def run(self, _, feed):
            count = len(feed["input"])
            return [
                np.zeros((count, 4), np.float32),
                np.full((count, 10), 0.5, np.float32),
                np.tile([0.02, 0.98], (count, 1)),
            ]

    mtcnn = Mtcnn(folder, "")
    mtcnn._output = Output()
    picture = Image.fromarray(np.zeros((200, 200, 3), np.uint8))
    within, apart = (
        np.array([[10.0, 10, 99, 99], [30, 30, 69, 69]]),
        np.array([[10.0, 10, 99, 99], [110, 110, 149, 149]]),
    )
    assert [len(mtcnn._decide(picture, boxes)) for boxes in (within, apart)] == [1, 2]


@pytest.mark.parametrize("share_of", ["union", "smaller"])
def test_suppression_keeps_what_plain_loops_keep(share_of):
    rng = np.random.default_rng(2)
    first = rng.integers(0, 40, (60, 2))
    boxes = np.hstack([first, first + rng.integers(3, 30, (60, 2))]).astype(float)
    scores = rng.uniform(0, 1, 60)

    def pixels(box: np.ndarray) -> set[tuple[int, int]]:
        x0, y0, x1, y1 = box.astype(int)
        return {(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)}

    kept: list[int] = []
    for k in sorted(range(60), key=lambda k: -scores[k]):
        own = pixels(boxes[k])
        for other in (pixels(boxes[j]) for j in kept):
            whole = len(own | other) if share_of == "union" else min(len(own), len(other))
            if len(own & other) / whole > 0.5:
                break
        else:
            kept.append(k)
    assert suppress(boxes, scores, 0.5, share_of).tolist() == kept
    assert 3 < len(kept) < 60


def test_corners_move_by_parts_of_the_box_and_squares_keep_its_middle():
    box = np.array([[10.0, 20.0, 19.0, 39.0]])  # 10 wide, 20 high
    np.testing.assert_array_equal(moved(box, np.array([[0.1, 0.1, -0.1, 0.2]])), [[11, 22, 18, 43]])
    np.testing.assert_array_equal(squares(box), [[5, 20, 24, 39]])
