"""The pace of a training on this machine, from a few batches in some seconds."""

import time

import torch

from common.config import Config
from distill.batches import EpochOrder, FaceBatches
from distill.step import Trainer

SECONDS = 6.0
SMALLEST = 8  # rows of the first batch


def seconds_a_step(config: Config, trainer: Trainer, faces: FaceBatches, order: EpochOrder, step: int) -> float:
    """Seconds of a step of this rank's batch, faces included; the trainer takes steps that nobody keeps.

    Batches grow from SMALLEST rows to the recipe's as long as the next fits into SECONDS; the pace of the largest is
    scaled by rows. Workers that are not started here are counted as making faces side by side: on a GPU behind the
    step, on a CPU in its time. Raises what the first batches of the run would: a picture that does not decode, say.
    """
    train, until = config.train, time.perf_counter() + SECONDS
    samples, views, epoch = next(order.from_step(0))
    rows = min(train.batch_size, -(-SMALLEST // train.accumulate) * train.accumulate)
    warm = False
    while True:
        began = time.perf_counter()
        batch = faces[samples[:rows], views[:rows], epoch]
        loaded = time.perf_counter()
        trainer.step(batch, step, len(order))
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        ended = time.perf_counter()
        whole = rows == train.batch_size
        larger = rows if whole or not warm else min(2 * rows, train.batch_size)
        if (whole and warm) or ended + (ended - began) * larger / rows > until:
            break
        rows, warm = larger, True
    loading, stepping = (loaded - began) / max(train.workers, 1), ended - loaded
    hidden = train.workers > 0 and trainer.device.type == "cuda"
    return (max(loading, stepping) if hidden else loading + stepping) * train.batch_size / rows
