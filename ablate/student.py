"""What a student costs to run, whatever it has learned."""

from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from common.backbones import backbone_size, build_backbone


@dataclass(frozen=True)
class Student:
    """A network by name; parameters, and multiply-accumulates of the convolutions and matrices of one face."""

    backbone: str
    embedding_size: int
    parameters: int
    macs: int


@cache
def student_of(backbone: str, embedding_size: int) -> Student:
    """Count without computing. Raises ModelError for a name that is none."""
    with torch.device("meta"):
        network = build_backbone(backbone, embedding_size).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.empty(1, 3, *backbone_size(backbone)))
    parameters = sum(p.numel() for p in network.parameters())
    return Student(backbone, embedding_size, parameters, int(counter.get_total_flops()) // 2)
