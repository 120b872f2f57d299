"""Numbers between two log lines: means of what the steps gave, pace, and the guard against losses not finite."""

import time
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from common.errors import UserError
from common.runtime import mean_over_ranks
from distill.batches import Batch


class Window:
    """Collects steps without reading them back from the device until a line is due."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._began = time.perf_counter()
        self._waited = 0.0
        self._faces = 0
        self._steps: list[dict[str, Tensor]] = []
        self._samples: list[Tensor] = []

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
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

    def add(self, batch: Batch, scalars: dict[str, Tensor]) -> None:
        """Note one step's scalars."""
        self._steps.append(scalars)
        self._samples.append(batch.samples)
        self._faces += len(batch.samples)

    def close(self, last_step: int, ranks: int) -> tuple[dict[str, float], float]:
        """(means over the window and all ranks with pace, seconds of the window); the next window begins.

        last_step: number of the last step added. Raises UserError naming the step and its samples when a loss was not
        finite.
        """
        table = torch.stack([torch.stack([x.detach().float() for x in s.values()]) for s in self._steps])
        names = list(self._steps[0])
        self._refuse_non_finite(table[:, names.index("loss")].cpu(), last_step)
        means = dict(zip(names, mean_over_ranks(table.mean(0)).tolist(), strict=True))
        seconds = time.perf_counter() - self._began
        means |= {"faces_per_second": self._faces * ranks / seconds, "data_wait": self._waited / seconds}
        self._start()
        return means, seconds

    def _refuse_non_finite(self, losses: Tensor, last_step: int) -> None:
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            first = int(bad[0])
            step = last_step - len(losses) + 1 + first
            samples = self._samples[first].tolist()
            raise UserError(
                f"the loss of step {step} is {losses[first].item()}: lower train.lr, or use precision = 'float32'; the "
                f"last checkpoint is kept. Samples of the batch: {samples[:8]}{' ...' if len(samples) > 8 else ''}"
            )
