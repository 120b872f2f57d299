"""The steps between two log lines, noted without waiting for any of them."""

import time
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from common.runtime import gather_rows, mean_over_ranks
from distill.batches import TrainingBatch
from distill.run.report import Report


class Window:
    """Collects steps without reading them back from the device until a line is due.

    Runs save themselves only where a window ends, so it is always empty in a checkpoint.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._waited = 0.0
        self._names: list[str] = []
        self._steps: list[Tensor] = []
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
        """Note one step's scalars: a copy, since a captured step writes over its own."""
        self._names = list(scalars)
        self._steps.append(torch.stack([x.detach().float() for x in scalars.values()]))
        self._batches.append(torch.stack([batch.samples, batch.views], 1))

    def close(self, last_step: int, largest_weight: Tensor, ranks: int) -> Report:
        """Ask for the window's numbers, on all ranks; the next window begins.

        last_step: number of the last step added. largest_weight: () after it.
        """
        table = torch.stack(self._steps)
        pace = torch.tensor([time.perf_counter() - self._began, self._waited], dtype=torch.float64)
        means = torch.cat([table.mean(0).double(), pace.to(table.device, non_blocking=True)])
        faces = sum(len(batch) for batch in self._batches) * ranks
        of_ranks = gather_rows(table[None])
        report = Report(last_step, self._names, mean_over_ranks(means), of_ranks, largest_weight, self._batches, faces)
        self._start()
        return report
