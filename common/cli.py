"""What the commands of all three stages share: error printing and the options every command takes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from common.config_file import load_config
from common.errors import UserError
from common.plan import Plan


class Refusal(click.ClickException):
    """How a `UserError` leaves the program: its line, and exit status 2."""

    exit_code = 2


class Commands(click.Group):
    """A click group that prints a `UserError` as one line, and its commands' help on lines wide enough to say it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": {"max_content_width": 120}, **kwargs})

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Refusal(str(error)) from error


def experiment_options(command: Callable) -> Callable:
    """--config, --data and --set: the command gets `config` (a Config) and `root` (the data root)."""

    def with_config(config: str, data: Path, overrides: tuple[str, ...], **rest: Any) -> Any:
        return command(config=load_config(config, overrides), root=data, **rest)

    with_config.__doc__, with_config.__name__ = command.__doc__, command.__name__
    with_config.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    options = [
        click.option("--config", default="configs/ms1mv2.toml", show_default=True, help="Experiment file."),
        click.option(
            "--data", type=click.Path(path_type=Path), default="data", show_default=True, help="Data root (DATA=)."
        ),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value of the file."),
    ]
    wrapped: Callable = with_config
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def machine_options(command: Callable) -> Callable:
    """--device and --threads."""
    command = click.option("--threads", type=click.IntRange(1), help="Threads of this process; else its share.")(
        command
    )
    return click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")(command)


def check_option(command: Callable) -> Callable:
    """--check: print the plan and do nothing."""
    return click.option("--check", is_flag=True, help="Check config against disk and print the plan; do nothing.")(
        command
    )


def show_plan(plan: Plan) -> None:
    """Print a plan; exit status 2 when something it needs is missing."""
    click.echo(plan.text())
    if plan.missing:
        raise SystemExit(2)
