"""Evaluation from the command line.

python -m evaluate run --config configs/lfw.toml --data DATA
python -m evaluate run --config configs/lfw.toml --config configs/lfw-arcface.toml --data DATA --out reports/lfw
"""

from pathlib import Path

import click
from rich.console import Console

from common.cli import Commands, check_option, machine_options, show_plan
from common.config_file import load_config
from common.runtime import choose_device, set_threads
from evaluate.experiment import open_models, plan_evaluation, verification_sets
from evaluate.report import results_table
from evaluate.run import evaluate_models


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
    console = Console(width=None if Console().is_terminal else 140)
    console.print(results_table(done.results))
    for name, why in done.skipped.items():
        console.print(f"skipped {name}: {why}")
    console.print(f"report in {out}", highlight=False)


if __name__ == "__main__":
    main(prog_name="python -m evaluate")
