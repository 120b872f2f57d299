"""Commands on a finished cache; `python -m cache` offers them beside those that build one.

python -m cache audit  --config configs/lfw.toml --data DATA --out audits/lfw
python -m cache subset --config configs/lfw.toml --data DATA --sample 500 --out caches/lfw-500
python -m cache push   --config configs/lfw.toml owner/lfw-sface --faces-licence unknown
python -m cache pull   owner/lfw-sface --out caches/lfw
"""

from pathlib import Path

import click
import numpy as np

from cache.audit import audit_cache
from cache.format import describe_faces, refuse_difference
from cache.info import describe_cache
from cache.reader import TeacherCache
from cache.share import open_remote
from cache.share import pull as pull_cache
from cache.share import push as push_cache
from cache.subset import cut_out, named_people, sampled_people
from common.cli import check_option, experiment_options, show_plan
from common.config import Config
from common.errors import ConfigError, UserError
from common.output import say
from common.plan import Plan, open_faces, plan_faces


@click.command()
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
    out = out or Path("audits") / config.name
    if check:
        return show_plan(_plan_audit(config, root, out))
    cache = TeacherCache(config.cache_dir)
    click.echo(audit_cache(cache, open_faces(config, root), out, noise_below, duplicate_above, shown))
    click.echo(f"audit in {out}")


def _plan_audit(config: Config, root: Path, out: Path) -> Plan:
    """Faces and cache, and whether they belong together."""
    plan = Plan(f"audit of {config.cache_dir}: report in {out}")
    plan_faces(plan, config, root)
    try:
        cache = TeacherCache(config.cache_dir)
        plan.add("cache", f"{len(cache):,} faces of {cache.num_classes:,} people")
        if not plan.missing:
            faces = {"faces": describe_faces(open_faces(config, root))}
            refuse_difference(cache.path, cache.manifest, faces, ("faces",))
    except UserError as error:
        plan.missing.append(str(error))
    return plan


@click.command()
@experiment_options
@click.option("--people", type=click.Path(path_type=Path), help="File of names or numbers of people, one a line.")
@click.option("--first", type=click.IntRange(1), help="So many people, the first ones.")
@click.option("--sample", type=click.IntRange(1), help="So many people, drawn with --seed.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the new cache.")
def subset(
    config: Config, root: Path, people: Path | None, first: int | None, sample: int | None, seed: int, out: Path
) -> None:
    """Cut some people out of a cache into one of their own, which students can be trained from."""
    if sum(choice is not None for choice in (people, first, sample)) != 1:
        raise ConfigError("choose the people by one of --people, --first and --sample")
    cache, source = TeacherCache(config.cache_dir), open_faces(config, root)
    if people is not None:
        chosen = named_people(people, source.people)
    elif first is not None:
        chosen = np.arange(min(first, cache.num_classes))
    else:
        chosen = sampled_people(cache.num_classes, sample or 0, seed)
    made = cut_out(cache, source, chosen, out)
    click.echo(f"{out}: {len(made):,} faces of {made.num_classes:,} people. To train from it, in the experiment file:")
    click.echo(f'faces = {{ subset = "{out}" }}\ncache = {{ path = "{out}" }}')


@click.command()
@experiment_options
@click.argument("url")
@click.option("--faces-licence", required=True, help='Licence or terms of the faces, or "unknown".')
@click.option("--teacher-licence", help='Licence of the teacher\'s weights where it is not known here, or "unknown".')
@click.option("--public", is_flag=True, help="A repository that is made on the Hub is readable by all; else private.")
def push(config: Config, root: Path, url: str, faces_licence: str, teacher_licence: str | None, public: bool) -> None:
    """Send a sealed cache to URL: fsspec (file://, s3://, ...), or a dataset owner/name on the HuggingFace Hub."""
    number = push_cache(config.cache_dir, open_remote(url, public), faces_licence, teacher_licence)
    say(f"{config.cache_dir}: {number:,} files in {url}")


@click.command()
@click.argument("url")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder the cache appears as.")
def pull(url: str, out: Path) -> None:
    """Fetch a cache from URL (as push), verify every file of it, and give it its name."""
    say(describe_cache(pull_cache(open_remote(url), out)))


COMMANDS = (audit, subset, push, pull)
