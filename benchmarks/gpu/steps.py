"""A trainer and batches of nothing: random faces, labels and teacher embeddings, the same for every device."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from common.backbones import build_backbone
from common.config import TrainConfig
from distill.batches import TrainingBatch
from distill.head import build_head
from distill.step import Trainer

DIM = 512
# The heads that differ in what a step does: moved centres, learned ones, a part of them.
HEADS: dict[str, dict[str, Any]] = {
    "distilled": {"recipe": "adadistill-adaface-geometry"},
    "learned": {"recipe": "arcface"},
    "sampled": {"recipe": "arcface", "sample_rate": 0.1},
}
STEPS_PER_EPOCH = 1000


def new_trainer(
    device: torch.device, head: Mapping[str, Any], classes: int, backbone: str, dim: int = DIM, **train: Any
) -> Trainer:
    """Student and head from seed 0; train: values of [train]."""
    torch.manual_seed(0)
    student = build_backbone(backbone, dim)
    return Trainer(student, build_head(head, classes, dim), TrainConfig(**train), device, 1)


def batch_of(trainer: Trainer, rows: int, classes: int, seed: int = 0, dim: int = DIM) -> TrainingBatch:
    """A batch on the host, in pinned memory where the trainer's device is a card."""
    generator = torch.Generator().manual_seed(seed)
    faces = torch.randint(0, 256, (rows, 112, 112, 3), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (rows,), generator=generator)
    f_t = F.normalize(torch.randn(rows, dim, generator=generator))
    confidence = torch.rand(rows, generator=generator)
    section = trainer.head.config
    batch = TrainingBatch(
        faces=faces,
        labels=labels,
        samples=torch.arange(rows),
        views=torch.zeros(rows, dtype=torch.int64),
        f_t=f_t if section.reads_teacher else None,
        confidence=confidence if section.geometry == "cached" else None,
    )
    if trainer.device.type != "cuda":
        return batch
    pinned = {name: part.pin_memory() for name, part in batch._asdict().items() if part is not None}
    return batch._replace(**pinned)


def losses(trainer: Trainer, batches: Sequence[TrainingBatch]) -> torch.Tensor:
    """float64 (steps,): the loss of one step a batch."""
    taken = [trainer.step(batch, step, STEPS_PER_EPOCH)["loss"] for step, batch in enumerate(batches)]
    return torch.stack(taken).double().cpu()


def seconds_a_step(trainer: Trainer, batches: Sequence[TrainingBatch], steps: int, warm: int) -> float:
    """Mean over `steps` steps after `warm` ones, batches in turn; the card is waited for before and after."""
    for step in range(warm):
        trainer.step(batches[step % len(batches)], step, STEPS_PER_EPOCH)
    wait_for(trainer.device)
    began = time.perf_counter()
    for step in range(steps):
        trainer.step(batches[step % len(batches)], warm + step, STEPS_PER_EPOCH)
    wait_for(trainer.device)
    return (time.perf_counter() - began) / steps


def wait_for(device: torch.device) -> None:
    """Until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def relative(value: torch.Tensor, reference: torch.Tensor) -> float:
    """Length of the difference over the reference's length."""
    reference = reference.detach().double().cpu()
    return float((value.detach().double().cpu() - reference).norm() / reference.norm())
