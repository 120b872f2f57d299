"""The sections of the card, each from its own files; an empty text where there is nothing to say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.config import Config, toml_of
from common.files import sha256_of
from common.plan import duration_text, size_text
from export.card.markdown import fenced, plain, table
from export.card.results import Measure, Numbers, Pairs, measures
from export.card.run_record import RunRecord
from export.gate import Loss, Measured
from export.package import CARD, travelling

_USE = """import json, cv2, numpy as np, onnxruntime
session = onnxruntime.InferenceSession("FILE")
contract = json.loads(session.get_modelmeta().custom_metadata_map["face_teacher_cache"])
face = cv2.cvtColor(cv2.imread("aligned.png"), cv2.COLOR_BGR2RGB)[None]
pixels = face if contract["layout"] == "NHWC" else face.transpose(0, 3, 1, 2).astype(np.float32)
embedding = session.run(None, {session.get_inputs()[0].name: pixels})[0]"""


def files_section(out: Path) -> str:
    """Every file that travels with its digest."""
    names = [name for name in travelling(out) if name != CARD]
    rows = [(name, size_text((out / name).stat().st_size), sha256_of(out / name)) for name in names]
    lines = ["## Files", table(("file", "size", "SHA-256"), rows), "`sha256sum -c SHA256SUMS` checks all of them."]
    onnx = [name for name in names if name.endswith(".onnx")]
    return "\n\n".join([*lines, *([fenced(_USE.replace("FILE", onnx[0]), "python")] if onnx else [])])


def input_section(run: RunRecord) -> str:
    """What the weights want to see."""
    contract = run.contract
    rows = [(name.replace("_", " "), value) for name, value in contract.to_metadata().items()]
    text = (
        "The `.safetensors` file wants faces aligned by five points, of this size and channel order, entering as "
        "(x - mean) / std with x from 0 to 255. The `.onnx` files scale by themselves and take RGB from 0 to 255; "
        "their metadata say so."
    )
    return "\n\n".join(["## Input", text, table(("", ""), rows)])


def results_section(run: RunRecord) -> str:
    """The report of the run: this student, its intervals, and its teachers on the same sets."""
    found = measures(run.results)
    if not found:
        return "## Results\n\nNot evaluated when this card was written."
    others = {name: {_key(m): m.value for m in measures(sets)} for name, sets in run.others.items()}
    rows = [
        (
            m.set,
            m.protocol,
            m.name,
            _percent(m.value),
            _interval(m),
            *(_percent(o.get(_key(m))) for o in others.values()),
        )
        for m in found
    ]
    legend = (
        f"In percent. Intervals: 95 %, Wilson's, over pairs or probes as if they were independent, which those of one "
        f"person are not. TAR at the largest FAR that does not exceed the one named. Letters: N1 lengths of embeddings "
        f"kept, D1 weighted by detection score, F1 mirror image added. Pairs: mirror image "
        f"{'added' if run.config.evaluate.flip else 'not added'}."
    )
    return "\n\n".join(
        ["## Results", table(("set", "protocol", "measure", "this student", "95 %", *others), rows), legend]
    )


def thresholds_section(run: RunRecord) -> str:
    """Cosines to decide by."""
    known = run.thresholds
    if known is None:
        return "## Thresholds\n\nNot calibrated. Calibrate on faces of your own before you decide anything by a cosine."
    rows = [
        (f"{row.far:g}", f"{row.threshold:.4f}", f"{row.low:.4f} to {row.high:.4f}", _percent(row.tar))
        for row in sorted(known.rows, key=lambda row: -row.far)
    ]
    text = (
        f"Cosines above which two faces are taken for one person's, calibrated on {plain(known.set)} ("
        f"{known.impostors:,} pairs of strangers, {plain(known.protocol)} embeddings). On other faces and cameras the "
        "rates differ: calibrate on your own."
    )
    return "\n\n".join(["## Thresholds", text, table(("FAR", "cosine", "95 %", "TAR %"), rows)])


def exports_section(rows: Sequence[Measured]) -> str:
    """The gate table; what failed is named, and is not here."""
    if not rows:
        return ""
    first = rows[0]
    headings = [
        *("file", "size", "cosine, mean", "cosine, 1 %"),
        *(f"accuracy {name}" for name in first.accuracy),
        *(f"TAR @ {first.far[name]:g} {name}" for name in first.tar),
        *(f"ms, {key}" for key in first.latency_ms),
        "remarks",
    ]
    lines = [
        [
            *(row.file, size_text(row.bytes), f"{row.cosine_mean:.5f}", f"{row.cosine_q01:.5f}"),
            *(_loss_text(row.accuracy.get(name)) for name in first.accuracy),
            *(_loss_text(row.tar.get(name)) for name in first.tar),
            *(f"{row.latency_ms[key]:.2f}" if key in row.latency_ms else "" for key in first.latency_ms),
            row.reason if row.passed else f"failed, and is not part of this: {row.reason}",
        ]
        for row in rows
    ]
    legend = (
        "Cosines with the embeddings of the first file. Rates in percent; in brackets what is lost against it, and the "
        "95 % interval of the loss, paired. Milliseconds a batch on the publisher's CPU, by BATCHxTHREADS."
    )
    return "\n\n".join(["## Exports", table(headings, lines), legend])


def training_section(run: RunRecord, licences: Mapping[str, str]) -> str:
    """Teacher, caches, faces, configuration, what the training took."""
    rows: list[tuple[str, object]] = []
    for cache in run.sources.caches if run.sources else []:
        teacher = cache.teacher
        origin = ", ".join(filter(None, (teacher.repo, teacher.revision, teacher.file)))
        rows += [
            ("teacher", f"{teacher.name}, licence {licences.get(f'teacher {teacher.name}')}"),
            ("teacher, from", origin),
            ("teacher, SHA-256", teacher.weights_sha256),
            ("teacher cache, SHA-256 of its ledger", cache.sealed.ledger),
            ("teacher cache, SHA-256 of its manifest", cache.sealed.manifest),
            ("views", ", ".join(f"{name} {value}" for name, value in cache.views.items())),
        ]
    if run.sources:
        faces = run.sources.faces
        people = f"{faces.samples:,} of {faces.identities:,} people ({faces.kind})"
        rows += [("faces", f"{people}, licence {licences['faces']}"), ("faces, fingerprint", faces.fingerprint)]
    else:
        rows += [("faces", f"licence {licences['faces']}"), ("teacher cache", "not recorded by this run")]
    took = run.summary
    rows += [
        ("steps", f"{took.steps:,}; these weights are of step {run.step}"),
        ("time", f"{duration_text(took.seconds)}, {took.ranks} rank(s)"),
        ("weights, SHA-256", run.sha256),
    ]
    if took.best:
        rows.append(("best", ", ".join(f"{name} {value}" for name, value in took.best.items())))
    configuration = fenced(toml_of(_without_machine(run.config)), "toml")
    folded = f"<details><summary>configuration</summary>\n\n{configuration}\n\n</details>"
    return "\n\n".join(["## Training", table(("", ""), [row for row in rows if row[1]]), folded])


def limits_section(run: RunRecord, sheets: Sequence[str]) -> str:
    """Where the errors lie, as the report has it, and what nobody measured."""
    lines = [line for name, numbers in run.results.items() if (line := _errors_of(name, numbers))]
    if sheets:
        lines.append("The worst of them, false accepts first (the pictures belong to the sets' photographers):")
    pictures = [f"![worst errors: {plain(name)}]({quote(name)})" for name in sheets]
    lines += [
        "Not measured: how errors spread over age, sex, skin colour, pose or cameras. Such differences are to be "
        "expected of faces collected from the web.",
        "An embedding of a face identifies a person: it is biometric data, and many laws ask for consent before one "
        "is made. Do not decide about people by this model alone.",
    ]
    return "\n\n".join(["## Limits", *lines[: len(lines) - 2], *pictures, *lines[-2:]])


def _errors_of(name: str, numbers: Numbers) -> str:
    if not isinstance(numbers, Pairs) or not numbers.pairs:
        return ""
    wrong = round((1 - numbers.accuracy) * numbers.pairs)
    folds = numbers.fold_accuracy or [numbers.accuracy]
    at = "" if numbers.threshold is None else f", at a cosine of {numbers.threshold:.3f}"
    said = (
        f"On {plain(name)}, {wrong:,} of {numbers.pairs:,} pairs are judged wrongly{at}; the worst fold has "
        f"{100 * min(folds):.2f} % right, the best {100 * max(folds):.2f} %."
    )
    for far, point in numbers.tar_at_most_far.items():
        if point.tar is not None:
            rejected = _percent(1 - point.tar)
            said += f" At a FAR of {plain(far)} at most, {rejected} % of the pairs of one person are rejected."
    return said


def _without_machine(config: Config) -> Config:
    """The configuration with names in place of paths from the root of the publisher's disk."""
    values = config.model_dump(exclude_none=True)

    def shorten(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shorten(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [shorten(part) for part in value]
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    return Config.model_validate(shorten(values))


def _key(measure: Measure) -> tuple[str, str, str]:
    return measure.set, measure.protocol, measure.name


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f}"


def _interval(measure: Measure) -> str:
    return "" if measure.low is None else f"{_percent(measure.low)} to {_percent(measure.high)}"


def _loss_text(loss: Loss | None) -> str:
    if loss is None:
        return ""
    return f"{100 * loss.rate:.2f} ({100 * loss.loss:.2f}; {100 * loss.low:.2f} to {100 * loss.high:.2f})"
