"""Options of every command that aligns, and what they come to."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.cli import data_option
from common.errors import ConfigError

if TYPE_CHECKING:
    from photos.aligner import Aligner
    from photos.detect import Found

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
    click.option("--size", default="112x112", show_default=True, help="Of a face, HEIGHTxWIDTH: 112x112 or 112x96."),
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
    for option in reversed(_OPTIONS):
        command = option(command)
    return data_option(command)


def chosen_aligner(
    root: Path,
    detector: str,
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
            name = "--weights" if weights is not None else "--longest"
            raise ConfigError(f"{name}: without effect with --detector none; leave it out")
        given = read_landmarks(landmarks)
        digest = sha256_of(landmarks)
        return Aligner(None, None, digest, sides, LONGEST, choose, min_face, encoding), given
    if landmarks is not None:
        raise ConfigError(f"--landmarks: without effect with --detector {detector}; say --detector none")
    name: Any = detector
    found = find_detector(name, root, weights)
    return Aligner(name, found, None, sides, longest or LONGEST, choose, min_face, encoding), None
