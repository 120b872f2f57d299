"""int8: close to float32, layer by layer, and the layers that hurt are float again."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from common.faces import Views, epoch_order, open_source
from common.models import Preset
from export.contract import Form, with_contract
from export.quantise import agreement, calibration_faces, choose_floats, compacted, ranges_of
from export.quantise.layers import layers_of
from export.quantise.search import embedded
from export.quantise.static import quantised
from export.rewrite import rewritten
from tests.export.small_graphs import graph
from tests.tiny import experiment

CONTRACT = Preset("small", 6, (8, 8), "rgb", 127.5, 127.5)


def network(spoilt: float = 0.0) -> onnx.ModelProto:
    """Four convolutions with PReLUs and a sum. `spoilt` is a weight of the third from a channel that is always 0:
    without effect in float32, and it leaves int8 no room for the others."""
    rng = np.random.default_rng(3)
    weights = {"w0": rng.normal(0, 0.4, (6, 3, 3, 3)), "b0": np.zeros(6)}
    weights |= {f"w{n}": rng.normal(0, 0.3, (6, 6, 3, 3)) for n in (1, 2, 3)}
    weights |= {f"a{n}": rng.uniform(0.1, 0.5, (6, 1, 1)) for n in range(4)}
    weights["a1"][0], weights["w1"][0], weights["w2"][:, 0] = 0, 0, spoilt
    weights["w9"] = rng.normal(0, 0.1, (6, 6, 8, 8))
    nodes, x = [], "normalised"
    for n in range(4):
        inputs = [x, f"w{n}", "b0"] if n == 0 else [x, f"w{n}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{n}"], name=f"conv{n}", pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("PRelu", [f"c{n}", f"a{n}"], [f"p{n}"], name=f"prelu{n}"))
        x = f"p{n}"
    nodes.append(helper.make_node("Add", ["p0", "p3"], ["s"], name="shortcut"))
    nodes.append(helper.make_node("Conv", ["s", "w9"], ["m"], name="last"))
    nodes.append(helper.make_node("Reshape", ["m", "shape"], ["raw"], name="flat"))
    model = graph([*nodes[:-1], helper.make_node("Identity", ["m"], ["raw"], name="i")], weights, 3, [6, 1, 1])
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 6]), "shape"))
    model.graph.node[-1].CopyFrom(nodes[-1])
    del model.graph.output[0].type.tensor_type.shape.dim[2:]
    return with_contract(rewritten(model), CONTRACT, Form())


def operations(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """What onnxruntime makes of a graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


