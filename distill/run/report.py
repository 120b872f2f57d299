"""The numbers of a window on their way to the host, and whether all of them were finite."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from common.runtime import gather_rows


class BadStep(NamedTuple):
    """The first step of a window with a number that is not finite, and its global batch."""

    step: int
    name: str
    value: float
    samples: list[int]
    views: list[int]


class Report:
    """What a window came to. Making one only asks for copies, so that the device has its next step before anyone waits
    for them; the first question waits.
    """

    def __init__(
        self,
        last_step: int,
        names: Sequence[str],
        means: Tensor,
        of_ranks: Tensor,
        largest_weight: Tensor,
        batches: Sequence[Tensor],
        faces: int,
    ) -> None:
        """means: float64 (names + 2,), over steps and ranks, then seconds of the window and those waited for batches.
        of_ranks: (ranks,steps,names). largest_weight: (), after the last step. batches: int64 (B,2) a step, samples and
        views of this rank. faces: of all ranks."""
        self.last_step, self.steps, self._names = last_step, of_ranks.shape[1], list(names)
        self._device, self._batches, self._faces = means.device, batches, faces
        self._means, self._of_ranks, self._largest = (
            x.to("cpu", non_blocking=True) for x in (means, of_ranks, largest_weight)
        )
        self._there: torch.cuda.Event | None = None
        if self._device.type == "cuda":
            self._there = torch.cuda.Event(blocking=True)
            self._there.record()

    def numbers(self) -> tuple[dict[str, float], float]:
        """(means over the window and all ranks with pace, seconds of the window)."""
        self._wait()
        *values, seconds, waited = self._means.tolist()
        numbers = dict(zip(self._names, values, strict=True))
        return numbers | {"faces_per_second": self._faces / seconds, "data_wait": waited / seconds}, seconds

    def not_finite(self, names: Sequence[str]) -> BadStep | None:
        """The first step where one of these numbers is not finite on any rank; the same answer on all ranks.

        To be asked on all ranks. A last step may have left the numbers before it and broken the weights, which its own
        loss would show in the next window only: so the largest weight is looked at, too.
        """
        self._wait()
        of_ranks = self._of_ranks[:, :, [self._names.index(name) for name in names]]
        bad = (~torch.isfinite(of_ranks)).any(0).nonzero()
        if len(bad):
            at, column = bad[0].tolist()
            values = of_ranks[:, at, column]
            worst = float(values[~torch.isfinite(values)][0])
            return self._bad_step(at, names[column], worst)
        if not self._largest.isfinite():
            return self._bad_step(self.steps - 1, "largest_weight", float(self._largest))
        return None

    def _bad_step(self, at: int, name: str, value: float) -> BadStep:
        samples_and_views = gather_rows(self._batches[at].to(self._device)).T.tolist()
        return BadStep(self.last_step - self.steps + 1 + at, name, value, *samples_and_views)

    def _wait(self) -> None:
        if self._there is not None:
            self._there.synchronize()
