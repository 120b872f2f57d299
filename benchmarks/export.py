"""A network in every runtime that runs on this CPU: milliseconds, size, and how far it is from PyTorch.

    python -m benchmarks.export --config configs/lfw.toml --data DATA [--weights runs/lfw/student.safetensors]
                                [--python openvino=/tmp/ov/bin/python] [--python litert=/tmp/lt/bin/python]

Without weights: the experiment's network with random ones, its batch norms with the statistics of training faces, so
that embeddings differ by face. int8 is calibrated on training faces; no layer stays float, and no search puts one back.
A runtime that this environment lacks is tried in the one that --python names, else said to be missing.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from common.backbones import backbone_size, build_backbone
from common.config import Config, ModelConfig, load_config
from common.models import (
    UNIT_RGB,
    FaceModel,
    Preset,
    TorchNetwork,
    first_known,
    open_model,
    relative_deviation,
    save_weights,
)
from common.vectors import unit_rows
from export.contract import Form, with_contract
from export.graph import graph_of
from export.half import halved
from export.measure import latencies
from export.quantise import calibration_faces, compacted, ranges_of
from export.quantise.static import quantised
from export.rewrite import rewritten
from export.session import Session

RUNTIMES = Path(__file__).with_name("runtimes.py")
CALIBRATION, SHOWN = 64, 16


@click.command()
@click.option("--config", "path", default="configs/lfw.toml", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--weights", type=click.Path(path_type=Path))
@click.option("--python", "pythons", multiple=True, metavar="RUNTIME=PATH", help="An interpreter that has a runtime.")
@click.option("--ours/--no-ours", default=True, help="Time onnxruntime as well.")
def main(path: str, data: Path, weights: Path | None, pythons: tuple[str, ...], ours: bool) -> None:
    config = load_config(path)
    faces = calibration_faces(config, data, CALIBRATION + SHOWN, backbone_size(config.student.network))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = weights or random_weights(config, faces[:CALIBRATION], folder / "random.safetensors")
        model = open_model(ModelConfig(weights=weights.name), weights.parent, threads=1)
        print(f"{weights.name}: {model.contract.architecture}, {model.dim} wide; onnxruntime and others on this CPU")
        if ours:
            onnxruntime_rows(model, faces)
        write_for_others(model, faces[CALIBRATION:], folder)
        others(folder, dict(entry.split("=", 1) for entry in pythons))


def random_weights(config: Config, faces: np.ndarray, target: Path) -> Path:
    """The experiment's network, its batch norms with the statistics of these faces (N,H,W,3)."""
    torch.manual_seed(0)
    network = build_backbone(config.student.network, config.student.embedding_size).train()
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = None  # the plain mean over batches
    with torch.no_grad():
        for batch in np.array_split(faces, 2):
            network(torch.from_numpy(normalised(batch)))
    contract = first_known(
        Preset(config.student.network, config.student.embedding_size, backbone_size(config.student.network)), UNIT_RGB
    )
    save_weights(network.eval(), target, contract.to_metadata())
    return target


def onnxruntime_rows(model: FaceModel, faces: np.ndarray) -> None:
    """PRelu kept and rewritten, in every precision."""
    bare = graph_of(model)
    graphs: dict[str, onnx.ModelProto] = {}
    for activation, form in (("as it is", bare), ("rewritten", rewritten(bare))):
        whole = with_contract(form, model.contract, Form())
        graphs[f"float32, {activation}"] = whole
        if activation == "rewritten":
            graphs[f"float16, {activation}"] = with_contract(halved(form), model.contract, Form())
        ranges = ranges_of(whole, faces[:CALIBRATION], "percentile")
        graphs[f"int8, {activation}"] = compacted(quantised(whole, ranges))
    graphs["int8, dynamic"] = dynamic(graphs["float32, rewritten"])
    shown, rows = faces[CALIBRATION:], model.embed(faces[CALIBRATION:])
    for (name, graph), times in zip(graphs.items(), latencies(list(graphs.values()), model.size), strict=True):
        found = Session(graph).embed(shown)
        cosine = (unit_rows(found) * unit_rows(rows)).sum(1).min()
        by_batch = ", ".join(f"{key} {value:.2f}" for key, value in times.items())
        say("onnxruntime", name, len(graph.SerializeToString()), relative_deviation(found, rows), cosine, by_batch)


def dynamic(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Ranges of activations found in every call, one scale a weight: what an export does not offer, and why."""
    with tempfile.TemporaryDirectory() as name:
        before, after = Path(name) / "before.onnx", Path(name) / "after.onnx"
        onnx.save(graph, before)
        quantize_dynamic(before, after, weight_type=QuantType.QUInt8)
        return onnx.load(after)


def write_for_others(model: FaceModel, faces: np.ndarray, folder: Path) -> None:
    """What runtimes.py reads: the bare network in three formats, normalised faces, and PyTorch's embeddings."""
    assert isinstance(model.network, TorchNetwork)
    assert (model.contract.channel_order, model.contract.mean, model.contract.std) == ("rgb", 127.5, 127.5)
    pixels = torch.from_numpy(normalised(faces))
    network = model.network.module
    onnx.save(graph_of(model), folder / "model.onnx")
    with torch.no_grad():
        np.save(folder / "rows.npy", network(pixels).numpy())
        torch.jit.trace(network, pixels[:1]).save(str(folder / "model.pt"))
        torch.export.save(torch.export.export(network, (pixels[:1],)), folder / "model.pt2")
    np.save(folder / "faces.npy", pixels.numpy())


def others(folder: Path, pythons: dict[str, str]) -> None:
    for name in ("openvino", "openvino-default", "ncnn", "ncnn-fp16", "litert"):
        python = pythons.get(name.partition("-")[0], sys.executable)
        done = subprocess.run([python, str(RUNTIMES), str(folder), name], capture_output=True, text=True)
        if done.returncode:
            print(f"{name:<18} failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.strip().splitlines()[-1])
        if "missing" in found:
            print(f"{name:<18} {found['missing']}")
        else:
            say(name, "", found["bytes"], found["deviation"], found["cosine"], f"1x1 {found['ms']:.2f}")


def normalised(faces: np.ndarray) -> np.ndarray:
    """float32 (B,3,H,W) of uint8 RGB (B,H,W,3), as UNIT_RGB has it."""
    scaled: np.ndarray = (faces.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
    return scaled


def say(runtime: str, form: str, size: int, deviation: float, cosine: float, times: str) -> None:
    print(
        f"{runtime:<18} {form:<20} {size / 1e6:5.2f} MB  {deviation:.1e}  cosine {cosine:.5f}  ms {times}", flush=True
    )


if __name__ == "__main__":
    main()
