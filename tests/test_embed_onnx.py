"""examples/embed_onnx.py runs with numpy, onnxruntime and OpenCV, in a process that cannot import anything of ours."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

EXAMPLE = Path(__file__).parents[1] / "examples" / "embed_onnx.py"
OURS = ("common", "cache", "distill", "evaluate", "export", "photos", "demo", "torch", "onnx", "zarr")
# The script in a process that refuses our packages, and torch, with the detector's points given.
ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ours!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import importlib.util, json
import numpy as np
spec = importlib.util.spec_from_file_location("embed_onnx", {example!r})
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
points = json.loads({points!r})
if points is not None:
    found = iter(points)
    script.landmarks = lambda photo, yunet: np.array(next(found))
script.main(*{words!r})
assert not set({ours!r}) & set(sys.modules)
"""


def alone(words: list[str], points: list | None = None) -> str:
    code = ALONE.format(ours=OURS, example=str(EXAMPLE), points=json.dumps(points), words=words)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def model(path: Path, layout: str, flip: bool, rows: list[dict]) -> Path:
    """A graph in the contract of an export: the mean colours of the four quarters, less their mean."""
    uint8 = layout == "NHWC"
    nodes = [helper.make_node("Transpose", ["bytes"], ["chw"], perm=[0, 3, 1, 2])] if uint8 else []
    nodes += [
        helper.make_node("Cast", ["chw"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("AveragePool", ["floats"], ["quarters"], kernel_shape=[56, 56], strides=[56, 56]),
        helper.make_node("Sub", ["quarters", "grey"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["embedding"]),
    ]
    kind, shape, name = (TensorProto.UINT8, ["b", 112, 112, 3], "bytes")
    if not uint8:
        kind, shape, name = (TensorProto.FLOAT, ["b", 3, 112, 112], "chw")
    given = helper.make_tensor_value_info(name, kind, shape)
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", 12])
    grey = numpy_helper.from_array(np.float32(127.5), "grey")
    made = helper.make_model(
        helper.make_graph(nodes, "g", [given], [out], [grey]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    account = {"size": [112, 112], "layout": layout, "flip": flip, "thresholds": {"rows": rows}}
    made.metadata_props.add(key="face_teacher_cache", value=json.dumps(account))
    onnx.save(made, path)
    return path


def photo(path: Path, turn: float, seed: int = 0) -> tuple[str, list]:
    """A smooth face of 112 x 112 laid into a larger photo, turned and scaled; its path and its five points there."""
    small = np.random.default_rng(seed).uniform(0, 255, (4, 4, 3)).astype(np.float32)
    face = np.clip(cv2.resize(small, (112, 112), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    matrix = cv2.getRotationMatrix2D((56, 56), turn, 2.5)
    matrix[:, 2] += (200, 180)
    cv2.imwrite(str(path), cv2.warpAffine(face, matrix, (600, 500), flags=cv2.INTER_CUBIC))
    template = np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    return str(path), (template @ matrix[:, :2].T + matrix[:, 2]).tolist()


@pytest.mark.parametrize(("layout", "flip"), [("NHWC", False), ("NCHW", True)])
def test_a_face_turned_is_the_same_and_another_is_not(tmp_path, layout, flip):
    rows = [{"far": 0.01, "threshold": 0.2}, {"far": 0.001, "threshold": 0.9}]
    graph = str(model(tmp_path / "model.onnx", layout, flip, rows))
    (a, in_a), (b, in_b) = photo(tmp_path / "a.png", 0), photo(tmp_path / "b.png", 25)
    c, in_c = photo(tmp_path / "c.png", -10, seed=1)
    same = alone([graph, "", a, b], [in_a, in_b])
    assert same.endswith("threshold 0.9: same")
    assert float(same.split()[1].rstrip(",")) > 0.99
    assert alone([graph, "", a, c], [in_a, in_c]).endswith("threshold 0.9: different")
    assert alone([graph, "", a, c, "-1"], [in_a, in_c]).endswith("threshold -1.0: same")
    Path(f"{graph}.thresholds.json").write_text(json.dumps({"rows": [{"far": 0.01, "threshold": -0.5}]}))
    assert "threshold -0.5:" in alone([graph, "", a, c], [in_a, in_c])


@pytest.mark.real
def test_yunet_finds_the_faces_of_real_photos(tmp_path, real_file):
    yunet = real_file("models/face_detection_yunet_2023mar.onnx")
    photos = sorted(real_file("lfw/photos").rglob("*.jpg"))[:1]
    graph = str(model(tmp_path / "model.onnx", "NHWC", False, []))
    words = [graph, str(yunet), str(photos[0]), str(photos[0])]
    assert alone(words) == "cosine 1.0000, threshold None: no threshold known: give one"
