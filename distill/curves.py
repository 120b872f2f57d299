"""A run's curves: one JSON object a line, and the same numbers for TensorBoard."""

import json
import math
import os
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from common.files import replacing


class Curves:
    """Numbers by step in `metrics.jsonl` and in TensorBoard's event files of a run folder."""

    def __init__(self, run_dir: Path, step: int) -> None:
        """step: where the run goes on; anything written after it belongs to work that is done again and goes."""
        self._path = run_dir / "metrics.jsonl"
        if self._path.exists():
            kept = [line for line in self._path.read_text().splitlines() if _step_of(line) <= step]
            with replacing(self._path) as temporary:
                temporary.write_text("".join(line + "\n" for line in kept))
        self._file = open(self._path, "a", buffering=1)  # noqa: SIM115 - lives as long as the run
        self._board = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Keep the numbers of a step; one that is not finite, which JSON does not have, becomes null."""
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)

    def sync(self) -> None:
        """Wait until all lines are on the disk: a checkpoint counts on those before it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        self._board.close()


def _step_of(line: str) -> float:
    """A last line cut by a kill counts as never written."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):
        return float("inf")
