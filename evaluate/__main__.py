"""Evaluation from the command line.

python -m evaluate run --config configs/lfw.toml --data DATA
python -m evaluate run --config configs/lfw.toml --config configs/lfw-arcface.toml --data DATA --out reports/lfw
python -m evaluate measure --model student.safetensors --model teacher=r50.onnx --on lfw=lfw.bin --on IJBC/ --out report
python -m evaluate embed --model student.safetensors --on lfw=lfw.bin --out embeddings
python -m evaluate batch runs/ --on lfw=lfw.bin --out batch
python -m evaluate compare report-a report-b
python -m evaluate errors --model student.safetensors --on lfw=lfw.bin --out sheets
python -m evaluate search --gallery people.npz --probes new.npz --approximate hnsw --save people.index
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import click
from rich.console import Console, RenderableType

from common.cli import Commands, check_option, machine_options, show_plan
from common.config_file import load_config
from common.runtime import choose_device, set_threads
from evaluate.batch import evaluate_folder
from evaluate.compare import comparison_table, read_reports
from evaluate.embed import Embedder
from evaluate.errors import draw_errors
from evaluate.experiment import open_models, plan_evaluation, verification_sets
from evaluate.report import results_table
from evaluate.run import evaluate_models, store_embeddings
from evaluate.search_stored import search_stored
from evaluate.sources import named_sets, open_sources, open_weights


@click.group(cls=Commands)
def main() -> None:
    """Measure students and teachers."""


@main.command()
@click.option(
    "--config", "paths", multiple=True, default=["configs/ms1mv2.toml"], help="Experiment file; several make one table."
)
@click.option(
    "--data", "root", type=click.Path(path_type=Path), default="data", show_default=True, help="Data root (DATA=)."
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value of the files.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report; else runs/NAME/evaluation.")
@machine_options
@check_option
def run(
    paths: tuple[str, ...],
    root: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    device: str,
    threads: int | None,
    check: bool,
) -> None:
    """Verify the students and teachers of experiments on their sets: a table, JSON, CSV and ROC plots."""
    configs = [load_config(path, overrides) for path in paths]
    if check:
        return show_plan(plan_evaluation(configs, root))
    where, number = choose_device(device), set_threads(threads, 1)
    first = configs[0].evaluate
    models = open_models(configs, root, str(where), number)
    out = out or configs[0].run_dir / "evaluation"
    done = evaluate_models(models, verification_sets(configs, root), out, first.batch_size, first.flip)
    show(results_table(done.results))
    show_skipped(done.skipped)
    click.echo(f"report in {out}")


def source_options(command: Callable) -> Callable:
    """--model, --on, --data, --batch-size, --flip and the machine."""
    for option in (
        machine_options,
        click.option("--flip/--no-flip", default=True, show_default=True, help="Add the mirror image's embedding."),
        click.option("--batch-size", type=click.IntRange(1), default=128, show_default=True),
        click.option("--data", "root", type=click.Path(path_type=Path), default="data", show_default=True),
        click.option(
            "--on",
            "set_specs",
            multiple=True,
            required=True,
            metavar="[NAME=]PATH",
            help="A .bin, IJB or TinyFace set.",
        ),
    ):
        command = option(command)
    return command


def model_option(command: Callable) -> Callable:
    """--model, any number of them."""
    text = "Weights, ONNX, a run's folder, or stored embeddings."
    return click.option("--model", "specs", multiple=True, required=True, metavar="[NAME=]PATH", help=text)(command)


@main.command()
@model_option
@source_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the report.")
@click.option("--keep", type=click.Path(path_type=Path), help="Store the embeddings here, as MODEL/SET.npz.")
def measure(
    specs: tuple[str, ...],
    set_specs: tuple[str, ...],
    root: Path,
    batch_size: int,
    flip: bool,
    device: str,
    threads: int | None,
    out: Path,
    keep: Path | None,
) -> None:
    """Evaluate any models on any sets, without an experiment file."""
    where, number = choose_device(device), set_threads(threads, 1)
    models = open_sources(specs, root, str(where), number)
    done = evaluate_models(models, named_sets(set_specs, root), out, batch_size, flip, keep=keep)
    show(results_table(done.results))
    show_skipped(done.skipped)
    click.echo(f"report in {out}")


@main.command()
@model_option
@source_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for MODEL/SET.npz.")
def embed(
    specs: tuple[str, ...],
    set_specs: tuple[str, ...],
    root: Path,
    batch_size: int,
    flip: bool,
    device: str,
    threads: int | None,
    out: Path,
) -> None:
    """Store the embeddings of sets; `measure --model OUT/MODEL` evaluates them later, without the model."""
    where, number = choose_device(device), set_threads(threads, 1)
    models = open_sources(specs, root, str(where), number)
    skipped = store_embeddings(models, named_sets(set_specs, root), out, batch_size, flip)
    show_skipped(skipped)
    click.echo(f"embeddings in {out}")


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@source_options
@click.option("--suffix", default=".safetensors", show_default=True, help="Which files are checkpoints.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the CSVs.")
@click.option("--json", "as_json", is_flag=True, help="Write all.json too.")
def batch(
    folder: Path,
    set_specs: tuple[str, ...],
    root: Path,
    batch_size: int,
    flip: bool,
    device: str,
    threads: int | None,
    suffix: str,
    out: Path,
    as_json: bool,
) -> None:
    """Evaluate all checkpoints of a folder, skipping those already done: a CSV each, and all.csv."""
    where, number = choose_device(device), set_threads(threads, 1)
    sets = named_sets(set_specs, root)

    def open_one(path: Path) -> Embedder:
        return open_weights(str(path), root, str(where), number)

    written = evaluate_folder(folder, suffix, sets, out, open_one, batch_size, flip, as_json, click.echo)
    show_skipped({name: f"not found: {path}" for name, path in sets.items() if not path.exists()})
    click.echo(f"all of them in {written[-1]}")


@main.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path))
def compare(reports: tuple[Path, ...]) -> None:
    """Reports side by side, with differences to the first model."""
    show(comparison_table(read_reports(reports)))


@main.command()
@model_option
@source_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the contact sheets.")
@click.option("--count", type=click.IntRange(1, 100), default=12, show_default=True, help="Pairs of each kind.")
def errors(
    specs: tuple[str, ...],
    set_specs: tuple[str, ...],
    root: Path,
    batch_size: int,
    flip: bool,
    device: str,
    threads: int | None,
    out: Path,
    count: int,
) -> None:
    """Draw the worst false accepts and false rejects of `.bin` sets."""
    where, number = choose_device(device), set_threads(threads, 1)
    models = open_sources(specs, root, str(where), number)
    for line in draw_errors(models, named_sets(set_specs, root), out, count, batch_size, flip):
        click.echo(line)


@main.command()
@click.option(
    "--gallery", type=click.Path(path_type=Path), required=True, help="Embeddings (.npz), or a saved gallery."
)
@click.option("--probes", type=click.Path(path_type=Path), help="Embeddings (.npz) to look for.")
@click.option("-k", "k", type=click.IntRange(1), default=5, show_default=True, help="Neighbours of each probe.")
@click.option("--approximate", type=click.Choice(["ivf", "hnsw"]), help="An approximate index; its recall is measured.")
@click.option("--save", type=click.Path(path_type=Path), help="Save the gallery's index in this folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all neighbours as CSV.")
def search(
    gallery: Path, probes: Path | None, k: int, approximate: str | None, save: Path | None, out: Path | None
) -> None:
    """Find the nearest gallery faces of probes by cosine, exactly or approximately."""
    for line in search_stored(gallery, probes, k, approximate or "exact", save, out):
        click.echo(line)


def show(table: RenderableType) -> None:
    """Print a table, wide enough where there is no terminal to fit."""
    Console(width=None if Console().is_terminal else 140).print(table)


def show_skipped(skipped: Mapping[str, str]) -> None:
    """Say which sets were left out, and why."""
    for name, why in skipped.items():
        click.echo(f"skipped {name}: {why}")


if __name__ == "__main__":
    main(prog_name="python -m evaluate")
