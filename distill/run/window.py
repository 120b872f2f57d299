"""Numbers between two log lines: means of what the steps gave, pace, and whether all of them were finite."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from common.runtime import gather_rows, mean_over_ranks
from distill.batches import TrainingBatch


class BadStep(NamedTuple):
    """The first step of a window with a number that is not finite, and its global batch."""

    step: int
    name: str
    value: float
    samples: list[int]
    views: list[int]


class Window:
    """Collects steps without reading them back from the device until a line is due.

    Runs save themselves only where a window ends, so it is always empty in a checkpoint.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._waited = 0.0
        self._steps: list[dict[str, Tensor]] = []
        self._batches: list[Tensor] = []

    def __len__(self) -> int:
        """Steps since the last line."""
        return len(self._steps)

    def timed(self, batches: Iterable[TrainingBatch]) -> Iterator[TrainingBatch]:
        """The batches, noting how long each was waited for."""
        iterator = iter(batches)
        while True:
            asked = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - asked
            yield batch

    def add(self, batch: TrainingBatch, scalars: dict[str, Tensor]) -> None:
        """Note one step's scalars."""
        self._steps.append({name: x.detach().float() for name, x in scalars.items()})
        self._batches.append(torch.stack([batch.samples, batch.views], 1))

    def not_finite(self, last_step: int, names: tuple[str, ...]) -> BadStep | None:
        """The first step where one of these numbers is not finite on any rank; the same answer on all ranks.

        last_step: number of the last step added.
        """
        table = torch.stack([torch.stack([step[name] for name in names]) for step in self._steps])
        of_ranks = gather_rows(table[None]).cpu()  # (ranks, steps, names)
        bad = (~torch.isfinite(of_ranks)).any(0).nonzero()
        if not len(bad):
            return None
        at, column = bad[0].tolist()
        values = of_ranks[:, at, column]
        worst = float(values[~torch.isfinite(values)][0])
        return self.bad_step(last_step - len(self._steps) + 1 + at, last_step, names[column], worst)

    def bad_step(self, step: int, last_step: int, name: str, value: float) -> BadStep:
        """A step of this window with its global batch; to be asked for on all ranks."""
        samples_and_views = self._batches[step - last_step - 1].to(self._steps[0]["loss"].device)
        return BadStep(step, name, value, *gather_rows(samples_and_views).T.tolist())

    def close(self, ranks: int) -> tuple[dict[str, float], float]:
        """(means over the window and all ranks with pace, seconds of the window); the next window begins."""
        names = list(self._steps[0])
        means = torch.stack([torch.stack([*step.values()]) for step in self._steps]).mean(0).double().cpu()
        pace = torch.tensor([time.perf_counter() - self._began, self._waited], dtype=torch.float64)
        device = self._steps[0][names[0]].device
        *values, seconds, waited = mean_over_ranks(torch.cat([means, pace]).to(device)).tolist()
        faces = sum(len(batch) for batch in self._batches) * ranks
        self._start()
        numbers = dict(zip(names, values, strict=True))
        return numbers | {"faces_per_second": faces / seconds, "data_wait": waited / seconds}, seconds
