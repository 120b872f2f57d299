"""Evaluate models on verification sets, start to end: read, embed, measure, report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import DataError
from common.progress import progress
from evaluate.embed import Embedder, embed_with_norms
from evaluate.report import write_report
from evaluate.verification import VerificationResult, load_bin, ten_fold


@dataclass(frozen=True)
class Evaluation:
    """Results by model and set, why sets were skipped, and the files written."""

    results: dict[str, dict[str, VerificationResult]]
    skipped: dict[str, str]
    written: list[Path]


def evaluate_models(
    models: Mapping[str, Embedder],
    sets: Mapping[str, Path],
    out: Path | None,
    batch_size: int = 128,
    flip: bool = True,
    workers: int = 2,
    quiet: bool = False,
) -> Evaluation:
    """Verify every model on every set that exists, and write the report into `out` (None: write nothing).

    A set whose file is missing is reported in `skipped` with the path looked for. A file that is there but damaged
    raises DataError: a number silently missing from a table is worse than no table.
    """
    results: dict[str, dict[str, VerificationResult]] = {name: {} for name in models}
    skipped: dict[str, str] = {}
    for set_name, path in sets.items():
        if not path.exists():
            skipped[set_name] = f"not found: {path}"
            continue
        pictures, issame = load_bin(path)
        for model_name, model in models.items():
            with progress(f"{model_name} on {set_name}", len(pictures), quiet=quiet) as advance:
                embedded = embed_with_norms(
                    model, pictures, batch_size, flip, advance, workers, name=f"{path}: picture"
                )
            rows = embedded.rows
            results[model_name][set_name] = ten_fold(rows[0::2], rows[1::2], issame, xnorm=embedded.xnorm)
    if sets and not any(results.values()):
        looked_for = "; ".join(f"{name} {why}" for name, why in skipped.items())
        raise DataError(f"there is nothing to evaluate on: {looked_for}")
    written = write_report(results, out, skipped) if out is not None else []
    return Evaluation(results, skipped, written)
