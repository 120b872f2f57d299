"""Stage two from the command line.

python -m distill train --config configs/lfw.toml --data DATA
torchrun --standalone --nproc_per_node=2 -m distill train --config configs/lfw.toml --data DATA --device cpu
"""

from pathlib import Path

import click

from common.cli import Commands, check_option, experiment_options, machine_options, show_plan
from common.config import Config


@click.group(cls=Commands, goes_on=("train",))
def main() -> None:
    """Train students from a teacher cache."""


@main.command()
@experiment_options
@machine_options
@check_option
def train(config: Config, root: Path, device: str, threads: int | None, check: bool) -> None:
    """Train the student of an experiment, or go on after its last checkpoint."""
    from common.ranks import launched_ranks, ranks_here
    from common.runtime import choose_device, process_group, set_threads
    from distill.plan import plan_training
    from distill.train import train as train_student

    if check:
        set_threads(threads, ranks_here())
        return show_plan(plan_training(config, root, device, launched_ranks()))
    where = choose_device(device)
    number = set_threads(threads, ranks_here())
    with process_group(where):
        train_student(config, root, where, number)


if __name__ == "__main__":
    main(prog_name="python -m distill")
