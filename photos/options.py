"""Options of every command that aligns, and what they come to."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from common.cli import data_option, machine_options
from common.config import Precision
from common.errors import ConfigError

if TYPE_CHECKING:
    from common.models import FaceModel
    from photos.aligner import Aligner
    from photos.detect import Found, Name

Command = Callable[..., Any]
_OPTIONS = (
    click.option(
        "--detector",
        type=click.Choice(["yunet", "mtcnn", "none"]),
        default="yunet",
        show_default=True,
        help="Who finds faces; none: --landmarks says where they are.",
    ),
    click.option("--landmarks", type=click.Path(path_type=Path), help="Given landmarks: .csv, .parquet, .txt or .lst."),
    click.option("--weights", type=click.Path(path_type=Path), help="The detector's own, instead of those published."),
    click.option(
        "--choose",
        type=click.Choice(["central", "all"]),
        default="central",
        show_default=True,
        help="Of several faces in a photo.",
    ),
    click.option("--min-face", type=click.IntRange(1), default=20, show_default=True, help="Smallest, in pixels."),
    click.option("--longest", type=click.IntRange(32), help="Photos are shrunk to it to be searched; 640 if not told."),
)


def aligner_options(command: Command) -> Command:
    """The command gets `root` and what `chosen_aligner` takes."""
    text = "Of a face, HEIGHTxWIDTH: 112x112 or 112x96."
    return detector_options(click.option("--size", default="112x112", show_default=True, help=text)(command))


def detector_options(command: Command) -> Command:
    """`aligner_options` for commands in which a model says the size."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return data_option(command)


def chosen_aligner(
    root: Path,
    detector: "Name | Literal['none']",
    landmarks: Path | None,
    weights: Path | None,
    size: str,
    choose: Any,
    min_face: int,
    longest: int | None,
    encoding: Any = "png",
) -> "tuple[Aligner, dict[str, Found] | None]":
    """The aligner that options ask for, and given landmarks by photo.

    Raises ConfigError for options without effect and unknown sizes, ModelError and DataError for weights and landmarks.
    """
    from common.files import sha256_of
    from photos.aligner import LONGEST, Aligner
    from photos.detect import find_detector, read_landmarks
    from photos.transform import SIZES

    sides = tuple(int(side) for side in size.split("x")) if re.fullmatch(r"\d{1,5}x\d{1,5}", size) else ()
    if len(sides) != 2 or sides not in SIZES:
        known = ", ".join(f"{height}x{width}" for height, width in SIZES)
        raise ConfigError(f"--size {size}: faces are aligned to HEIGHTxWIDTH {known}")
    if detector == "none":
        if landmarks is None:
            raise ConfigError("--detector none: --landmarks FILE says where the faces are")
        if weights is not None or longest is not None:
            option = "--weights" if weights is not None else "--longest"
            raise ConfigError(f"{option}: without effect with --detector none; leave it out")
        given = read_landmarks(landmarks)
        digest = sha256_of(landmarks)
        return Aligner(None, None, digest, sides, LONGEST, choose, min_face, encoding), given
    if landmarks is not None:
        raise ConfigError(f"--landmarks: without effect with --detector {detector}; say --detector none")
    found = find_detector(detector, root, weights)
    return Aligner(detector, found, None, sides, longest or LONGEST, choose, min_face, encoding), None


_MODEL = (
    click.option("--model", "model_name", required=True, help="Weights, ONNX, a run's folder or a Hub repository."),
    click.option("--flip/--no-flip", default=True, help="Add the mirror image's embedding (the default)."),
    click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", help="Of PyTorch weights."),
    click.option("--thresholds", type=click.Path(path_type=Path), help="Calibrated; else those beside the weights."),
    click.option("--aligned", is_flag=True, help="The pictures are aligned faces already: no detector is asked."),
)


def model_options(command: Command) -> Command:
    """Options of the commands in which a model sees photos: they get what `opened` takes."""
    for option in reversed(_MODEL):
        command = option(command)
    return machine_options(detector_options(command))


def opened(
    model_name: str,
    root: Path,
    device: str,
    threads: int | None,
    flip: bool,
    precision: Precision,
    thresholds: Path | None,
    aligned: bool,
    **aligner: Any,
) -> "tuple[FaceModel, bool, Path | None, tuple[Aligner, dict[str, Found] | None] | None]":
    """The model, whether mirror images are added, where its thresholds are said to be, and the aligner to the model's
    size with given landmarks; None for faces that are aligned already."""
    from common.models import open_named
    from common.runtime import choose_device, set_threads
    from photos.transform import SIZES

    model = open_named(model_name, root, str(choose_device(device)), set_threads(threads, 1), precision)
    if aligned:
        return model, flip, thresholds, None
    if model.size not in SIZES:
        raise ConfigError(
            f"{model_name}: takes faces of {model.size[0]}x{model.size[1]}, photos are aligned to "
            f"{', '.join(f'{height}x{width}' for height, width in SIZES)}: align them yourself and say --aligned"
        )
    size = f"{model.size[0]}x{model.size[1]}"
    return model, flip, thresholds, chosen_aligner(root=root, size=size, **aligner)
