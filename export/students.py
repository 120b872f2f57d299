"""From an experiment, or a file of weights, to `exports/NAME`: what the commands do, in the order they do it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from cache.format import read_manifest
from common.config import Config, load_config
from common.errors import UserError
from common.models import STUDENT, FaceModel, read_graph
from common.plan import Plan, plan_faces
from export.account import account_in, describe
from export.contract import Form
from export.gate import LIMITS, Limits, Measured
from export.measure import measure_folder
from export.onnx import NAMES, export_onnx, save
from export.quantise import Ends, Method, calibration_faces, choose_floats, compacted, ranges_of
from export.rewrite import rewritten

Format = Literal["onnx", "fp16", "int8"]
PRECISIONS = {"onnx": "float32", "fp16": "float16", "int8": "int8"}
CALIBRATION, HELD_OUT = 256, 128


def export_student(
    config: Config,
    root: Path,
    model: FaceModel,
    out: Path,
    formats: Sequence[Format],
    say: Callable[[str], None],
) -> list[Measured]:
    """Write, quantise and measure the student of an experiment. Raises UserError when a part of that cannot be done."""
    float_ones = tuple(PRECISIONS[name] for name in ("onnx", "fp16") if name == "onnx" or name in formats)
    export_onnx(model, out, Form(), float_ones, cache_account(config), say=say)
    if "int8" in formats:
        quantise_folder(out, config, root, say=say)
    return measure_folder(out, {name: root / path for name, path in config.evaluate.sets.items()}, say=say)


def quantise_folder(
    folder: Path,
    config: Config,
    root: Path,
    method: Method = "percentile",
    ends: Ends = "first",
    limits: Limits = LIMITS,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write `model.int8.onnx` beside `model.onnx`; with `.failed` in its name where no choice of layers agrees.

    config: names the training faces and views that calibrate.
    """
    path = folder / NAMES["float32"]
    plain = read_graph(path)
    account = account_in(plain, path)
    if account is None:
        raise UserError(f"{path}: not written by `python -m export onnx`: export it with that")
    graph = rewritten(plain)
    faces = calibration_faces(config, root, CALIBRATION + HELD_OUT, account.size)
    known = max(1, len(faces) * CALIBRATION // (CALIBRATION + HELD_OUT))
    if known < 16 or known == len(faces):
        raise UserError(f"{root / config.faces.path}: {len(faces)} faces are too few to calibrate on; 24 or more are")
    say(f"calibrating on {known} training faces by {method}, {len(faces) - known} held out for the search")
    found = choose_floats(
        graph,
        ranges_of(graph, faces[:known], method),
        faces[known:],
        limits.cosine_mean,
        limits.cosine_q01,
        ends,
        say=say,
    )
    last = found.trail[-1]
    about = {
        "precision": "int8",
        "calibration": method,
        "calibration_faces": known,
        "float_layers": [layer[0] for layer in found.floats],
    }
    # The thresholds are float32's: an int8 file has cosines of its own.
    small = compacted(found.graph)
    describe(small, {**account.model_dump(exclude={"thresholds"}), **about})
    written = save(small, folder / NAMES["int8"], found.holds)
    verdict = "" if found.holds else f": FAILED, asked for {limits.cosine_mean:g} and {limits.cosine_q01:g}"
    say(
        f"{written}: cosine to float32 {last.mean:.4f}, 1 % below {last.q01:.4f}, {len(found.floats)} layers stay "
        f"float{verdict}"
    )
    return written


def account_of_run(run_dir: Path) -> dict[str, Any]:
    """`cache_account` of the experiment a run's folder belongs to; empty for any other folder or file."""
    path = run_dir / "config.toml"
    return cache_account(load_config(path)) if path.is_file() else {}


def cache_account(config: Config) -> dict[str, Any]:
    """Experiment, and the teacher and digest of its cache where that is on this machine."""
    account: dict[str, Any] = {"experiment": config.name}
    if config.cache_dir.exists() and config.reads_teacher:
        manifest = read_manifest(config.cache_dir)
        account["teacher"] = manifest["teacher"]["name"]
        account["teacher_sha256"] = manifest["teacher"]["weights_sha256"]
        account["cache_sha256"] = (manifest.get("sealed") or {}).get("manifest")
    return account


def plan_export(config: Config, root: Path, out: Path, formats: Sequence[Format]) -> Plan:
    """What an export would write, and what is missing for it."""
    plan = Plan(f"export of {config.name}")
    student = config.run_dir / STUDENT
    if student.exists():
        plan.add("student", str(student))
    else:
        plan.missing.append(f"{student}: no student there: train it with `make distill`")
    if "int8" in formats:
        plan_faces(plan, config, root)
    for name, path in config.evaluate.sets.items():
        if (root / path).is_file():
            plan.add(f"set {name}", str(root / path))
        else:
            plan.missing.append(f"{root / path}: set {name} is not there. {config.evaluate.origin or ''}".rstrip())
    if not config.evaluate.sets:
        plan.missing.append("sets to measure on: name them in [evaluate.sets] of the experiment file")
    plan.add("writes", ", ".join(str(out / NAMES[PRECISIONS[name]]) for name in formats))
    return plan
