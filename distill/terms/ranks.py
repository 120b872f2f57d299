"""EKD: pairs that pass other thresholds with the student than with the teacher are moved towards the teacher's rank.

Huang et al., Evaluation-oriented Knowledge Distillation for Deep Face Recognition (CVPR 2022). Verification counts the
pairs above a threshold that a false positive rate sets. So each network gets thresholds of its own from the pairs of
different people in the batch, a pair's rank is how many of them it passes, and where student and teacher disagree
(critical pairs) the student's rank, softened, is drawn to the teacher's.
"""

import torch
from torch import Tensor

LARGEST = 6  # thresholds are the 10th, 100th, ... 10^LARGEST-th largest cosine of different people
_BELOW_ALL = -2.0


def rank_term(unit_s: Tensor, unit_t: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean of |rank_s - rank_t| over critical pairs of one person, plus that over critical pairs of two; ().

    unit_s, unit_t: (N,D) of unit length. labels: int64 (N,). temperature: of the sigmoid that stands for a step, in
    cosine. No gradient flows through thresholds.
    """
    first, second = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
    cos_s, cos_t = ((unit @ unit.T)[first, second] for unit in (unit_s, unit_t))
    same = labels[first] == labels[second]
    passed_s, soft_s = _ranks(cos_s, same, temperature)
    passed_t, soft_t = _ranks(cos_t, same, temperature)
    critical, apart = passed_s != passed_t, (soft_s - soft_t).abs()
    return _mean_where(apart, critical & same) + _mean_where(apart, critical & ~same)


def places(pairs: int) -> list[int]:
    """Which of the largest cosines of different people are thresholds, of so many pairs."""
    return [10**power for power in range(1, LARGEST + 1) if 10**power < pairs] or [1]


def _ranks(cos: Tensor, same: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """How many thresholds the pairs (P,) pass, counted and softened."""
    largest = torch.where(same, _BELOW_ALL, cos.detach()).sort(descending=True).values
    passed, soft = torch.zeros_like(cos), torch.zeros_like(cos)
    for place in places(len(cos)):
        threshold = largest[place - 1]
        there = threshold > _BELOW_ALL  # a batch may have fewer such pairs
        passed += (cos.detach() >= threshold) & there
        soft = soft + ((cos - threshold) / temperature).sigmoid() * there
    return passed, soft


def _mean_where(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0).sum() / mask.sum().clamp_min(1)
