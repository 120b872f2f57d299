"""Stage one from the command line.

python -m cache build --config configs/lfw.toml --data DATA
python -m common.processes 4 -m cache build --config configs/ms1mv2.toml
python -m cache build        --config configs/ms1mv2.toml --status
python -m cache info         --config configs/lfw.toml
python -m cache teacher-info --config configs/lfw.toml --data DATA
python -m cache verify       --config configs/lfw.toml --data DATA --replay 100
python -m cache repair       --config configs/lfw.toml --data DATA
python -m cache append       --config configs/more-views.toml --data DATA
python -m cache audit        --config configs/lfw.toml --data DATA --out audits/lfw
"""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

import click

from cache.append import append as append_views
from cache.build import build as build_cache
from cache.build import seal_once
from cache.finished import COMMANDS
from cache.info import describe_cache
from cache.plan import plan_build
from cache.reader import TeacherCache
from cache.repair import repair as repair_cache
from cache.status import describe_work, range_of_units
from cache.teachers import describe_teacher, open_teacher
from cache.verify import check_faces, check_store, replay
from common.claims import STALE_SECONDS, at_work
from common.cli import Commands, check_option, experiment_options, machine_options, show_plan
from common.config import Config
from common.errors import ConfigError
from common.faces import FaceSource
from common.models import check_teacher, labelled_sample, open_model, refuse_evidently_wrong
from common.output import say
from common.plan import open_faces
from common.runtime import choose_device, launched_rank, set_threads


@click.group(cls=Commands)
def main() -> None:
    """Run the teacher once over every view of every face, and keep what it says."""


@main.command()
@experiment_options
@machine_options
@check_option
@click.option("--status", is_flag=True, help="Print what is finished, who works on the rest and how fast; do nothing.")
@click.option("--units", metavar="A:B", callback=range_of_units, help="Only units A to B - 1; else all that are free.")
@click.option(
    "--stale",
    type=click.FloatRange(1),
    default=STALE_SECONDS,
    show_default=True,
    help="Seconds without a sign of life after which a process on another machine is taken for dead.",
)
def build(
    config: Config,
    root: Path,
    device: str,
    threads: int | None,
    check: bool,
    status: bool,
    units: slice,
    stale: float,
) -> None:
    """Build the teacher cache, or go on where an earlier build stopped; others may do the same at the same time."""
    if check:
        return show_plan(plan_build(config, root))
    if status:
        return say(describe_work(config.cache_dir))
    _run(functools.partial(build_cache, part=units, stale=stale), config, root, device, threads)


@main.command()
@experiment_options
def seal(config: Config, root: Path) -> None:
    """Seal a cache whose units are all finished; the last process of a build does it by itself."""
    with at_work(config.cache_dir, "a build", shared=True) as claims:
        seal_once(config.cache_dir, claims)
    say(describe_cache(config.cache_dir))


@main.command()
@experiment_options
@machine_options
def append(config: Config, root: Path, device: str, threads: int | None) -> None:
    """Add views to a cache: to one like the experiment's, but of fewer views. Nothing finished is computed again."""
    _run(append_views, config, root, device, threads)


def _run(stage: Callable[..., Path], config: Config, root: Path, device: str, threads: int | None) -> None:
    where = choose_device(device)
    number = set_threads(threads, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    source = open_faces(config, root)
    teacher = open_teacher(config, root, source, str(where), number)
    began = time.perf_counter()
    if launched_rank() == 0:
        say(f"teacher {teacher.describe()['name']} on {where}, {number} threads, {len(source):,} faces")
    stage(config, source, teacher, number)
    if launched_rank() == 0:
        say(f"{describe_cache(config.cache_dir)}\ndone in {time.perf_counter() - began:,.0f} s")


@main.command()
@experiment_options
@machine_options
@click.option("--replay", "pairs", type=click.IntRange(0), default=0, help="Render and embed so many faces again.")
def verify(config: Config, root: Path, device: str, threads: int | None, pairs: int) -> None:
    """Re-hash every file of a cache and compare its labels with the faces; with --replay, ask views and teacher again.

    Exit status 1 on any fault.
    """
    faults = check_store(config.cache_dir)
    if not faults and (pairs or (root / config.faces.path).exists()):
        cache, source = TeacherCache(config.cache_dir), open_faces(config, root)
        faults = check_faces(cache, source)
        if pairs:
            faults += _replay(cache, source, config, root, device, threads, pairs)
    elif not faults:
        say(f"{root / config.faces.path}: no faces there, so labels are not compared")
    for fault in faults:
        say(f"FAULT: {fault}")
    if faults:
        raise SystemExit(1)
    say(f"{config.cache_dir}: as it was written")


def _replay(
    cache: TeacherCache,
    source: FaceSource,
    config: Config,
    root: Path,
    device: str,
    threads: int | None,
    pairs: int,
) -> list[str]:
    if config.teacher is None:
        raise ConfigError(f"{config.name} has no teacher to ask again: leave out --replay, or add teacher")
    teacher = open_model(config.teacher, root, str(choose_device(device)), set_threads(threads, 1))
    again = replay(cache, source, teacher, pairs)
    if len(again.cosine):
        say(f"replayed {pairs} faces, least cosine with the cache {again.cosine.min():.6f}")
    return again.faults()


@main.command()
@experiment_options
@machine_options
def repair(config: Config, root: Path, device: str, threads: int | None) -> None:
    """Drop what is damaged in a cache and compute that again."""
    _run(repair_cache, config, root, device, threads)


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
    say(describe_teacher(teacher, report))
    if report is not None:
        refuse_evidently_wrong(report)


@main.command()
@experiment_options
def info(config: Config, root: Path) -> None:
    """Print what a cache holds and what it was made from."""
    say(describe_cache(config.cache_dir))


for command in COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="python -m cache")
