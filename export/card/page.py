"""The page that goes with a student: what it is, what it was made of and under which licences, what it can do and not.

    write_card(read_run(Path("runs/lfw")), Path("exports/lfw"), Licences(faces="research"))

Every number comes from a file of the run or of the export; text from outside is shown and never obeyed.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from common.embeddings import sidecar_of
from common.errors import ModelError
from common.files import make_folder, replacing, sha256_of
from common.models import read_graph
from common.text import file_name, printable
from export.account import account_in
from export.card.licence import RESEARCH_ONLY, refuse_more_than_sources, statement, teacher_licences
from export.card.markdown import plain
from export.card.results import measures
from export.card.run_record import Cache, RunRecord
from export.card.sections import (
    exports_section,
    files_section,
    input_section,
    limits_section,
    results_section,
    thresholds_section,
    training_section,
)
from export.gate import MEASURED, read_measured
from export.package import CARD, FAILED, write_sums


@dataclass(frozen=True)
class Licences:
    """faces: of those the student was trained on. teacher: of its weights, where they are not known by digest.
    weights: what the student is given under."""

    faces: str
    teacher: str | None = None
    weights: str = RESEARCH_ONLY


def write_card(run: RunRecord, out: Path, licences: Licences, sheets: bool = False) -> Path:
    """Complete the folder `out` to a package that travels: weights, thresholds, card, list of digests.

    sheets: the pictures of the worst errors travel, too; they show faces of the evaluation sets.

    Raises ModelError for a licence that is not known or more than its sources allow, and for an export of other
    weights.
    """
    teachers = {cache.teacher.name: cache.teacher.weights_sha256 for cache in _caches(run)}
    own = teacher_licences(teachers, licences.teacher)
    sources = {"faces": licences.faces} | {f"teacher {name}": licence for name, licence in own.items()}
    refuse_more_than_sources(licences.weights, sources)
    make_folder(out)
    _refuse_other_weights(run, out)
    _copy(run.weights, out / run.weights.name)
    if sidecar_of(run.weights).exists():
        _copy(sidecar_of(run.weights), sidecar_of(out / run.weights.name))
    drawn = _sheets(run, out) if sheets else []
    with replacing(out / CARD) as temporary:
        temporary.write_text(card_text(run, out, licences, sources, drawn), encoding="utf-8")
    write_sums(out)
    return out / CARD


def card_text(run: RunRecord, out: Path, licences: Licences, sources: dict[str, str], sheets: list[str]) -> str:
    """The page. sources: licences of what the weights are made of. sheets: pictures of errors in `out`."""
    name = run.config.name
    sections = [
        f"# {plain(name)}",
        f"**{plain(statement(licences.weights, sources))}**",
        f"A face-recognition student: {plain(run.contract.architecture)}, an aligned face of "
        f"{plain(_size(run))} in, {run.contract.embedding_size} numbers out. The cosine of two such embeddings says "
        "how alike two faces are. " + _how_made(run),
        files_section(out),
        input_section(run),
        results_section(run),
        thresholds_section(run),
        exports_section(read_measured(out) if (out / MEASURED).exists() else []),
        training_section(run, sources),
        limits_section(run, sheets),
    ]
    return "\n\n".join(["---\n" + _header(run, licences.weights) + "\n---", *filter(None, sections)]) + "\n"


def _header(run: RunRecord, licence: str) -> str:
    """What the Hub reads, in its own types; YAML is written by the Hub's client, so no value ends a line of it."""
    name = printable(run.config.name)
    found = [
        EvalResult(
            task_type="face-verification",
            dataset_type=file_name(measure.set),
            dataset_name=printable(measure.set),
            metric_type=printable(measure.name),
            metric_name=printable(f"{measure.name} ({measure.protocol})"),
            metric_value=round(measure.value, 6),
        )
        for measure in measures(run.results)
    ]
    data = ModelCardData(
        license="other",
        license_name=file_name(licence.lower()),
        license_link=CARD,
        library_name="onnx",
        pipeline_tag="image-feature-extraction",
        tags=["face-recognition", "knowledge-distillation"],
        model_name=name,
        eval_results=found or None,
    )
    return str(data.to_yaml()).rstrip("\n")


def _caches(run: RunRecord) -> list[Cache]:
    return run.sources.caches if run.sources else []


def _size(run: RunRecord) -> str:
    height, width = run.contract.size or (0, 0)
    return f"{height} x {width} pixels"


def _how_made(run: RunRecord) -> str:
    names = [plain(cache.teacher.name) for cache in _caches(run)]
    if not names:
        return "It was trained without a teacher."
    return f"It was distilled from {' and '.join(names)}, whose answers were computed once and read from a cache."


def _refuse_other_weights(run: RunRecord, out: Path) -> None:
    """Exports of other weights, and of thresholds that were calibrated anew since."""
    anew = "export again (python -m export onnx), or remove the file"
    own = run.thresholds.told() if run.thresholds else None
    for path in sorted(out.glob("*.onnx")):
        if FAILED in path.name:
            continue
        account = account_in(read_graph(path), path)
        sha256 = account.weights_sha256 if account else "that are not told"
        if sha256 != run.sha256:
            raise ModelError(f"{path}: exported from weights {sha256}, {run.weights} are {run.sha256}: {anew}")
        if account and account.thresholds not in (None, own):
            raise ModelError(f"{path}: holds other thresholds than {sidecar_of(run.weights)}: {anew}")


def _copy(source: Path, target: Path) -> None:
    if target.exists() and (target.samefile(source) or sha256_of(target) == sha256_of(source)):
        return
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def _sheets(run: RunRecord, out: Path) -> list[str]:
    """Copy the sheets of the run's student; their names."""
    found = sorted((run.folder / "evaluation").glob(f"errors-*-{file_name(run.config.name)}.png"))
    for sheet in found:
        _copy(sheet, out / sheet.name)
    return [sheet.name for sheet in found]