@pytest.fixture(scope="module")
def faces():
    return np.random.default_rng(5).integers(0, 256, (96, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def sound(faces):
    whole = network()
    return whole, ranges_of(whole, faces[:64], "percentile")


def test_a_layer_is_a_convolution_with_the_activation_behind_it():
    named = [[name.partition("/")[2] or name for name in layer] for layer in layers_of(network())]
    assert named[1] == ["conv1", "slope", "relu", "sum"]
    assert [layer[0] for layer in named] == ["conv0", "conv1", "conv2", "conv3", "last"]


def test_int8_agrees_with_float32_and_weights_are_int8_by_channel(sound, faces):
    whole, ranges = sound
    small = quantised(whole, ranges)
    assert agreement(embedded(small, faces[64:]), embedded(whole, faces[64:])).mean > 0.99
    kinds = {tensor.name: tensor for tensor in small.graph.initializer}
    for n in range(4):
        weight, scale = kinds[f"w{n}_quantized"], kinds[f"w{n}_scale"]
        assert weight.data_type == onnx.TensorProto.INT8
        assert list(scale.dims) == [6]
        assert not numpy_helper.to_array(kinds[f"w{n}_zero_point"]).any()  # symmetric
    onnx.checker.check_model(small, full_check=True)


def test_layers_named_as_float_keep_their_weights(sound):
    whole, ranges = sound
    small = quantised(whole, ranges, layers_of(whole)[:1])
    names = {tensor.name for tensor in small.graph.initializer}
    assert "w0" in names
    assert {"w1_quantized", "w2_quantized"} <= names
    assert "w1" not in names


def test_the_search_puts_the_spoilt_layer_back_first_and_stops_when_it_agrees(faces):
    whole = network(spoilt=2000.0)
    ranges = ranges_of(whole, faces[:64], "minmax")
    found = choose_floats(whole, ranges, faces[64:], mean=0.99, q01=0.95)
    assert found.trail[0].mean < 0.99
    assert [layer[0] for layer in found.floats] == ["conv0", "conv2"]
    assert found.holds
    assert found.trail[-1].mean >= 0.99


def test_a_search_that_cannot_hold_says_so_and_gives_the_last_it_tried(sound, faces):
    whole, ranges = sound
    found = choose_floats(whole, ranges, faces[64:], mean=2.0, q01=0.0, most=1)
    assert not found.holds
    assert len(found.floats) == 2
    assert len(found.trail) == 2


@pytest.mark.parametrize(("ends", "small"), [("both", set()), ("first", {"w9"}), ("none", {"w0", "w9"})])
def test_the_ends_that_are_named_stay_float(sound, faces, ends, small):
    whole, ranges = sound
    found = choose_floats(whole, ranges, faces[64:], mean=0.0, q01=0.0, ends=ends)
    names = {tensor.name for tensor in found.graph.graph.initializer}
    assert {name for name in ("w0", "w9") if f"{name}_quantized" in names} == small
    assert {name for name in ("w0", "w9") if name in names} == {"w0", "w9"} - small


def test_a_compacted_graph_computes_the_same_in_fewer_bytes(sound, faces, tmp_path):
    whole, ranges = sound
    loose = quantised(whole, ranges)
    before = loose.SerializeToString()
    small = compacted(loose)
    assert loose.SerializeToString() == before
    assert np.array_equal(embedded(small, faces), embedded(loose, faces))
    assert operations(small, tmp_path) == operations(loose, tmp_path)  # optimised by onnxruntime: as many in int8
    assert [value.name for value in (*small.graph.input, *small.graph.output)] == ["faces", "embedding"]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in small.graph.initializer}
    kinds = {(array.dtype.str, array.shape, array.tobytes()) for array in constants.values()}
    assert len(kinds) == len(constants)
    weights = [n for n in small.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in constants]
    assert {len(node.input) for node in weights} == {2}
    assert len(small.SerializeToString()) < 0.75 * len(before)


def test_zero_points_go_where_a_convolution_reads_zeros_and_nowhere_else():
    """The third is a Gemm's, which onnxruntime computes in int8 with a zero point alone."""
    points = {"zero": 0, "one": 1, "gemm": 0}
    constants = {"scale": np.float32(2), **{f"{name}.z": np.int8(value) for name, value in points.items()}}
    constants |= {f"{name}.w": np.arange(4, dtype=np.int8).reshape(2, 2, 1, 1) for name in ("zero", "one")}
    constants["gemm.w"] = np.arange(4, dtype=np.int8).reshape(2, 2)
    nodes = [
        helper.make_node("DequantizeLinear", [f"{name}.w", "scale", f"{name}.z"], [name], name=name) for name in points
    ]
    nodes += [
        helper.make_node("Conv", ["faces", "zero"], ["a"]),
        helper.make_node("Conv", ["a", "one"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "gemm"], ["embedding"]),
    ]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2, *rest])
        for name, rest in (("faces", [1, 1]), ("embedding", []))
    ]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
    whole = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    small = compacted(whole)
    assert [len(node.input) for node in small.graph.node[:3]] == [2, 3, 3]
    x = np.array([1, -3], np.float32).reshape(1, 2, 1, 1)
    sessions = [
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for model in (whole, small)
    ]
    one, other = (session.run(None, {"faces": x})[0] for session in sessions)
    np.testing.assert_array_equal(one, other)


def test_calibration_sees_training_faces_as_epoch_0_shows_them(world):
    config = experiment(views={"policy": "flip", "seed": 4})
    faces = calibration_faces(config, world / "data", 12, (112, 112))
    source, views = open_source("data/faces"), Views("flip", seed=4)
    assert faces.shape == (12, 112, 112, 3)
    sides = set()
    for face, sample in zip(faces, epoch_order(len(source), 0, config.train.seed), strict=False):
        shown = [
            view for view in (0, 1) if np.array_equal(face, views.render(source.rgb(int(sample)), int(sample), view))
        ]
        assert len(shown) == 1
        sides |= set(shown)
    assert sides == {0, 1}
    assert calibration_faces(config, world / "data", 12, (112, 96)).shape == (12, 112, 96, 3)
