"""A face model as ONNX files that need no code of ours: one in float32, one in float16.

    exports/NAME/model.onnx, model.fp16.onnx

Each is compared with PyTorch before it gets that name; one that deviates too much keeps `.failed` in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from common.files import replacing
from common.models import FaceModel
from export.account import account_of, describe
from export.contract import Form, with_contract
from export.graph import graph_of
from export.half import halved
from export.parity import BATCHES, LIMITS, deviations
from export.rewrite import rewritten

NAMES = {"float32": "model.onnx", "float16": "model.fp16.onnx", "int8": "model.int8.onnx"}
"""Files of an export by precision."""

FAILED = ".failed"
"""In the name of a file that is not good."""


@dataclass(frozen=True)
class Written:
    """A file, how far it deviates from PyTorch at each of `BATCHES`, and whether that is near enough."""

    path: Path
    deviations: list[float]
    passed: bool


def export_onnx(
    model: FaceModel,
    out: Path,
    form: Form,
    precisions: tuple[str, ...] = ("float32", "float16"),
    about: Mapping[str, Any] | None = None,
    keep_prelu: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> list[Written]:
    """Write a model as ONNX files into a folder.

    Args:
        model: opened on the CPU, in float32.
        about: added to what the file says of itself.
        keep_prelu: leave PRelu nodes as they are, for compilers that fuse them; see `export.rewrite`.

    Raises:
        ModelError: the model cannot be exported.
    """
    bare = graph_of(model)
    if not keep_prelu:
        bare = rewritten(bare)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for precision in precisions:
        graph = with_contract(halved(bare) if precision == "float16" else bare, model.contract, form)
        describe(graph, {**account_of(model, form, precision), **(about or {})})
        found = deviations(model, graph, form)
        passed = max(found) <= LIMITS[precision]
        path = save(graph, out / NAMES[precision], passed)
        by_batch = ", ".join(f"{value:.1e} at {batch}" for value, batch in zip(found, BATCHES, strict=True))
        verdict = "" if passed else f": FAILED, above {LIMITS[precision]:g}"
        say(f"{path}: largest deviation from PyTorch, of the norm: {by_batch}{verdict}")
        written.append(Written(path, found, passed))
    return written


def save(graph: onnx.ModelProto, path: Path, passed: bool) -> Path:
    """Write a graph as `path`, or with `.failed` before its ending; what has the other of the two names goes."""
    failed = path.with_name(f"{path.stem}{FAILED}{path.suffix}")
    target, other = (path, failed) if passed else (failed, path)
    with replacing(target) as temporary:
        onnx.save(graph, temporary)
    other.unlink(missing_ok=True)
    return target
