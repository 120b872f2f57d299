"""Stage one from the command line.

python -m cache build --config configs/lfw.toml --data DATA
python -m common.processes 4 -m cache build --config configs/ms1mv2.toml
python -m cache build        --config configs/ms1mv2.toml --status
python -m cache cluster      --config configs/ms1mv2.toml --executor slurm --tasks 16 -o partition=gpu -o time=20:00:00
python -m cache info         --config configs/lfw.toml
python -m cache teacher-info --config configs/lfw.toml --data DATA
python -m cache verify       --config configs/lfw.toml --data DATA --replay 100
python -m cache repair       --config configs/lfw.toml --data DATA
python -m cache append       --config configs/more-views.toml --data DATA
python -m cache audit        --config configs/lfw.toml --data DATA --out audits/lfw
python -m cache subset       --config configs/lfw.toml --data DATA --sample 500 --out caches/lfw-500
python -m cache push         --config configs/lfw.toml owner/lfw-sface --faces-licence unknown
python -m cache pull         owner/lfw-sface --out caches/lfw
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.cli import Commands, check_option, experiment_options, machine_options, show_plan, stale_option
from common.config import Config
from common.errors import ConfigError
from common.output import say

if TYPE_CHECKING:
    from common.models import FaceModel


def _range_of_units(context: click.Context, option: click.Parameter, text: str | None) -> slice:
    """--units A:B as a slice of all units; either may be left out, as in Python. Raises ConfigError for other text."""
    if text is None:
        return slice(None)
    first, colon, last = text.partition(":")
    try:
        bounds = [int(number) if number else None for number in (first, last)]
    except ValueError:
        bounds = [-1]
    start, stop = bounds[0] or 0, bounds[-1]
    if not colon or start < 0 or (stop is not None and stop <= start):
        raise ConfigError(f"--units {text}: write A:B, two whole numbers with A below B, such as 0:40")
    return slice(*bounds)


@click.group(cls=Commands, goes_on=("build", "append", "repair"))
def main() -> None:
    """Run the teacher once over every view of every face, and keep what it says."""


@main.command()
@experiment_options
@machine_options
@check_option
@click.option("--status", is_flag=True, help="Print what is finished, who works on the rest and how fast; do nothing.")
@click.option("--units", metavar="A:B", callback=_range_of_units, help="Only units A to B - 1; else all that are free.")
@stale_option
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
    from cache.build import build as build_cache
    from cache.plan import plan_build
    from cache.units import describe_work

    if check:
        return show_plan(plan_build(config, root, device, threads))
    if status:
        return say(describe_work(config.cache_dir))
    _run(functools.partial(build_cache, part=units, stale=stale), config, root, device, threads)


@main.command()
@experiment_options
@machine_options
@click.option("--executor", type=click.Choice(["local", "slurm", "ray"]), default="local", show_default=True)
@click.option("--tasks", type=click.IntRange(1), default=1, show_default=True, help="Ranges the units are cut into.")
@click.option("-o", "options", multiple=True, metavar="NAME=VALUE", help="An argument of datatrove's executor.")
def cluster(config: Config, root: Path, **how: Any) -> None:
    """Build as tasks of a cluster's queue, by datatrove (docs/scale.md)."""
    from cache.cluster import submit

    say(f"logs in {submit(config, root, **how)}; `python -m cache build --status` says how far it is")


@main.command()
@experiment_options
@click.option("--threads", type=click.IntRange(1), help="Threads that share the shards; else one a core.")
def seal(config: Config, root: Path, threads: int | None) -> None:
    """Seal a cache whose units are all finished; the last process of a build does it by itself."""
    from cache.build import seal_once
    from cache.format import read_manifest
    from cache.info import describe_cache
    from common.runtime import set_threads
    from common.writers import at_work

    if read_manifest(config.cache_dir)["sealed"] is None:
        with at_work(config.cache_dir, "a build", shared=True) as claims:
            seal_once(config.cache_dir, claims, set_threads(threads, 1))
    say(describe_cache(config.cache_dir))


@main.command()
@experiment_options
@machine_options
def append(config: Config, root: Path, device: str, threads: int | None) -> None:
    """Add views to a cache: to one like the experiment's, but of fewer views. Nothing finished is computed again."""
    from cache.append import append as append_views

    _run(append_views, config, root, device, threads)


def _run(stage: Callable[..., Path], config: Config, root: Path, device: str, threads: int | None) -> None:
    from cache.info import describe_cache
    from cache.teachers import open_teacher
    from common.faces import open_faces
    from common.ranks import launched_rank, ranks_here
    from common.runtime import choose_device, set_threads

    where = choose_device(device)
    number = set_threads(threads, ranks_here())
    source = open_faces(config, root)
    teacher = open_teacher(config, root, source, str(where), number)
    began = time.perf_counter()
    if launched_rank() == 0:
        about = teacher.describe()
        say(f"teacher {about['name']} in {about['precision']} on {where}, {number} threads, {len(source):,} faces")
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
    from cache.teachers import as_cached
    from cache.verify import verify as verify_cache
    from common.models import open_model
    from common.runtime import choose_device, set_threads

    def teacher() -> "FaceModel":
        return open_model(as_cached(config), root, str(choose_device(device)), set_threads(threads, 1))

    verdict = verify_cache(config, root, pairs, teacher)
    say(verdict.text(config.cache_dir))
    if verdict.faults:
        raise SystemExit(1)


