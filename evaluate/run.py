"""Evaluate models on sets, start to end: read, embed, measure, report."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.config import MeasureConfig
from common.embeddings import Embedder, Embeddings, embed_with_norms
from common.errors import ConfigError, DataError
from common.files import write_json
from common.progress import progress
from common.text import printable
from evaluate.report import write_report
from evaluate.sets import DEFAULT, FaceSet, Result, open_set
from evaluate.stored import EmbeddingStore, StoredEmbeddings

PACE = "pace.json"  # faces a second of each model; apart from the results, which are the same whatever the pace


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
    options: MeasureConfig = DEFAULT,
    keep: EmbeddingStore | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Measure every model on every set that exists, and write the report into `out` (None: write nothing).

    A set is a `.bin` file, or the folder of an IJB or TinyFace set. All metrics of a set use the same embeddings; in
    the store `keep` they can take the model's place later (`StoredEmbeddings`).

    A set that is missing is reported in `skipped` with the path looked for. One that is there but damaged raises
    DataError, before anything is embedded: a number silently missing from a table is worse than no table.
    """
    for path in sets.values():
        if path.exists():
            open_set(path, options)
    results: dict[str, dict[str, Result]] = {name: {} for name in models}
    skipped: dict[str, str] = {}
    paces: dict[str, _Work] = {}
    for set_name, path in sets.items():
        if not path.exists():
            skipped[set_name] = f"not found: {path}"
            continue
        faces = open_set(path, options)
        for model_name, model in models.items():
            began = time.perf_counter()
            embedded, flipped = embeddings_of(
                model, set_name, path, faces, f"{model_name} on {set_name}", options, quiet
            )
            if not isinstance(model, StoredEmbeddings):
                work = paces.setdefault(model_name, _Work())
                work.faces += len(faces.pictures) * (2 if flipped else 1)
                work.seconds += time.perf_counter() - began
            if keep is not None:
                keep.save(model_name, set_name, embedded, flipped)
            results[model_name][set_name] = faces.measure(embedded, flipped)
    if not sets:
        raise ConfigError("no sets to evaluate on: name them in [evaluate.sets] of the experiment file, or with --on")
    if not any(results.values()):
        looked_for = "; ".join(f"{name} {why}" for name, why in skipped.items())
        raise DataError(f"there is nothing to evaluate on: {looked_for}")
    written = write_report(results, out, skipped) if out is not None else []
    if out is not None and paces:
        written.append(out / PACE)
        faces_per_second = {name: round(work.faces / work.seconds, 1) for name, work in paces.items()}
        write_json(out / PACE, {"faces_per_second": faces_per_second}, sort_keys=False)
    return Evaluation(results, skipped, written)


@dataclass
class _Work:
    """What a model embedded, mirror images too, and how long it took with reading and decoding."""

    faces: int = 0
    seconds: float = 0.0


def store_embeddings(
    models: Mapping[str, Embedder | StoredEmbeddings],
    sets: Mapping[str, Path],
    out: EmbeddingStore,
    options: MeasureConfig = DEFAULT,
) -> dict[str, str]:
    """Embed every set that exists with every model, into the store. Says which sets were skipped, and why."""
    for set_name, path in sets.items():
        if path.exists():
            faces = open_set(path, measured=False)
            for name, model in models.items():
                embedded, flipped = embeddings_of(model, set_name, path, faces, f"{name} on {set_name}", options)
                out.save(name, set_name, embedded, flipped)
    return {name: f"not found: {path}" for name, path in sets.items() if not path.exists()}


def embeddings_of(
    model: Embedder | StoredEmbeddings,
    set_name: str,
    path: Path,
    faces: FaceSet,
    what: str,
    options: MeasureConfig = DEFAULT,
    quiet: bool = False,
) -> tuple[Embeddings, bool]:
    """A set's embeddings, computed or stored, and whether they hold the mirror image; `what` heads the progress."""
    if not isinstance(model, StoredEmbeddings):
        with progress(printable(what), len(faces.pictures), quiet=quiet) as advance:
            name = f"{path}: picture"
            rows = embed_with_norms(
                model, faces.pictures, options.batch_size, options.flip, advance, options.workers, name
            )
            return replace(rows, names=faces.names()), options.flip
    embedded, flipped = model.of(set_name)
    if len(embedded.rows) != len(faces.pictures):
        raise DataError(
            f"{model.path(set_name)}: {len(embedded.rows)} embeddings, "
            f"{path} has {len(faces.pictures)} pictures; they are of another set"
        )
    return embedded, flipped
