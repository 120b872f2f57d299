"""The student measured in the middle of its training, by the ordinary evaluation and without a trace in the run."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from common.backbones import backbone_size
from common.config import Config
from common.embeddings import Embeddings, embed_with_norms
from common.errors import ConfigError
from common.models import UNIT_RGB, TorchNetwork, fit
from common.progress import progress
from common.runtime import barrier, gather_rows, rank, world_size
from distill.run import Best
from distill.step import Trainer
from distill.undisturbed import part_of_rank, undisturbed
from evaluate.sets import FaceSet, open_set


class StudentEvaluation:
    """The experiment's sets, and numbers of a student on them as `SET.METRIC`."""

    def __init__(self, config: Config, root: Path) -> None:
        """Opens the sets that exist.

        Raises ConfigError when there is none, or train.best_by is not one of their numbers.
        """
        paths = {name: root / path for name, path in config.evaluate.sets.items()}
        gone = [str(path) for path in paths.values() if not path.exists()]
        if len(gone) == len(paths):
            raise ConfigError(
                f"train.evaluate_every: none of the sets exists ({', '.join(gone)}). Set it to 0, or get them"
            )
        self.gone = gone
        self._config, self._paths = config, paths
        self._sets = {name: open_set(path, config.evaluate) for name, path in paths.items() if path.exists()}
        if config.train.best_by is not None and rank() == 0:
            self._check_best_by(config.train.best_by)

    def due(self, epoch: int) -> bool:
        """Whether the end of epoch number `epoch` (from 1) is one to evaluate at."""
        return epoch % self._config.train.evaluate_every == 0 or epoch == self._config.train.epochs

    def measure(self, trainer: Trainer) -> dict[str, float]:
        """Numbers of the student as it would be exported now; empty on all ranks but the first.

        Each rank embeds its part of every set.
        """
        numbers: dict[str, float] = {}
        with undisturbed(trainer.student):
            student = _FrozenStudent(self._config, trainer)
            for name, faces in self._sets.items():
                embedded = self._embed(student, name, faces)
                if rank() == 0:
                    result = faces.measure(embedded, self._config.evaluate.flip)
                    numbers |= dict(_rates(name, result.summary()))
        return numbers

    def better(self, numbers: Mapping[str, float], best: Best | None) -> float | None:
        """The value of train.best_by where it beats the best so far, or that was the best by another metric.

        Error rates (`eer`) are better when lower.
        """
        name = self._config.train.best_by
        if name is None:
            return None
        value, sign = numbers[name], -1 if name.endswith("eer") else 1
        beaten = best is None or best.metric != name or sign * value > sign * best.value
        return value if beaten else None

    def text(self, numbers: Mapping[str, float]) -> str:
        """What is said of a student's numbers."""
        return " ".join(f"{name} {numbers[name]:.4f}" for name in self.shown(numbers))

    def shown(self, numbers: Mapping[str, float]) -> list[str]:
        """The first number of every set, which is its protocol's own, and train.best_by."""
        first = [next(name for name in numbers if name.startswith(f"{set_name}.")) for set_name in self._sets]
        chosen = dict.fromkeys([*first, self._config.train.best_by])
        return [name for name in chosen if name is not None]

    def _embed(self, student: "_FrozenStudent", name: str, faces: FaceSet) -> Embeddings:
        options, total = self._config.evaluate, len(faces.pictures)
        parts = [part_of_rank(total, r, world_size()) for r in range(world_size())]
        pictures_of_rank = faces.pictures[parts[rank()]]
        width = self._config.student.embedding_size
        # Norms travel as a last column; ranks differ by one face at most, and collectives want equal shapes.
        table = torch.zeros(max(part.stop - part.start for part in parts), width + 1)
        if len(pictures_of_rank):
            with progress(f"evaluating on {name}", len(pictures_of_rank), quiet=rank() != 0) as advance:
                done = embed_with_norms(
                    student,
                    pictures_of_rank,
                    options.batch_size,
                    options.flip,
                    advance,
                    options.workers,
                    f"{self._paths[name]}: picture",
                )
            table[: len(pictures_of_rank)] = torch.from_numpy(np.column_stack([done.rows, done.norms]))
        barrier()  # the first rank may still be measuring the set before
        tables = gather_rows(table.to(student.device)).cpu().numpy().reshape(world_size(), len(table), width + 1)
        rows = np.concatenate([t[: part.stop - part.start] for t, part in zip(tables, parts, strict=True)])
        return Embeddings(np.ascontiguousarray(rows[:, :-1]), rows[:, -1].copy())

    def _check_best_by(self, best_by: str) -> None:
        """Measure noise: hours of training should not pass before a misspelt metric is noticed."""
        name = best_by.partition(".")[0]
        if name not in self._sets:
            raise ConfigError(f"train.best_by = {best_by!r}: {self._paths[name]} is not there")
        total, width = len(self._sets[name].pictures), self._config.student.embedding_size
        noise = np.random.default_rng(0).standard_normal((total, width)).astype(np.float32)
        result = self._sets[name].measure(Embeddings(noise, np.ones(total, np.float32)), self._config.evaluate.flip)
        known = dict(_rates(name, result.summary()))
        if best_by not in known:
            raise ConfigError(f"train.best_by = {best_by!r} is no number of that set: it has {', '.join(known)}")


class _FrozenStudent:
    """A copy of the student, with the first rank's BatchNorm statistics, for they are the ones exported."""

    def __init__(self, config: Config, trainer: Trainer) -> None:
        network = copy.deepcopy(trainer.exported())
        if world_size() > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, 0)
        assert UNIT_RGB.mean is not None
        assert UNIT_RGB.std is not None
        self.device, self._size = trainer.device, backbone_size(config.student.network)
        self._network = TorchNetwork(
            network,
            UNIT_RGB.mean,
            UNIT_RGB.std,
            config.evaluate.precision,
            str(trainer.device),
            config.train.channels_last,
        )

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """uint8 RGB (B,H,W,3) -> float32 (B,D)."""
        return self._network(fit(faces, self._size))


def _rates(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The floating-point numbers of a nested summary under dotted names; counts and lists are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _rates(f"{name}.{key}", inner)
    elif isinstance(value, float) and np.isfinite(value):
        yield name, value