@main.command()
@experiment_options
@machine_options
def repair(config: Config, root: Path, device: str, threads: int | None) -> None:
    """Drop what is damaged in a cache and compute that again."""
    from cache.repair import repair as repair_cache

    _run(repair_cache, config, root, device, threads)


@main.command("teacher-info")
@experiment_options
@machine_options
def teacher_info(config: Config, root: Path, device: str, threads: int | None) -> None:
    """Print the teacher that will be used, and how well it tells some of the training faces apart."""
    from cache.teachers import as_cached, describe_teacher, open_settled
    from common.faces import open_faces
    from common.models import check_teacher, labelled_sample, open_model, refuse_evidently_wrong
    from common.runtime import choose_device, set_threads

    if config.teacher is None:
        raise ConfigError(f"{config.name} has no teacher")
    where, number = choose_device(device), set_threads(threads, 1)
    report = None
    if (root / config.faces.path).exists():
        source = open_faces(config, root)
        teacher = open_settled(config, root, source, str(where), number)
        report = check_teacher(teacher, *labelled_sample(source))
    else:
        teacher = open_model(as_cached(config), root, str(where), number)
    say(describe_teacher(teacher, report))
    if report is not None:
        refuse_evidently_wrong(report)


@main.command()
@experiment_options
def info(config: Config, root: Path) -> None:
    """Print what a cache holds and what it was made from."""
    from cache.info import describe_cache

    say(describe_cache(config.cache_dir))


@main.command()
@experiment_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of lists, plots and sheets; else audits/NAME.")
@click.option("--noise-below", type=float, help="Cosine with the own person; else what 0.1 % of strangers reach.")
@click.option("--duplicate-above", type=float, help="Cosine of two centres; else the median of `same person`.")
@click.option("--shown", type=click.IntRange(1), default=24, show_default=True, help="Faces and pairs on a sheet.")
@check_option
def audit(
    config: Config,
    root: Path,
    out: Path | None,
    noise_below: float | None,
    duplicate_above: float | None,
    shown: int,
    check: bool,
) -> None:
    """List faces that are probably someone else, and people who are probably one."""
    from cache.audit import audit_cache, plan_audit
    from cache.reader import TeacherCache
    from common.faces import open_faces

    out = out or Path("audits") / config.name
    if check:
        return show_plan(plan_audit(config, root, out))
    cache = TeacherCache(config.cache_dir)
    say(audit_cache(cache, open_faces(config, root), out, noise_below, duplicate_above, shown))
    say(f"audit in {out}")


@main.command()
@experiment_options
@click.option("--people", type=click.Path(path_type=Path), help="File of names or numbers of people, one a line.")
@click.option("--first", type=click.IntRange(1), help="So many people, the first ones.")
@click.option("--sample", type=click.IntRange(1), help="So many people, drawn with --seed.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--at-least", type=click.IntRange(1), help="Everybody with so many faces.")
@click.option("--rest-of", type=click.Path(path_type=Path), help="Everybody who is not in this subset.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new cache.")
def subset(config: Config, root: Path, out: Path, **choice: Any) -> None:
    """Cut some people out of a cache into one of their own, which students can be trained from."""
    from cache.people import chosen_people
    from cache.reader import TeacherCache
    from cache.subset import cut_out
    from common.faces import open_faces

    source = open_faces(config, root)
    cache = TeacherCache(config.cache_dir)
    made = cut_out(cache, source, chosen_people(source, cache.counts, **choice), out)
    say(f"{out}: {len(made):,} faces of {made.num_classes:,} people. To train from it, in the experiment file:")
    say(f'faces = {{ subset = "{out}" }}\ncache = {{ path = "{out}" }}')


@main.command()
@experiment_options
@click.argument("url")
@click.option("--faces-licence", required=True, help='Licence or terms of the faces, or "unknown".')
@click.option("--teacher-licence", help='Licence of the teacher\'s weights where it is not known here, or "unknown".')
@click.option("--public", is_flag=True, help="A repository that is made on the Hub is readable by all; else private.")
def push(config: Config, root: Path, url: str, faces_licence: str, teacher_licence: str | None, public: bool) -> None:
    """Send a sealed cache to URL: fsspec (file://, s3://, ...), or a dataset owner/name on the HuggingFace Hub."""
    from cache.share import open_remote
    from cache.share import push as push_cache

    number = push_cache(config.cache_dir, open_remote(url, public), faces_licence, teacher_licence)
    say(f"{config.cache_dir}: {number:,} files in {url}")


@main.command()
@click.argument("url")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder the cache appears as.")
def pull(url: str, out: Path) -> None:
    """Fetch a cache from URL (as push), verify every file of it, and give it its name."""
    from cache.info import describe_cache
    from cache.share import open_remote
    from cache.share import pull as pull_cache

    say(describe_cache(pull_cache(open_remote(url), out)))


if __name__ == "__main__":
    main(prog_name="python -m cache")
