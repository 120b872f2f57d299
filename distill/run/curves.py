"""A run's curves: one JSON object a line, and the same numbers for TensorBoard and an experiment tracker."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from common.config import Config
from common.documents import read_regular
from common.errors import DataError, UserError
from common.files import replacing, sync
from distill.run.board import Board, charted, tag_of
from distill.run.console import say
from distill.run.tracker import Tracker

_LINE = TypeAdapter(dict[str, float | None])
_REMEDY = "move it away: the run goes on without its earlier curves"


class Curves:
    """Numbers by step in `metrics.jsonl` and in TensorBoard's event files of a run folder."""

    def __init__(self, run_dir: Path, epoch: float, step: int) -> None:
        """epoch, step: where the run goes on; anything written after it belongs to work that is done again and goes.

        A line's place is its `epoch`, since steps are numbered anew when the global batch changes. Raises DataError
        for curves that cannot be read, UserError where they cannot be written.
        """
        self._path = run_dir / "metrics.jsonl"
        with self._writing():
            if self._path.exists():
                kept = _lines_until(self._path, epoch)
                with replacing(self._path) as temporary:
                    temporary.write_bytes(b"".join(line + b"\n" for line in kept))
            self._file = open(self._path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - lives as long as the run
            sync(run_dir)
            self._board = Board(run_dir, step)
        self._always: str | None = None
        self._step = step
        self._tracker: Tracker | None = None

    def describe(self, config: Config) -> None:
        """The configuration for TensorBoard and the tracker; a chart of `train.best_by` is always there."""
        self._always = config.train.best_by
        self._tracker = Tracker(config, self._step)
        with self._writing():
            self._board.describe(config)

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Keep the numbers of a step, `epoch` among them; one that is not finite, which JSON does not have, becomes
        null."""
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        with self._writing():
            self._file.write(json.dumps({"step": step, **finite}) + "\n")
            self._board.add(step, numbers, self._always)
        if self._tracker is not None:
            self._tracker.add(step, {tag_of(name): numbers[name] for name in charted(numbers, self._always)})

    def news(self) -> list[str]:
        """What a tracker could not do since this was last asked, a line each."""
        return [] if self._tracker is None else self._tracker.news()

    def sync(self) -> None:
        """Wait until all lines are on the disk: a checkpoint counts on those before it."""
        with self._writing():
            os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """All lines are on the disk when the run ended well."""
        with suppress(OSError) if kind else self._writing():
            if kind is None:
                os.fsync(self._file.fileno())
            self._file.close()
            self._board.close()
        for line in [] if self._tracker is None else self._tracker.close():
            say(line)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._path}: the curves cannot be written ({error.strerror or error}): see to the folder and its "
                "disk, and run the same command again"
            ) from error


def _lines_until(path: Path, epoch: float) -> list[bytes]:
    """Lines up to that place of a run. What a kill or a power cut left behind the last of them may be anything."""
    lines = read_regular(path, DataError, _REMEDY).splitlines()
    places = [_epoch_of(line) for line in lines]
    kept = [number for number, place in enumerate(places) if place is not None and place <= epoch]
    damaged = [number for number, place in enumerate(places[: max(kept, default=0)]) if place is None]
    if damaged:
        raise DataError(f"{path}: line {damaged[0] + 1} is damaged: {_REMEDY}")
    return [lines[number] for number in kept]


def _epoch_of(line: bytes) -> float | None:
    """None for a line that is none of ours."""
    try:
        numbers = _LINE.validate_json(line, strict=True)
    except (ValidationError, RecursionError):
        return None
    return numbers.get("epoch") if numbers.get("step") is not None else None
