"""Stage one's networks alone: embeddings against the CPU's, and pace."""

import copy
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from benchmarks.gpu.environment import onnx_sees_card
from benchmarks.gpu.finding import Finding, at_least, at_most, measured, needs_card
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import DIM
from common.backbones import build_backbone
from common.config import ModelConfig
from common.models import UNIT_RGB, TorchNetwork, open_model
from tests.common.backbones.golden_backbones import fill

# Least cosine with the CPU's float32 embedding of the same face; the weights are random.
COSINES = {"float32": 0.9999, "bfloat16": 0.999, "float16": 0.9999}
DEVIATION = 1e-3  # of onnxruntime's CUDA provider, whose convolutions are TF32 unless told otherwise


def torch_teacher(place: Place) -> Iterator[Finding]:
    """IR-50 as a teacher runs it, copies to and from the card included."""
    count = 256 if place.card else 4
    faces = np.random.default_rng(0).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)
    network = fill(build_backbone("ir_50", DIM))
    compared = faces[: min(count, 32)]
    reference = teacher(network, "float32", torch.device("cpu"))(compared)
    pace: dict[str, float] = {}
    for precision in ("float32", "bfloat16", *(["float16"] if place.card else [])):
        for channels_last, compile_it in ((False, False), (True, False), *([(True, True)] if place.card else [])):
            layout = "channels last" if channels_last else "channels first"
            what = f"IR-50, {precision}, {layout}{', compiled' if compile_it else ''}"
            embed = teacher(network, precision, place.device, channels_last, compile_it)
            cosine = least_cosine(embed(compared), reference)
            yield at_least(f"{what}: least cosine", cosine, COSINES[precision], "{:.6f}")
            if place.card:
                pace[what] = faces_a_second(embed, faces, 20)
                yield measured(what, pace[what], "{:,.0f} faces/s")
    if place.card:
        ratio = pace["IR-50, bfloat16, channels last"] / pace["IR-50, float32, channels first"]
        yield at_least("bfloat16, channels last, against float32, channels first", ratio, 1.5)
    else:
        yield needs_card("IR-50: pace")


def teacher(
    network: nn.Module, precision: str, device: torch.device, channels_last: bool = False, compile_it: bool = False
) -> Callable[[np.ndarray], np.ndarray]:
    """A copy of the network as stage one calls it."""
    mean, std = UNIT_RGB.mean, UNIT_RGB.std
    assert mean is not None
    assert std is not None
    return TorchNetwork(copy.deepcopy(network), mean, std, precision, str(device), channels_last, compile_it)


def faces_a_second(embed: Callable[[np.ndarray], np.ndarray], faces: np.ndarray, rounds: int) -> float:
    """After three calls that warm up; a call ends with its embeddings on the host."""
    for _ in range(3):
        embed(faces)
    began = time.perf_counter()
    for _ in range(rounds):
        embed(faces)
    return rounds * len(faces) / (time.perf_counter() - began)


def least_cosine(rows: np.ndarray, reference: np.ndarray) -> float:
    """The smallest cosine of two (B,D) arrays' rows, in float64."""
    rows, reference = rows.astype(np.float64), reference.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    return float(((rows * reference).sum(1) / norms).min())


def onnx_teacher(place: Place) -> Iterator[Finding]:
    """A few layers as an ONNX file, by onnxruntime on the device, on the CPU, and by torch."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2, 1, bias=False),
        nn.PReLU(64),
        nn.Conv2d(64, 128, 3, 2, 1, bias=False),
        nn.PReLU(128),
        nn.Flatten(),
        nn.Linear(128 * 28 * 28, DIM),
    ).eval()
    write_graph(network, place.folder / "teacher.onnx")
    config = ModelConfig(weights="teacher.onnx", channel_order="rgb", mean=UNIT_RGB.mean, std=UNIT_RGB.std)
    faces = np.random.default_rng(0).integers(0, 256, (512 if place.card else 8, 112, 112, 3)).astype(np.uint8)
    on_cpu = open_model(config, place.folder, "cpu").embed
    compared = faces[:64]
    by_torch = teacher(network, "float32", torch.device("cpu"))(compared)
    yield at_most("onnxruntime on the CPU against torch", deviation(on_cpu(compared), by_torch), 1e-5)
    if not place.card or not onnx_sees_card():
        yield needs_card("onnxruntime's CUDA provider against the CPU's")
        return
    on_card = open_model(config, place.folder, str(place.device)).embed
    off = deviation(on_card(compared), on_cpu(compared))
    yield at_most("onnxruntime's CUDA provider against the CPU's", off, DEVIATION)
    ratio = faces_a_second(on_card, faces, 10) / faces_a_second(on_cpu, faces, 2)
    yield at_least("the CUDA provider's pace against the CPU's", ratio, 1.0, "{:.1f}")


def deviation(rows: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference, against the shortest row of the reference."""
    return float(np.abs(rows - reference).max() / np.linalg.norm(reference, axis=1).min())


def write_graph(network: nn.Sequential, path: Path) -> None:
    """The network as ONNX, a node a layer, with a free batch."""
    nodes, weights, name = [], [], "faces"
    for number, layer in enumerate(network):
        inputs = [name]
        for key, value in layer.state_dict().items():
            array = value.numpy()[:, None, None] if isinstance(layer, nn.PReLU) else value.numpy()
            weights.append(numpy_helper.from_array(np.ascontiguousarray(array), f"{number}.{key}"))
            inputs.append(f"{number}.{key}")
        name = "embedding" if number == len(network) - 1 else f"after{number}"
        match layer:
            case nn.Conv2d():
                more: dict[str, Any] = {"strides": layer.stride, "pads": (*layer.padding, *layer.padding)}
                nodes.append(helper.make_node("Conv", inputs, [name], kernel_shape=layer.kernel_size, **more))
            case nn.Linear():
                nodes.append(helper.make_node("Gemm", inputs, [name], transB=1))
            case nn.PReLU():
                nodes.append(helper.make_node("PRelu", inputs, [name]))
            case _:
                nodes.append(helper.make_node("Flatten", inputs, [name]))
    face = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 3, 112, 112])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])
    graph = helper.make_graph(nodes, "teacher", [face], [embedding], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
