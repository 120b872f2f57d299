"""Face models: what a config means, what the manifest says, and ONNX files of every published shape."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from common.backbones import build_backbone
from common.config import ModelConfig
from common.errors import ModelError
from common.models.face_model import fit, open_model
from common.models.onnx_model import OnnxNetwork, free_batch, read_graph, relative_deviation
from common.models.weights import save_weights
from tests.common.backbones.golden_backbones import fill

RNG = np.random.default_rng(7)
FACES = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)


def onnx_file(path, layout="NCHW", batch=1, flatten="Flatten", weights_as_inputs=False, scaled=False, outputs=1):
    """A small face model: convolution with batch norm, flatten, linear; 8x8 faces, 5 values."""
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.standard_normal((4, 3, 3, 3)),
        "scale": rng.uniform(0.5, 1.5, 4),
        "shift": rng.standard_normal(4),
        "mean": rng.standard_normal(4),
        "variance": rng.uniform(0.5, 1.5, 4),
        "linear": rng.standard_normal((4 * 6 * 6, 5)),
        "offset": np.array(100.0),
    }
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([batch if flatten == "Reshape" else 1, -1]), "flat_shape"))
    shape = [batch, 3, 8, 8] if layout == "NCHW" else [batch, 8, 8, 3]
    nodes, image = [], "faces"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [image], ["chw"], perm=[0, 3, 1, 2]))
        image = "chw"
    if scaled:
        nodes.append(helper.make_node("Sub", [image, "offset"], ["centred"]))
        image = "centred"
    nodes += [
        helper.make_node("Conv", [image, "kernel"], ["maps"]),
        helper.make_node("BatchNormalization", ["maps", "scale", "shift", "mean", "variance"], ["normed"]),
    ]
    if flatten == "batch-mixing":  # the mean over the batch: no free batch can equal batches of one
        nodes.append(helper.make_node("ReduceMean", ["normed"], ["batch_mean"], axes=[0], keepdims=1))
        nodes.append(helper.make_node("Add", ["normed", "batch_mean"], ["mixed"]))
        nodes.append(helper.make_node("Flatten", ["mixed"], ["flat"]))
    elif flatten == "Reshape":
        nodes.append(helper.make_node("Reshape", ["normed", "flat_shape"], ["flat"]))
    else:
        nodes.append(helper.make_node("Flatten", ["normed"], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "linear"], ["embedding"]))
    given = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, 5])]
    if outputs == 2:
        nodes.append(helper.make_node("ReduceL2", ["embedding"], ["norm"], axes=[1], keepdims=1))
        given.append(helper.make_tensor_value_info("norm", TensorProto.FLOAT, [batch, 1]))
    inputs = [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in initializers]
    graph = helper.make_graph(nodes, "face", inputs, given, initializers)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=3 if weights_as_inputs else 8
    )
    onnx.save(model, path)
    return path


@pytest.fixture
def reference(tmp_path):
    """Embeddings of FACES by the plain graph, one face a call."""
    network = OnnxNetwork(onnx_file(tmp_path / "reference.onnx"), threads=1)
    return np.concatenate([network(face[None].astype(np.float32)) for face in FACES])


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"batch": None},
        {"batch": 4, "flatten": "Flatten"},
        {"flatten": "Reshape"},
        {"weights_as_inputs": True},
        {"weights_as_inputs": True, "flatten": "Reshape"},
        {"layout": "NHWC"},
        {"layout": "NHWC", "batch": None},
        {"outputs": 2},
    ],
    ids=str,
)
def test_onnx_files_of_every_shape_give_the_same_embeddings_in_one_call(tmp_path, reference, variant):
    network = OnnxNetwork(onnx_file(tmp_path / "model.onnx", **variant), threads=1)
    assert network.fixed_batch is None
    assert (network.dim, network.size) == (5, (8, 8))
    assert relative_deviation(network(FACES.astype(np.float32)), reference) <= 1e-5


def test_freeing_the_batch_takes_the_weights_out_of_the_inputs_and_leaves_a_valid_graph(tmp_path):
    before = read_graph(onnx_file(tmp_path / "model.onnx", weights_as_inputs=True, flatten="Reshape"))
    after = free_batch(before)
    onnx.checker.check_model(after, full_check=True)
    assert [value.name for value in after.graph.input] == ["faces"]
    assert after.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert len(before.graph.input) > 1, "the original is left alone"


def test_a_graph_that_a_free_batch_would_change_keeps_its_own_batch(tmp_path, caplog):
    network = OnnxNetwork(onnx_file(tmp_path / "mixing.onnx", flatten="batch-mixing"), threads=1)
    assert network.fixed_batch == 1
    assert "no free batch without changing its result" in caplog.text
    alone = np.concatenate([network(face[None].astype(np.float32)) for face in FACES])
    assert np.array_equal(network(FACES.astype(np.float32)), alone)


@pytest.mark.parametrize(("scaled", "mean", "std"), [(True, 0.0, 1.0), (False, 127.5, 127.5)])
def test_scaling_inside_the_graph_is_discovered(tmp_path, scaled, mean, std):
    onnx_file(tmp_path / "model.onnx", scaled=scaled)
    model = open_model(ModelConfig(weights="model.onnx"), tmp_path, threads=1)
    assert (model.describe()["mean"], model.describe()["std"]) == (mean, std)
    pixels = (FACES.astype(np.float32) - mean) / std
    assert relative_deviation(model.embed(FACES), OnnxNetwork(tmp_path / "model.onnx")(pixels)) <= 1e-6


def test_channel_order_belongs_to_the_weights(tmp_path):
    onnx_file(tmp_path / "model.onnx")
    rgb, bgr = (
        open_model(ModelConfig(weights="model.onnx", channel_order=o), tmp_path, threads=1) for o in ("rgb", "bgr")
    )
    assert np.array_equal(bgr.embed(FACES), rgb.embed(FACES[..., ::-1].copy()))
    assert np.array_equal(bgr.embed_swapped(FACES), rgb.embed(FACES))
    assert rgb.describe() | {"channel_order": "bgr"} == bgr.describe()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "bfloat16"}, "precision has no effect on an ONNX file"),
        ({"compile": True}, "compile has no effect on an ONNX file"),
        ({"embedding_size": 512}, "embedding_size is 5 in the file, not 512"),
        ({"size": (112, 96)}, r"size is \(8, 8\) in the file, not \(112, 96\)"),
        ({"revision": "main"}, "only means something for a Hub repository"),
        ({"sha256": "12" * 32}, "the config says 1212.*; these are other weights"),
    ],
)
def test_options_that_cannot_hold_are_refused(tmp_path, options, says):
    onnx_file(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=says):
        open_model(ModelConfig(weights="model.onnx", **options), tmp_path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_bytes(b"not a graph"), "not a valid ONNX model"),
        (lambda path: path.write_bytes(b""), "ONNX model|input"),
        (lambda path: None, "there are no weights"),
    ],
)
def test_files_that_are_no_onnx_model_are_named(tmp_path, make, says):
    make(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=f"model.onnx: .*({says})"):
        open_model(ModelConfig(weights="model.onnx"), tmp_path)


def test_a_device_that_cannot_be_had_is_an_error_and_not_a_slow_cpu(tmp_path):
    onnx_file(tmp_path / "model.onnx")
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ModelError, match="device cuda: this onnxruntime cannot use it"):
        open_model(ModelConfig(weights="model.onnx"), tmp_path, device="cuda")


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """Folder with a self-describing student file."""
    folder = tmp_path_factory.mktemp("student")
    save_weights(fill(build_backbone("mobilefacenet_0.5", 32)), folder / "student.safetensors", {"epoch": 3})
    return folder


def test_a_file_of_our_own_needs_no_options_and_equals_the_module(student):
    model = open_model(ModelConfig(weights="student.safetensors"), student, threads=1)
    faces = RNG.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    pixels = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        want = fill(build_backbone("mobilefacenet_0.5", 32))(pixels).numpy()
    assert relative_deviation(model.embed(faces), want) <= 1e-5
    assert model.describe()["architecture"] == "mobilefacenet_0.5"
    assert (model.dim, model.size) == (32, (112, 112))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_memory_format_and_precision_keep_the_embedding(student, precision):
    faces = RNG.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    plain = open_model(ModelConfig(weights="student.safetensors"), student, threads=1)
    config = ModelConfig(weights="student.safetensors", channels_last=True, precision=precision)
    other = open_model(config, student, threads=1)
    a, b = (e / np.linalg.norm(e, axis=1, keepdims=True) for e in (plain.embed(faces), other.embed(faces)))
    assert (a * b).sum(axis=1).min() >= (0.999 if precision == "bfloat16" else 1 - 1e-6)
    differing = {key for key, value in plain.describe().items() if value != other.describe()[key]}
    assert differing == ({"precision"} if precision == "bfloat16" else set())
    assert {key for key, value in plain.runtime.items() if value != other.runtime[key]} == {"channels_last"}


def test_an_embedding_does_not_depend_on_its_batch_even_with_the_gnap_tail(tmp_path):
    save_weights(fill(build_backbone("mobilefacenet_gnap")), tmp_path / "gnap.safetensors", {})
    model = open_model(ModelConfig(weights="gnap.safetensors"), tmp_path, threads=1)
    faces = RNG.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    assert relative_deviation(model.embed(faces)[:1], model.embed(faces[:1])) <= 1e-5


def test_descriptions_are_json_without_paths_and_differ_for_other_weights(student, tmp_path):
    first = open_model(ModelConfig(weights="student.safetensors"), student, threads=1).describe()
    assert json.loads(json.dumps(first)) == first
    assert str(student) not in json.dumps(first)
    torch.manual_seed(1)
    save_weights(build_backbone("mobilefacenet_0.5", 32), tmp_path / "student.safetensors", {})
    second = open_model(ModelConfig(weights="student.safetensors"), tmp_path, threads=1).describe()
    assert {key for key in first if first[key] != second[key]} == {"weights_sha256"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"architecture": "iresnet50"}, "does not fit IResNet: .* missing"),
        ({"embedding_size": 64, "architecture": "mobilefacenet_0.5"}, "of another shape: output_layer.linear.weight"),
        ({"size": (112, 96)}, r"mobilefacenet_0.5 sees \(112, 112\), not \(112, 96\)"),
        ({"precision": "float16"}, "float16 needs a GPU"),
    ],
)
def test_a_checkpoint_that_is_not_what_the_config_says_stops_the_program(student, options, says):
    with pytest.raises(ModelError, match=says):
        open_model(ModelConfig(weights="student.safetensors", **options), student, threads=1)


def test_faces_of_another_size_are_cropped_where_networks_were_trained_on_the_crop():
    faces = RNG.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    assert np.array_equal(fit(faces, (112, 96)), faces[:, :, 8:104])
    assert fit(faces, (112, 112)) is faces
    assert fit(faces, (56, 56)).shape == (2, 56, 56, 3)
    assert fit(faces, (160, 160)).shape == (2, 160, 160, 3)


def test_embeddings_that_are_not_finite_are_refused_and_no_faces_give_no_rows(tmp_path):
    onnx_file(tmp_path / "model.onnx")
    model = open_model(ModelConfig(weights="model.onnx", std=1e-36), tmp_path, threads=1)
    assert model.embed(FACES[:0]).shape == (0, 5)
    with pytest.raises(ModelError, match="an embedding is not finite"):
        model.embed(FACES)


@pytest.mark.real
def test_sface_gives_what_opencv_gives(real_file, golden):
    path = real_file("models/face_recognition_sface_2021dec.onnx")
    numbers = np.load(golden / "sface.npz")
    model = open_model(ModelConfig(weights=path.name), path.parent, threads=1)
    rgb = numbers["images_bgr"][..., ::-1]
    assert relative_deviation(model.embed(rgb), numbers["feature"]) <= 1e-4
    described = model.describe()
    assert described["weights_sha256"] == json.loads((golden / "sface.json").read_text())["model_sha256"]
    assert (described["architecture"], described["mean"], described["std"]) == ("sface", 0.0, 1.0)
    assert model.runtime["fixed_batch"] is None
