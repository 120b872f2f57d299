"""What evaluation leaves behind: results.json, results.csv and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.figures import write_csv
from common.files import write_json
from common.text import file_name
from evaluate.protocols import Roc, TemplateResult, TinyFaceResult, VerificationResult
from evaluate.report.pair_file import pair_path, save_pairs
from evaluate.report.plots import plot_cmc, plot_det, plot_roc
from evaluate.report.score_plots import plot_quality, plot_scores
from evaluate.sets import Result

# Results by model, then by set.
Results = Mapping[str, Mapping[str, Result]]


def write_report(results: Results, out: Path, skipped: Mapping[str, str] | None = None) -> list[Path]:
    """Write the report of several models into the folder `out`; the files written.

    results.json has every number, results.csv one line a model and set, pairs-SET-MODEL.npz the scores of every pair of
    a verification set (`read_pairs`). `skipped` says, by set, why it was left out.
    Pictures show all models on one set (roc-, det-, cmc-SET.png) or one model on one set (scores-, quality-SET-MODEL);
    each has a CSV of its numbers beside it.
    """
    written = [out / "results.json", out / "results.csv"]
    summaries = {model: {name: result.summary() for name, result in sets.items()} for model, sets in results.items()}
    write_json(written[0], {"results": summaries, "skipped": dict(skipped or {})}, sort_keys=False)
    write_rows(csv_rows(results), written[1])
    for name in dict.fromkeys(name for sets in results.values() for name in sets):
        written += _pictures(name, {model: sets[name] for model, sets in results.items() if name in sets}, out)
    return written


def csv_rows(results: Results) -> list[dict[str, Any]]:
    """One flat row a model and set; rates are fractions."""
    return [
        {"model": model, "set": name} | _flat("", result.summary())
        for model, sets in results.items()
        for name, result in sets.items()
    ]


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows whose keys may differ as CSV; a missing value is an empty cell."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_csv(path, columns, ([row.get(column, "") for column in columns] for row in rows))


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        if "tar" in value:  # an operating point
            return {prefix: value["tar"]}
        parts = (_flat(f"{prefix}_{key}" if prefix else str(key), part) for key, part in value.items())
        return {key: number for part in parts for key, number in part.items()}
    return {} if isinstance(value, list | tuple) else {prefix: value}


def _pictures(name: str, by_model: Mapping[str, Result], out: Path) -> list[Path]:
    curves, ranks, written = {}, {}, []
    for model, result in by_model.items():
        file = f"{file_name(name)}-{file_name(model)}"
        if isinstance(result, VerificationResult):
            curves[model] = result.roc()
            written.append(pair_path(out, name, model))
            save_pairs(written[-1], result)
            cosines = Roc.of(1 - result.distances / 2, result.issame)
            written += plot_scores(cosines, out / f"scores-{file}.png", f"{name}: {model}")
            if result.norms is not None:
                written += plot_quality(result, out / f"quality-{file}.png", f"{name}: {model}, length of embeddings")
        elif isinstance(result, TemplateResult):
            # Three curves a model are readable for one model only; of several, the first pooling is shown.
            for pooling, entry in list(result.poolings.items())[: None if len(by_model) == 1 else 1]:
                label = f"{model} {result.letters[pooling]}"
                curves[label] = entry.roc
                if entry.two_galleries is not None:
                    ranks[label] = entry.two_galleries.mate_ranks
            first, entry = next(iter(result.poolings.items()))
            title = f"{name}: {model} {result.letters[first]}"
            written += plot_scores(entry.roc, out / f"scores-{file}.png", title)
        elif isinstance(result, TinyFaceResult):
            ranks[model] = result.mate_ranks
    if curves:
        written += plot_roc(curves, out / f"roc-{file_name(name)}.png", f"{name}: verification")
        written += plot_det(curves, out / f"det-{file_name(name)}.png", f"{name}: detection error trade-off")
    if ranks:
        protocol = "closed set" if isinstance(next(iter(by_model.values())), TinyFaceResult) else "two galleries"
        written += plot_cmc(ranks, out / f"cmc-{file_name(name)}.png", f"{name}: identification, {protocol}")
    return written
