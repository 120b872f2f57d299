"""ONNX files: equal to PyTorch at any batch, and whole in themselves."""

import json
import re

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from common.backbones import backbone_names, backbone_size, build_backbone
from common.config import ModelConfig
from common.models import EXPORTED, UNIT_RGB, Preset, first_known, open_model, save_weights
from export.contract import Form, with_contract
from export.graph import graph_of
from export.onnx import export_onnx
from export.parity import deviations, smooth_faces
from export.rewrite import rewritten
from export.session import Session
from tests.common.backbones.golden_backbones import fill

DIM = 16


def saved(folder, backbone, dim=DIM, **contract):
    """An opened model with weights that a training could have left: statistics and slopes that are not the first."""
    stated = first_known(Preset(backbone, dim, backbone_size(backbone), **contract), UNIT_RGB)
    save_weights(fill(build_backbone(backbone, dim)), folder / f"{backbone}.safetensors", stated.to_metadata())
    return open_model(ModelConfig(weights=f"{backbone}.safetensors"), folder, threads=1)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("bgr"), "mobilefacenet_0.1", channel_order="bgr", mean=100.0, std=60.0)


@pytest.fixture(scope="module")
def bare(student):
    return graph_of(student)


@pytest.fixture
def once_exported(bare, monkeypatch):
    """torch's exporter takes seconds, and has done it already."""
    monkeypatch.setattr("export.onnx.graph_of", lambda model: bare)


@pytest.mark.parametrize("form", [Form(), Form("float32"), Form(flip=True, unit=True), Form("float32", flip=True)])
@pytest.mark.parametrize("rewrite", [True, False], ids=["rewritten", "prelu"])
def test_every_form_gives_what_pytorch_gives_at_any_batch(student, bare, form, rewrite):
    graph = with_contract(rewritten(bare) if rewrite else bare, student.contract, form)
    assert ("PRelu" in {node.op_type for node in graph.graph.node}) is not rewrite
    assert max(deviations(student, graph, form, batches=(1, 7, 32))) <= 1e-5
    faces = smooth_faces(3, student.size)
    rows, given = student.embed(faces), Session(graph).embed(faces)
    if form.flip:
        rows = rows + student.embed(faces[:, :, ::-1])
    if form.unit:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(given, rows, atol=1e-5 * np.linalg.norm(rows, axis=1).min())


def test_a_file_tells_what_it_wants_and_opens_without_options(tmp_path, student, once_exported):
    lines = []
    written = export_onnx(student, tmp_path, Form(), about={"experiment": "tiny"}, say=lines.append)
    assert [one.path.name for one in written] == ["model.onnx", "model.fp16.onnx"]
    assert all(one.passed for one in written)
    assert all(re.search(r"[\d.]+e-\d+ at 64", line) for line in lines)
    whole, half = (path.stat().st_size for path in (tmp_path / "model.onnx", tmp_path / "model.fp16.onnx"))
    assert half < 0.75 * whole
    graph = onnx.load(tmp_path / "model.onnx")
    [entry] = graph.metadata_props
    assert entry.key == EXPORTED
    account = json.loads(entry.value)
    wanted = {"size": [112, 112], "channel_order": "rgb", "trained_on": "bgr", "mean": 100.0, "std": 60.0}
    assert account.items() >= {**wanted, "layout": "NHWC", "experiment": "tiny"}.items()
    assert account["weights_sha256"] == student.describe()["weights_sha256"]
    assert all(entry.version >= 17 for entry in graph.opset_import if not entry.domain)
    # No stack traces of the exporter's, which hold this machine's paths.
    assert b".py" not in (tmp_path / "model.onnx").read_bytes()
    faces = smooth_faces(2, (112, 112))
    opened = open_model(ModelConfig(weights="model.onnx"), tmp_path)
    np.testing.assert_allclose(opened.embed(faces), student.embed(faces), rtol=1e-3, atol=1e-4)


def test_what_deviates_is_kept_under_a_name_that_says_so(tmp_path, student, once_exported, monkeypatch):
    monkeypatch.setattr("export.onnx.LIMITS", {"float32": 1e-9})
    [one] = export_onnx(student, tmp_path, Form(), ("float32",))
    assert not one.passed
    assert [path.name for path in tmp_path.iterdir()] == ["model.failed.onnx"]
    monkeypatch.setattr("export.onnx.LIMITS", {"float32": 1e-5})
    export_onnx(student, tmp_path, Form(), ("float32",))
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_published_onnx_file_leaves_with_a_free_batch_and_norms_folded(tmp_path):
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(0, 0.3, (4, 3, 3, 3)),
        **{name: rng.uniform(0.5, 1.5, 4) for name in ("scale", "shift", "mean", "variance")},
        "a": rng.uniform(0, 1.2, (4, 1, 1)),
        "d": rng.normal(0, 0.01, (DIM, 4 * 56 * 56)),
        "e": rng.normal(0, 1, DIM),
    }
    nodes = [
        helper.make_node("Conv", ["data", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"]),
        helper.make_node("PRelu", ["n", "a"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "d", "e"], ["fc1"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "published",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, DIM])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), tmp_path / "their.onnx"
    )
    model = open_model(ModelConfig(weights="their.onnx", channel_order="bgr"), tmp_path, threads=1)
    exported = with_contract(rewritten(graph_of(model)), model.contract, Form())
    assert {"BatchNormalization", "PRelu"}.isdisjoint(node.op_type for node in exported.graph.node)
    assert max(deviations(model, exported, Form(), (1, 7))) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [
        *backbone_names(),
        *(f"mobilefacenet_{width}" for width in (0.1, 0.5, 0.75, 1.5, 2.0)),
        *("mobilefacenet_gnap_0.5", "mobilefacenet_0.5_relu", "mobilefacenet_0.5_hardswish"),
    ],
)
def test_every_backbone_of_the_registry_leaves_as_it_is(tmp_path, backbone):
    """PyTorch embeds 64 faces once: an embedding does not depend on the batch it was computed in."""
    dim = 256 if backbone == "mobilefacenet_gnap_0.5" else 512
    model = saved(tmp_path, backbone, dim)
    with torch.no_grad():
        bare = graph_of(model)
    faces = smooth_faces(64, model.size)
    rows = model.embed(faces)
    limit = 1e-5 * np.linalg.norm(rows, axis=1).min()
    for graph, batches in ((bare, (1, 7)), (rewritten(bare), (1, 7, 32, 64))):
        session = Session(with_contract(graph, model.contract, Form()))
        for batch in batches:
            np.testing.assert_allclose(session.embed(faces[:batch]), rows[:batch], rtol=0, atol=limit)
