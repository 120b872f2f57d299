"""Evaluation from the command line.

python -m evaluate run --config configs/lfw.toml --data DATA
python -m evaluate run --config configs/lfw.toml --config configs/lfw-arcface.toml --data DATA --out reports/lfw
python -m evaluate measure --model student.safetensors --model teacher=r50.onnx --on lfw=lfw.bin --on IJBC/ --out report
python -m evaluate measure --model runs/lfw --on lfw --on cfp_fp --far 1e-4,1e-3 --precision bfloat16 --out report
python -m evaluate embed --model student.safetensors --on lfw=lfw.bin --out embeddings --format zarr
python -m evaluate batch runs/ --on lfw=lfw.bin --out batch
python -m evaluate compare report-a report-b
python -m evaluate errors --model student.safetensors --on lfw=lfw.bin --out sheets
python -m evaluate search --gallery people.npz --probes new.npz --out neighbours.csv
python -m evaluate calibrate --model student.safetensors --on lfw=lfw.bin --far 1e-3,1e-2
python -m evaluate derive lfw.bin lfw_at16.bin --probe-side 16
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console, RenderableType

from common.cli import Commands, check_option, data_option, experiments_options, show_plan, threshold_options
from common.config import Config
from common.output import say
from common.text import WIDTH, folded
from evaluate.options import Setup, embed_options, fars_option, measure_options, models_option, out_option, sets_option

if TYPE_CHECKING:
    from evaluate.run import Evaluation
    from evaluate.stored import Format


format_option = click.option("--format", type=click.Choice(["npz", "zarr"]), help="npz (the default) or zarr.")


@click.group(cls=Commands, goes_on=("batch",))
def main() -> None:
    """Measure students and teachers."""


@main.command()
@experiments_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report; else runs/NAME/evaluation.")
@measure_options
@check_option
def run(configs: list[Config], out: Path | None, setup: Setup, check: bool) -> None:
    """Verify the students and teachers of experiments on their sets: a table, JSON, CSV and pictures."""
    from evaluate.experiment import measured_alike, open_models, plan_evaluation, report_folder, verification_sets
    from evaluate.run import evaluate_models

    if check:
        return show_plan(plan_evaluation(configs, setup.root, setup.device, setup.threads, setup.over))
    options = measured_alike(configs, setup.over)
    models = open_models(configs, setup.root, setup.device, setup.threads, options)
    out = out or report_folder(configs)
    show_report(evaluate_models(models, verification_sets(configs, setup.root), out, options), out)


@main.command()
@models_option
@sets_option
@measure_options
@out_option("Folder of the report.")
@click.option("--keep", type=click.Path(path_type=Path), help="Store the embeddings in this folder (x.zarr: as Zarr).")
def measure(models: tuple[str, ...], sets: tuple[str, ...], setup: Setup, out: Path, keep: Path | None) -> None:
    """Evaluate any models on any sets, without an experiment file."""
    from evaluate.run import evaluate_models
    from evaluate.stored import EmbeddingStore

    store = EmbeddingStore.at(keep) if keep else None
    show_report(evaluate_models(setup.open(models), setup.sets(sets), out, setup.options, store), out)


@main.command()
@models_option
@sets_option
@embed_options
@out_option("Folder for the embeddings, MODEL/SET in it.")
@format_option
def embed(models: tuple[str, ...], sets: tuple[str, ...], setup: Setup, out: Path, format: "Format | None") -> None:
    """Store the embeddings of sets; `measure --model OUT/MODEL` evaluates them later, without the model."""
    from evaluate.run import store_embeddings
    from evaluate.stored import EmbeddingStore

    store = EmbeddingStore.at(out, format)
    show_skipped(store_embeddings(setup.open(models), setup.sets(sets), store, setup.options))
    say(f"embeddings in {out}")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@sets_option
@measure_options
@click.option("--suffix", default=".safetensors", show_default=True, help="Which files are checkpoints.")
@out_option("Folder of the CSVs.")
@click.option("--json", "as_json", is_flag=True, help="Write all.json too.")
def batch(folder: Path, sets: tuple[str, ...], setup: Setup, suffix: str, out: Path, as_json: bool) -> None:
    """Evaluate all checkpoints of a folder, skipping those already done: a CSV each, and all.csv."""
    from evaluate.batch import evaluate_folder

    found = setup.sets(sets)
    written = evaluate_folder(folder, suffix, found, out, setup.open_checkpoint, setup.options, as_json, say)
    show_skipped({name: f"not found: {path}" for name, path in found.items() if not path.exists()})
    say(f"all of them in {written[-1]}")


@main.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path))
def compare(reports: tuple[Path, ...]) -> None:
    """Reports side by side, with differences to the first model."""
    from evaluate.report import comparison_table, read_reports

    show(comparison_table(read_reports(reports)))


@main.command("derive")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pairs", metavar="START:STOP", help="A part of the pairs, as 0:600; both kinds mixed evenly.")
@click.option("--probe-side", type=click.IntRange(1, 4096), help="Pixels the second picture is shrunk to, and back.")
def derive_set(source: Path, out: Path, pairs: str | None, probe_side: int | None) -> None:
    """Make a `.bin` set of another: a part of its pairs, or the same pairs with poor probes."""
    from evaluate.derive import derive, parse_part

    if pairs is None and probe_side is None:
        raise click.UsageError("say --pairs, --probe-side or both: what is to be different?")
    say(derive(source, out, parse_part(pairs) if pairs is not None else None, probe_side))


@main.command()
@models_option
@sets_option
@embed_options
@out_option("Folder of the contact sheets.")
@click.option("--count", type=click.IntRange(1, 100), default=12, show_default=True, help="Pairs of each kind.")
def errors(models: tuple[str, ...], sets: tuple[str, ...], setup: Setup, out: Path, count: int) -> None:
    """Draw the worst false accepts and false rejects of `.bin` sets."""
    from evaluate.error_sheets import draw_errors

    for line in draw_errors(setup.open(models), setup.sets(sets), out, count, setup.options):
        say(line)


@main.command()
@click.option("--gallery", type=click.Path(path_type=Path), required=True, help="Stored embeddings to look among.")
@click.option("--probes", type=click.Path(path_type=Path), required=True, help="Stored embeddings to look for.")
@click.option("-k", "k", type=click.IntRange(1), default=5, show_default=True, help="Neighbours of each probe.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all neighbours as CSV.")
@threshold_options
@click.option("--model", help="Whose embeddings they are, to judge by the threshold calibrated for it.")
@data_option
def search(
    gallery: Path,
    probes: Path,
    k: int,
    out: Path | None,
    given: float | None,
    far: float | None,
    model: str | None,
    root: Path,
) -> None:
    """Find the nearest gallery faces of probes by cosine."""
    from common.models import open_named
    from evaluate.search_stored import search_stored

    opened = open_named(model, root, "cpu", None) if model else None
    for line in search_stored(gallery, probes, k, out, given, opened, far):
        say(folded(line))


@main.command()
@click.option("--model", required=True, help="Weights, ONNX, a run's folder or a Hub repository.")
@click.option("--on", "pairs", required=True, metavar="[NAME=]PATH", help="A .bin of pairs, or a name such as lfw.")
@fars_option
@embed_options
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file to write; else WEIGHTS.thresholds.json beside them."
)
def calibrate(model: str, pairs: str, fars: tuple[float, ...], setup: Setup, out: Path | None) -> None:
    """Find a model's thresholds: the cosines above which two faces are one person's, and keep them beside it."""
    from evaluate.calibrate import calibrate_model

    ((name, path),) = setup.sets((pairs,)).items()
    for line in calibrate_model(setup.open_checkpoint(model), name, path, fars, out, setup.options):
        say(folded(line))


def show(table: RenderableType) -> None:
    """Print a table, the same on a terminal and in a pipe."""
    Console(width=WIDTH).print(table)


def show_report(done: "Evaluation", out: Path) -> None:
    """The tables, what was skipped, and where the rest is."""
    from evaluate.report import results_table

    show(results_table(done.results))
    show_skipped(done.skipped)
    say(f"report in {out}")


def show_skipped(skipped: Mapping[str, str]) -> None:
    """Say which sets were left out, and why."""
    for name, why in skipped.items():
        say(f"skipped {name}: {why}")


if __name__ == "__main__":
    main(prog_name="python -m evaluate")
