"""The demo from the command line.

python -m demo run --seeds 1
python -m demo make-data data/demo/seed0
python -m demo train-teacher
"""

from pathlib import Path

import click

from common.cli import Commands


@click.group(cls=Commands)
def main() -> None:
    """Procedural faces instead of real ones."""


@main.command()
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many times, with other people."
)
def run(seeds: int) -> None:
    """Make faces, cache the teacher, train with and without it, and compare."""
    from demo.run import run_demo

    run_demo(seeds)


@main.command("make-data")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which people.")
def make_data_command(folder: Path, seed: int) -> None:
    """Write procedural faces in the true formats: train.rec, train.idx, property, unseen.bin."""
    from demo.dataset import make_data

    make_data(folder, seed)


@main.command("train-teacher")
@click.option(
    "--work", type=click.Path(path_type=Path), default="data/demo/teacher", show_default=True, help="Its faces."
)
def train_teacher_command(work: Path) -> None:
    """Train demo/teacher.safetensors anew (about half an hour on two cores)."""
    from demo.teacher import train_teacher

    train_teacher(work)


if __name__ == "__main__":
    main(prog_name="python -m demo")
