"""Commands on a finished cache; `python -m cache` offers them beside those that build one.

python -m cache audit --config configs/lfw.toml --data DATA --out audits/lfw
"""

from pathlib import Path

import click

from cache.audit_report import audit_cache
from cache.reader import TeacherCache
from common.cli import experiment_options
from common.config import Config
from common.plan import open_faces


@click.command()
@experiment_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of lists, plots and sheets.")
@click.option("--noise-below", type=float, help="Cosine with the own person; else what 0.1 % of strangers reach.")
@click.option("--duplicate-above", type=float, help="Cosine of two centres; else the median of `same person`.")
@click.option("--shown", type=click.IntRange(1), default=24, show_default=True, help="Faces and pairs on a sheet.")
def audit(
    config: Config, root: Path, out: Path, noise_below: float | None, duplicate_above: float | None, shown: int
) -> None:
    """List faces that are probably someone else, and people who are probably one."""
    cache = TeacherCache(config.cache_dir)
    click.echo(audit_cache(cache, open_faces(config, root), out, noise_below, duplicate_above, shown))
    click.echo(f"audit in {out}")


COMMANDS = (audit,)
