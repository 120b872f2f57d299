"""Stage one from the command line.

python -m cache build --config configs/lfw.toml --data DATA
python -m cache info  --config configs/lfw.toml
"""

import os
import time
from pathlib import Path

import click

from cache.build import build as build_cache
from cache.info import describe_cache
from cache.plan import plan_build
from cache.teachers import describe_teacher, open_teacher
from common.cli import Commands, check_option, experiment_options, machine_options, show_plan
from common.config import Config
from common.errors import ConfigError
from common.model_check import check_teacher, labelled_sample, refuse_evidently_wrong
from common.models import open_model
from common.plan import open_faces
from common.runtime import choose_device, process_group, rank, set_threads, world_size


@click.group(cls=Commands)
def main() -> None:
    """Run the teacher once over every view of every face, and keep what it says."""


@main.command()
@experiment_options
@machine_options
@check_option
def build(config: Config, root: Path, device: str, threads: int | None, check: bool) -> None:
    """Build the teacher cache, or go on where an earlier build stopped."""
    if check:
        return show_plan(plan_build(config, root))
    began = time.perf_counter()
    where = choose_device(device)
    number = set_threads(threads, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    with process_group(where):
        source = open_faces(config, root)
        teacher = open_teacher(config, root, source, str(where), number)
        if rank() == 0:
            name = teacher.describe()["name"]
            click.echo(f"teacher {name} on {where}, {world_size()} rank(s), {number} threads, {len(source):,} faces")
        path = build_cache(config, source, teacher, number)
        if rank() == 0:
            click.echo(f"{describe_cache(path)}\ndone in {time.perf_counter() - began:,.0f} s")


@main.command("teacher-info")
@experiment_options
@machine_options
def teacher_info(config: Config, root: Path, device: str, threads: int | None) -> None:
    """Print the teacher that will be used, and how well it tells some of the training faces apart."""
    if config.teacher is None:
        raise ConfigError(f"{config.name} has no teacher")
    where, number = choose_device(device), set_threads(threads, 1)
    teacher = open_model(config.teacher, root, str(where), number)
    report = None
    if (root / config.faces.path).exists():
        report = check_teacher(teacher, *labelled_sample(open_faces(config, root)))
    click.echo(describe_teacher(teacher, report))
    if report is not None:
        refuse_evidently_wrong(report)


@main.command()
@experiment_options
def info(config: Config, root: Path) -> None:
    """Print what a cache holds and what it was made from."""
    click.echo(describe_cache(config.cache_dir))


if __name__ == "__main__":
    main(prog_name="python -m cache")
