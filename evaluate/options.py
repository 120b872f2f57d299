"""The options that the commands share, and the one object they become."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from common.cli import Command, data_option, machine_options
from common.config import MeasureConfig, Precision

if TYPE_CHECKING:
    from common.embeddings import Embedder
    from common.models import FaceModel
    from evaluate.stored import StoredEmbeddings


class Numbers(click.ParamType[Any]):
    """`1,5,20`: numbers in a range, in ascending order."""

    name = "numbers"

    def __init__(self, one: click.ParamType[Any]) -> None:
        self.one = one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """A tuple of distinct numbers."""
        return tuple(sorted({self.one.convert(part, param, ctx) for part in str(value).split(",")}))


@dataclass(frozen=True)
class Setup:
    """Where a command computes and its data lies, and how it was asked to measure."""

    root: Path
    device: str
    threads: int
    asked: dict[str, Any]  # fields of MeasureConfig that were given

    def over(self, section: MeasureConfig) -> MeasureConfig:
        """What was asked for, and where nothing was, what `section` says."""
        return MeasureConfig(**{name: getattr(section, name) for name in MeasureConfig.model_fields} | self.asked)

    @property
    def options(self) -> MeasureConfig:
        """How to measure where no experiment says anything."""
        return self.over(MeasureConfig())

    def open(self, specs: tuple[str, ...]) -> "dict[str, Embedder | StoredEmbeddings]":
        """The models of --model."""
        from evaluate.models import open_sources

        return open_sources(specs, self.root, self.device, self.threads, self.options)

    def open_checkpoint(self, path: str | Path) -> "FaceModel":
        """A weights file, a run or a repository as a model."""
        from evaluate.models import open_weights

        return open_weights(str(path), self.root, self.device, self.threads, self.options)

    def sets(self, specs: tuple[str, ...]) -> dict[str, Path]:
        """The sets of --on."""
        from evaluate.models import named_sets

        return named_sets(specs, self.root)


_EMBED = (
    click.option("--batch-size", type=click.IntRange(1), help="Faces a forward pass; mirror images come on top."),
    click.option("--flip/--no-flip", default=None, help="Add the mirror image's embedding (the default)."),
    click.option("--workers", type=click.IntRange(1), help="Threads that decode ahead of the model."),
    click.option("--precision", type=click.Choice(get_args(Precision)), help="Arithmetic of PyTorch weights."),
    click.option("--compile/--no-compile", "compile", default=None, help="Run PyTorch weights through torch.compile."),
)
_FARS = Numbers(click.FloatRange(0, 1, min_open=True, max_open=True))
_RATES = (
    click.option("--far", type=_FARS, metavar="X,X", help="FARs of TAR@FAR, such as 1e-4,1e-3."),
    click.option("--ranks", type=Numbers(click.IntRange(1)), metavar="K,K", help="Ranks of identification."),
)


def embed_options(command: Command) -> Command:
    """Where and how to embed: the command gets `setup`."""

    @wraps(command)
    def with_setup(root: Path, device: str, threads: int | None, **rest: Any) -> Any:
        from common.runtime import choose_device, set_threads

        given = {name: rest.pop(name) for name in MeasureConfig.model_fields if name in rest}
        asked = {name: value for name, value in given.items() if value is not None}
        setup = Setup(root, str(choose_device(device)), set_threads(threads, 1), asked)
        return command(setup=setup, **rest)

    return _with_options(with_setup, (*_EMBED, data_option, machine_options))


def measure_options(command: Command) -> Command:
    """Where and how to embed, and which rates to measure: the command gets `setup`."""
    return _with_options(embed_options(command), _RATES)


def fars_option(command: Command) -> Command:
    """--far, the FARs to calibrate at: `fars`."""
    text = "FARs of the thresholds, such as 1e-4,1e-3."
    one = click.option("--far", "fars", type=_FARS, default="1e-3,1e-2", show_default=True, metavar="X,X", help=text)
    return one(command)


def models_option(command: Command) -> Command:
    """--model, any number of them: `models`."""
    text = "Weights, ONNX, a run's folder, or stored embeddings."
    return click.option("--model", "models", multiple=True, required=True, metavar="[NAME=]PATH", help=text)(command)


def sets_option(command: Command) -> Command:
    """--on, any number of them: `sets`."""
    text = "A .bin, IJB or TinyFace set, or a name such as lfw or cfp_fp."
    return click.option("--on", "sets", multiple=True, required=True, metavar="[NAME=]PATH", help=text)(command)


def out_option(text: str) -> Callable[[Command], Command]:
    """--out, a folder."""
    return click.option("--out", type=click.Path(path_type=Path), required=True, help=text)


def _with_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
