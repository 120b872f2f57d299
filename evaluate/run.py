"""Evaluate models on sets, start to end: read, embed, measure, report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import DataError
from common.progress import progress
from evaluate.embed import Embedder, Embeddings, embed_with_norms
from evaluate.report import write_report
from evaluate.sets import FaceSet, Result, open_set
from evaluate.stored import StoredEmbeddings, save_embeddings


@dataclass(frozen=True)
class Evaluation:
    """Results by model and set, why sets were skipped, and the files written."""

    results: dict[str, dict[str, Result]]
    skipped: dict[str, str]
    written: list[Path]


def evaluate_models(
    models: Mapping[str, Embedder | StoredEmbeddings],
    sets: Mapping[str, Path],
    out: Path | None,
    batch_size: int = 128,
    flip: bool = True,
    workers: int = 2,
    quiet: bool = False,
    keep: Path | None = None,
) -> Evaluation:
    """Measure every model on every set that exists, and write the report into `out` (None: write nothing).

    A set is a `.bin` file, or the folder of an IJB or TinyFace set. All metrics of a set use the same embeddings; with
    `keep` they are stored as keep/MODEL/SET.npz and can take the model's place later (`StoredEmbeddings`).

    A set that is missing is reported in `skipped` with the path looked for. One that is there but damaged raises
    DataError: a number silently missing from a table is worse than no table.
    """
    results: dict[str, dict[str, Result]] = {name: {} for name in models}
    skipped: dict[str, str] = {}
    for set_name, path in sets.items():
        if not path.exists():
            skipped[set_name] = f"not found: {path}"
            continue
        faces = open_set(path)
        for model_name, model in models.items():
            what = f"{model_name} on {set_name}"
            embedded, flipped = embeddings_of(model, set_name, path, faces, what, batch_size, flip, workers, quiet)
            if keep is not None:
                save_embeddings(keep / model_name / f"{set_name}.npz", embedded, flipped)
            results[model_name][set_name] = faces.measure(embedded, flipped)
    if sets and not any(results.values()):
        looked_for = "; ".join(f"{name} {why}" for name, why in skipped.items())
        raise DataError(f"there is nothing to evaluate on: {looked_for}")
    written = write_report(results, out, skipped) if out is not None else []
    return Evaluation(results, skipped, written)


def store_embeddings(
    models: Mapping[str, Embedder | StoredEmbeddings],
    sets: Mapping[str, Path],
    out: Path,
    batch_size: int = 128,
    flip: bool = True,
) -> dict[str, str]:
    """Embed every set that exists with every model, into out/MODEL/SET.npz. Says which sets were skipped, and why."""
    for set_name, path in sets.items():
        if path.exists():
            faces = open_set(path)
            for name, model in models.items():
                embedded, flipped = embeddings_of(
                    model, set_name, path, faces, f"{name} on {set_name}", batch_size, flip
                )
                save_embeddings(out / name / f"{set_name}.npz", embedded, flipped)
    return {name: f"not found: {path}" for name, path in sets.items() if not path.exists()}


def embeddings_of(
    model: Embedder | StoredEmbeddings,
    set_name: str,
    path: Path,
    faces: FaceSet,
    what: str,
    batch_size: int = 128,
    flip: bool = True,
    workers: int = 2,
    quiet: bool = False,
) -> tuple[Embeddings, bool]:
    """A set's embeddings, computed or stored, and whether they hold the mirror image; `what` heads the progress."""
    if not isinstance(model, StoredEmbeddings):
        with progress(what, len(faces.pictures), quiet=quiet) as advance:
            name = f"{path}: picture"
            return embed_with_norms(model, faces.pictures, batch_size, flip, advance, workers, name), flip
    embedded, flipped = model.of(set_name)
    if len(embedded.rows) != len(faces.pictures):
        raise DataError(
            f"{model.folder / set_name}.npz: {len(embedded.rows)} embeddings, "
            f"{path} has {len(faces.pictures)} pictures; they are of another set"
        )
    return embedded, flipped
