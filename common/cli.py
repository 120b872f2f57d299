"""What the commands of all three stages share: how they end, what they print, and the options every command takes.

Nothing here, nor at the head of a `__main__.py`, imports what computes: a command imports that when it runs, so that
`--help` and a misspelt option answer at once.
"""

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.allocator import keep_freed_memory
from common.config import load_config
from common.errors import ConfigError
from common.failures import INTERRUPTED, first_to_fail, line_of
from common.output import outlive_readers, say
from common.ranks import leaving_at_once
from common.text import printable
from common.writers import STALE_SECONDS

if TYPE_CHECKING:
    from common.plan import Plan

_CONFIG = "configs/ms1mv2.toml"


class Refusal(click.ClickException):
    """How an error that the user can mend leaves the program: its line, and exit status 2."""

    exit_code = 2


class Commands(click.Group):
    """A click group that prints what the user can mend as one line, and its commands' help on lines wide enough.

    Of several ranks the first that fails speaks; the others end in silence.
    """

    def __init__(self, *args: Any, goes_on: tuple[str, ...] = (), **kwargs: Any) -> None:
        """goes_on: the commands that, started again, go on where they were stopped."""
        super().__init__(*args, **{"context_settings": {"max_content_width": 120}, **kwargs})
        self.goes_on = goes_on

    def main(self, *args: Any, **kwargs: Any) -> Any:
        outlive_readers()
        keep_freed_memory()
        with leaving_at_once():
            try:
                return super().main(*args, **kwargs)
            except OSError as error:  # of the streams themselves, as when help is written to a full disk
                click.echo(f"Error: {printable(line_of(error) or '')}", err=True)
                raise SystemExit(Refusal.exit_code) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()  # a full disk behind it is an error of this command, not of the interpreter
            return result
        except KeyboardInterrupt:
            _say_stopped(str(ctx.invoked_subcommand) in self.goes_on)
            raise SystemExit(INTERRUPTED) from None
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if not first_to_fail(error):
                raise SystemExit(Refusal.exit_code) from None
            if isinstance(error, click.ClickException):
                error.message = printable(error.message)  # type: ignore[misc]
                raise
            line = line_of(error)
            if line is None:
                raise
            raise Refusal(printable(line)) from error


def _say_stopped(goes_on: bool) -> None:
    """One line by the first rank; a second Ctrl-C, the terminal's or the launcher's, changes nothing any more."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.environ.get("RANK", "0") == "0":
        what = "the same command goes on from here" if goes_on else "the same command starts again"
        click.echo(f"\nstopped: {what}", err=True)


Command = Callable[..., Any]


def experiment_options(command: Command) -> Command:
    """--config, --data, --set and --sets: the command gets `config` (a Config) and `root` (the data root)."""

    def with_config(config: str, overrides: tuple[str, ...], **rest: Any) -> Any:
        return command(config=load_config(config, overrides), **rest)

    with_config.__doc__, with_config.__name__ = command.__doc__, command.__name__
    with_config.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    one = click.option("--config", default=_CONFIG, show_default=True, help="Experiment file.")
    return one(data_option(overrides_option(with_config)))


def experiments_options(command: Command) -> Command:
    """--config any number of times, --set and --sets: the command gets `configs`, a list of Config."""

    def with_configs(paths: tuple[str, ...], overrides: tuple[str, ...], **rest: Any) -> Any:
        return command(configs=[load_config(path, overrides) for path in paths], **rest)

    with_configs.__doc__, with_configs.__name__ = command.__doc__, command.__name__
    with_configs.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    text = "Experiment file; several make one table."
    several = click.option("--config", "paths", multiple=True, default=[_CONFIG], show_default=True, help=text)
    return several(overrides_option(with_configs))


def data_option(command: Command) -> Command:
    """--data: the command gets `root`."""
    text = "Data root (DATA=)."
    return click.option(
        "--data", "root", type=click.Path(path_type=Path), default="data", show_default=True, help=text
    )(command)


def overrides_option(command: Command) -> Command:
    """--set and --sets: the command gets `overrides`, a tuple of KEY=VALUE."""

    def with_overrides(overrides: tuple[str, ...], words: str, **rest: Any) -> Any:
        return command(overrides=(*overrides, *_words(words)), **rest)

    with_overrides.__doc__, with_overrides.__name__ = command.__doc__, command.__name__
    with_overrides.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    several = click.option("--sets", "words", default="", help="Several of them in one text, quoted as in a shell.")
    one = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value of the file.")
    return one(several(with_overrides))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--sets {text}: {error}: write a.b=1 c.d='two words'") from None


stale_option = click.option(
    "--stale",
    type=click.FloatRange(1),
    default=STALE_SECONDS,
    show_default=True,
    help="Seconds without a sign of life after which a process on another machine is taken for dead.",
)


def machine_options(command: Command) -> Command:
    """--device and --threads."""
    command = click.option("--threads", type=click.IntRange(1), help="Threads of this process; else its share.")(
        command
    )
    return click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")(command)


def threshold_options(command: Command) -> Command:
    """--threshold and --far: the command gets `given` and `far`, either or both None."""
    far = click.FloatRange(0, 1, min_open=True, max_open=True)
    command = click.option("--far", type=far, help="Judge by the model's threshold at this FAR; else at its lowest.")(
        command
    )
    text = "Judge by this cosine instead of the model's calibrated one."
    return click.option("--threshold", "given", type=click.FloatRange(-1, 1), help=text)(command)


def check_option(command: Command) -> Command:
    """--check: print the plan and do nothing."""
    return click.option("--check", is_flag=True, help="Check config against disk and print the plan; do nothing.")(
        command
    )


def show_plan(plan: "Plan") -> None:
    """Print a plan, once for all ranks; exit status 2 when something it needs is missing."""
    if os.environ.get("RANK", "0") == "0":
        say(plan.text())
    if plan.missing:
        raise SystemExit(2)
