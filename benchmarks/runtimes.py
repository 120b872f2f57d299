"""One runtime on a network that `python -m benchmarks.export` wrote down; needs numpy and that runtime alone.

    /tmp/ov/bin/python benchmarks/runtimes.py FOLDER openvino

FOLDER holds model.onnx (normalised faces (B,3,H,W) float32 -> embeddings), model.pt (traced), model.pt2 (exported),
faces.npy and rows.npy (what PyTorch gives for these faces). Prints one line of JSON: deviation, least cosine, bytes,
milliseconds of a batch of one on one thread.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Runner = Callable[[np.ndarray], np.ndarray]
"""One normalised face (1,3,H,W) -> (1,D)."""


def openvino(folder: Path, precision: str | None = "f32") -> tuple[Runner, list[Path]]:
    import openvino as ov

    ov.save_model(ov.convert_model(folder / "model.onnx"), folder / "model.xml", compress_to_fp16=False)
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    hint = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    compiled = ov.Core().compile_model(folder / "model.xml", "CPU", settings | hint)
    return lambda face: compiled(face)[0], [folder / "model.xml", folder / "model.bin"]


def ncnn(folder: Path, half: bool = False) -> tuple[Runner, list[Path]]:
    import ncnn

    pnnx = Path(sys.executable).with_name("pnnx")
    if not pnnx.exists():
        raise ImportError("pnnx", name="pnnx")
    shape = "x".join(map(str, np.load(folder / "faces.npy")[:1].shape)).replace("x", ",")
    words = [pnnx, folder / "model.pt", f"inputshape=[{shape}]", f"fp16={int(half)}"]
    subprocess.run(words, check=True, capture_output=True, cwd=folder)
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
    files = [folder / "model.ncnn.param", folder / "model.ncnn.bin"]
    net.load_param(str(files[0]))
    net.load_model(str(files[1]))

    def run(face: np.ndarray) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(face[0]))
        return np.array(extractor.extract("out0")[1]).reshape(1, -1)

    return run, files


def litert(folder: Path) -> tuple[Runner, list[Path]]:
    import litert_torch
    import torch
    from ai_edge_litert.interpreter import Interpreter

    target = folder / "model.tflite"
    face = torch.from_numpy(np.load(folder / "faces.npy")[:1])
    litert_torch.convert(torch.export.load(folder / "model.pt2").module(), (face,)).export(str(target))
    interpreter = Interpreter(str(target), num_threads=1)
    interpreter.allocate_tensors()
    given, out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(face: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given, face)
        interpreter.invoke()
        return interpreter.get_tensor(out)

    return run, [target]


RUNTIMES: dict[str, tuple[str, Callable[[Path], tuple[Runner, list[Path]]]]] = {
    "openvino": ("openvino", openvino),
    "openvino-default": ("openvino", lambda folder: openvino(folder, None)),
    "ncnn": ("ncnn pnnx", ncnn),
    "ncnn-fp16": ("ncnn pnnx", lambda folder: ncnn(folder, half=True)),
    "litert": ("litert-torch", litert),
}
"""By name: what pip installs, and what opens the network."""


def measured(folder: Path, name: str) -> dict[str, float]:
    run, files = RUNTIMES[name][1](folder)
    faces, rows = np.load(folder / "faces.npy"), np.load(folder / "rows.npy")
    found = np.concatenate([np.array(run(face[None])) for face in faces])
    lengths = np.linalg.norm(rows, axis=1)
    cosines = (found * rows).sum(1) / np.linalg.norm(found, axis=1) / lengths
    best, began = np.inf, time.perf_counter()
    while time.perf_counter() - began < 3:
        started = time.perf_counter()
        run(faces[:1])
        best = min(best, time.perf_counter() - started)
    return {
        "deviation": float(np.abs(found - rows).max() / lengths.min()),
        "cosine": float(cosines.min()),
        "bytes": sum(file.stat().st_size for file in files),
        "ms": 1e3 * best,
    }


if __name__ == "__main__":
    packages = RUNTIMES[sys.argv[2]][0]
    try:
        print(json.dumps(measured(Path(sys.argv[1]), sys.argv[2])))
    except ImportError as error:
        print(json.dumps({"missing": f"{error.name} is not installed: pip install {packages}"}))
