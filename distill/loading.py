"""Workers that make batches ahead of the step, and what is said when one of them fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch.utils.data import DataLoader, Dataset

from common.errors import UserError
from distill.batches import Batch, EpochOrder, FaceBatches


def batch_loader(faces: FaceBatches, order: EpochOrder, workers: int, pin: bool) -> DataLoader:
    """A DataLoader over whole batches; workers stay alive between epochs."""
    return DataLoader(
        _ErrorsAsValues(faces),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
    )


def batches_of(loader: DataLoader) -> Iterator[Batch]:
    """The batches of the order's epoch. Raises a worker's UserError as the worker did."""
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


@contextmanager
def worker_deaths_told() -> Iterator[None]:
    """A worker that is gone becomes a UserError; torch notices it in whatever the main process is doing."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rstrip(" .") if str(error) else ""
        if not reason.startswith("DataLoader worker"):
            raise
        raise UserError(
            f"{reason}: a worker that loads faces is gone, as the system does when memory runs out (then lower "
            "train.workers). Run the same command again: it goes on after the last checkpoint"
        ) from error


class _ErrorsAsValues(Dataset):
    """A worker's UserError travels as a value: raised there, torch would hand over the text of its traceback."""

    def __init__(self, faces: FaceBatches) -> None:
        self._faces = faces

    def __getitem__(self, wanted: tuple[np.ndarray, np.ndarray, int]) -> Batch | UserError:
        try:
            return self._faces[wanted]
        except UserError as error:
            return error
