"""Workers that make batches ahead of the step."""

import multiprocessing
from collections.abc import Iterator

import numpy as np
from torch.utils.data import DataLoader, Dataset

from common.errors import UserError
from distill.batches import FaceBatches, TrainingBatch
from distill.warm import ToldOrder
from distill.worker_deaths import ends_told, prepare_worker


def batch_loader(
    faces: FaceBatches, order: ToldOrder, workers: int, pin: bool
) -> DataLoader[TrainingBatch | UserError]:
    """A DataLoader over whole batches; workers stay alive between epochs."""
    return DataLoader(
        _ErrorsAsValues(faces),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
        worker_init_fn=prepare_worker,
    )


def batches_of(loader: DataLoader[TrainingBatch | UserError]) -> Iterator[TrainingBatch]:
    """The batches of the order's epoch. Raises a worker's UserError as the worker did, and one for a worker's end."""
    batches = iter(loader)
    workers = set(multiprocessing.active_children())
    while True:
        with ends_told(workers):
            batch = next(batches, None)
        if batch is None:
            return
        if isinstance(batch, UserError):
            raise batch
        yield batch


class _ErrorsAsValues(Dataset[TrainingBatch | UserError]):
    """A worker's UserError travels as a value: raised there, torch would hand over the text of its traceback."""

    def __init__(self, faces: FaceBatches) -> None:
        self._faces = faces

    def __getitem__(self, wanted: tuple[np.ndarray, np.ndarray, int]) -> TrainingBatch | UserError:
        try:
            return self._faces[wanted]
        except UserError as error:
            return error
