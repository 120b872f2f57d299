"""Ablations from the command line.

python -m ablate plan     --config configs/ablations/lfw-heads.toml --data DATA
python -m ablate run      --config configs/ablations/lfw-heads.toml --data DATA --slots 2
python -m ablate commands --config configs/ablations/lfw-heads.toml --data DATA > jobs.txt
python -m ablate report   --config configs/ablations/lfw-heads.toml --data DATA
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.cli import Commands, data_option, machine_options, overrides_option, show_plan, stale_option
from common.output import say
from common.text import file_name

if TYPE_CHECKING:
    from ablate.page import Format

file_option = click.option("--config", "path", required=True, help="Ablation file, or an experiment file.")
ranks_option = click.option(
    "--ranks", type=click.IntRange(1), default=1, show_default=True, help="Ranks of each run: GPUs, or CPU processes."
)
slots_option = click.option(
    "--slots", type=click.IntRange(1), default=1, show_default=True, help="Runs at the same time."
)
build_option = click.option("--build", is_flag=True, help="Build the caches that are missing first.")


@click.group(cls=Commands, goes_on=("run",))
def main() -> None:
    """Train and compare many students of one cache."""


@main.command()
@file_option
@data_option
@overrides_option
@slots_option
@machine_options
@ranks_option
@build_option
def plan(
    path: str,
    root: Path,
    overrides: tuple[str, ...],
    slots: int,
    device: str,
    threads: int | None,
    ranks: int,
    build: bool,
) -> None:
    """Print every run with what it changes, the caches, steps, hours and disk; do nothing."""
    from ablate.machine import Machine
    from ablate.plan import plan_ablation

    show_plan(plan_ablation(path, root, overrides, Machine.of(device, threads, slots, ranks), build))


@main.command()
@file_option
@data_option
@overrides_option
@click.option("--only", metavar="RUN", help="One run, by the digest or folder that `commands` and `plan` say.")
@slots_option
@machine_options
@ranks_option
@build_option
@stale_option
def run(
    path: str,
    root: Path,
    overrides: tuple[str, ...],
    only: str | None,
    slots: int,
    device: str,
    threads: int | None,
    ranks: int,
    build: bool,
    stale: float,
) -> None:
    """Train and evaluate all runs, or go on; the same command on other machines of one file system shares them."""
    from ablate.machine import Machine
    from ablate.run import run_ablation

    machine = Machine.of(device, threads, slots, ranks)
    raise SystemExit(run_ablation(path, root, overrides, machine, only, build, stale))


@main.command()
@file_option
@data_option
@overrides_option
@ranks_option
def commands(path: str, root: Path, overrides: tuple[str, ...], ranks: int) -> None:
    """Print one command a run, for SLURM arrays or any other scheduler."""
    from ablate.commands import command_of
    from ablate.points import expand, read_ablation

    ablation = read_ablation(path, overrides)
    for planned in expand(ablation, ranks).runs:
        say(command_of(ablation, planned, root, overrides, ranks))


@main.command()
@file_option
@data_option
@overrides_option
@ranks_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the page and tables; else reports/NAME.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["html", "md", "csv", "tex", "record"]),
    default=["html"],
    show_default=True,
    help="A page; its tables for Markdown, spreadsheets, LaTeX (booktabs); a record of all there is to keep.",
)
def report(
    path: str, root: Path, overrides: tuple[str, ...], ranks: int, out: Path | None, formats: "tuple[Format, ...]"
) -> None:
    """Write what the finished runs say as one page, and tables."""
    from ablate.page import write_page
    from ablate.results import collect
    from ablate.statistics import verdicts

    study = collect(path, root, overrides, ranks)
    judged = [verdict for metric in study.metrics for verdict in verdicts(study, metric)]
    command = ["python", "-m", "ablate", "report", "--config", path, "--data", f"{root}"]
    command += [part for text in overrides for part in ("--set", text)] + (["--ranks", f"{ranks}"] if ranks > 1 else [])
    for written in write_page(
        study, judged, out or Path("reports") / file_name(study.name), formats, shlex.join(command)
    ):
        say(f"{written}")


if __name__ == "__main__":
    main(prog_name="python -m ablate")
